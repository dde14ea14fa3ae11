"""The arithmetic of the shape model: reference, principal directions, covariance, regression.

All arrays are float64 unless said otherwise. N faces of P = 478 points; K directions; E weights.
The mean and the directions are those of the faces together with their mirror images.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sosie.geometry import mesh
from sosie.geometry.head_pose import CHIN, FOREHEAD_TOP, LEFT_EYE_OUTER, MIRROR, RIGHT_EYE_OUTER
from sosie.geometry.morphable_model import FaceShape, canonicalize

Array = NDArray[np.float64]

# Of one person no more than this many pictures count, whatever their number.
_MOST_PICTURES = 20
_ROUNDS = 8
# The points' weights are taken from their variance once the mean has settled; this share of the
# median is added, so that no few points decide alone.
_ROUNDS_ALIKE, _FLOOR = 2, 0.5


@dataclass(frozen=True)
class Regression:
    """A linear reading of expression weights: `(coefficients - x0) @ slopes + y0`."""

    slopes: Array
    x0: Array
    y0: Array

    def __call__(self, coefficients: Array) -> Array:
        return (coefficients - self.x0) @ self.slopes + self.y0


def triangles_of(connections: Iterable[tuple[int, int]], mean: Array) -> NDArray[np.int32]:
    """The mesh's triangles, T x 3, clockwise as seen on the mean face, from its edges.

    Three points that are connected with one another are a triangle, unless each of its edges has
    two others already: then it lies across three that meet in a point.
    """
    edges = {frozenset(edge) for edge in connections}
    near: dict[int, set[int]] = defaultdict(set)
    for a, b in map(tuple, edges):
        near[a].add(b)
        near[b].add(a)
    found = {frozenset({a, b, c}) for a, b in map(tuple, edges) for c in near[a] & near[b]}
    sides = {three: [frozenset(side) for side in combinations(three, 2)] for three in found}
    uses = Counter(side for several in sides.values() for side in several)
    found = {three for three in found if any(uses[side] <= 2 for side in sides[three])}
    triangles = np.array(sorted(sorted(triangle) for triangle in found), np.int32)
    (x0, y0), (x1, y1), (x2, y2) = (mean[triangles[:, corner], :2].T for corner in range(3))
    backward = (x1 - x0) * (y2 - y0) < (y1 - y0) * (x2 - x0)
    triangles[backward] = triangles[backward][:, [0, 2, 1]]
    return triangles


def mirrored(points: Array) -> Array:
    """Canonical points, N x P x 3, as they stand in the mirror image."""
    return (points * (-1.0, 1.0, 1.0))[:, MIRROR]


def picture_weights(people: NDArray[np.str_]) -> Array:
    """How much each picture counts, N: 1, or less where a person has more than enough."""
    _, person, count = np.unique(people, return_inverse=True, return_counts=True)
    return np.asarray((np.minimum(count, _MOST_PICTURES) / count)[person])


def align(landmarks: NDArray[np.floating], shape: FaceShape) -> Array:
    """Landmarks, N x P x 3, in canonical coordinates."""
    return np.stack([canonicalize(face, shape).points for face in landmarks])


def fit_reference(
    landmarks: NDArray[np.floating], weights: Array, keep: float
) -> tuple[FaceShape, NDArray[np.bool_]]:
    """The symmetric mean face and the points' stability, as a model without directions.

    Generalized Procrustes analysis: align all faces to the mean, take the mean, and again. Of the
    faces only the share `keep` that is nearest to the mean counts: the second result, N.
    """
    alike = np.full(mesh.POINTS, 1 / mesh.POINTS)
    shape = _bare(_upright(landmarks[0].astype(np.float64), alike), alike)
    for number in range(_ROUNDS):
        points = align(landmarks, shape)
        apart = ((points - shape.mean) ** 2).sum(2).mean(1)
        kept = apart <= np.quantile(apart, keep)
        both = np.concatenate([points[kept], mirrored(points[kept])])
        shares = np.tile(weights[kept] / weights[kept].sum() / 2, 2)
        mean = np.einsum("n,npc->pc", shares, both)
        stability = shape.stability
        if number >= _ROUNDS_ALIKE:
            variance = np.einsum("n,npc->p", shares, (both - mean) ** 2)
            stability = 1 / (variance + _FLOOR * np.median(variance))
            stability = stability / stability.sum()
        shape = _bare(_upright(mean, stability), stability)
    return shape, kept


def _bare(mean: Array, stability: Array) -> FaceShape:
    none = np.zeros((0, 0))
    return FaceShape(np.zeros((0, 3), np.int32), MIRROR, mean, stability, none, none, none)


def _upright(face: Array, stability: Array) -> Array:
    """A face (P x 3) made exactly symmetric, centered, of size 1, with x along the line of the eyes
    and y square to that, towards the chin."""
    for turned in (True, False):
        if turned:
            x = _unit(face[LEFT_EYE_OUTER] - face[RIGHT_EYE_OUTER])
            y = face[CHIN] - face[FOREHEAD_TOP]
            y = _unit(y - x * (x @ y))
            face = face @ np.stack([x, y, np.cross(x, y)], 1)
        face = face - stability @ face
        face = (face + mirrored(face[None])[0]) / 2
    return face / np.sqrt((face**2).sum(1).mean())


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)


def principal_directions(points: Array, weights: Array, mean: Array) -> tuple[Array, Array]:
    """Directions of shape, 3P x 3P, orthonormal rows, and their variances, the largest first."""
    spread = np.zeros((3 * mesh.POINTS, 3 * mesh.POINTS))
    for faces in (points, mirrored(points)):
        offsets = (faces - mean).reshape(len(faces), -1)
        spread += (offsets * (weights / weights.sum() / 2)[:, None]).T @ offsets
    variances, directions = np.linalg.eigh(spread)
    return directions.T[::-1], variances[::-1]


def coefficients(points: Array, mean: Array, basis: Array) -> Array:
    """Canonical faces, N x P x 3, along K directions: N x K."""
    return (points - mean).reshape(len(points), -1) @ basis.T


def within_covariance(values: Array, people: NDArray[np.str_], weights: Array) -> Array:
    """Covariance of the coefficients (N x K) over pictures of one person, pooled: K x K.

    Of people with two pictures or more; from each person's own mean, unbiased.
    """
    _, person, count = np.unique(people, return_inverse=True, return_counts=True)
    sums = np.zeros((len(count), values.shape[1]))
    np.add.at(sums, person, values)
    offsets = values - (sums / count[:, None])[person]
    several = (count > 1)[person]
    unbiased = np.where(several, count[person] / np.maximum(count[person] - 1, 1), 0.0)
    return (offsets * (weights * unbiased)[:, None]).T @ offsets / weights[several].sum()


def fit_regression(values: Array, expressions: Array, weights: Array, ridge: float) -> Regression:
    """Ridge regression from coefficients (N x K) to expression weights (N x E).

    ridge: added to the variance of each coefficient.
    """
    shares = weights / weights.sum()
    x0, y0 = shares @ values, shares @ expressions
    x, y = values - x0, expressions - y0
    weighted = (x * shares[:, None]).T
    slopes = np.linalg.solve(weighted @ x + ridge * np.eye(x.shape[1]), weighted @ y)
    return Regression(slopes, x0, y0)
