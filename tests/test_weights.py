"""Weight files of the package are what their cards say, or are refused."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from sosie import weights
from sosie.errors import InputError
from sosie.face_shape import face_shape

PACKAGE = Path(weights.__file__).parent
WEIGHT_FILES = {".npz", ".npy", ".onnx", ".safetensors", ".tflite", ".task", ".bin", ".pt", ".pth"}


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A copy of the shape model with its card, in a folder that stands for the package."""
    for name in ("face_shape.npz", "face_shape.json"):
        (tmp_path / name).write_bytes((PACKAGE / name).read_bytes())
    monkeypatch.setattr(weights, "_FOLDER", tmp_path)
    return tmp_path


def change_card(folder: Path, **entries: object) -> None:
    path = folder / "face_shape.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_every_weight_file_of_the_package_has_a_card_and_is_unchanged():
    files = {str(p.relative_to(PACKAGE)) for p in PACKAGE.rglob("*") if p.suffix in WEIGHT_FILES}
    cards = weights.embedded_cards()
    assert "face_shape.npz" in files
    assert {card.file for card in cards.values()} == files
    for name, card in cards.items():
        assert card.name == name
        assert weights.read_embedded(name) == (PACKAGE / card.file).read_bytes()
        weights.verify(card)


@pytest.mark.parametrize("card", weights.embedded_cards().values(), ids=lambda card: card.name)
def test_a_card_says_where_its_file_is_from(card):
    assert card.licence
    assert card.summary
    assert date.fromisoformat(card.date) <= date.today()
    for origin in (*card.data, *card.teachers):
        assert origin.name
        assert origin.licence
        assert origin.use
    assert card.figures
    assert card.remake.startswith("python tools/")
    assert (PACKAGE.parents[1] / card.remake.split()[1]).is_file()
    assert not re.search(r"(^|[\s=])[/~]", card.remake), "a path of one machine"


def test_the_card_of_the_shape_model_counts_what_is_in_the_file():
    shape, figures = face_shape(), weights.embedded_cards()["face_shape"].figures
    assert len(shape.basis) == figures["directions"]
    assert 0.9 < figures["variance_explained"] < 1
    assert figures["expression_distance"] < figures["expression_distance_unread"]
    assert (PACKAGE / "face_shape.npz").stat().st_size <= 400_000


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
        weights.verify(weights.embedded_cards()["face_shape"])
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


def test_a_card_with_an_unknown_entry_is_refused(package):
    change_card(package, colour="blue")
    with pytest.raises(InputError, match="should not have, colour"):
        weights.embedded_cards()


def test_a_card_without_a_hash_is_refused(package):
    path = package / "face_shape.json"
    entries = json.loads(path.read_text())
    del entries["sha256"]
    path.write_text(json.dumps(entries))
    with pytest.raises(InputError, match=r"it lacks.* sha256"):
        weights.read_embedded("face_shape")


@pytest.mark.parametrize("content", ["", "no json", "[]", "null", '{"sha256": '])
def test_a_card_that_is_no_card_is_refused(package, content):
    (package / "face_shape.json").write_text(content)
    with pytest.raises(InputError, match=r"face_shape\.json of Sosie is not valid"):
        weights.embedded_cards()


def test_an_origin_that_lacks_its_licence_is_refused(package):
    change_card(package, data=[{"name": "pictures", "use": "seen"}])
    with pytest.raises(InputError, match="licence"):
        weights.embedded_cards()
