"""Whether a face has a beard, and where: painted ones, a generated man's, and people without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import sosie
from sosie.analysis import beard
from sosie.analysis.analyzer import Analyzer
from sosie.analysis.beard import BEARDED, LOOKS, Beard
from sosie.analysis.parser import SIDE_PX, FaceParts, square_matrix
from sosie.geometry import mesh
from sosie.geometry.alignment import fill_hull, transform_points
from sosie.geometry.head_pose import region_of
from sosie.types import Face

ModelFace = Callable[..., Face]
SKIN = (200, 150, 130)
# Points of both cheeks, and of chin and jaws below the mouth.
CHEEKS, CHIN = (50, 280, 101, 330), (199, 200, 208, 428, 210, 430)


def all_skin() -> FaceParts:
    planes = np.zeros((8, SIDE_PX, SIDE_PX), np.float32)
    planes[0] = 1
    return FaceParts(*planes)


def surely(found: Beard) -> np.ndarray:
    """What it covers if it is known that there is a beard."""
    return replace(found, score=2.0).covers()


def in_square(face: Face, points: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    there = transform_points(face.landmarks, square_matrix(region_of(face.landmarks)))
    x, y = np.round(there[list(points), :2]).astype(int).T
    return y, x


def with_beard(face: Face, color: tuple[int, int, int], side: float = 0.0) -> np.ndarray:
    """A face of one skin, lit from one side by so much, with a beard below the nose."""
    picture = np.full((256, 256, 3), SKIN, np.float32)
    below = np.arange(256)[:, None] > face.landmarks[[2], 1] + 3
    lips = fill_hull(face.landmarks, mesh.OUTER_LIPS, 256, 256) > 0
    picture[np.broadcast_to(below, (256, 256)) & ~lips] = color
    light = 1 - side * np.linspace(0, 1, 256)[None, :, None]
    noise = np.random.default_rng(2).normal(0, 2, picture.shape)
    return np.clip(picture * light + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("color", [(60, 45, 40), (110, 108, 106)])
@pytest.mark.parametrize("side", [0.0, 0.4])
@pytest.mark.parametrize("roll", [0, 30])
def test_dark_and_gray_hair_is_told_from_skin_in_any_light(
    model_face: ModelFace, color: tuple[int, int, int], side: float, roll: float
) -> None:
    face = model_face(unit_px=60, center=(128, 120))
    picture = with_beard(face, color, side)
    if roll:
        turned = model_face(0, 0, roll, unit_px=60, center=(128, 120))
        matrix = cv2.getAffineTransform(
            face.landmarks[[10, 152, 234], :2].astype(np.float32),
            turned.landmarks[[10, 152, 234], :2].astype(np.float32),
        )
        picture = cv2.warpAffine(picture, matrix, (256, 256), borderMode=cv2.BORDER_REPLICATE)
        face = turned
    place = surely(beard.find(picture, face.landmarks, all_skin(), None))
    assert place[in_square(face, CHIN)].min() > 0.9
    assert place[in_square(face, CHEEKS)].max() < 0.05
    # Lips are not hair.
    assert place[in_square(face, (12, 15))].max() < 0.5


def test_both_halves_of_a_moustache_are_one(model_face: ModelFace) -> None:
    face = model_face(unit_px=60, center=(128, 120))
    picture = with_beard(face, SKIN)
    x, y = np.round(face.landmarks[[61, 164, 2], :2].mean(0)).astype(int)
    cv2.ellipse(picture, (x, y), (14, 6), 0, 0, 360, (60, 45, 40), -1)
    place = surely(beard.find(picture, face.landmarks, all_skin(), None))
    there = np.array([[x, y], [2 * face.landmarks[2, 0] - x, y]], np.float32)
    seen = transform_points(there, square_matrix(region_of(face.landmarks)))
    left, right = (place[round(float(at[1])), round(float(at[0]))] for at in seen)
    assert min(left, right) > 0.7
    assert abs(left - right) < 0.02


def test_bare_skin_is_no_beard(model_face: ModelFace) -> None:
    face = model_face(unit_px=60, center=(128, 120))
    found = beard.find(with_beard(face, SKIN, 0.4), face.landmarks, all_skin(), None)
    assert surely(found).max() < 0.2


def test_a_score_is_the_mean_of_the_first_looks() -> None:
    place = np.ones((SIDE_PX, SIDE_PX), np.float32)
    seen = Beard(place, -4.0)
    for score in [4.0] * 3 + [0.0] * 20:
        seen = seen.towards(Beard(place, score))
    assert seen.looks == LOOKS
    assert seen.score == pytest.approx((-4 + 3 * 4) / LOOKS)
    assert Beard(place, BEARDED[1]).covers().min() == 1
    # Of a face that hardly looks bearded only what is very dark counts.
    assert Beard(0.2 * place, BEARDED[1]).covers().max() < 0.1
    assert Beard(0.2 * place, 1.0).covers().min() > 0.4
    assert Beard(place, BEARDED[0]).covers().max() == 0
    assert 0.2 < Beard(place, sum(BEARDED) / 2).covers().mean() < 0.8


def test_the_shipped_model_knows_a_beard(
    analyzer: Analyzer, astronaut: np.ndarray, hopper: np.ndarray, bearded: np.ndarray
) -> None:
    scores = []
    for picture in (bearded, astronaut, hopper):
        face = max(analyzer.analyze(picture), key=lambda one: one.size_px)
        parts = analyzer.parts(picture, face.landmarks)
        scores.append(analyzer.beard(picture, face, parts).score)
    assert scores[0] > BEARDED[1]
    assert max(scores[1:]) < BEARDED[0]


def test_a_targets_beard_stays_to_the_bit_or_goes(
    analyzer: Analyzer, astronaut_path: Path, bearded: np.ndarray
) -> None:
    (face,) = analyzer.analyze(bearded)
    x, y = np.round(face.landmarks[[152, 148, 377, 164], :2]).astype(int).T
    y[:3] -= 4
    kept = sosie.swap_image(astronaut_path, bearded).image
    gone = sosie.swap_image(astronaut_path, bearded, remove="beard").image
    assert np.array_equal(kept[y, x], bearded[y, x])
    assert not np.array_equal(gone[y[:3], x[:3]], bearded[y[:3], x[:3]])
    # The eyes are swapped even so, and without a moustache an upper lip is brighter.
    eyes = np.round(face.landmarks[[133, 362], :2]).astype(int).T[::-1]
    assert np.abs(kept[*eyes].astype(int) - bearded[*eyes]).max() > 12
    assert gone[y[3], x[3]].mean() > bearded[y[3], x[3]].mean() + 50
    # Nor does the beard's darkness count as a shade that lies on the skin.
    cheek, jaw = (
        gone[at[1] - 1 : at[1] + 2, at[0] - 1 : at[0] + 2].mean()
        for at in np.round(face.landmarks[[280, 430], :2]).astype(int)
    )
    assert jaw > 0.75 * cheek
