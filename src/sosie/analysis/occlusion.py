"""What of a face is visible: what lies in front of it, or behind its edge, is told by a network."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.landmarker import SIDE_PX, cut_square, square_matrix
from sosie.analysis.topology import region_of
from sosie.analysis.visibility import Visibility
from sosie.face_shape import silhouette
from sosie.geometry import invert, transform_points
from sosie.types import FloatArray

# Lengths are in pixels of the view, in which a face is about 85 high.
# At a face's edge the network's answer falls to nothing, whatever is there: it counts from this far
# within.
_RIM_PX = 3
# What it says there holds up to this far past the edge, so that the edge itself can be resampled,
# and averaged with that of the next frame.
_PAST_PX = 3
_SOFT_PX = 0.6
# The views of successive frames are averaged over about this many, so that they do not flicker.
_AVERAGED = 3
# The answers up to which a place is hidden and from which it is visible. Asked for surer skin
# (0.45, 0.85), more frames and hats are kept, but so much of the face is not swapped that the
# likeness falls by 0.03 (docs/reports/quality.md).
_HIDDEN, _VISIBLE = 0.08, 0.35


def all_visible() -> FloatArray:
    """The view of a face with nothing in front of it."""
    return np.ones((SIDE_PX, SIDE_PX), np.float32)


def face_view(
    visibility: Visibility, pixels: NDArray[np.uint8], landmarks: FloatArray
) -> FloatArray:
    """The visible share on an upright picture of the face: float32, SIDE_PX x SIDE_PX, 0..1.

    pixels: RGB. landmarks: 478 x 3, in pixels. 1 outside the face, where nothing is judged.
    The face always stands at the same place in it, so views of successive frames can be averaged.
    """
    square, matrix = cut_square(pixels, region_of(landmarks))
    points = transform_points(landmarks, matrix)
    inside = (silhouette(points, SIDE_PX, SIDE_PX) > 127).astype(np.uint8)
    told = _carried_outwards(visibility.masks(square[None])[0], inside)
    told = np.asarray(cv2.GaussianBlur(told, (0, 0), _SOFT_PX), np.float32)
    visible = np.clip((told - _HIDDEN) / (_VISIBLE - _HIDDEN), 0, 1)
    near = cv2.dilate(inside, np.ones((2 * _PAST_PX + 1, 2 * _PAST_PX + 1), np.uint8))
    visible[near == 0] = 1
    return visible


def averaged(before: FloatArray, view: FloatArray, frames: int) -> FloatArray:
    """The view of a face over time, after a new one. frames: how many came before it."""
    if frames == 0:
        return view
    return np.asarray(before + (view - before) / min(frames, _AVERAGED), np.float32)


def place_view(view: FloatArray, landmarks: FloatArray, width: int, height: int) -> FloatArray:
    """A view laid over the face with these landmarks (478 x 3, in pixels of a picture): float32,
    height x width as the picture; 1 outside the view."""
    back = cv2.warpAffine(
        view,
        invert(square_matrix(region_of(landmarks))),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(1.0,),
    )
    return np.asarray(back, np.float32)


def _carried_outwards(mask: FloatArray, inside: NDArray[np.uint8]) -> FloatArray:
    """The mask within the rim of `inside` (1 on 0), and at each other pixel what it is at the
    nearest of those; 1 everywhere where the rim leaves nothing."""
    depth_px = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    within = depth_px > _RIM_PX
    _, nearest = cv2.distanceTransformWithLabels(
        (~within).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.ones(int(nearest.max()) + 1, np.float32)
    by_label[nearest[within]] = mask[within]
    return np.asarray(by_label[nearest], np.float32)
