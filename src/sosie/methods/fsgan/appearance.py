"""The appearance map: which views of a source make up a pose, and by how much.

Source: Nirkin et al. 2022, "FSGANv2", section 4.1: the views' yaw and pitch are triangulated
(Delaunay), and a pose is the mix of the three about it by its barycentric weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.types import Pose

APART_DEG = 2.0
"""Of views that are nearer to one another than this, the first is kept."""

CORNER_DEG = 75.0
"""The map ends here, in yaw and in pitch; its four corners have no view, and no weight."""

# A pose this far inside the corners is still within a triangle.
_INSIDE_DEG = 1e-2
_CORNERS = 4


class AppearanceMap:
    """Views by their poses. poses: of the views, at least one; their roll does not count.

    views: positions of those that are kept, in the order given.
    """

    def __init__(self, poses: Sequence[Pose]) -> None:
        places = [_place(pose) for pose in poses]
        self.views: list[int] = []
        for number, place in enumerate(places):
            if all(np.hypot(*(place - places[k])) >= APART_DEG for k in self.views):
                self.views.append(number)
        corners = [(x, y) for x in (-CORNER_DEG, CORNER_DEG) for y in (-CORNER_DEG, CORNER_DEG)]
        self._points = np.array([*corners, *(places[k] for k in self.views)])
        self._triangles = _triangulated(self._points)

    def mix(self, pose: Pose) -> list[tuple[int, float]]:
        """Up to three views that make up a pose, in order, with weights above 0 that add up to
        1."""
        place = _place(pose)
        weights = _barycentric(place, self._points[self._triangles])
        # The triangle that the pose lies in is that of which no weight is below 0.
        inside = int(weights.min(1).argmax())
        found = [
            (self.views[int(vertex) - _CORNERS], float(weight))
            for vertex, weight in zip(self._triangles[inside], weights[inside], strict=True)
            if vertex >= _CORNERS and weight > 1e-6
        ]
        total = sum(weight for _, weight in found)
        if not found or total < 1e-3:
            # Next to a corner, where a mix would be of what weighs next to nothing.
            apart = np.hypot(*(self._points[_CORNERS:] - place).T)
            return [(self.views[int(apart.argmin())], 1.0)]
        return sorted((view, weight / total) for view, weight in found)


def _place(pose: Pose) -> NDArray[np.float64]:
    most = CORNER_DEG - _INSIDE_DEG
    return np.clip([pose.yaw, pose.pitch], -most, most)


def _triangulated(points: NDArray[np.float64]) -> NDArray[np.intp]:
    """Delaunay's triangles of points, N x 2, of which some are the corners of a square about the
    rest: T x 3, rows of the points."""
    side = round(2 * CORNER_DEG)
    subdivision = cv2.Subdiv2D((-side, -side, 2 * side, 2 * side))
    for x, y in points:
        subdivision.insert((float(x), float(y)))
    # Of each triangle three corners; those of the subdivision itself lie outside of all points.
    corners = np.asarray(subdivision.getTriangleList(), np.float64).reshape(-1, 3, 2)
    corners = corners[(np.abs(corners) <= CORNER_DEG + _INSIDE_DEG).all((1, 2))]
    apart = np.square(corners[:, :, None] - points).sum(3)
    return np.asarray(apart.argmin(2), np.intp)


def _barycentric(place: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the corners of each triangle (T x 3 x 2) that make up a place: T x 3; of a
    triangle without an area, that the place is far from it."""
    first, second, third = corners.transpose(1, 2, 0)
    a, b, c = second - first, third - first, place[:, None] - first
    area = a[0] * b[1] - a[1] * b[0]
    flat = np.abs(area) < 1e-9
    area = np.where(flat, 1.0, area)
    v, w = (c[0] * b[1] - c[1] * b[0]) / area, (a[0] * c[1] - a[1] * c[0]) / area
    weights = np.stack([1 - v - w, v, w], 1)
    weights[flat] = -np.inf
    return np.asarray(np.minimum(weights, 1.0))
