"""Whether the source's person is found again by the result among everyone in the set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sosie.evaluation.metric import (
    OWN,
    Figure,
    Missing,
    MissingFigureError,
    Readings,
    SampleFeatures,
    SetReadings,
    Settings,
    variant_name,
)
from sosie.evaluation.metrics.base import SetMetric
from sosie.evaluation.sample import Sample
from sosie.types import FloatArray

_LEAST_PEOPLE = 10
_SEARCH = "identity retrieval, as in FaceShifter (Li et al. 2019)"
_ROLES = ("source", "target", "result", "other")


def _describe(sample: Sample, settings: Settings) -> dict[str, FloatArray]:  # noqa: ARG001
    """The recognition vectors, as `result.identity.NETWORK`."""
    return {
        f"{role}.identity.{network}": vector
        for role in _ROLES
        if (image := getattr(sample, role)) is not None
        for network, vector in image.identity.items()
    }


def _measure_retrieval(samples: Sequence[SampleFeatures], settings: Settings) -> SetReadings:  # noqa: ARG001
    """The rank of the best photo of the right person counts, among all source and target photos of
    the set. FaceShifter and those after it search among frames of the sources alone; the targets
    are in the gallery here too, since a weak swap is taken for its target."""
    prefix = "source.identity."
    networks = sorted(
        {
            name.removeprefix(prefix)
            for one in samples
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
        ranks = {
            one.pair: rank for one, rank in zip(samples, _ranks(samples, network), strict=True)
        }
        by_pair[variant_name("retrieval_rank", network)] = ranks
        found = [float("inf") if isinstance(rank, Missing) else rank for rank in ranks.values()]
        limit = [
            rank for rank in _ranks(samples, network, "other") if not isinstance(rank, Missing)
        ]
        few = _too_few(samples, network)
        shares = {
            "retrieval_top1": few or _share(found, 1),
            "retrieval_top5": few or _share(found, 5),
            "retrieval_limit": few or _share(limit, 1),
            "nearer_source": _nearer(samples, network),
        }
        values |= {variant_name(name, network): share for name, share in shares.items()}
    return SetReadings(values, by_pair)


def _ranks(
    samples: Sequence[SampleFeatures], network: str, role: str = "result"
) -> list[float | Missing]:
    """How many people of the set are at least as like the probe as the source's person is.

    A gallery holds each photo once; a person is as like as their best photo. A second photo of a
    person that is in the gallery too is not compared with itself.
    """
    photos, people, titles = _gallery(samples, network)
    names = sorted(set(people))
    number = {name: at for at, name in enumerate(names)}
    owner = np.array([number[person] for person in people], np.intp)
    ranks: list[float | Missing] = []
    for one in samples:
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


def _gallery(
    samples: Sequence[SampleFeatures], network: str
) -> tuple[FloatArray, list[str], list[str]]:
    """All sources and targets, each photo once: vectors, who is on them, and their names."""
    seen: dict[str, tuple[FloatArray, str]] = {}
    for one in samples:
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


def _too_few(samples: Sequence[SampleFeatures], network: str) -> Missing | None:
    people = len(set(_gallery(samples, network)[1]))
    if people >= _LEAST_PEOPLE:
        return None
    return Missing(f"Retrieval needs at least {_LEAST_PEOPLE} people; the set has {people}.")


def _nearer(samples: Sequence[SampleFeatures], network: str) -> float:
    """The share of pairs whose result is more like its source than its target, in per cent."""
    nearer = []
    for one in samples:
        source, target, result = (
            one.vectors.get(f"{role}.identity.{network}") for role in _ROLES[:3]
        )
        if source is None or target is None or result is None:
            nearer.append(False)
        else:
            nearer.append(float(result @ source) > float(result @ target))
    return 100 * float(np.mean(nearer))


def _share(ranks: Sequence[float], best: int) -> float | Missing:
    if not ranks:
        return Missing("The pairs name no second photos of the sources' people.")
    return 100 * float(np.mean([rank <= best for rank in ranks]))


RETRIEVAL = SetMetric(
    group="Identity",
    measure=_measure_retrieval,
    describe=_describe,
    source=_SEARCH,
    limits="Depends on how many people are in the set: compare only runs over the same pairs. A "
    "pair whose result shows no face counts as not found.",
    figures={
        "retrieval_top1": Figure(
            title="Identity retrieval, top 1",
            unit="%",
            better="higher",
            range=(0, 100),
            summary="How often the photo most like the result, of all sources and targets, shows "
            "the source's person.",
            formula="share of pairs whose rank is 1",
        ),
        "retrieval_top5": Figure(
            title="Identity retrieval, top 5",
            unit="%",
            better="higher",
            range=(0, 100),
            summary="How often the source's person is among the five most alike of the set's "
            "people.",
            formula="share of pairs whose rank is 5 or better",
        ),
        "retrieval_rank": Figure(
            title="Identity retrieval: rank",
            range=(1, float("inf")),
            summary="How many people of the set look at least as much like the result as the "
            "source's person does, that person counted.",
            formula="1 + number of other people whose best photo is as similar or more",
            kind="pair",
        ),
        "retrieval_limit": Figure(
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
        "nearer_source": Figure(
            title="Identity: results nearer to their source",
            unit="%",
            better="higher",
            range=(0, 100),
            summary="How often the result is more like the source's person than like the target's.",
            formula="share of pairs with cos(v(result), v(source)) > cos(v(result), v(target))",
            source="Sosie",
            limits="A pair whose result shows no face counts as not nearer. It says nothing about "
            "how near.",
        ),
    },
)
