"""Faces that the frame cuts off: the part beyond its edge is filled as the run time fills it.

The run time cuts its squares out of a frame with `geometry.crop`, which repeats the frame's last
row or column beyond its edge, so that a square shows streaks there, at right angles to the edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# Share of the edges that are as those of a frame are to a face in it, upright or nearly; the
# others lie anyhow. Deviation of the former, in degrees.
_LEVEL, _TILT_DEG = 0.8, 12.0


@dataclass(frozen=True)
class FrameEdge:
    """A straight edge in a picture: pixels p with outwards @ p > reach lie beyond it.

    outwards: x, y, unit length, at right angles to the edge.
    """

    outwards: NDArray[np.float64]
    reach: float


def any_direction(rng: np.random.Generator) -> NDArray[np.float64]:
    """Where out of the frame is, seen from a face: left, right, up or down, and a bit askew."""
    angle_deg = 90.0 * float(rng.integers(4)) + float(rng.normal(0, _TILT_DEG))
    if rng.random() >= _LEVEL:
        angle_deg = float(rng.uniform(0, 360))
    angle = np.radians(angle_deg)
    return np.array([np.cos(angle), np.sin(angle)])


def edge_across(
    points: NDArray[np.float32], outwards: NDArray[np.float64], hidden: float
) -> FrameEdge:
    """The edge that leaves a share `hidden` of a face's extent beyond it. points: N x 2 or more."""
    along = points[:, :2] @ outwards
    return FrameEdge(outwards, float(along.max() - hidden * np.ptp(along)))


def cut_off(pixels: Pixels, edge: FrameEdge) -> Pixels:
    """A picture (uint8, H x W x 3) with what the edge shows repeated in all that lies beyond it."""
    height, width = pixels.shape[:2]
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    across, down = (np.float32(value) for value in edge.outwards)
    beyond = np.maximum(across * x[None, :] + down * y[:, None] - np.float32(edge.reach), 0)
    return np.asarray(
        cv2.remap(
            pixels,
            x[None, :] - across * beyond,
            y[:, None] - down * beyond,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )
