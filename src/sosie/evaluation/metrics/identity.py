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
    SetReadings,
    Settings,
    Traits,
    variant_name,
)
from sosie.evaluation.metrics.base import FrameMetric, FrameValue, PairMetric, Plot, SetMetric
from sosie.evaluation.sample import Look, Triple
from sosie.evaluation.video_frames import Sight
from sosie.evaluation.video_series import Sights, VideoSeries
from sosie.types import FloatArray

_IDENTITY_LIMITS = (
    "A method that was trained against a recognition network is flattered by it and its kin: "
    "judge it by another. Small, blurred and turned faces are less alike, whoever they show."
)
_COSINE = "cosine of recognition vectors, as in FaceShifter (Li et al. 2019)"


def _measure_identity(triple: Triple, settings: Settings) -> Readings:  # noqa: ARG001
    """Whose face the result shows: cosine similarity of recognition vectors.

    Figures of every method's paper since FaceShifter (Li et al. 2019, "FaceShifter: Towards High
    Fidelity And Occlusion Aware Face Swapping"), there by CosFace. Here by Sosie's own network, and
    as `identity_source[NAME]` by each that the user names. Range -1..1: about 0 for strangers; the
    limit for a perfect swap is what two real photos of one person have, `identity_limit`.
    """
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


IDENTITY = PairMetric(
    group="Identity",
    measure=_measure_identity,
    limits=_IDENTITY_LIMITS,
    figures=(
        Figure(
            name="identity_source",
            title="Identity: similarity to the source",
            better="higher",
            range=(-1, 1),
            summary="How much the result looks like the person of the source photo.",
            formula="cos(v(result), v(source)) with v the recognition vector of the aligned face",
            source=_COSINE,
        ),
        Figure(
            name="identity_target",
            title="Identity: similarity to the target",
            range=(-1, 1),
            summary="How much the result still looks like the person it was to replace.",
            formula="cos(v(result), v(target))",
            source=_COSINE,
            limits=_IDENTITY_LIMITS
            + " It cannot fall below the similarity of source and target themselves.",
        ),
        Figure(
            name="identity_limit",
            title="Identity: two real photos of the source's person",
            better=None,
            range=(-1, 1),
            summary="What a perfect swap could reach: the similarity of two real photos of one "
            "person.",
            formula="cos(v(source), v(another photo of the same person))",
            limits="Needs a second photo of the person in the pairs; says nothing about the "
            "method.",
        ),
    ),
)


_LEAST_PEOPLE = 10
_RETRIEVAL_LIMITS = (
    "Depends on how many people are in the set: compare only runs over the same pairs. A pair "
    "whose result shows no face counts as not found."
)
_SEARCH = "identity retrieval, as in FaceShifter (Li et al. 2019)"
_ROLES = ("source", "target", "result", "other")


def _describe(triple: Triple, settings: Settings) -> dict[str, FloatArray]:  # noqa: ARG001
    """The recognition vectors, as `result.identity.NETWORK`."""
    return {
        f"{role}.identity.{network}": vector
        for role in _ROLES
        if (look := getattr(triple, role)) is not None
        for network, vector in look.identity.items()
    }


def _measure_retrieval(traits: Sequence[Traits], settings: Settings) -> SetReadings:  # noqa: ARG001
    """Whether the source's person is found again by the result among everyone in the set.

    Each result's recognition vector is compared with those of all source and target photos of the
    set; the rank of the best photo of the right person counts. Figures of FaceShifter (Li et al.
    2019) and of those after it, which search among frames of the sources alone; the targets are in
    the gallery here too, since a weak swap is taken for its target. Shares 0..1.
    """
    prefix = "source.identity."
    networks = sorted(
        {
            name.removeprefix(prefix)
            for one in traits
            for name in one.vectors
            if name.startswith(prefix)
        },
        key=lambda name: (name != OWN, name),
    )
    if not networks:
        raise MissingFigureError("No source of the set has a face that was recognized.")
    values: Readings = {}
    by_pair: dict[str, Readings] = {}
    for network in networks:
        ranks = {one.pair: rank for one, rank in zip(traits, _ranks(traits, network), strict=True)}
        by_pair[variant_name("retrieval_rank", network)] = ranks
        found = [float("inf") if isinstance(rank, Missing) else rank for rank in ranks.values()]
        limit = [rank for rank in _ranks(traits, network, "other") if not isinstance(rank, Missing)]
        few = _too_few(traits, network)
        shares = {
            "retrieval_top1": few or _share(found, 1),
            "retrieval_top5": few or _share(found, 5),
            "retrieval_limit": few or _share(limit, 1),
        }
        values |= {variant_name(name, network): share for name, share in shares.items()}
    return SetReadings(values, by_pair)


def _ranks(traits: Sequence[Traits], network: str, role: str = "result") -> list[float | Missing]:
    """How many people of the set are at least as like the probe as the source's person is.

    A gallery holds each photo once; a person is as like as their best photo. A second photo of a
    person that is in the gallery too is not compared with itself.
    """
    photos, people, titles = _gallery(traits, network)
    names = sorted(set(people))
    number = {name: at for at, name in enumerate(names)}
    owner = np.array([number[person] for person in people], np.intp)
    ranks: list[float | Missing] = []
    for one in traits:
        probe = one.vectors.get(f"{role}.identity.{network}")
        if probe is None:
            ranks.append(Missing("There is no face to recognize."))
            continue
        if one.source_person not in number:
            ranks.append(Missing("No face was found in the source."))
            continue
        alike = photos @ probe
        if role == "other":
            alike[[title == one.other for title in titles]] = -np.inf
        best = np.full(len(names), -np.inf)
        np.maximum.at(best, owner, alike)
        own = number[one.source_person]
        # A tie with another person is no hit.
        rivals = int((np.delete(best, own) >= best[own]).sum())
        ranks.append(float(1 + rivals))
    return ranks


