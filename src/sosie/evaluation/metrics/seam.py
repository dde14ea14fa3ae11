"""Whether the edge of what was changed is seen, beside the untouched target."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.evaluation.metric import Figure, MissingFigureError, Readings, Settings
from sosie.evaluation.metrics.base import PairMetric
from sosie.evaluation.sample import Sample

FloatImage = NDArray[np.float32]
# Two pixels on either side of the edge count for the gradient, along the way to the inside, which
# is told by the mask with this blur.
_DISC, _WAY_PX = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)), 2.0
# Half width of the bands for the color as a share of the face.
_BAND_SHARE = 0.04
# Color is looked at with the face reduced to at most this: it is slow to change.
_COLOR_FACE_PX = 128
# An edge of fewer pixels is that of a speck.
_LEAST_EDGE_PX = 16


def _measure_seam(sample: Sample, settings: Settings) -> Readings:  # noqa: ARG001
    """The edge is that of the pixels in which result and target differ. Across it the brightness'
    slope and the color's step are compared with the target at the same place: a hard edge has a
    gradient, a soft edge with a wrong color only the step."""
    window, changed = sample.window, sample.changed
    if changed is None or not changed.any():
        # What was not touched has no seam.
        return {"seam_gradient": 0.0, "seam_colour": 0.0}
    before, after = sample.target.pixels[window], sample.result.pixels[window]
    mask = changed[window]
    face_px = sample.target.found.size_px
    return {
        "seam_gradient": _added_gradient(before, after, mask),
        "seam_colour": _added_step(before, after, mask, face_px),
    }


def _added_gradient(
    before: NDArray[np.uint8], after: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> float:
    """See the figure's formula. Raises MissingFigureError where the mask has no edge."""
    solid = mask.astype(np.uint8) * 255
    # The picture's own border is no edge: beyond it both go on as they are.
    edge = np.asarray(cv2.dilate(solid, _DISC) != cv2.erode(solid, _DISC))
    if np.count_nonzero(edge) < _LEAST_EDGE_PX:
        raise MissingFigureError(
            "The swap has no edge in the picture: all of it, or next to nothing, was changed."
        )
    inwards = _slopes(np.asarray(cv2.GaussianBlur(solid, (0, 0), _WAY_PX), np.uint8), edge)
    inwards /= np.maximum(np.linalg.norm(inwards, axis=0), 1e-3)
    across = [
        (_slopes(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8), edge) * inwards)
        for pixels in (after, before)
    ]
    new, old = (np.abs(slopes.sum(0)) for slopes in across)
    return float(np.maximum(new - old, 0).mean())


def _added_step(
    before: NDArray[np.uint8], after: NDArray[np.uint8], mask: NDArray[np.bool_], face_px: float
) -> float:
    """See the figure's formula: the mean over the edge of the length of the added step."""
    shrink = min(1.0, _COLOR_FACE_PX / face_px)
    size = (max(8, round(mask.shape[1] * shrink)), max(8, round(mask.shape[0] * shrink)))
    share = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
    inward = _inward_px(share > 127)
    reach_px = max(2, round(_BAND_SHARE * face_px * shrink))
    # The step is linear in the colors: that of the difference is the difference of the steps.
    apart = _lab(after, size) - _lab(before, size)
    sides = []
    for side in (inward > 0, inward <= 0):
        band = (side & (np.abs(inward) <= reach_px)).astype(np.float32)
        window = (2 * reach_px + 1, 2 * reach_px + 1)
        weight = cv2.blur(band, window, borderType=cv2.BORDER_CONSTANT)
        total = cv2.blur(apart * band[..., None], window, borderType=cv2.BORDER_CONSTANT)
        sides.append(total / np.maximum(weight, 1e-4)[..., None])
    steps = np.linalg.norm(sides[0] - sides[1], axis=2)
    return float(steps[np.abs(inward) <= 1].mean())


def _inward_px(mask: NDArray[np.bool_]) -> FloatImage:
    """Distance of each pixel from the mask's edge, positive inside; the picture's own border is no
    edge."""
    inside = mask.astype(np.uint8)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    height = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    # Both count from the center of the first pixel on the other side: the edge is half a pixel off.
    return np.asarray(np.where(mask, depth - 0.5, 0.5 - height), np.float32)


def _slopes(gray: NDArray[np.uint8], where: NDArray[np.bool_]) -> FloatImage:
    """Derivatives to the right and down at these pixels, in gray levels a pixel: 2 x N, by Scharr's
    kernel."""
    ways = ((1, 0), (0, 1))
    found = [cv2.Scharr(gray, cv2.CV_16S, *way)[where] for way in ways]
    return np.asarray(np.stack(found) / 32, np.float32)


def _lab(pixels: NDArray[np.uint8], size: tuple[int, int]) -> FloatImage:
    """The picture in CIELAB, reduced to width and height: L* 0..100, a*, b* about -100..100."""
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2Lab), np.float32)


SEAM = PairMetric(
    group="Realism",
    measure=_measure_seam,
    limits="Sees only the border of the changed pixels: a seam further in, where a soft mask has "
    "reached its full value, is not told, nor is one under another tool's compression.",
    figures={
        "seam_gradient": Figure(
            title="Seam: added gradient",
            range=(0, 255),
            summary="How much steeper the brightness is across the edge of the swap than it was "
            "there in the target, in gray levels a pixel.",
            formula="mean over pixels within 2 px of the edge of max(0, |g(result)| - "
            "|g(target)|), g the derivative across it",
        ),
        "seam_colour": Figure(
            title="Seam: added color step",
            summary="How much the color jumps at the edge of the swap, beyond what the target has "
            "there (CIE 1976; 1 is just seen).",
            formula="mean over the edge of |step(result) - step(target)|, step the mean CIELAB "
            "color within 4 % of the face inside less that outside",
            source="Sosie; color difference of CIE 15 (CIELAB, 1976)",
        ),
    },
)
