"""A smile's folds go where the swapped face does not smile, and only there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sosie.analysis.landmarker import EXPRESSIONS
from sosie.geometry import mesh
from sosie.geometry.morphable_model import face_shape
from sosie.methods.graft.folds import near_folds, smile_beyond, without_folds
from sosie.methods.graft.warp import Field
from sosie.types import Face

ModelFace = Callable[..., Face]
SIDE = 240
SKIN = np.array([0.8, 0.6, 0.5], np.float32)
# Along the fold from the nose to the mouth's corner, on either side.
FOLDS = ((203, 206, 216), (423, 426, 436))


def smile(by: float) -> np.ndarray:
    """The most probable change of a face that smiles more by this weight."""
    shape = face_shape()
    weights = [EXPRESSIONS.index(f"mouthSmile{side}") - 1 for side in ("Left", "Right")]
    reading = shape.expression[:, weights].mean(1)
    likely = shape.within @ reading
    return (by * likely / (reading @ likely) @ shape.basis).reshape(-1, 3)


@pytest.mark.parametrize("pose", [(0, 0, 0), (25, -10, 40)])
def test_folds_go_by_how_much_more_the_source_smiles(
    model_face: ModelFace, pose: tuple[float, ...]
) -> None:
    calm, smiling = (model_face(change=smile(by)).landmarks for by in (0.0, 0.7))
    posed, posed_smiling = (model_face(*pose, change=smile(by)).landmarks for by in (0.0, 0.7))
    assert smile_beyond(smiling, posed) == 1
    assert smile_beyond(calm, posed_smiling) == 0
    assert smile_beyond(smiling, posed_smiling) == 0
    some = model_face(change=smile(0.33)).landmarks
    assert 0.2 < smile_beyond(some, posed) < 0.8


def folded(face: Face) -> np.ndarray:
    """Skin with a dark line along each fold, red lips and a dark mole on the forehead."""
    picture = np.broadcast_to(SKIN, (SIDE, SIDE, 3)).copy()
    y, x = np.mgrid[:SIDE, :SIDE]
    for fold in FOLDS:
        points = face.landmarks[list(fold), :2]
        for share in np.linspace(0, 1, 40):
            at = points[0] + share * (points[2] - points[0])
            picture[np.hypot(x - at[0], y - at[1]) < 2] *= 0.6
    for point in (151, 14):
        at = face.landmarks[point, :2]
        picture[np.hypot(x - at[0], y - at[1]) < 3] = (0.3, 0.1, 0.1)
    return np.clip(picture, 0.05, 1).astype(np.float32)


def test_a_fold_is_smoothed_and_nothing_else(model_face: ModelFace) -> None:
    face = model_face(unit_px=55, center=(SIDE / 2, SIDE / 2))
    texture, known = folded(face), np.ones((SIDE, SIDE), np.float32)
    about = Field(face.landmarks, SIDE, SIDE).spread(near_folds(), flat=True)
    made = {
        share: without_folds(texture, known, face.landmarks, about, share) for share in (0.5, 1.0)
    }
    for fold in FOLDS:
        x, y = np.round(face.landmarks[fold[1], :2]).astype(int)
        before = (SKIN - texture[y, x]).mean()
        left = {share: (SKIN - one[y, x]).mean() / before for share, one in made.items()}
        assert before > 0.15
        assert left[1.0] < 0.35
        assert left[0.5] == pytest.approx((1 + left[1.0]) / 2, abs=0.05)
    away = about == 0
    assert away.mean() > 0.4
    assert np.abs(made[1.0][away] - texture[away]).max() < 0.01
    for point in (151, 14, *mesh.OUTER_LIPS):
        x, y = np.round(face.landmarks[point, :2]).astype(int)
        assert np.allclose(made[1.0][y, x], texture[y, x], atol=0.02)


def test_what_is_not_known_runs_into_no_skin(model_face: ModelFace) -> None:
    face = model_face(unit_px=55, center=(SIDE / 2, SIDE / 2))
    texture, known = folded(face), np.ones((SIDE, SIDE), np.float32)
    x, y = np.round(face.landmarks[205, :2]).astype(int)
    texture[y - 8 : y + 8, x - 8 : x + 8] = 0
    known[y - 8 : y + 8, x - 8 : x + 8] = 0
    about = Field(face.landmarks, SIDE, SIDE).spread(near_folds(), flat=True)
    made = without_folds(texture, known, face.landmarks, about, 1.0)
    assert np.abs(made[y - 12, x] - SKIN).max() < 0.1
