"""Whether the result's face is as sharp as the target's.

The share of contrast that is fine detail (`sosie.analysis.quality.sharpness`), in the result over
that in the target at the same place: at the scale of the face, where blur is seen in a whole
picture, and at the scale of the picture's own pixels, where enlarged small networks give
themselves away. 1 is as sharp as the target.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis import quality
from sosie.evaluation.metric import Figure, Missing, Readings, Settings
from sosie.evaluation.sample import Triple

_SIGMA_PX, _REACH_PX = 1.5, 6
# A target with a smaller share of detail than this is a smear; a quotient by it says nothing.
_LEAST = 0.005

_LIMITS = "Above 1 is not better than 1: noise and ringing count as detail. A source with a beard "
_LIMITS += "or wrinkles makes a result sharper than a smooth target."

FIGURES = (
    Figure(
        name="sharpness",
        title="Sharpness beside the target",
        unit="",
        better="nearer to 1",
        range=(0, float("inf")),
        summary="How much fine detail the result's face has, beside the target's (1: as much).",
        formula="s(result) / s(target), s the share of contrast finer than about a fortieth of the "
        "face",
        source="Sosie",
        limits=_LIMITS,
    ),
    Figure(
        name="sharpness_pixels",
        title="Sharpness of pixels beside the target",
        unit="",
        better="nearer to 1",
        range=(0, float("inf")),
        summary="As sharpness, at the scale of single pixels: low where a small face was enlarged.",
        formula="the same quotient of std(g - G(g)) / std(g) inside the face, G a Gaussian of "
        f"{_SIGMA_PX} px of the picture",
        source="Sosie",
        limits=_LIMITS + " The grain and the compression of the target count as detail too.",
    ),
)


def measure(triple: Triple, settings: Settings) -> Readings:  # noqa: ARG001
    triple.require_equal_sizes()
    face, inside = triple.target.found, triple.target.inside.astype(np.uint8)
    x, y, width, height = cv2.boundingRect(inside)
    # The Gaussian sees what lies around the face too.
    window = np.s_[
        max(0, y - _REACH_PX) : y + height + _REACH_PX,
        max(0, x - _REACH_PX) : x + width + _REACH_PX,
    ]
    coarse = [quality.sharpness(look.pixels, face) for look in (triple.target, triple.result)]
    fine = [
        _detail(look.pixels[window], inside[window]) if width * height else 0.0
        for look in (triple.target, triple.result)
    ]
    return {
        "sharpness": _quotient(coarse, triple),
        "sharpness_pixels": _quotient(fine, triple),
    }


def _detail(pixels: NDArray[np.uint8], inside: NDArray[np.uint8]) -> float:
    """The share of contrast inside a mask that is finer than a Gaussian of _SIGMA_PX."""
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = np.asarray(gray - cv2.GaussianBlur(gray, (0, 0), _SIGMA_PX), np.float32)
    contrast, detail = (float(cv2.meanStdDev(v, mask=inside)[1][0, 0]) for v in (gray, fine))
    return detail / contrast if contrast > 0 else 0.0


def _quotient(shares: list[float], triple: Triple) -> float | Missing:
    if shares[0] < _LEAST:
        return Missing(f"The target {triple.target.name} has no detail to compare with.")
    return shares[1] / shares[0]
