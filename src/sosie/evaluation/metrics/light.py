"""Whether the result's face is lit as the target's: what remains of color without detail.

Inside the face both pictures are low-passed in CIELAB and compared. Detail, and with it most of
identity, is gone; light, shade and complexion are left. 1 is about the smallest difference of
color that is seen (CIE 1976 color difference). 0 is perfect.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.evaluation.metric import Figure, Readings, Settings
from sosie.evaluation.sample import Triple
from sosie.geometry import alignment
from sosie.geometry.head_pose import region_of, square_matrix
from sosie.geometry.morphable_model import silhouette

_SIDE_PX = 96
# Deviation of the low-pass, as a share of the face: eyes and mouth vanish, a shaded cheek stays.
_BLUR_SHARE = 0.1
# How much of a place must be face for its color to count.
_LEAST_COVER = 0.3

FIGURES = (
    Figure(
        name="light_error",
        title="Light and complexion: difference to the target",
        unit="",
        better="lower",
        range=(0, float("inf")),
        summary="How far light and color of the result's face are from the target's.",
        formula="mean over the face of the CIE 1976 color difference after a Gaussian low-pass of "
        "a tenth of the face",
        source="Sosie; color difference of CIE 15 (CIELAB, 1976)",
        limits="A swap that keeps the source's complexion is charged for it: see shading_error.",
    ),
    Figure(
        name="shading_error",
        title="Shading: difference to the target",
        unit="",
        better="lower",
        range=(0, float("inf")),
        summary="Whether light and shade lie on the result's face as on the target's, whatever the "
        "complexion.",
        formula="mean over the face of |d - mean(d)|, d the difference of low-passed lightness L*",
        source="Sosie",
        limits="Shape changes shading too: another nose throws another shadow. Beards, make-up and "
        "strands of hair count as shade.",
    ),
)


def measure(triple: Triple, settings: Settings) -> Readings:  # noqa: ARG001
    triple.require_equal_sizes()
    face = triple.target.found
    matrix = square_matrix(region_of(face.landmarks), 1.0, _SIDE_PX)
    points = alignment.transform_points(face.landmarks, matrix)
    inside = (silhouette(points, _SIDE_PX, _SIDE_PX) > 127).astype(np.float32)
    cover = _low_pass(inside)
    # The same place of both pictures: where the target's face is.
    before, after = (
        _low_pass(_lab(look.pixels, matrix) * inside[..., None])
        / np.maximum(cover, 1e-3)[..., None]
        for look in (triple.target, triple.result)
    )
    counts = (inside > 0) & (cover > _LEAST_COVER)
    apart = (after - before)[counts]
    lightness = apart[:, 0]
    return {
        "light_error": float(np.linalg.norm(apart, axis=1).mean()),
        "shading_error": float(np.abs(lightness - lightness.mean()).mean()),
    }


def _lab(pixels: NDArray[np.uint8], matrix: alignment.Matrix) -> NDArray[np.float32]:
    """The face's square in CIELAB: float32, L* 0..100, a* and b* about -100..100."""
    square = alignment.crop(pixels, matrix, _SIDE_PX).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(square, cv2.COLOR_RGB2Lab), np.float32)


def _low_pass(values: NDArray[np.float32]) -> NDArray[np.float32]:
    blurred = cv2.GaussianBlur(
        values, (0, 0), _BLUR_SHARE * _SIDE_PX, borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray(blurred, np.float32)
