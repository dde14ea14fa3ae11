"""Faces sorted by person: `plan` decides, `apply` moves.

A face that lies in a person's folder already stays there, whether Sosie or a hand put it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.selection import SAME_PERSON
from sosie.datasets.centroids import Means
from sosie.datasets.linkage import CUT, FLOOR, Groups, Merge, cut, linkage
from sosie.datasets.markers import DOUBTFUL, FACES
from sosie.datasets.scratch_arrays import Scratch
from sosie.datasets.store import FaceStore
from sosie.datasets.tracklets import Units, read_units
from sosie.datasets.transactions import move_faces
from sosie.errors import NoFaceError, UsageError
from sosie.types import FloatArray

_LOWEST_CUT, _HIGHEST_CUT = 0.41, 0.70
"""Where the cut may come to lie for a number of people that is asked for."""

_FACES_HELD = 0.95
"""Of cuts that give the number of people, those are taken that hold so much of the most faces."""

_DOUBT_MARGIN = 0.05
"""By how much a face must be more alike to its own person than to any other."""

_SUGGESTED_FROM = 0.38
_MAX_SUGGESTIONS = 20


@dataclass(frozen=True)
class ClusterOptions:
    """people: how many there are; None finds it by likeness. likeness: mean likeness from which on
    two groups are one person's, 0.3..1. min_faces: fewer faces make no person. again: sort the
    faces anew that lie in people's folders."""

    people: int | None = None
    likeness: float = CUT
    min_faces: int = 3
    again: bool = False

    def __post_init__(self) -> None:
        if self.people is not None and self.people < 1:
            raise UsageError(f"There cannot be {self.people} people; give --people 1 or more.")
        if not FLOOR <= self.likeness <= 1:
            raise UsageError(
                f"A likeness of {self.likeness} is out of bounds; give one from {FLOOR} to 1."
            )
        if self.min_faces < 1:
            raise UsageError(f"A person has 1 face or more, not {self.min_faces}.")


@dataclass(frozen=True)
class Suggestion:
    """Two people that may be one. similarity: mean cosine of their faces' identities."""

    one: str
    other: str
    similarity: float


@dataclass(frozen=True)
class Plan:
    """What clustering found.

    people: name -> number of faces, the most first. persons: id of each face -> name, "" for the
    doubtful. places: id -> place of its picture, relative to the set. doubtful: number of faces
    that are put apart, likely a person's; few: of those in groups too small. suggestions: the best
    first.
    likeness: where the groups were cut. absent: names whose photo nobody was like, and how alike
    the nearest was.
    """

    people: dict[str, int]
    persons: dict[str, str]
    places: dict[str, str]
    doubtful: int
    few: int
    suggestions: tuple[Suggestion, ...]
    likeness: float
    absent: dict[str, float]


def plan(store: FaceStore, options: ClusterOptions, references: Mapping[str, FloatArray]) -> Plan:
    """Whose every face is. references: name -> identity, float32, 512, unit length.

    Raises NoFaceError where the set has no faces, UsageError where the number of people asked for
    is not to be had, or a name that of an input's folder.
    """
    inputs = store.input_folders
    for name in references:
        check_name(name, inputs)
    units = read_units(store, keep_people=not options.again)
    if not units.ids:
        raise NoFaceError(f"{store.folder} has no faces that are not rejected: extract some first.")
    start, apart = _fixed_groups(units)
    merges = linkage(units.identities, start, apart)
    likeness = options.likeness
    if options.people is not None:
        likeness = cut_for(merges, start, units.sizes, options)
    groups = cut(start, merges, likeness)
    chosen = _chosen(units, groups, options)
    unsure = _unsure(units, groups, chosen)
    sure = np.bincount(groups[~unsure], units.sizes[~unsure], int(groups.max()) + 1)
    fixed = {group for group, person in zip(groups.tolist(), units.person, strict=True) if person}
    # Whom doubts leave too few faces is nobody yet.
    chosen = [g for g in chosen if g in fixed or sure[g] >= options.min_faces]
    names, absent = _names(units, groups, chosen, references, inputs)
    return _arranged(units, groups, unsure, names, likeness, absent)


