"""Whose face the result shows: cosine similarity of recognition vectors.

Figures of every method's paper since FaceShifter (Li et al. 2019, "FaceShifter: Towards High
Fidelity And Occlusion Aware Face Swapping"), there by CosFace. Here by Sosie's own network, and as
`identity_source[NAME]` by each that the user names. Range -1..1: about 0 for strangers; the limit
for a perfect swap is what two real photos of one person have, `identity_limit`.
"""

from __future__ import annotations

from sosie.evaluation.metric import (
    Figure,
    Missing,
    MissingFigureError,
    Readings,
    Settings,
    variant_name,
)
from sosie.evaluation.sample import Look, Triple

_LIMITS = (
    "A method that was trained against a recognition network is flattered by it and its kin: "
    "judge it by another. Small, blurred and turned faces are less alike, whoever they show."
)
_SOURCE = "cosine of recognition vectors, as in FaceShifter (Li et al. 2019)"

FIGURES = (
    Figure(
        name="identity_source",
        title="Identity: similarity to the source",
        unit="",
        better="higher",
        range=(-1, 1),
        summary="How much the result looks like the person of the source photo.",
        formula="cos(v(result), v(source)) with v the recognition vector of the aligned face",
        source=_SOURCE,
        limits=_LIMITS,
    ),
    Figure(
        name="identity_target",
        title="Identity: similarity to the target",
        unit="",
        better="lower",
        range=(-1, 1),
        summary="How much the result still looks like the person it was to replace.",
        formula="cos(v(result), v(target))",
        source=_SOURCE,
        limits=_LIMITS + " It cannot fall below the similarity of source and target themselves.",
    ),
    Figure(
        name="identity_limit",
        title="Identity: two real photos of the source's person",
        unit="",
        better=None,
        range=(-1, 1),
        summary="What a perfect swap could reach: the similarity of two real photos of one person.",
        formula="cos(v(source), v(another photo of the same person))",
        source="Sosie",
        limits="Needs a second photo of the person in the pairs; says nothing about the method.",
    ),
)


def measure(triple: Triple, settings: Settings) -> Readings:  # noqa: ARG001
    """Figures by each network that the result was described by."""
    if not triple.result.identity:
        raise MissingFigureError(f"No face was found in {triple.result.name}.")
    readings: Readings = {}
    for name in triple.result.identity:
        for figure, one, other in (
            ("identity_source", triple.result, triple.source),
            ("identity_target", triple.result, triple.target),
            ("identity_limit", triple.source, triple.other),
        ):
            readings[variant_name(figure, name)] = _cosine(one, other, name)
    return readings


def _cosine(one: Look, other: Look | None, network: str) -> float | Missing:
    if other is None:
        return Missing("The pair names no second photo of the source's person.")
    for look in (one, other):
        if look.face is None:
            return Missing(f"No face was found in {look.name}.")
        if network not in look.identity:
            return Missing(f"The face of {look.name} was not described by {network}.")
    return float(one.identity[network] @ other.identity[network])
