"""A statistical model of the face mesh: where a face's shape ends and its expression begins.

Landmarks are brought to one pose and size (canonical coordinates), where a face is the mean plus
K principal directions. Expression is told from identity by a linear reading of expression weights
and by the covariance of one person's faces. The file `face_shape.npz` is made by
`tools/fit_face_shape.py`; it holds no picture. Its card is `face_shape.json`.

Canonical coordinates: x to the image's right, y down, z away from the camera; the root mean square
distance of the points from their weighted center is about 1.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.geometry import alignment, mesh
from sosie.models.cards import read_embedded

Points = NDArray[np.float64]

# Ridge of the expression's posterior, in the variance of an expression weight that the linear
# reading cannot explain: small, since what is left in would be seen as another expression.
_NOISE = 1e-3
# With this share of its triangles seen a face is not turned away.
_FRONTAL = 0.97


@dataclass(frozen=True)
class FaceShape:
    """The mesh and its statistics.

    triangles: int32, T x 3, of the surface, clockwise as seen; holes at the eyes and the mouth.
    mirror: int32, 478: the point on the other side of the face.
    mean: 478 x 3, canonical and symmetric.
    stability: 478, sums to 1: weights of the points when a face is brought to canonical
        coordinates; high where neither expression nor pose moves them.
    basis: K x 1434, orthonormal rows: principal directions of shape.
    expression: K x E: coefficients -> changes of E expression weights (0..1 each).
    within: K x K: covariance of the coefficients over faces of one person.
    """

    triangles: NDArray[np.int32]
    mirror: NDArray[np.int32]
    mean: Points
    stability: Points
    basis: Points
    expression: Points
    within: Points

    def expression_change(self, change: Points) -> Points:
        """The part of a change of shape (478 x 3, canonical) that is a change of expression.

        The most probable change of one person's face that reads as the same change of expression
        weights: Sigma W (W' Sigma W + s I)^-1 W' y, with Sigma = `within`, W = `expression`.
        """
        explained = self.expressive @ (self.basis @ change.ravel())
        return np.asarray((explained @ self.basis).reshape(-1, 3))

    def coefficients(self, points: Points) -> tuple[Points, Points]:
        """A canonical face (478 x 3) as coefficients of `basis`, K each: of whose it is, and of its
        expression, which is the most probable one as in `expression_change`."""
        both = self.basis @ (points - self.mean).ravel()
        expression = self.expressive @ both
        return np.asarray(both - expression), np.asarray(expression)

    @cached_property
    def expressive(self) -> Points:
        """K x K: the share of coefficients that is expression."""
        spread = self.within @ self.expression
        reading = self.expression.T @ spread + _NOISE * np.eye(self.expression.shape[1])
        return np.asarray(spread @ np.linalg.solve(reading, self.expression.T))


@cache
def face_shape() -> FaceShape:
    """The shipped model, read once. Raises InputError where its file is not what its card says."""
    with np.load(io.BytesIO(read_embedded("face_shape")), allow_pickle=False) as z:
        return FaceShape(
            triangles=z["triangles"].astype(np.int32),
            mirror=z["mirror"].astype(np.int32),
            mean=z["mean"].astype(np.float64),
            stability=z["stability"].astype(np.float64) / z["stability"].sum(),
            basis=z["basis"].astype(np.float64),
            expression=z["expression"].astype(np.float64),
            within=z["within"].astype(np.float64),
        )


@dataclass(frozen=True)
class Canonical:
    """A face in canonical coordinates, and the way back.

    points: 478 x 3. rotation: 3 x 3, orthogonal; scale: pixels a canonical unit. A canonical
    vector v is `v @ rotation * scale` in the picture's pixels.
    """

    points: Points
    rotation: Points
    scale: float

    def to_picture(self, vectors: Points) -> Points:
        """Canonical vectors, N x 3, in pixels of the picture."""
        return vectors @ self.rotation * self.scale


def canonicalize(landmarks: NDArray[Any], shape: FaceShape) -> Canonical:
    """Bring landmarks (478 x 3, pixels) onto the mean face by a 3D similarity.

    Weighted least squares by singular values (Umeyama, "Least-squares estimation of
    transformation parameters between two point patterns", 1991, eq. 40 to 43).
    """
    weights = shape.stability
    points = np.asarray(landmarks, np.float64)
    points = points - weights @ points
    center = weights @ shape.mean
    u, s, vt = np.linalg.svd((points * weights[:, None]).T @ (shape.mean - center))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float(s @ sign) / max(float(weights @ (points * points).sum(1)), 1e-12)
    return Canonical(scale * points @ rotation + center, rotation.T, 1 / max(scale, 1e-12))


def distance_to(points: tuple[int, ...], shape: FaceShape) -> Points:
    """Distance of every mesh point from the nearest of `points` on the mean face, canonical."""
    apart = shape.mean[:, None] - shape.mean[list(points)][None]
    return np.asarray(np.sqrt((apart**2).sum(2)).min(1))


def smoothstep(x: Points, low: float, high: float) -> Points:
    """0 below `low`, 1 above `high`, and a cubic without kinks between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


@cache
def distance_from_contour() -> Points:
    """Distance of every mesh point from the outline of the mean face, canonical, 478."""
    return distance_to(mesh.OVAL, face_shape())


def silhouette(landmarks: NDArray[Any], width: int, height: int) -> NDArray[np.uint8]:
    """Where a face's surface is seen: 255 on 0, uint8, height x width.

    landmarks: 478 x 3 or x 2, pixels. From the front that is the inside of the outline; a face that
    is turned away reaches past it, and all triangles that are seen from the front count.
    """
    seen = alignment.fill_polygon(landmarks[list(mesh.OVAL), :2], width, height)
    corners = np.asarray(landmarks, np.float64)[face_shape().triangles][..., :2]
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    if (area > 0).mean() > _FRONTAL:
        return seen
    for triangle in np.round(corners[area > 0] * 16).astype(np.int32):
        cv2.fillConvexPoly(seen, triangle, (255,), lineType=cv2.LINE_8, shift=4)
    return seen
