"""What does not belong into a person's folder: found, shown, and put aside; nothing is deleted.

Outliers and doubles are put aside in `rejected/`. What needs a look is only listed: faces of one
folder that fall into two groups, as those of two people do, and of one person at ages far apart.
No network here tells sex or age.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.datasets.linkage import cut, linkage
from sosie.datasets.markers import REJECTED
from sosie.datasets.store import FaceStore
from sosie.datasets.transactions import move_faces
from sosie.errors import NoFaceError, UsageError
from sosie.types import FloatArray

OUTLIER, DUPLICATE = "outlier", "duplicate"
"""Reasons that `apply` rejects for."""

_COLUMNS = (
    "id", "file", "input_sha256", "track", "person", "rejected", "identity", "phash", "face_px",
    "sharpness", "expression", "yaw", "pitch",
)  # fmt: skip
DOUBLES_FROM = (
    "phash", "identity", "expression", "yaw", "pitch", "input_sha256", "track",
)  # fmt: skip
"""Columns that `doubles` needs."""

_BLOCK = 2048
_SAME_EXPRESSION, _SAME_POSE_DEG = 0.25, 4.0
_TIGHT_CUT = 0.55
_SPLIT_BELOW = 0.42
_SPLIT_SHARE, _SPLIT_FACES = 0.1, 3
_MIN_FOR_OUTLIERS = 5


@dataclass(frozen=True)
class CleanOptions:
    """outliers, duplicates: whether to look for them. similarity: a face whose mean cosine with the
    person's others is below this is an outlier, -1..1. bits: pictures whose hashes differ in no
    more than so many of 64 bits, 0..16, and whose faces agree, are doubles."""

    outliers: bool = True
    duplicates: bool = True
    similarity: float = 0.30
    bits: int = 6

    def __post_init__(self) -> None:
        if not -1 <= self.similarity <= 1:
            raise UsageError(f"A similarity of {self.similarity} is none; give one from -1 to 1.")
        if not 0 <= self.bits <= 16:
            raise UsageError(f"{self.bits} bits are out of bounds; give 0 to 16 of the hash's 64.")


SAME_PICTURE = 0.85
"""Cosine from which on two faces whose hashes agree are the same face in the same picture."""


@dataclass(frozen=True)
class Finding:
    """A face to put aside. figure: of an outlier its mean cosine with the person's other faces, of
    a double the number of bits that differ. twin: of a double, the file that is kept."""

    id: str
    file: str
    person: str
    reason: str
    figure: float
    twin: str = ""


@dataclass(frozen=True)
class Review:
    """A person whose faces fall into two groups. faces: of the smaller group, files. similarity:
    mean cosine between the groups."""

    person: str
    files: tuple[str, ...]
    similarity: float


@dataclass(frozen=True)
class Cleaning:
    """What was found. faces, people: how many were looked at."""

    findings: tuple[Finding, ...]
    reviews: tuple[Review, ...]
    faces: int
    people: int


def inspect(store: FaceStore, options: CleanOptions) -> Cleaning:
    """Look through every person's faces. Raises NoFaceError where nobody's are sorted yet."""
    table = store.read(_COLUMNS)
    usable = table["rejected"] == ""
    people = sorted(set(table["person"][usable]) - {""})
    if not people:
        raise NoFaceError(f"{store.folder} has no people yet: run `sosie dataset cluster` first.")
    findings: list[Finding] = []
    reviews: list[Review] = []
    faces = 0
    for person in people:
        rows = np.flatnonzero(usable & (table["person"] == person))
        own = {name: column[rows] for name, column in table.items()}
        faces += len(rows)
        aside = _outliers(own, options) if options.outliers else []
        out = {finding.id for finding in aside}
        if options.duplicates:
            aside += _doubles(own, out, options)
        findings += aside
        review = _review(own, out)
        if review:
            reviews.append(review)
    return Cleaning(tuple(findings), tuple(reviews), faces, len(people))


def apply(store: FaceStore, found: Cleaning) -> None:
    """Move what was found to `rejected/REASON/PERSON/`."""
    places = {
        f.id: f"{REJECTED}/{f.reason}/{f.person}/{PurePosixPath(f.file).name}"
        for f in found.findings
    }
    if places:
        move_faces(store, places, {"rejected": {f.id: f.reason for f in found.findings}})


def own_similarity(identities: FloatArray, unit: NDArray[np.intp]) -> FloatArray:
    """Mean cosine of each face with those of the other units: float32, N; nan without others.

    unit: N, faces of one track have one number, and are alike for no merit of theirs.
    """
    number = int(unit.max(initial=-1)) + 1
    sums = np.zeros((number, identities.shape[1]), np.float64)
    np.add.at(sums, unit, identities)
    sums /= np.bincount(unit, minlength=number)[:, None]
    if number < 2:
        return np.full(len(identities), np.nan, np.float32)
    rest = (sums.sum(0) - sums[unit]) / (number - 1)
    return np.asarray((identities * rest).sum(1), np.float32)


def doubles(table: Mapping[str, NDArray[Any]], bits: int) -> list[tuple[int, int, int]]:
    """Pairs of pictures of the same moment: rows a < b, and how many bits of the hashes differ.

    table: columns DOUBLES_FROM. Frames of one track are no doubles: how near they may come to one
    another was decided when they were cut out.
    """
    hashes = table["phash"]
    raw = np.unpackbits(hashes.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1)
    signs = raw.astype(np.float32) * 2 - 1
    unit = unit_numbers(table)
    pairs = []
    for begin in range(0, len(hashes), _BLOCK):
        apart = (64 - signs[begin : begin + _BLOCK] @ signs[begin:].T) / 2
        for one, other in np.argwhere(apart <= bits):
            a, b = begin + int(one), begin + int(other)
            if a < b and unit[a] != unit[b] and _same_moment(table, a, b):
                pairs.append((a, b, int(apart[one, other])))
    return pairs


def _same_moment(table: Mapping[str, NDArray[Any]], a: int, b: int) -> bool:
    """Whether two faces of like pictures are one in identity, expression and pose: a hash of 64
    bits does not tell a smile from a pout."""
    expression = table["expression"]
    turned = max(abs(float(table[name][a] - table[name][b])) for name in ("yaw", "pitch"))
    return bool(
        table["identity"][a] @ table["identity"][b] >= SAME_PICTURE
        and np.abs(expression[a] - expression[b]).max() <= _SAME_EXPRESSION
        and turned <= _SAME_POSE_DEG
    )


def unit_numbers(table: Mapping[str, NDArray[Any]]) -> NDArray[np.intp]:
    """For each face the number of its unit: a track of a video, or a single photo."""
    keys = [
        (sha, track if track >= 0 else ~k)
        for k, (sha, track) in enumerate(zip(table["input_sha256"], table["track"], strict=True))
    ]
    numbers: dict[tuple[str, int], int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.intp)


def _outliers(own: Mapping[str, NDArray[Any]], options: CleanOptions) -> list[Finding]:
    alike = own_similarity(own["identity"], unit_numbers(own))
    if len(alike) < _MIN_FOR_OUTLIERS:
        return []
    return [
        _finding(own, int(k), OUTLIER, float(alike[k]))
        for k in np.flatnonzero(alike < options.similarity)
    ]


def _doubles(
    own: Mapping[str, NDArray[Any]], out: set[str], options: CleanOptions
) -> list[Finding]:
    """Of pictures that show the same all but the best: the largest, then the sharpest."""
    merit = np.lexsort((own["id"], -own["sharpness"], -own["face_px"]))
    order = [k for k in merit.tolist() if own["id"][k] not in out]
    pairs = doubles({name: own[name][order] for name in DOUBLES_FROM}, options.bits)
    gone: dict[int, Finding] = {}
    # Rows are in order of merit, so that the first of a pair is the better one.
    for a, b, bits in pairs:
        if a not in gone and b not in gone:
            twin = str(own["file"][order[a]])
            gone[b] = _finding(own, order[b], DUPLICATE, float(bits), twin)
    return list(gone.values())


def _finding(
    own: Mapping[str, NDArray[Any]], row: int, reason: str, figure: float, twin: str = ""
) -> Finding:
    face, file, person = (str(own[name][row]) for name in ("id", "file", "person"))
    return Finding(face, file, person, reason, round(figure, 4), twin)


def _review(own: Mapping[str, NDArray[Any]], out: set[str]) -> Review | None:
    """The smaller of two groups that the person's faces fall into, if they do."""
    rows = np.array([k for k, face in enumerate(own["id"]) if face not in out], np.intp)
    identities = own["identity"][rows]
    units = unit_numbers({name: column[rows] for name, column in own.items()})
    groups = cut(units, linkage(identities, units), _TIGHT_CUT)
    sizes = np.bincount(groups) if len(groups) else np.zeros(0, np.intp)
    if len(sizes) < 2:
        return None
    largest = int(sizes.argmax())
    means = np.stack([identities[groups == g].mean(0) for g in range(len(sizes))])
    alike = means @ means[largest]
    far = [
        g
        for g in range(len(sizes))
        if g != largest
        and sizes[g] >= max(_SPLIT_FACES, _SPLIT_SHARE * len(rows))
        and alike[g] < _SPLIT_BELOW
    ]
    if not far:
        return None
    group = min(far, key=lambda g: alike[g])
    files: Sequence[str] = sorted(own["file"][rows][groups == group].tolist())
    person = str(own["person"][0])
    return Review(person, tuple(files), round(float(alike[group]), 4))
