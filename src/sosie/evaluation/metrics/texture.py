"""Whether the skin's texture is the source's, and whether a picture without colors stays one.

Blur cannot help either: skin that lost its pores and lines has less contrast than the source's, and
is charged for it as for too much.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.blending.tint import measure_tint
from sosie.evaluation.metric import Figure, Missing, Readings, Settings
from sosie.evaluation.sample import Look, Triple
from sosie.geometry import alignment, mesh
from sosie.geometry.head_pose import region_of, square_matrix
from sosie.geometry.morphable_model import silhouette

_SIDE_PX, _MARGIN = 192, 1.5
# Texture of skin: coarser than the first and finer than the second, in pixels of the square, where
# a face is 128 px.
_FINE_PX, _COARSE_PX = 1.0, 4.0
# Features are left out with so much around them, and the face's edge.
_AROUND_PX, _EDGE_PX = 5, 8
_LEAST_SKIN_PX, _FLOOR, _LEAST_CONTRAST = 400, 0.04, 1e-4
# What of the picture around the face tells its tint, as a share of the face.
_TINT_MARGIN = 0.3
_FEATURES = (
    *(mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.RIGHT_BROW, mesh.LEFT_BROW),
    *(mesh.OUTER_LIPS, mesh.NOSE),
)

FIGURES = (
    Figure(
        name="skin_contrast",
        title="Contrast of the skin beside the source's",
        unit="",
        better="nearer to 1",
        range=(0, float("inf")),
        summary="How much relief the result's skin has, beside the source's in the same exposure "
        "(1: as much).",
        formula="c(result) / c(source), c the median of |b| over skin away from features, b the "
        "band between a 128th and a 32nd of the face of the logarithm of luma",
        source="Sosie",
        limits="A source that is small or blurred has little contrast of its own, so that grain of "
        "the target's counts as too much. Hair over skin counts as skin.",
    ),
    Figure(
        name="tint_error",
        title="Colors in a picture of one tint",
        unit="",
        better="lower",
        range=(0, float("inf")),
        summary="How far the face's colors leave the tint of a gray, sepia or tinted target.",
        formula="mean over the face of the distance in a* and b* (CIELAB) between the result and "
        "the result with the color that the target has at its luma",
        source="Sosie; CIE 15 (CIELAB, 1976)",
        limits="It is told only of targets whose colors follow from their luma.",
    ),
)


def measure(triple: Triple, settings: Settings) -> Readings:  # noqa: ARG001
    triple.require_equal_sizes()
    contrasts = [_contrast(triple.source, triple.source), _contrast(triple.result, triple.target)]
    if contrasts[0] is None or contrasts[1] is None:
        told: float | Missing = Missing("Too little skin is seen to tell its texture.")
    elif contrasts[0] < _LEAST_CONTRAST:
        told = Missing(f"The source {triple.source.name} has no texture to compare with.")
    else:
        told = contrasts[1] / contrasts[0]
    return {"skin_contrast": told, "tint_error": _off_the_tint(triple)}


def _contrast(look: Look, placed_by: Look) -> float | None:
    """Of the skin in a picture, whose face is where another look at the same place has it."""
    landmarks = placed_by.found.landmarks
    matrix = square_matrix(region_of(landmarks), _MARGIN, _SIDE_PX)
    square = alignment.crop(look.pixels, matrix, _SIDE_PX).astype(np.float32) / 255
    luma = np.log(cv2.cvtColor(square, cv2.COLOR_RGB2GRAY) + _FLOOR)
    fine, coarse = (cv2.GaussianBlur(luma, (0, 0), sigma) for sigma in (_FINE_PX, _COARSE_PX))
    skin = _skin(alignment.transform_points(landmarks, matrix))
    if skin.sum() < _LEAST_SKIN_PX:
        return None
    return float(np.median(np.abs(np.asarray(fine - coarse, np.float32)[skin])))


def _skin(points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Cheeks, forehead and chin."""
    inside = (silhouette(points, _SIDE_PX, _SIDE_PX) > 127).astype(np.uint8)
    depth_px = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    features = np.zeros((_SIDE_PX, _SIDE_PX), np.uint8)
    for ring in _FEATURES:
        hull = cv2.convexHull(points[list(ring), :2])[:, 0]
        features = np.maximum(features, alignment.fill_polygon(hull, _SIDE_PX, _SIDE_PX))
    side = 2 * _AROUND_PX + 1
    near = cv2.dilate(features, np.ones((side, side), np.uint8))
    return np.asarray((depth_px > _EDGE_PX) & (near == 0), np.bool_)


def _off_the_tint(triple: Triple) -> float | Missing:
    target, result = triple.target, triple.result
    x0, y0, x1, y1 = alignment.face_window(
        target.found.landmarks, _TINT_MARGIN, target.pixels.shape
    )
    tint = measure_tint(target.pixels[y0:y1, x0:x1])
    if tint.strength < 1:
        return Missing(f"The target {target.name} has colors of its own.")
    inside = target.inside[y0:y1, x0:x1]
    if not inside.any():
        return Missing("The face is not in the picture.")
    made = result.pixels[y0:y1, x0:x1].astype(np.float32) / 255
    one, other = (cv2.cvtColor(a, cv2.COLOR_RGB2Lab) for a in (made, tint.applied(made)))
    apart = (np.asarray(one, np.float32) - np.asarray(other, np.float32))[inside][:, 1:]
    return float(np.linalg.norm(apart, axis=1).mean())
