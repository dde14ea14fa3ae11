"""How well points, presence and expression of a face are read: by a network in training, and by the
shipped one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.landmarker import Readings, cut_square
from sosie.geometry import alignment
from sosie.geometry.head_pose import Region, five_points, region_of
from sosie.recipes.landmarks import samples
from sosie.recipes.landmarks.frame_edge import cut_off, edge_across
from sosie.recipes.landmarks.samples import LabeledFace
from sosie.types import FloatArray

Reader = Callable[[NDArray[np.uint8]], Readings]
"""As `Landmarker.read`."""

LIDS = (
    *((161, 163), (160, 144), (159, 145), (158, 153), (157, 154)),
    *((388, 390), (387, 373), (386, 374), (385, 380), (384, 381)),
)
LIPS = ((80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318), (78, 308))
GAZE = ((468, 33), (468, 133), (473, 362), (473, 263))
"""Pairs of points whose vector tells how far an eye or the mouth is open and where an eye looks."""

_BATCH = 50
# Of a face that the frame cuts off, this share of its extent is hidden, at least and at most.
_HIDDEN = (0.25, 0.5)


@dataclass(frozen=True)
class Looks:
    """What is read of N faces, each looked at twice, as at run time: in a square such as a detector
    lays, then in the one that the first answer lays.

    first, second: float32, N x 478 x 3, pixels of the faces' crops. presence, expression: N and
    N x 52, of the second look. presence_without: N, of squares without a face.
    """

    first: FloatArray
    second: FloatArray
    presence: FloatArray
    expression: FloatArray
    presence_without: FloatArray


def look_twice(read: Reader, faces: Sequence[LabeledFace]) -> Looks:
    """Read faces in the same squares each time."""
    rng = np.random.default_rng(0)
    parts = [
        _look_twice(read, faces[start : start + _BATCH], rng)
        for start in range(0, len(faces), _BATCH)
    ]
    return Looks(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def validate(read: Reader, faces: Sequence[LabeledFace]) -> dict[str, float]:
    """Figures of a network while it is trained.

    first_error, error: mean distance of the points from their labels after either look, in per cent
    of the eye distance. openings: the same of the vectors of LIDS, LIPS and GAZE. expression: mean
    difference of the weights. missed, false: share of faces and of squares without one that
    presence tells wrong. cut_error, cut_missed, cut_false: the same where the frame's edge cuts
    faces and squares off. score: -(error + openings).
    """
    looks, cut_looks = look_twice(read, faces), look_twice(read, cut_by_a_frame(faces))
    truth = np.stack([face.landmarks for face in faces])
    labels = np.stack([face.expression for face in faces])
    figures = {
        "first_error": 100 * float(point_errors(looks.first, truth).mean()),
        "error": 100 * float(point_errors(looks.second, truth).mean()),
        "openings": 100 * float(opening_errors(looks.second, truth, LIDS + LIPS + GAZE).mean()),
        "expression": float(np.nanmean(np.abs(looks.expression - labels))),
        "missed": float((looks.presence < 0.5).mean()),
        "false": float((looks.presence_without > 0.5).mean()),
        "cut_error": 100 * float(point_errors(cut_looks.second, truth).mean()),
        "cut_missed": float((cut_looks.presence < 0.5).mean()),
        "cut_false": float((cut_looks.presence_without > 0.5).mean()),
    }
    return figures | {"score": -figures["error"] - figures["openings"]}


def cut_by_a_frame(faces: Sequence[LabeledFace]) -> list[LabeledFace]:
    """The faces as they look where the frame ends within them, on the left, right, top or bottom in
    turn, by a quarter to a half of their extent; the same each time."""
    rng = np.random.default_rng(1)
    sides = [np.array(side, np.float64) for side in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    cut = []
    for number, face in enumerate(faces):
        edge = edge_across(face.landmarks, sides[number % 4], float(rng.uniform(*_HIDDEN)))
        cut.append(replace(face, crop=cut_off(face.crop, edge)))
    return cut


def point_errors(found: FloatArray, truth: FloatArray) -> NDArray[np.float64]:
    """Mean distance of points in the image, N, in eye distances of the truth (N x 478 x 3)."""
    apart = np.linalg.norm(found[..., :2] - truth[..., :2], axis=2).mean(1)
    return np.asarray(apart / eye_distances(truth))


def opening_errors(
    found: FloatArray, truth: FloatArray, pairs: Sequence[tuple[int, int]]
) -> NDArray[np.float64]:
    """Mean error of the vectors between pairs of points, N, in eye distances of the truth."""
    a, b = (list(side) for side in zip(*pairs, strict=True))
    vectors = [points[:, a, :2] - points[:, b, :2] for points in (found, truth)]
    apart = np.linalg.norm(vectors[0] - vectors[1], axis=2).mean(1)
    return np.asarray(apart / eye_distances(truth))


def eye_distances(landmarks: FloatArray) -> NDArray[np.float64]:
    """Distance of the eyes' centers in the image, N, of N x 478 x 3."""
    eyes = np.stack([five_points(face)[:2] for face in landmarks])
    return np.asarray(np.linalg.norm(eyes[:, 1] - eyes[:, 0], axis=1), np.float64)


def _look_twice(
    read: Reader, faces: Sequence[LabeledFace], rng: np.random.Generator
) -> tuple[FloatArray, ...]:
    def read_in(regions: Sequence[Region]) -> tuple[FloatArray, Readings]:
        cuts = [cut_square(f.crop, region) for f, region in zip(faces, regions, strict=True)]
        readings = read(np.stack([square for square, _ in cuts]))
        back = [alignment.invert(matrix) for _, matrix in cuts]
        pairs = zip(readings.points, back, strict=True)
        return np.stack([alignment.transform_points(p, matrix) for p, matrix in pairs]), readings

    first, _ = read_in([samples.laid_roughly(region_of(f.landmarks), rng) for f in faces])
    second, readings = read_in([region_of(points) for points in first])
    without = read(np.stack([samples.without_face(face, face, rng)[0] for face in faces]))
    return first, second, readings.presence, readings.expression, without.presence
