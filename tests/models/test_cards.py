"""Weight files of the package are what their cards say, or are refused."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from sosie import recipes
from sosie.errors import InputError
from sosie.geometry.morphable_model import face_shape
from sosie.models import cards as weights

SOURCE = Path(weights.__file__).parents[1]
MODELS = SOURCE / "models/files"
WEIGHT_FILES = {".npz", ".npy", ".onnx", ".safetensors", ".tflite", ".task", ".bin", ".pt", ".pth"}
MEGABYTE = 1_000_000
MACHINE_PATH = re.compile(r"(^|[\s=])[/~]")


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A copy of the shape model with its card, in a folder that stands for the package's."""
    for name in ("face_shape.npz", "face_shape.json"):
        (tmp_path / name).write_bytes((MODELS / name).read_bytes())
    monkeypatch.setattr(weights, "_FOLDER", tmp_path)
    monkeypatch.setattr(weights, "SHIPPED", ("face_shape",))
    return tmp_path


def change_card(folder: Path, **entries: object) -> None:
    path = folder / "face_shape.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_every_weight_file_of_the_package_has_a_card_and_is_unchanged():
    files = {p for p in SOURCE.rglob("*") if p.suffix in WEIGHT_FILES}
    cards = weights.embedded_cards()
    assert files == {MODELS / card.file for card in cards.values()}
    assert set(cards) == set(weights.SHIPPED)
    for name, card in cards.items():
        assert card.name == name
        assert weights.read_embedded(name) == (MODELS / card.file).read_bytes()
        assert weights.check(name) == weights.Verdict(name, (MODELS / card.file).stat().st_size, "")


def test_all_weight_files_together_are_small_enough_for_the_wheel():
    assert sum(len(weights.read_embedded(name)) for name in weights.SHIPPED) <= 20 * MEGABYTE


@pytest.mark.parametrize("card", weights.embedded_cards().values(), ids=lambda card: card.name)
def test_a_card_says_where_its_file_is_from(card):
    assert card.license
    assert card.summary
    assert date.fromisoformat(card.date) <= date.today()
    assert card.data
    for origin in (*card.data, *card.teachers):
        assert origin.name
        assert origin.license
        assert origin.use
    assert card.figures
    assert not MACHINE_PATH.search(card.remake), "a path of one machine"


@pytest.mark.parametrize("card", weights.embedded_cards().values(), ids=lambda card: card.name)
def test_the_command_that_remakes_a_file_is_there(card):
    program, first, name, *_ = card.remake.split()
    if program == "python":
        assert (SOURCE.parents[1] / first).is_file()
    else:
        assert (program, first, name) == ("sosie", "train", card.name)
        assert name in recipes.TABLE


def test_the_card_of_the_shape_model_counts_what_is_in_the_file():
    shape, figures = face_shape(), weights.embedded_cards()["face_shape"].figures
    assert len(shape.basis) == figures["directions"]
    assert 0.9 < figures["variance_explained"] < 1
    assert figures["expression_distance"] < figures["expression_distance_unread"]
    assert (MODELS / "face_shape.npz").stat().st_size <= 400_000


def test_the_shape_model_is_symmetric_and_orthonormal():
    shape = face_shape()
    assert (shape.mirror[shape.mirror] == np.arange(478)).all()
    np.testing.assert_allclose(shape.mean[shape.mirror] * (-1, 1, 1), shape.mean, atol=1e-6)
    np.testing.assert_allclose(shape.stability[shape.mirror], shape.stability, rtol=1e-4)
    np.testing.assert_allclose(shape.basis @ shape.basis.T, np.eye(len(shape.basis)), atol=2e-3)
    assert (np.linalg.eigvalsh(shape.within) > 0).all()


@pytest.mark.parametrize("where", [0, 1000, -1])
def test_a_changed_file_is_refused(package, where):
    path = package / "face_shape.npz"
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"face_shape\.npz .* was changed.*install Sosie again"):
        weights.read_embedded("face_shape")
    with pytest.raises(InputError, match=r"face_shape\.npz .* was changed"):
        face_shape.__wrapped__()


def test_another_model_with_a_right_archive_is_refused(package):
    """The loader would read it; only its hash tells."""
    path = package / "face_shape.npz"
    with np.load(path) as kept:
        arrays = dict(kept)
    np.savez(path, **(arrays | {"mean": arrays["mean"] * 2}))
    with pytest.raises(InputError, match="was changed"):
        face_shape.__wrapped__()
    change_card(package, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    np.testing.assert_allclose(face_shape.__wrapped__().mean, face_shape().mean * 2)


@pytest.mark.parametrize("name", ["face_shape.npz", "face_shape.json"])
def test_an_absent_file_is_named(package, name):
    (package / name).unlink()
    with pytest.raises(InputError, match=rf"{name} of Sosie cannot be read: install"):
        weights.read_embedded("face_shape")
    assert name in weights.check("face_shape").fault


def test_a_model_of_which_nothing_is_left_is_missed(package):
    for path in package.iterdir():
        path.unlink()
    assert weights.embedded_names() == ["face_shape"]
    assert "cannot be read" in weights.check("face_shape").fault
    package.rmdir()
    assert weights.embedded_names() == ["face_shape"]


def test_a_weight_file_without_a_card_is_not_trusted(package):
    (package / "stray.onnx").write_bytes(b"weights")
    assert weights.embedded_names() == ["face_shape", "stray"]
    assert "stray.json of Sosie cannot be read" in weights.check("stray").fault
    assert weights.check("face_shape").fault == ""


def test_a_truncated_file_is_refused_and_its_size_told(package):
    path = package / "face_shape.npz"
    path.write_bytes(path.read_bytes()[:1000])
    verdict = weights.check("face_shape")
    assert verdict.size_bytes == 1000
    assert "face_shape.npz of Sosie is damaged" in verdict.fault


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"color": "blue"}, "should not have, color"),
        ({"data": [{"name": "pictures", "use": "seen"}]}, "license"),
        ({"data": "pictures"}, "data is no list"),
        ({"teachers": ["a network"]}, "an origin is no JSON object"),
        ({"figures": {"error": "small"}}, "not all numbers"),
        ({"figures": [1, 2]}, "not all numbers"),
        ({"sha256": 7}, "sha256 should be text"),
        ({"file": None}, "file should be text"),
        ({"name": "detector"}, "not the card of face_shape"),
        ({"file": "detector.onnx"}, "not the card of face_shape"),
        ({"file": "../face_shape.npz"}, "in another folder"),
    ],
)
def test_a_card_with_a_wrong_entry_is_refused(package, entries, words):
    change_card(package, **entries)
    with pytest.raises(InputError, match=rf"face_shape\.json of Sosie is not valid .*{words}"):
        weights.embedded_cards()


def test_a_card_without_a_hash_is_refused(package):
    path = package / "face_shape.json"
    entries = json.loads(path.read_text())
    del entries["sha256"]
    path.write_text(json.dumps(entries))
    with pytest.raises(InputError, match=r"it lacks.* sha256"):
        weights.read_embedded("face_shape")


@pytest.mark.parametrize("content", [b"", b"no json", b"[]", b"null", b'{"sha256": ', b"\xff\xfe"])
def test_a_card_that_is_no_card_is_refused(package, content):
    (package / "face_shape.json").write_bytes(content)
    with pytest.raises(InputError, match=r"face_shape\.json of Sosie is not valid"):
        weights.embedded_cards()
