"""How the result's face looks in its picture: light, sharpness, the skin's texture, and color."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis import quality
from sosie.blending.tint import measure_tint
from sosie.evaluation.metric import Figure, Missing, Readings, Settings
from sosie.evaluation.metrics.base import PairMetric
from sosie.evaluation.sample import AnalyzedImage, Sample
from sosie.geometry import alignment, mesh
from sosie.geometry.head_pose import region_of, square_matrix
from sosie.geometry.morphable_model import silhouette

_LIGHT_PX = 96
# Deviation of the low-pass, as a share of the face: eyes and mouth vanish, a shaded cheek stays.
_BLUR_SHARE = 0.1
# How much of a place must be face for its color to count.
_LEAST_COVER = 0.3


def _measure_light(sample: Sample, settings: Settings) -> Readings:  # noqa: ARG001
    """Inside the face both pictures are low-passed in CIELAB and compared: detail, and with it most
    of identity, is gone; light, shade and complexion are left. 1 is about the smallest difference
    of color that is seen."""
    sample.require_equal_sizes()
    face = sample.target.found
    matrix = square_matrix(region_of(face.landmarks), 1.0, _LIGHT_PX)
    points = alignment.transform_points(face.landmarks, matrix)
    inside = (silhouette(points, _LIGHT_PX, _LIGHT_PX) > 127).astype(np.float32)
    cover = _low_pass(inside)
    # The same place of both pictures: where the target's face is.
    before, after = (
        _low_pass(_square_lab(image.pixels, matrix) * inside[..., None])
        / np.maximum(cover, 1e-3)[..., None]
        for image in (sample.target, sample.result)
    )
    counts = (inside > 0) & (cover > _LEAST_COVER)
    apart = (after - before)[counts]
    lightness = apart[:, 0]
    return {
        "light_error": float(np.linalg.norm(apart, axis=1).mean()),
        "shading_error": float(np.abs(lightness - lightness.mean()).mean()),
    }


def _square_lab(pixels: NDArray[np.uint8], matrix: alignment.Matrix) -> NDArray[np.float32]:
    """The face's square in CIELAB: float32, L* 0..100, a* and b* about -100..100."""
    square = alignment.crop(pixels, matrix, _LIGHT_PX).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(square, cv2.COLOR_RGB2Lab), np.float32)


