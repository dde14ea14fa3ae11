"""Identity along a video: whose face it is, and whether it stays that.

Cosine similarities of recognition vectors, -1..1, a few times a second. Steadiness is the mean
over all pairs of sights of one track; a person who turns and speaks varies by nature, so that the
target's own stands beside it. By Sosie's network, and as `film_identity_source[NAME]` by each that
the user names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sosie.evaluation.metric import OWN, Figure, Missing, Readings, variant_name
from sosie.evaluation.video_series import Sights, VideoSeries

_LIMITS = (
    "Small, blurred and turned faces are less alike, whoever they show. A method that was trained "
    "against a recognition network is flattered by it and its kin."
)
_SOURCE = "cosine of recognition vectors, as in FaceShifter (Li et al. 2019); over time, Sosie"

FIGURES = (
    Figure(
        name="film_identity_source",
        title="Identity: similarity to the source",
        unit="",
        better="higher",
        range=(-1, 1),
        summary="How much the swapped face looks like the person of the source, on average.",
        formula="mean cos(v(result frame), v(source)); of several sources, their mean vector",
        source=_SOURCE,
        limits=_LIMITS,
        kind="video",
    ),
    Figure(
        name="film_identity_low",
        title="Identity: similarity to the source at its lowest",
        unit="",
        better="higher",
        range=(-1, 1),
        summary="How much it looks like the source in the video's worst moments.",
        formula="the similarity below which 5 % of the sights lie",
        source="Sosie",
        limits=_LIMITS,
        kind="video",
    ),
    Figure(
        name="film_identity_target",
        title="Identity: similarity to the target",
        unit="",
        better="lower",
        range=(-1, 1),
        summary="How much the swapped face still looks like the one that it replaces.",
        formula="mean cos(v(result frame), v(target frame))",
        source=_SOURCE,
        limits=_LIMITS,
        kind="video",
    ),
    Figure(
        name="film_steadiness",
        title="Identity steadiness",
        unit="",
        better="higher",
        range=(-1, 1),
        summary="Whether the swapped face stays one person: how alike any two of its frames are.",
        formula="mean cos(v(frame), v(other frame)) over all pairs of sights of a track",
        source="Sosie",
        limits=_LIMITS + " A face that never changes, or is blurred alike throughout, is steady.",
        kind="video",
    ),
    Figure(
        name="film_steadiness_target",
        title="Identity steadiness of the target",
        unit="",
        better=None,
        range=(-1, 1),
        summary="The same of the target's face: what can be expected of one real person there.",
        formula="as film_steadiness, of the target",
        source="Sosie",
        limits=_LIMITS,
        kind="video",
    ),
)

_NO_SOURCE = "No source photo was named: give --source."
_NO_SIGHT = "No sight of the face was large enough to describe it in both videos."
_ONE_SIGHT = "The face was described on fewer than two frames."


def measure(series: VideoSeries) -> Readings:
    """Means over the sights of the swapped tracks, by each network."""
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
        "film_identity_source": float(to_source.mean()) if len(to_source) else no_source,
        "film_identity_low": float(np.quantile(to_source, 0.05)) if len(to_source) else no_source,
        "film_identity_target": float(to_target.mean()) if len(to_target) else Missing(_NO_SIGHT),
        "film_steadiness": steadiness(
            [track.sights[name] for track in series.judged if name in track.sights]
        ),
        "film_steadiness_target": steadiness(
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
