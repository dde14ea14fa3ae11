"""Each program in `examples/` runs as its first lines say, and the notebook cell by cell."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
Pixels = np.ndarray


@pytest.fixture
def run_example(tmp_path: Path) -> Callable[..., str]:
    """Run a program of the folder in an empty one, and return what it prints."""

    def run(name: str, *arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, ROOT / "examples" / name, *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "src"),
                "XDG_CACHE_HOME": str(tmp_path / "cache"),
            },
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def save(path: Path, pixels: Pixels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)
    return path


def pixels(path: Path) -> Pixels:
    with Image.open(path) as picture:
        return np.array(picture.convert("RGB"))


@pytest.fixture(scope="session")
def heads(astronaut: Pixels, hopper: Pixels) -> tuple[Pixels, Pixels]:
    """Two heads of 192 x 192."""
    cut = astronaut[:288, 80:368], hopper[40:400, 80:440]
    small = [cv2.resize(one, (192, 192), interpolation=cv2.INTER_AREA) for one in cut]
    return small[0], small[1]


@pytest.fixture
def faces(heads: tuple[Pixels, Pixels], tmp_path: Path) -> Path:
    """A folder a person, with three photos each."""
    for name, head in zip(("ann", "grace"), heads, strict=True):
        for number, photo in enumerate((head, head[:, ::-1], head[6:, 6:])):
            save(tmp_path / "faces" / name / f"{number}.png", photo)
    return tmp_path / "faces"


def test_photo(run_example, heads, hopper_path, tmp_path):
    target = save(tmp_path / "photo.png", heads[0])
    printed = run_example("photo.py", hopper_path, target, "out.png")
    assert printed.startswith("swapped a face of ")
    assert (pixels(tmp_path / "out.png") != heads[0]).any()


def test_an_error_is_its_sentence_and_its_exit_code(hopper_path, tmp_path):
    command = [sys.executable, ROOT / "examples/photo.py", hopper_path, "gone.jpg", "out.png"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "gone.jpg does not exist; check the name.\n")


def test_video(run_example, heads, hopper_path, astronaut_path, tmp_path):
    with av.open(str(tmp_path / "video.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 192
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(np.roll(heads[0], number, 1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    printed = run_example("video.py", hopper_path, astronaut_path, "video.mp4", "out.mp4")
    assert "4 of 4 frames swapped" in printed
    assert (tmp_path / "out.mp4").stat().st_size > 0


def test_stream(run_example, heads, hopper_path, tmp_path):
    with av.open(str(tmp_path / "camera.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 192
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(heads[0], format="rgb24")))
        container.mux(stream.encode(None))
    given = (hopper_path, "camera.mp4", "--lookahead", 1, "--save", "me.sosie")
    assert run_example("stream.py", *given) == "3 frames came back\n"
    assert run_example("stream.py", "me.sosie", "camera.mp4") == "3 frames came back\n"


def test_several_people(run_example, heads, astronaut_path, hopper_path, tmp_path):
    both = np.concatenate(heads, axis=1)
    group = save(tmp_path / "group.png", both)
    people = [f"{astronaut_path}={hopper_path}", f"{hopper_path}={astronaut_path}"]
    printed = run_example("several_people.py", group, "out.png", *people)
    assert printed.count(": 1 faces") == 2
    changed = (pixels(tmp_path / "out.png") != both).any(-1)
    assert changed[:, :192].any()
    assert changed[:, 192:].any()


def test_train_and_swap(run_example, faces, astronaut_path, hopper_path, tmp_path):
    pytest.importorskip("torch", exc_type=ImportError)
    tiny = ["samples=8", "batch=4", "validate_every=8", "width=4", "depth=1", "critic=4"]
    settings = [word for setting in tiny for word in ("--set", setting)]
    given = (faces, hopper_path, astronaut_path, "out.png", "--run", "runs/a")
    run_example("train_and_swap.py", *given, *settings, "--workers", 0)
    assert pixels(tmp_path / "out.png").shape == (512, 512, 3)


def test_evaluate_another_tool(run_example, faces, tmp_path):
    given = ("evaluate_another_tool.py", "faces", "theirs", "--method", "target")
    wanted = [line.split(" save as ")[1] for line in run_example(*given).splitlines()[1:]]
    assert wanted
    for name in wanted:
        save(tmp_path / name, pixels(faces / "ann" / "0.png"))
    run_example(*given)
    page = (tmp_path / "runs/comparison/comparison.md").read_text("utf-8")
    assert "theirs" in page
    assert "ours" in page


def run_cells(notebook: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """What the code cells of a notebook leave behind, and what each shows, as Jupyter would."""
    names: dict[str, Any] = {}
    shown = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            tree = ast.parse("".join(cell["source"]))
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, cell["id"], "exec"), names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), cell["id"], "eval"), names)
                shown += [] if value is None else [value]
    return names, shown


def test_the_notebook(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    notebook = json.loads((ROOT / "examples/first_swap.ipynb").read_text("utf-8"))
    codes = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in codes)

    names, (photo, options, clip, swapped, table) = run_cells(notebook)
    printed = capsys.readouterr().out
    assert "1 face, turned by" in printed
    assert "did you mean 'alpha'" in printed
    assert "12 of 12 frames swapped" in printed
    _, target, result = np.split(np.asarray(photo), [photo.width - 640, photo.width - 320], axis=1)
    assert 0.01 < (np.abs(target.astype(int) - result) > 8).any(-1).mean() < 0.1
    hard, soft = np.split(np.asarray(options).astype(int), 2, axis=1)
    assert 0 < (np.abs(hard - soft) > 8).any(-1).mean() < 0.5
    before, after = np.asarray(clip).astype(int), np.asarray(swapped)
    changed = (np.abs(before - after) > 24).any(-1)
    assert before.shape == (240, 720, 3)
    assert all(part.mean() > 0.02 for part in np.split(changed, 3, axis=1))
    rows = {head: value for head, value, *_ in table.rows}
    assert 0.3 < float(rows["Identity: similarity to the source"].split()[0]) < 1
    assert table._repr_html_().count("<tr>") == len(table.rows) > 10
    links = re.findall(r"\]\(([^)]+)\)", json.dumps(notebook))
    assert [link for link in links if not (ROOT / "examples" / link).exists()] == []
    assert names["folder"].parent == tmp_path