def _gallery(traits: Sequence[Traits], network: str) -> tuple[FloatArray, list[str], list[str]]:
    """All sources and targets, each photo once: vectors, who is on them, and their names."""
    seen: dict[str, tuple[FloatArray, str]] = {}
    for one in traits:
        for role, name, person in (
            ("source", one.source, one.source_person),
            ("target", one.target, one.target_person),
        ):
            vector = one.vectors.get(f"{role}.identity.{network}")
            if vector is not None:
                seen.setdefault(name, (vector, person))
    if not seen:
        return np.zeros((0, 1), np.float32), [], []
    vectors, people = zip(*seen.values(), strict=True)
    return np.stack(vectors), list(people), list(seen)


def _too_few(traits: Sequence[Traits], network: str) -> Missing | None:
    people = len(set(_gallery(traits, network)[1]))
    if people >= _LEAST_PEOPLE:
        return None
    return Missing(f"Retrieval needs at least {_LEAST_PEOPLE} people; the set has {people}.")


def _share(ranks: Sequence[float], best: int) -> float | Missing:
    if not ranks:
        return Missing("The pairs name no second photos of the sources' people.")
    return 100 * float(np.mean([rank <= best for rank in ranks]))


RETRIEVAL = SetMetric(
    group="Identity",
    measure=_measure_retrieval,
    describe=_describe,
    source=_SEARCH,
    limits=_RETRIEVAL_LIMITS,
    figures=(
        Figure(
            name="retrieval_top1",
            title="Identity retrieval, top 1",
            unit="%",
            better="higher",
            range=(0, 100),
            summary="How often the photo most like the result, of all sources and targets, shows "
            "the source's person.",
            formula="share of pairs whose rank is 1",
        ),
        Figure(
            name="retrieval_top5",
            title="Identity retrieval, top 5",
            unit="%",
            better="higher",
            range=(0, 100),
            summary="How often the source's person is among the five most alike of the set's "
            "people.",
            formula="share of pairs whose rank is 5 or better",
        ),
        Figure(
            name="retrieval_rank",
            title="Identity retrieval: rank",
            range=(1, float("inf")),
            summary="How many people of the set look at least as much like the result as the "
            "source's person does, that person counted.",
            formula="1 + number of other people whose best photo is as similar or more",
            kind="pair",
        ),
        Figure(
            name="retrieval_limit",
            title="Identity retrieval of real photos, top 1",
            unit="%",
            better=None,
            range=(0, 100),
            summary="What a perfect swap could reach: how often another real photo of the source's "
            "person finds that person.",
            formula="as retrieval_top1, with the second photo in place of the result",
            source="Sosie",
            limits="Needs second photos of the people in the pairs.",
        ),
    ),
)


_VIDEO_LIMITS = (
    "Small, blurred and turned faces are less alike, whoever they show. A method that was trained "
    "against a recognition network is flattered by it and its kin."
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
    """Identity along a video: whose face it is, and whether it stays that.

    Cosine similarities of recognition vectors, -1..1, a few times a second. Steadiness is the mean
    over all pairs of sights of one track; a person who turns and speaks varies by nature, so that
    the target's own stands beside it. By Sosie's network, and as `film_identity_source[NAME]` by
    each that the user names.
    """
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
    limits=_VIDEO_LIMITS,
    figures=(
        Figure(
            name="film_identity_source",
            title="Identity: similarity to the source",
            better="higher",
            range=(-1, 1),
            summary="How much the swapped face looks like the person of the source, on average.",
            formula="mean cos(v(result frame), v(source)); of several sources, their mean vector",
            source=_OVER_TIME,
        ),
        Figure(
            name="film_identity_low",
            title="Identity: similarity to the source at its lowest",
            better="higher",
            range=(-1, 1),
            summary="How much it looks like the source in the video's worst moments.",
            formula="the similarity below which 5 % of the sights lie",
        ),
        Figure(
            name="film_identity_target",
            title="Identity: similarity to the target",
            range=(-1, 1),
            summary="How much the swapped face still looks like the one that it replaces.",
            formula="mean cos(v(result frame), v(target frame))",
            source=_OVER_TIME,
        ),
        Figure(
            name="film_steadiness",
            title="Identity steadiness",
            better="higher",
            range=(-1, 1),
            summary="Whether the swapped face stays one person: how alike any two of its frames "
            "are.",
            formula="mean cos(v(frame), v(other frame)) over all pairs of sights of a track",
            limits=_VIDEO_LIMITS
            + " A face that never changes, or is blurred alike throughout, is steady.",
        ),
        Figure(
            name="film_steadiness_target",
            title="Identity steadiness of the target",
            better=None,
            range=(-1, 1),
            summary="The same of the target's face: what can be expected of one real person there.",
            formula="as film_steadiness, of the target",
        ),
    ),
)