def apply(store: FaceStore, found: Plan) -> None:
    """Move the pictures to where the plan has them, and write who they are into the table."""
    note = {
        "likeness": found.likeness,
        "suggestions": [asdict(suggestion) for suggestion in found.suggestions],
    }
    move_faces(store, found.places, {"person": found.persons}, {"cluster": note})


def check_name(name: str, inputs: set[str]) -> None:
    """Raises UsageError where a person cannot be called so."""
    if not name or name != name.strip() or name.startswith(".") or set(name) & set('/\\:*?"<>|'):
        raise UsageError(f"{name!r} cannot be a folder's name; give letters, digits and spaces.")
    if name in inputs:
        raise UsageError(f"{name!r} is the folder of an input; give the person another name.")


def cut_for(
    merges: Sequence[Merge], start: Groups, sizes: NDArray[np.intp], options: ClusterOptions
) -> float:
    """The likeness at which there are `options.people` groups of enough faces. Of several, those
    count that leave few faces over, and of these that nearest to `options.likeness`. Where there
    are more groups at every one, the lowest.

    Raises UsageError where there are fewer at every one.
    """
    wanted = options.people or 1
    states = _states(merges, start, sizes, options.min_faces)
    fitting = [state for state in states if state.people == wanted]
    if fitting:
        enough = _FACES_HELD * max(state.faces for state in fitting)
        levels = [
            float(np.clip(options.likeness, state.low, state.high))
            for state in fitting
            if state.faces >= enough
        ]
        return min(levels, key=lambda level: abs(level - options.likeness))
    most = max(state.people for state in states)
    if most < wanted:
        fewer = f", or --min-faces below {options.min_faces}" if options.min_faces > 1 else ""
        raise UsageError(
            f"{most} {'person is' if most == 1 else 'people are'} to be told apart at most, not "
            f"{wanted}; give --people {max(most, 1)} or --auto{fewer}."
        )
    return _LOWEST_CUT


@dataclass(frozen=True)
class _State:
    """What every cut from `low` to `high` gives: groups of enough faces, and faces in them."""

    low: float
    high: float
    people: int
    faces: int


def _states(
    merges: Sequence[Merge], start: Groups, sizes: NDArray[np.intp], min_faces: int
) -> list[_State]:
    """All that cuts can give from _HIGHEST_CUT down to _LOWEST_CUT."""
    _, first, place = np.unique(start, return_index=True, return_inverse=True)
    held = dict(zip(first.tolist(), np.bincount(place, sizes).astype(int).tolist(), strict=True))
    large = [size for size in held.values() if size >= min_faces]
    people, faces, high = len(large), sum(large), _HIGHEST_CUT
    states = []
    for merge in sorted(merges, key=lambda merge: -merge.likeness):
        if merge.likeness < _LOWEST_CUT:
            break
        if merge.likeness < high:
            # A merge is made at its own likeness: these cuts are above it.
            states.append(_State(float(np.nextafter(merge.likeness, 2)), high, people, faces))
            high = merge.likeness
        before = [held[merge.kept], held.pop(merge.gone)]
        after = held[merge.kept] = sum(before)
        lost = [size for size in before if size >= min_faces]
        people += (after >= min_faces) - len(lost)
        faces += (after if after >= min_faces else 0) - sum(lost)
    return [*states, _State(_LOWEST_CUT, high, people, faces)]


def _fixed_groups(units: Units) -> tuple[Groups, list[Iterable[int]]]:
    """Units that are one person's from the outset, and sets of units that never come together."""
    first: dict[str, int] = {}
    start = np.arange(len(units.person))
    for number, person in enumerate(units.person):
        if person:
            start[number] = first.setdefault(person, number)
    return start, [*units.apart, first.values()]


def _chosen(units: Units, groups: Groups, options: ClusterOptions) -> list[int]:
    """The groups that are people, those with most faces first."""
    faces = np.bincount(groups, units.sizes)
    fixed = {group for group, person in zip(groups.tolist(), units.person, strict=True) if person}
    order = [
        group
        for group in np.argsort(-faces, kind="stable").tolist()
        if group in fixed or faces[group] >= options.min_faces
    ]
    if options.people is None:
        return order
    first = sorted(order, key=lambda group: group not in fixed)
    kept = set(first[: max(options.people, len(fixed))])
    return [group for group in order if group in kept]


