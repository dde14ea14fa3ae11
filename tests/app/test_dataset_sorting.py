"""`sosie dataset`: sorting, cleaning, reporting and moving sets, as a user runs it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from sosie.analysis.analyzer import create_analyzer
from sosie.datasets.face_rows import FaceRow
from sosie.datasets.samples import samples_of_set
from sosie.datasets.store import FaceStore
from sosie.geometry import alignment

SIDE_PX = 128
EACH = 4


@pytest.fixture(scope="module")
def portraits(tmp_path_factory, astronaut_path, hopper_path):
    """A set of the two portraits in several lights, made through the store alone."""
    folder = tmp_path_factory.mktemp("sets") / "set"
    analyzer = create_analyzer(1)
    settings = {"align": "ffhq", "size_px": SIDE_PX}
    store = FaceStore.create(folder, {**settings, "inputs": [{"sha256": "0", "folder": "photos"}]})
    (folder / "faces/photos").mkdir(parents=True)
    rows = []
    for path in (astronaut_path, hopper_path):
        plain = np.array(Image.open(path).convert("RGB"))
        face = max(analyzer.analyze(plain), key=lambda face: face.size_px)
        for number in range(EACH):
            pixels = np.clip(plain * (0.7 + 0.15 * number), 0, 255).astype(np.uint8)
            rows.append(_row(folder, path.stem, number, pixels, face, analyzer))
    store.append(rows)
    store.merge()
    return folder


def _row(folder, name, number, pixels, face, analyzer):
    sha = hashlib.sha256(pixels.tobytes()).hexdigest()
    file = f"faces/photos/{name}{number}-{sha[:16]}.png"
    matrix = alignment.align_matrix(face.points5, "ffhq", SIDE_PX)
    Image.fromarray(alignment.crop(pixels, matrix, SIDE_PX)).save(folder / file)
    figures = {
        field.name: 0.5 for field in dataclasses.fields(FaceRow) if field.type in ("float", "int")
    }
    return FaceRow(
        **{
            **figures,
            "id": sha[:16], "file": file, "input": f"{name}.jpg", "input_sha256": sha, "frame": -1,
            "scene": 0, "track": -1, "person": "", "template": "ffhq", "size_px": SIDE_PX,
            "matrix": matrix, "frame_width": 512, "frame_height": 512, "box": face.box,
            "points5": face.points5, "landmarks": face.landmarks, "expression": face.expression,
            "identity": analyzer.identify(pixels, face), "phash": int(sha[:16], 16),
        }
    )  # fmt: skip


@pytest.fixture
def folder(portraits, tmp_path):
    shutil.copytree(portraits, tmp_path / "set")
    return tmp_path / "set"


def test_from_a_heap_to_a_packed_set(sosie, folder, tmp_path, astronaut_path):
    """All commands, one after the other."""
    told = sosie("dataset", "cluster", folder, "--name", f"eileen={astronaut_path}", "--json")
    assert told.code == 0, told.err
    assert told.json["people"] == {"eileen": EACH, "001": EACH}
    assert {p.name[:9] for p in (folder / "faces/eileen").iterdir()} == {"astronaut"}
    told = sosie("dataset", "clean", folder, "--dry-run", "--json")
    assert told.json["findings"] == []
    told = sosie("dataset", "split", folder, "--test", "0.5", "--json")
    assert told.json["train"] == told.json["test"] == [1, EACH]
    told = sosie("dataset", "report", folder, "--json")
    assert [person["faces"] for person in told.json["people"]] == [EACH, EACH]
    page = (folder / "report.html").read_text("utf-8")
    assert "eileen" in page
    told = sosie("dataset", "classify", folder, "--test", "0.5", "--json")
    assert told.json["accuracy"] == 1
    model = folder / "classifier.npz"
    told = sosie("dataset", "classify", astronaut_path, "--model", model, "--json")
    assert told.json["photos"][0]["name"] == "eileen"
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    assert sosie("dataset", "classify", tmp_path / "bad.jpg", "--model", model).code == 1
    told = sosie("dataset", "pack", folder, "--out", tmp_path / "set.zip")
    assert told.code == 0
    assert sosie("dataset", "verify", tmp_path / "set.zip").out.endswith("is whole.\n")
    told = sosie("dataset", "unpack", tmp_path / "set.zip", "--out", tmp_path / "again")
    assert told.code == 0
    assert sosie("dataset", "verify", tmp_path / "again").code == 0
    told = sosie("dataset", "merge", folder, tmp_path / "again", "--out", tmp_path / "m", "--json")
    assert (told.json["faces"], told.json["twice"]) == (2 * EACH, 2 * EACH)


def test_an_encoder_is_shown_each_face_of_a_set_where_it_stands(folder):
    """Also in a picture that was made smaller since."""
    store = FaceStore.open(folder)
    store.update({"person": dict.fromkeys(store.read(("id",))["id"].tolist(), "somebody")})
    small = next((folder / "faces/photos").iterdir())
    Image.open(small).resize((SIDE_PX // 2,) * 2).save(small)
    seen = []

    def describe(pixels, points):
        seen.append((pixels.shape[0], points))
        return np.float32([1, 2])

    found = samples_of_set(store, describe)
    assert found.identities.shape == (2 * EACH, 512 + 2)
    assert sorted(side for side, _ in seen) == [SIDE_PX // 2] + [SIDE_PX] * (2 * EACH - 1)
    for side, points in seen:
        # The template is met as nearly as a face has its proportions.
        apart = points - alignment.template_points("ffhq", side)
        assert np.abs(apart).max() < 0.05 * side


def test_a_dry_run_moves_nothing(sosie, folder):
    before = sorted(folder.rglob("*"))
    assert "2 people" in sosie("dataset", "cluster", folder, "--dry-run").out
    assert sorted(folder.rglob("*")) == before


def test_verify_exits_with_1(sosie, folder):
    next((folder / "faces/photos").iterdir()).write_bytes(b"no")
    told = sosie("dataset", "verify", folder, "--json")
    assert told.code == 1
    assert "cannot be read" in told.json["problems"][0]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["cluster", "SET", "--people", "5"], 2, "2 people are to be told apart at most"),
        (["cluster", "SET", "--people", "2", "--auto"], 2, "exclude each other"),
        (["cluster", "SET", "--name", "anna"], 2, "write anna=anna.jpg"),
        (["cluster", "SET", "--name", "anna=none.jpg"], 1, "none.jpg"),
        (["cluster", "SET", "--name", "photos=PHOTO"], 2, "folder of an input"),
        (["cluster", "EMPTY"], 1, "no set of faces"),
        (["cluster", "NONE"], 1, "no set of faces"),
        (["clean", "SET"], 3, "dataset cluster"),
        (["clean", "SET", "--bits", "40"], 2, "0 to 16"),
        (["split", "SET"], 1, "needs two"),
        (["split", "SET", "--test", "3"], 2, "between 0 and 1"),
        (["pack", "SET", "--out", "x.rar"], 2, "zip"),
        (["unpack", "PHOTO", "--out", "NONE"], 1, "no zip file"),
        (["unpack", "NONE", "--out", "EMPTY"], 1, "does not exist"),
        (["unpack", "PIPE", "--out", "NONE"], 1, "is a pipe and not a file"),
        (["verify", "PHOTO"], 1, "no zip file"),
        (["verify", "NONE"], 1, "does not exist"),
        (["verify", "PIPE"], 1, "is a pipe and not a file"),
        (["report", "PIPE", "--out", "NONE"], 1, "no set of faces"),
        (["report", "PHOTO", "--out", "NONE"], 1, "no set of faces"),
        (["merge", "SET", "--out", "NONE"], 2, "two sets"),
        (["classify", "SET"], 1, "two people"),
        (["classify", "EMPTY"], 1, "holds no folders"),
        (["classify", "PHOTO", "--model", "PHOTO"], 1, "no classifier"),
    ],
)
def test_bad_input_is_one_sentence(sosie, folder, tmp_path, astronaut_path, arguments, code, words):
    (tmp_path / "empty").mkdir()
    if "PIPE" in arguments:
        if not hasattr(os, "mkfifo"):
            pytest.skip("there are no pipes")
        os.mkfifo(tmp_path / "pipe.zip")
    places = {
        "SET": folder, "EMPTY": tmp_path / "empty", "NONE": tmp_path / "none",
        "PHOTO": astronaut_path, "PIPE": tmp_path / "pipe.zip",
        "photos=PHOTO": f"photos={astronaut_path}",
    }  # fmt: skip
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    told = sosie("dataset", *[places.get(argument, argument) for argument in arguments])
    assert told.code == code, told.err
    assert words in told.err
    assert told.err.count("\n") == 1
    assert "Unexpected" not in told.err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_set(sosie, folder):
    folder.chmod(0o555)
    try:
        told = sosie("dataset", "cluster", folder)
    finally:
        folder.chmod(0o755)
    assert told.code == 1
    assert "cannot be written to" in told.err
