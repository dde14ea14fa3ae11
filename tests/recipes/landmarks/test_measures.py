"""Figures of a network in training: nothing for one that is right, an error for one that errs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sosie.analysis.landmarker import EXPRESSIONS, SIDE_PX, Readings
from sosie.geometry.alignment import fit_similarity, invert, transform_points
from sosie.recipes.landmarks.measures import (
    LIDS,
    cut_by_a_frame,
    eye_distances,
    look_twice,
    opening_errors,
    point_errors,
    validate,
)
from sosie.recipes.landmarks.samples import LabeledFace

CROP_PX = 224


def encoded_crop(number: int) -> np.ndarray:
    """A crop whose pixels tell their own place (red x, green y) and the face's number (blue)."""
    y, x = np.mgrid[:CROP_PX, :CROP_PX]
    return np.stack([x, y, np.full_like(x, 10 * number)], -1).astype(np.uint8)


@pytest.fixture
def faces(model_face) -> list[LabeledFace]:
    return [
        LabeledFace(
            encoded_crop(number),
            model_face(yaw=9 * number, roll=5 * number, unit_px=34, center=(112, 110)).landmarks,
            np.full(len(EXPRESSIONS), 0.1 * number, np.float32),
        )
        for number in range(4)
    ]


def to_crop(square: np.ndarray) -> tuple[np.ndarray, int]:
    """Square -> crop, as the colors tell, and the face's number."""
    inner = slice(SIDE_PX // 3, 2 * SIDE_PX // 3)
    y, x = (values.ravel() for values in np.mgrid[inner, inner])
    seen = square[inner, inner].reshape(-1, 3).astype(float)
    return fit_similarity(np.stack([x, y], 1), seen[:, :2]), round(seen[:, 2].mean() / 10)


@pytest.fixture
def knowing(faces) -> Callable[..., Callable[[np.ndarray], Readings]]:
    """A reader that finds a face by its colors and errs as it is told, in pixels of the crop."""

    def make(error: np.ndarray | float = 0.0, presence: float = 1.0, weight: float = 0.0):
        def read(squares: np.ndarray) -> Readings:
            points = []
            for square in squares:
                matrix, number = to_crop(square)
                right = faces[number].landmarks.copy()
                right[:, :2] += error
                points.append(transform_points(right, invert(matrix)))
            numbers = np.array([to_crop(square)[1] for square in squares])
            expression = np.repeat(0.1 * numbers[:, None] + weight, len(EXPRESSIONS), 1)
            return Readings(
                np.stack(points),
                np.full(len(squares), presence, np.float32),
                expression.astype(np.float32),
            )

        return read

    return make


def test_a_reader_that_is_right_has_no_error(faces, knowing):
    looks = look_twice(knowing(), faces)
    truth = np.stack([face.landmarks for face in faces])
    assert np.abs(looks.first - truth).max() < 1
    assert np.abs(looks.second - truth).max() < 1
    figures = validate(knowing(), faces)
    assert figures["error"] < 1
    assert figures["expression"] == pytest.approx(0, abs=1e-6)
    assert figures["missed"] == 0
    assert figures["false"] == 1  # it says so of every square


def test_an_error_is_told_in_eye_distances(faces, knowing):
    truth = np.stack([face.landmarks for face in faces])
    expected = 100 * float((5 / eye_distances(truth)).mean())
    figures = validate(knowing(error=np.array([3.0, 4.0])), faces)
    assert figures["error"] == pytest.approx(expected, rel=0.1)
    assert figures["openings"] < 1
    assert figures["score"] == pytest.approx(-figures["error"] - figures["openings"])


def test_the_second_square_is_laid_by_the_first_answer(faces, knowing):
    """A reader that is off by much at first is off by as much again only if it is asked again."""
    squares = []

    def remembering(given: np.ndarray) -> Readings:
        squares.append(given)
        return knowing()(given)

    look_twice(remembering, faces)
    first, second, _ = squares
    centers = [
        [to_crop(square)[0] @ [63.5, 63.5, 1] for square in look] for look in (first, second)
    ]
    middle = [(f.landmarks[:, :2].min(0) + f.landmarks[:, :2].max(0)) / 2 for f in faces]
    rough, fine = (np.linalg.norm(np.array(c) - middle, axis=1) for c in centers)
    assert rough.max() > 4
    assert (fine < rough.max() / 2).all()
    assert np.median(fine) < 4


def test_weights_and_presence_are_judged(faces, knowing):
    figures = validate(knowing(presence=0.2, weight=0.25), faces)
    assert figures["missed"] == 1
    assert figures["false"] == 0
    assert figures["expression"] == pytest.approx(0.25, abs=1e-6)


def test_faces_are_cut_on_every_side_and_keep_their_points(faces):
    """Of a crop whose colors tell places, the extreme color is the edge's place."""
    for number, (face, cut) in enumerate(zip(faces, cut_by_a_frame(faces), strict=True)):
        assert np.array_equal(cut.landmarks, face.landmarks)
        axis, is_far = number // 2, number % 2 == 0  # right, left, bottom, top
        places, along = cut.crop[..., axis].astype(float), face.landmarks[:, axis]
        gap = along.max() - places.max() if is_far else places.min() - along.min()
        assert 0.24 < gap / np.ptp(along) < 0.51


def test_closed_lids_are_an_error_of_openings_alone(faces):
    truth = np.stack([face.landmarks for face in faces])
    closed = truth.copy()
    for upper, lower in LIDS:
        closed[:, upper] = closed[:, lower]
    assert point_errors(closed, truth).max() < 0.02
    assert opening_errors(closed, truth, LIDS).min() > 0.08
    assert opening_errors(truth + 3, truth, LIDS).max() < 1e-6
