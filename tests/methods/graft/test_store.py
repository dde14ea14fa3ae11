"""The cache of sharper faces: it holds what its pictures show, and is made once."""

from __future__ import annotations

import zipfile

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.datasets.split import is_held_out, is_validation
from sosie.geometry import alignment
from sosie.methods.graft import store
from sosie.recipes.face_cache import CROP_PX, crop_matrix


@pytest.fixture
def faces(face_set, astronaut, tmp_path):
    """A portrait in an archive, for a person to learn from, one to choose by, and a test person."""
    from sosie.analysis.analyzer import create_analyzer

    (found,) = create_analyzer(1).analyze(astronaut)
    names = (f"lfw/person_{n}" for n in range(1000))
    parts: dict[str, str] = {}
    for name in names:
        kind = "test" if is_held_out(name) else "val" if is_validation(name) else "train"
        parts.setdefault(kind, name)
    people = np.array([parts["train"], parts["val"], parts["test"]])
    _, encoded = cv2.imencode(".webp", astronaut[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])
    with zipfile.ZipFile(tmp_path / "lfw.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.webp", encoded.tobytes())
    matrix = crop_matrix(found.landmarks)
    crop = alignment.warp(astronaut, matrix, CROP_PX, CROP_PX)
    points = alignment.transform_points(found.landmarks, matrix)
    return found, face_set(
        [crop] * 3, [points] * 3, people=people, matrices=np.repeat(matrix[None], 3, 0)
    )


def test_faces_are_cut_from_the_pictures_and_kept(faces, materials, monkeypatch):
    found, cached = faces
    monkeypatch.setattr(store, "open_faces", lambda _: cached)
    made = store.open_swap_faces(materials)
    assert len(made.crops) == 2
    assert made.validation.tolist() == [False, True]
    assert not any(is_held_out(str(person)) for person in made.people)
    assert made.crops.shape[1:] == (store.CROP_PX, store.CROP_PX, 3)
    # Sharper than the face cache, with the face where the landmarks are.
    low, high = made.landmarks[0, :, :2].min(0), made.landmarks[0, :, :2].max(0)
    assert float((high - low).max()) == pytest.approx(store.CROP_PX / store.MARGIN, rel=0.03)
    assert np.allclose((low + high) / 2, (store.CROP_PX - 1) / 2, atol=6)
    assert made.views[0].mean() > 200
    assert np.allclose(np.linalg.norm(made.identity, axis=1), 1, atol=1e-5)
    assert made.identity[0] @ made.identity[1] == pytest.approx(1, abs=1e-5)
    monkeypatch.setattr(store, "_make", None)
    again = store.open_swap_faces(materials)
    assert np.array_equal(again.landmarks, made.landmarks)
    assert found.score > 0
