"""How far the result's expression is from the target's.

Papers compare the expression coefficients of a fitted 3D model (FaceShifter, Li et al. 2019, and
those after it). Sosie compares the 51 weights of facial movements that its landmark network reads
(ARKit's names; `_neutral` is no movement): Euclidean distance, 0 is perfect; two random portraits
are about 1 apart.
"""

from __future__ import annotations

import numpy as np

from sosie.analysis.landmarker import EXPRESSIONS
from sosie.evaluation.metric import Figure, MissingFigureError, Readings, Settings
from sosie.evaluation.sample import Look, Triple
from sosie.types import FloatArray

_MOVEMENTS = [number for number, name in enumerate(EXPRESSIONS) if name != "_neutral"]

FIGURES = (
    Figure(
        name="expression_error",
        title="Expression distance",
        unit="",
        better="lower",
        range=(0, float(np.sqrt(len(_MOVEMENTS)))),
        summary="How far the expression of the result is from that of the target.",
        formula="|w(result) - w(target)| over 51 weights of movement, each 0..1",
        source="Sosie; distance of expression coefficients as in FaceShifter (Li et al. 2019)",
        limits=(
            "The weights come from the same network as Sosie's landmarks, and partly follow the "
            "shape of a person's face: a perfect swap is not at 0. Eyes weigh little; see gaze and "
            "openings."
        ),
    ),
)


def measure(triple: Triple, settings: Settings) -> Readings:  # noqa: ARG001
    apart = _weights(triple.result) - _weights(triple.target)
    return {"expression_error": float(np.linalg.norm(apart[_MOVEMENTS]))}


def _weights(look: Look) -> FloatArray:
    weights = look.found.expression
    if weights is None:
        raise MissingFigureError(f"The expression of {look.name} was not read.")
    return weights
