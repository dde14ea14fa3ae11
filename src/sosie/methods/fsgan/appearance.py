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
# So many vertices of its own a triangulation has, outside of all others.
_OUTER = 4


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
        side = round(2 * CORNER_DEG)
        self._triangles = cv2.Subdiv2D((-side, -side, 2 * side, 2 * side))
        for x, y in self._points:
            self._triangles.insert((float(x), float(y)))

    def mix(self, pose: Pose) -> list[tuple[int, float]]:
        """Up to three views that make up a pose, with weights above 0 that add up to 1."""
        place = _place(pose)
        about = self._about(place)
        weights = _barycentric(place, self._points[about])
        found = [
            (self.views[vertex - _CORNERS], float(weight))
            for vertex, weight in zip(about, weights, strict=True)
            if vertex >= _CORNERS and weight > 1e-6
        ]
        total = sum(weight for _, weight in found)
        if not found or total < 1e-3:
            # Next to a corner, where a mix would be of what weighs next to nothing.
            apart = np.hypot(*(self._points[_CORNERS:] - place).T)
            return [(self.views[int(apart.argmin())], 1.0)]
        return [(view, weight / total) for view, weight in found]

    def _about(self, place: NDArray[np.float64]) -> list[int]:
        """The vertices of the triangle that a place lies in."""
        kind, edge, vertex = self._triangles.locate((float(place[0]), float(place[1])))
        if kind == cv2.SUBDIV2D_PTLOC_VERTEX:
            return [vertex - _OUTER]
        following = self._triangles.getEdge(edge, cv2.SUBDIV2D_NEXT_AROUND_LEFT)
        ends = [
            self._triangles.edgeOrg(edge)[0],
            self._triangles.edgeDst(edge)[0],
            self._triangles.edgeDst(following)[0],
        ]
        return [end - _OUTER for end in ends if end >= _OUTER]


def _place(pose: Pose) -> NDArray[np.float64]:
    most = CORNER_DEG - _INSIDE_DEG
    return np.clip([pose.yaw, pose.pitch], -most, most)


def _barycentric(place: NDArray[np.float64], about: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the corners of a triangle, an edge or a point (K x 2) that make up a place."""
    if len(about) == 1:
        return np.ones(1)
    system = np.vstack([about.T, np.ones(len(about))])
    weights = np.linalg.lstsq(system, np.append(place, 1.0), rcond=None)[0]
    return np.asarray(np.clip(weights, 0, 1))
