"""How a target moves from one crop to the next, by optical flow, and a swap that follows."""

from __future__ import annotations

import cv2
import numpy as np

from sosie.types import FloatArray, Pixels

_OFF = 0.06
"""Of the range of values: where the target itself is off by this much after it was moved, its flow
tells about a third."""

_AROUND_PX = 5
"""The target is compared with itself on average over so many pixels."""


def flow_back(before: Pixels, after: Pixels) -> FloatArray:
    """Where each place of `after` was in `before`, both RGB uint8, H x W x 3: float32, H x W x 2,
    in pixels to the right and down (DIS: Kroeger et al. 2016, "Fast Optical Flow using Dense
    Inverse Search")."""
    last, now = (cv2.cvtColor(np.asarray(x), cv2.COLOR_RGB2GRAY) for x in (before, after))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    still = np.zeros((*now.shape, 2), np.float32)
    return np.asarray(flow.calc(now, last, still), np.float32)


def following(
    picture: FloatArray, target: Pixels, before: FloatArray, target_before: Pixels, share: float
) -> FloatArray:
    """A swapped picture that moves more as its target does: of each place a `share` is what the
    picture of the frame before had where the target's flow says that it was.

    picture, before: swapped, RGB float32, H x W x 3, 0..1. target, target_before: their crops, RGB
    uint8. Where the flow does not carry the target itself from one frame to the next, as at an edge
    that comes into sight, the picture stays as it is.
    """
    flow = flow_back(target_before, target)
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    moved, seen = (
        cv2.remap(np.asarray(one), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for one in (before, target_before)
    )
    off = np.abs(seen.astype(np.float32) - target).mean(2) / 255
    off = cv2.blur(off, (_AROUND_PX, _AROUND_PX)) / _OFF
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    trust = share * inside * np.exp(-np.square(off))
    return np.asarray(picture + trust[..., None] * (moved - picture), np.float32)
