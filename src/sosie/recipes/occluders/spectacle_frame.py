"""A pair of spectacles in three dimensions, where a face would wear it.

All lengths are in distances of the eyes until they are placed. The frame is built before the face
as it looks straight ahead (x to the picture's right, y down, z away from the viewer) and turned
with the head, so that perspective, the nearer arm and the hidden one are right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sosie.geometry import mesh
from sosie.geometry.morphable_model import canonicalize, face_shape

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """The parts in space, in pixels of the picture: lenses (2 x N x 3, the subject's right first),
    bridges (curves, N x 3), arms (2 curves). unit: a distance of the eyes in pixels.
    outward: how far each temple is turned to the viewer (below 0) or away."""

    lenses: list[Points]
    bridges: list[Points]
    arms: list[Points]
    unit: float
    outward: tuple[float, float]

    @property
    def bounds(self) -> tuple[Points, Points]:
        """Least and greatest x and y, with room for width and shadow."""
        everything = np.concatenate([*self.lenses, *self.bridges, *self.arms])[:, :2]
        return everything.min(0) - 0.3 * self.unit, everything.max(0) + 0.3 * self.unit

    def moved(self, shift: Points) -> Frame:
        """The same, moved by x, y and z."""
        return replace(
            self,
            lenses=[curve + shift for curve in self.lenses],
            bridges=[curve + shift for curve in self.bridges],
            arms=[curve + shift for curve in self.arms],
        )


def build_frame(landmarks: NDArray[np.float32], rng: np.random.Generator) -> Frame:
    """A pair of spectacles of any shape, where this face would wear it."""
    there = canonicalize(landmarks, face_shape())
    # Head's axes in the picture: rows are right, down and away.
    axes = there.rotation
    points = np.asarray(landmarks, np.float64) @ axes.T
    right, left = (points[list(r)].mean(0) for r in (mesh.RIGHT_EYE, mesh.LEFT_EYE))
    middle = (right + left) / 2
    unit = float(np.linalg.norm(left - right))
    nose = points[[168, 6]].mean(0)
    ears = [points[[127, 234]].mean(0), points[[356, 454]].mean(0)]
    width = rng.uniform(0.66, 0.98)
    height = width * rng.uniform(0.5, 0.98)
    gap = max(0.14, rng.normal(0.24, 0.05))
    drop, power = rng.normal(0.07, 0.055), float(rng.choice((2.0, 2.4, 3.2, 5.0)))
    taper, droop = rng.uniform(-0.2, 0.15), np.radians(rng.normal(0, 4))
    wrap, tilt = np.radians(rng.uniform(0, 9)), np.radians(rng.uniform(-2, 12))
    front = min(float(nose[2] - middle[2]) / unit, 0.0) - rng.uniform(0.02, 0.14)
    lenses, hinges, inner = [], [], []
    for side in (-1, 1):
        t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        x = width / 2 * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** (2 / power)
        y = height / 2 * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** (2 / power)
        x = x * (1 - taper * y / height * 2)
        x, y = x * np.cos(droop) - y * np.sin(droop), x * np.sin(droop) + y * np.cos(droop)
        across = gap / 2 + width / 2 + x
        lens = np.stack(
            [side * across, y + drop, front + np.tan(wrap) * across - np.tan(tilt) * y], 1
        )
        lenses.append(lens)
        level = drop + height * rng.uniform(-0.4, -0.05)
        beside = lens[np.argsort(np.abs(lens[:, 1] - level))[:8]]
        hinges.append(beside[np.abs(beside[:, 0]).argmax()])
        inner.append(beside[np.abs(beside[:, 0]).argmin()])
    bridges = [_bow(inner[0], inner[1], np.array([0, -rng.uniform(0, 0.12), -0.03]))]
    if rng.random() < 0.15:
        tops = [lens[lens[:, 1].argmin()] for lens in lenses]
        bridges.append(_bow(tops[0], tops[1], np.array([0, -0.03, -0.03])))
    arms = []
    for hinge, ear, side in zip(hinges, ears, (-1, 1), strict=True):
        end = (ear - middle) / unit + np.array([side * 0.04, rng.uniform(-0.1, 0.05), 0.3])
        turn = hinge + np.array([side * 0.06, 0, 0.06])
        # Arms leave the frame outwards and run straight to the ears.
        turn[0] = side * max(abs(turn[0]), abs(end[0]) * 0.9)
        arms.append(np.stack([hinge, turn, (turn + end) / 2, end]))

    # The roll of a badly worn pair, and where it slips to.
    roll = np.radians(rng.normal(0, 1.5))
    turned = np.array([[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0],
                       [0, 0, 1]])  # fmt: skip
    own = np.array([nose[0], middle[1], middle[2]])

    def placed(curve: Points) -> Points:
        return np.asarray((curve @ turned * unit + own) @ axes)

    outward = (float(-axes[0, 2]), float(axes[0, 2]))
    return Frame(
        [placed(curve) for curve in lenses],
        [placed(curve) for curve in bridges],
        [placed(curve) for curve in arms],
        unit,
        outward,
    )


def _bow(start: Points, end: Points, rise: Points) -> Points:
    """A bow of 12 points between two, its middle moved by `rise`."""
    t = np.linspace(0, 1, 12)[:, None]
    return np.asarray(start + t * (end - start) + 4 * t * (1 - t) * rise)
