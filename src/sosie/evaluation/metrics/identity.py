"""Whose face the result shows: on a photo, along a video, and among everyone in a set."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sosie.evaluation.metric import (
    OWN,
    Figure,
    Missing,
    MissingFigureError,
    Readings,
    Settings,
    variant_name,
)
from sosie.evaluation.metrics.base import FrameMetric, FrameValue, PairMetric, Plot
from sosie.evaluation.sample import AnalyzedImage, Sample
from sosie.evaluation.video_frames import Sight, Sights, VideoSeries

_COSINE = "cosine of recognition vectors, as in FaceShifter (Li et al. 2019)"


def _measure_identity(sample: Sample, settings: Settings) -> Readings:  # noqa: ARG001
    """By Sosie's own network, and as `identity_source[NAME]` by each that the user names;
    FaceShifter ("Towards High Fidelity And Occlusion Aware Face Swapping") and those after it use
    CosFace. About 0 for strangers; what two real photos of one person have is the limit for a
    perfect swap."""
    if not sample.result.identity:
        raise MissingFigureError(f"No face was found in {sample.result.name}.")
    readings: Readings = {}
    for name in sample.result.identity:
        for figure, one, other in (
            ("identity_source", sample.result, sample.source),
            ("identity_target", sample.result, sample.target),
            ("identity_limit", sample.source, sample.other),
        ):
            readings[variant_name(figure, name)] = _cosine(one, other, name)
    return readings


def _cosine(one: AnalyzedImage, other: AnalyzedImage | None, network: str) -> float | Missing:
    if other is None:
        return Missing("The pair names no second photo of the source's person.")
    for image in (one, other):
        if image.face is None:
            return Missing(f"No face was found in {image.name}.")
        if network not in image.identity:
            return Missing(f"The face of {image.name} was not described by {network}.")
    return float(one.identity[network] @ other.identity[network])


IDENTITY = PairMetric(
    group="Identity",
    measure=_measure_identity,
    limits="A method that was trained against a recognition network is flattered by it and its "
    "kin: judge it by another. Small, blurred and turned faces are less alike, whoever they show.",
    figures={
        "identity_source": Figure(
            title="Identity: similarity to the source",
            better="higher",
            range=(-1, 1),
            summary="How much the result looks like the person of the source photo.",
            formula="cos(v(result), v(source)) with v the recognition vector of the aligned face",
            source=_COSINE,
        ),
        "identity_target": Figure(
            title="Identity: similarity to the target",
            range=(-1, 1),
            summary="How much the result still looks like the person it was to replace.",
            formula="cos(v(result), v(target))",
            source=_COSINE,
            also="It cannot fall below the similarity of source and target themselves.",
        ),
        "identity_limit": Figure(
            title="Identity: two real photos of the source's person",
            better=None,
            range=(-1, 1),
            summary="What a perfect swap could reach: the similarity of two real photos of one "
            "person.",
            formula="cos(v(source), v(another photo of the same person))",
            limits="Needs a second photo of the person in the pairs; says nothing about the "
            "method.",
        ),
    },
)


_OVER_TIME = "cosine of recognition vectors, as in FaceShifter (Li et al. 2019); over time, Sosie"
_NO_SOURCE = "No source photo was named: give --source."
_NO_SIGHT = "No sight of the face was large enough to describe it in both videos."
_ONE_SIGHT = "The face was described on fewer than two frames."


def _look_identity(sight: Sight) -> dict[str, float]:
    told = {}
    for name, (target, result) in sight.identities.items():
        told[variant_name("identity_target", name)] = float(result @ target)
        if name in sight.sources:
            told[variant_name("identity_source", name)] = float(result @ sight.sources[name])
    return told


def _measure_video_identity(series: VideoSeries) -> Readings:
    """A few times a second, by each network. A person who turns and speaks varies by nature, so
    that the steadiness of the target's own face stands beside the result's."""
    names = {name for track in series.judged for name in track.sights} or {OWN}
    readings: Readings = {}
    for name in sorted(names, key=lambda name: (name != OWN, name)):
        readings |= {variant_name(k, name): v for k, v in _by_network(series, name).items()}
    return readings


def _by_network(series: VideoSeries, name: str) -> Readings:
    to_source = series.values(variant_name("identity_source", name))
    to_target = series.values(variant_name("identity_target", name))
    no_source = Missing(_NO_SIGHT if name in series.networks else _NO_SOURCE)
    return {
        "video_identity_source": float(to_source.mean()) if len(to_source) else no_source,
        "video_identity_low": float(np.quantile(to_source, 0.05)) if len(to_source) else no_source,
        "video_identity_target": float(to_target.mean()) if len(to_target) else Missing(_NO_SIGHT),
        "video_steadiness": steadiness(
            [track.sights[name] for track in series.judged if name in track.sights]
        ),
        "video_steadiness_target": steadiness(
            [track.sights_target[name] for track in series.judged if name in track.sights_target]
        ),
    }


def steadiness(tracks: Sequence[Sights]) -> float | Missing:
    """Mean similarity of two sights of one track, over all such pairs of all tracks."""
    told = [sights for sights in tracks if not math.isnan(sights.likeness)]
    if not told:
        return Missing(_ONE_SIGHT)
    pairs = sum(sights.pairs for sights in told)
    return sum(sights.likeness * sights.pairs for sights in told) / pairs


VIDEO_IDENTITY = FrameMetric(
    group="Identity",
    look=_look_identity,
    measure=_measure_video_identity,
    values=(
        FrameValue(
            "identity_source",
            "similarity of the result's face to the source",
            worst="Least like the source",
            worse="lower",
        ),
        FrameValue(
            "identity_target", "similarity of the result's face to the target's on that frame"
        ),
    ),
    plots=(
        Plot(
            "Identity: whom the swapped face looks like.",
            "similarity",
            {"identity_source": "to source", "identity_target": "to target"},
        ),
    ),
    limits="Small, blurred and turned faces are less alike, whoever they show. A method that was "
    "trained against a recognition network is flattered by it and its kin.",
    figures={
        "video_identity_source": Figure(
            title="Identity: similarity to the source",
            better="higher",
            range=(-1, 1),
            summary="How much the swapped face looks like the person of the source, on average.",
            formula="mean cos(v(result frame), v(source)); of several sources, their mean vector",
            source=_OVER_TIME,
        ),
        "video_identity_low": Figure(
            title="Identity: similarity to the source at its lowest",
            better="higher",
            range=(-1, 1),
            summary="How much it looks like the source in the video's worst moments.",
            formula="the similarity below which 5 % of the sights lie",
        ),
        "video_identity_target": Figure(
            title="Identity: similarity to the target",
            range=(-1, 1),
            summary="How much the swapped face still looks like the one that it replaces.",
            formula="mean cos(v(result frame), v(target frame))",
            source=_OVER_TIME,
        ),
        "video_steadiness": Figure(
            title="Identity steadiness",
            better="higher",
            range=(-1, 1),
            summary="Whether the swapped face stays one person: how alike any two of its frames "
            "are.",
            formula="mean cos(v(frame), v(other frame)) over all pairs of sights of a track",
            also="A face that never changes, or is blurred alike throughout, is steady.",
        ),
        "video_steadiness_target": Figure(
            title="Identity steadiness of the target",
            better=None,
            range=(-1, 1),
            summary="The same of the target's face: what can be expected of one real person there.",
            formula="as video_steadiness, of the target",
        ),
    },
)