def _low_pass(values: NDArray[np.float32]) -> NDArray[np.float32]:
    blurred = cv2.GaussianBlur(
        values, (0, 0), _BLUR_SHARE * _LIGHT_PX, borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray(blurred, np.float32)


LIGHT = PairMetric(
    group="Attributes",
    measure=_measure_light,
    figures={
        "light_error": Figure(
            title="Light and complexion: difference to the target",
            summary="How far light and color of the result's face are from the target's.",
            formula="mean over the face of the CIE 1976 color difference after a Gaussian low-pass "
            "of a tenth of the face",
            source="Sosie; color difference of CIE 15 (CIELAB, 1976)",
            limits="A swap that keeps the source's complexion is charged for it: see "
            "shading_error.",
        ),
        "shading_error": Figure(
            title="Shading: difference to the target",
            summary="Whether light and shade lie on the result's face as on the target's, whatever "
            "the complexion.",
            formula="mean over the face of |d - mean(d)|, d the difference of low-passed lightness "
            "L*",
            limits="Shape changes shading too: another nose throws another shadow. Beards, make-up "
            "and strands of hair count as shade.",
        ),
    },
)


_SIGMA_PX, _REACH_PX = 1.5, 6
# A target with a smaller share of detail than this is a smear; a quotient by it says nothing.
_LEAST_DETAIL = 0.005


def _measure_sharpness(sample: Sample, settings: Settings) -> Readings:  # noqa: ARG001
    """By the share of contrast that is fine detail (`sosie.analysis.quality.sharpness`): at the
    scale of the face, where blur is seen in a whole picture, and at that of the picture's own
    pixels, where enlarged small networks give themselves away."""
    sample.require_equal_sizes()
    face, inside = sample.target.found, sample.target.inside.astype(np.uint8)
    x, y, width, height = cv2.boundingRect(inside)
    # The Gaussian sees what lies around the face too.
    window = np.s_[
        max(0, y - _REACH_PX) : y + height + _REACH_PX,
        max(0, x - _REACH_PX) : x + width + _REACH_PX,
    ]
    coarse = [quality.sharpness(image.pixels, face) for image in (sample.target, sample.result)]
    fine = [
        _detail(image.pixels[window], inside[window]) if width * height else 0.0
        for image in (sample.target, sample.result)
    ]
    return {
        "sharpness": _quotient(coarse, sample),
        "sharpness_pixels": _quotient(fine, sample),
    }


def _detail(pixels: NDArray[np.uint8], inside: NDArray[np.uint8]) -> float:
    """The share of contrast inside a mask that is finer than a Gaussian of _SIGMA_PX."""
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = np.asarray(gray - cv2.GaussianBlur(gray, (0, 0), _SIGMA_PX), np.float32)
    contrast, detail = (float(cv2.meanStdDev(v, mask=inside)[1][0, 0]) for v in (gray, fine))
    return detail / contrast if contrast > 0 else 0.0


def _quotient(shares: list[float], sample: Sample) -> float | Missing:
    if shares[0] < _LEAST_DETAIL:
        return Missing(f"The target {sample.target.name} has no detail to compare with.")
    return shares[1] / shares[0]


SHARPNESS = PairMetric(
    group="Realism",
    measure=_measure_sharpness,
    limits="Above 1 is not better than 1: noise and ringing count as detail. A source with a beard "
    "or wrinkles makes a result sharper than a smooth target.",
    figures={
        "sharpness": Figure(
            title="Sharpness beside the target",
            better="nearer to 1",
            summary="How much fine detail the result's face has, beside the target's (1: as much).",
            formula="s(result) / s(target), s the share of contrast finer than about a fortieth of "
            "the face",
        ),
        "sharpness_pixels": Figure(
            title="Sharpness of pixels beside the target",
            better="nearer to 1",
            summary="As sharpness, at the scale of single pixels: low where a small face was "
            "enlarged.",
            formula="the same quotient of std(g - G(g)) / std(g) inside the face, G a Gaussian of "
            f"{_SIGMA_PX} px of the picture",
            also="The grain and the compression of the target count as detail too.",
        ),
    },
)


_SKIN_PX, _MARGIN = 192, 1.5
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


def _measure_texture(sample: Sample, settings: Settings) -> Readings:  # noqa: ARG001
    """Blur cannot help: skin that lost its pores and lines has less contrast than the source's, and
    is charged for it as for too much."""
    sample.require_equal_sizes()
    contrasts = [_contrast(sample.source, sample.source), _contrast(sample.result, sample.target)]
    if contrasts[0] is None or contrasts[1] is None:
        told: float | Missing = Missing("Too little skin is seen to tell its texture.")
    elif contrasts[0] < _LEAST_CONTRAST:
        told = Missing(f"The source {sample.source.name} has no texture to compare with.")
    else:
        told = contrasts[1] / contrasts[0]
    return {"skin_contrast": told, "tint_error": _off_the_tint(sample)}


def _contrast(image: AnalyzedImage, placed_by: AnalyzedImage) -> float | None:
    """Of the skin in a picture, whose face is where another picture of the same place has it."""
    landmarks = placed_by.found.landmarks
    matrix = square_matrix(region_of(landmarks), _MARGIN, _SKIN_PX)
    square = alignment.crop(image.pixels, matrix, _SKIN_PX).astype(np.float32) / 255
    luma = np.log(cv2.cvtColor(square, cv2.COLOR_RGB2GRAY) + _FLOOR)
    fine, coarse = (cv2.GaussianBlur(luma, (0, 0), sigma) for sigma in (_FINE_PX, _COARSE_PX))
    skin = _skin(alignment.transform_points(landmarks, matrix))
    if skin.sum() < _LEAST_SKIN_PX:
        return None
    return float(np.median(np.abs(np.asarray(fine - coarse, np.float32)[skin])))


def _skin(points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Cheeks, forehead and chin."""
    inside = (silhouette(points, _SKIN_PX, _SKIN_PX) > 127).astype(np.uint8)
    depth_px = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    features = np.zeros((_SKIN_PX, _SKIN_PX), np.uint8)
    for ring in _FEATURES:
        features |= alignment.fill_hull(points, ring, _SKIN_PX, _SKIN_PX)
    side = 2 * _AROUND_PX + 1
    near = cv2.dilate(features, np.ones((side, side), np.uint8))
    return np.asarray((depth_px > _EDGE_PX) & (near == 0), np.bool_)


def _off_the_tint(sample: Sample) -> float | Missing:
    target, result = sample.target, sample.result
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


TEXTURE = PairMetric(
    group="Realism",
    measure=_measure_texture,
    figures={
        "skin_contrast": Figure(
            title="Contrast of the skin beside the source's",
            better="nearer to 1",
            summary="How much relief the result's skin has, beside the source's in the same "
            "exposure (1: as much).",
            formula="c(result) / c(source), c the median of |b| over skin away from features, b "
            "the band between a 128th and a 32nd of the face of the logarithm of luma",
            limits="A source that is small or blurred has little contrast of its own, so that "
            "grain of the target's counts as too much. Hair over skin counts as skin.",
        ),
        "tint_error": Figure(
            title="Colors in a picture of one tint",
            summary="How far the face's colors leave the tint of a gray, sepia or tinted target.",
            formula="mean over the face of the distance in a* and b* (CIELAB) between the result "
            "and the result with the color that the target has at its luma",
            source="Sosie; CIE 15 (CIELAB, 1976)",
            limits="It is told only of targets whose colors follow from their luma.",
        ),
    },
)
