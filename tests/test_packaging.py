"""What a user installs: everything that is needed, and no more."""

from __future__ import annotations

import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from sosie.models import cards

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MEGABYTE = 1_000_000
REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)\s*(.*)")


def names(requirements: list[str]) -> set[str]:
    return {REQUIREMENT.match(one)[1].lower().replace("_", "-") for one in requirements}


def pins(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(built)


def test_the_wheel_holds_all_code_and_every_model_as_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        for name in cards.embedded_names():
            card = cards.read_card(name)
            content = archive.read(f"sosie/models/files/{card.file}")
            assert content == (ROOT / "src/sosie/models/files" / card.file).read_bytes()
            assert f"sosie/models/files/{name}.json" in held
    sources = {p.relative_to(ROOT / "src").as_posix() for p in (ROOT / "src").rglob("*.py")}
    assert sources <= held
    assert {name.split("/")[0] for name in held} == {"sosie"}
    others = {name for name in held - sources if not name.startswith("sosie/models/files/")}
    portraits = {"sosie/app/portraits/astronaut.png", "sosie/app/portraits/hopper.jpg"}
    folders = [ROOT / f"src/sosie/{n}/templates" for n in ("datasets", "evaluation/report")]
    pages = {p.relative_to(ROOT / "src").as_posix() for f in folders for p in f.iterdir()}
    own = {"datasets/templates/report.html", "evaluation/report/templates/run.html"}
    assert others >= pages >= {f"sosie/{name}" for name in own}
    weights = {"sosie/evaluation/weight_files.toml"}
    assert others >= {"sosie/py.typed", *portraits, *weights}
    others -= portraits | pages | weights
    assert [name for name in others if not name.endswith((".md", "py.typed"))] == []


def test_the_wheel_is_small(wheel):
    assert wheel.stat().st_size <= 22 * MEGABYTE


def test_the_source_archive_can_be_built_from(tmp_path):
    (built,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(built) as archive:
        held = {name.split("/", 1)[1] for name in archive.getnames()}
    for name in ("pyproject.toml", "Makefile", "LICENSE", "README.md", "CONTRIBUTING.md"):
        assert name in held
    for name in ("constraints.txt", "constraints-dev.txt", "scripts/make_venv.py"):
        assert name in held
    assert {f"src/sosie/models/files/{name}.json" for name in cards.embedded_names()} <= held


def test_what_trains_is_no_dependency_but_an_extra():
    train = names(PROJECT["optional-dependencies"]["train"])
    assert {"torch", "onnx", "mediapipe"} <= train
    assert not names(PROJECT["dependencies"]) & {"torch", "onnx", "torchvision"}


def test_nothing_is_pinned_where_a_range_will_do():
    extras = PROJECT["optional-dependencies"].values()
    wanted = [*PROJECT["dependencies"], *(one for extra in extras for one in extra)]
    assert [one for one in wanted if "torch" in one and "==" in one] == []


def test_every_dependency_has_its_pin():
    run, dev = pins("constraints.txt"), pins("constraints-dev.txt")
    assert not set(run) & set(dev)
    extras = PROJECT["optional-dependencies"]
    assert names(PROJECT["dependencies"]) <= set(run)
    assert names(extras["dev"]) | names(extras["train"]) <= set(run) | set(dev)


def test_every_extra_that_a_sentence_or_a_page_names_exists_and_comes_from_the_checkout():
    """`pip install 'sosie[train]'` asked the package index for a package that it does not have."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.py")]
    texts = {page: page.read_text("utf-8") for page in pages}
    wrong = re.compile(r"pip install[^`\n]* '?sosie")
    assert [page for page, text in texts.items() if wrong.search(text)] == []
    named = {extra for text in texts.values() for extra in re.findall(r"'\.\[([\w-]+)\]'", text)}
    assert named
    assert named <= set(PROJECT["optional-dependencies"])