def _names(
    units: Units,
    groups: Groups,
    chosen: Sequence[int],
    references: Mapping[str, FloatArray],
    inputs: set[str],
) -> tuple[dict[int, str], dict[str, float]]:
    """Names of the chosen groups, and the references that nobody is like."""
    names = {int(groups[k]): person for k, person in enumerate(units.person) if person}
    absent: dict[str, float] = {}
    means = Means(units.identities, _ranks(groups, chosen), len(chosen)) if references else None
    for name, identity in references.items():
        if means is None or name in names.values():
            continue
        alike = dict(zip(chosen, means.alike(identity).tolist(), strict=True))
        best = max((g for g in chosen if g not in names), key=lambda g: alike[g], default=None)
        if best is not None and alike[best] >= SAME_PERSON:
            names[best] = name
        else:
            absent[name] = float(max((alike[g] for g in chosen), default=0.0))
    taken = {*names.values(), *inputs}
    numbers = (f"{n:03}" for n in count(1))
    for group in chosen:
        if group not in names:
            names[group] = next(n for n in numbers if n not in taken)
    return names, absent


def _arranged(
    units: Units,
    groups: Groups,
    unsure: NDArray[np.bool_],
    names: dict[int, str],
    likeness: float,
    absent: dict[str, float],
) -> Plan:
    """Where each face goes."""
    titles = [names[group] for group in sorted(names)]
    people = _ranks(groups, sorted(names))
    few = _few_names(groups, names)
    persons: dict[str, str] = {}
    places: dict[str, str] = {}
    counts = {"doubtful": 0, "few": 0}
    held = dict.fromkeys(titles, 0)
    for face, file, unit in zip(units.ids, units.files, units.unit.tolist(), strict=True):
        picture = PurePosixPath(file).name
        if people[unit] == len(titles):
            persons[face] = ""
            places[face] = f"{DOUBTFUL}/{few[int(groups[unit])]}/{picture}"
            counts["few"] += 1
        elif unsure[unit]:
            persons[face] = ""
            places[face] = f"{DOUBTFUL}/{titles[people[unit]]}/{picture}"
            counts["doubtful"] += 1
        else:
            name = persons[face] = titles[people[unit]]
            # A face that was sorted by hand stays where it is, in whatever folder of the person.
            fixed = units.person[unit] == name
            places[face] = file if fixed else f"{FACES}/{name}/{picture}"
            held[name] += 1
    ordered = dict(sorted(held.items(), key=lambda item: -item[1]))
    suggestions = _suggestions(units.identities, people, titles)
    return Plan(
        ordered, persons, places, counts["doubtful"], counts["few"], suggestions, likeness, absent
    )


def _unsure(units: Units, groups: Groups, chosen: Sequence[int]) -> NDArray[np.bool_]:
    """Which units are not clearly more alike to their own person than to the others."""
    own, nearest = Means(units.identities, _ranks(groups, chosen), len(chosen)).own_and_nearest()
    free = np.array([not person for person in units.person], bool)
    return np.asarray(free & (own < nearest + _DOUBT_MARGIN))


def _ranks(groups: Groups, chosen: Sequence[int]) -> NDArray[np.intp]:
    """For each unit the place of its group among the chosen; their number where it is none."""
    ranks = np.full(int(groups.max()) + 1, len(chosen))
    ranks[np.asarray(chosen, np.intp)] = np.arange(len(chosen))
    return np.asarray(ranks[groups], np.intp)


def _few_names(groups: Groups, names: Mapping[int, str]) -> dict[int, str]:
    rest = [group for group in np.unique(groups).tolist() if group not in names]
    return {group: f"few-{k:04}" for k, group in enumerate(rest, 1)}


def _suggestions(
    identities: Scratch, people: NDArray[np.intp], titles: Sequence[str]
) -> tuple[Suggestion, ...]:
    """Pairs of people that are alike, the most alike first."""
    pairs = Means(identities, people, len(titles)).pairs(_SUGGESTED_FROM, _MAX_SUGGESTIONS)
    return tuple(Suggestion(titles[a], titles[b], round(alike, 4)) for a, b, alike in pairs)
