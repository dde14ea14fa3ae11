"""How a target moves from one frame's crop to the next, by optical flow."""

from __future__ import annotations

import cv2
import numpy as np

from sosie.types import FloatArray, Pixels


def flow_back(before: Pixels, after: Pixels) -> FloatArray:
    """Where each place of `after` was in `before`, both RGB uint8, H x W x 3: float32, H x W x 2,
    in pixels to the right and down (DIS: Kroeger et al. 2016, "Fast Optical Flow using Dense
    Inverse Search")."""
    last, now = (cv2.cvtColor(np.asarray(x), cv2.COLOR_RGB2GRAY) for x in (before, after))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    still = np.zeros((*now.shape, 2), np.float32)
    return np.asarray(flow.calc(now, last, still), np.float32)
