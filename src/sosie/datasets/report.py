"""What there is to say of a set, on one page: HTML that needs nothing beside it, neither script nor
net."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from sosie.datasets import coverage
from sosie.datasets.clean import doubles
from sosie.datasets.coverage import Coverage, Wish
from sosie.datasets.store import FaceStore
from sosie.errors import NoFaceError
from sosie.output import write_whole
from sosie.types import FloatArray

_TILE_PX = 88
_PAPER = (236, 234, 228)
_QUALITY = 78


def contact_sheet(pictures: Sequence[Path], columns: int) -> tuple[str, int, int]:
    """A JPEG as a `data:` address, and its width and height in pixels.

    A picture that cannot be read is left an empty tile, so that one does not cost the page.
    """
    rows = -(-len(pictures) // columns)
    width, height = min(columns, len(pictures)) * _TILE_PX, rows * _TILE_PX
    sheet = Image.new("RGB", (max(width, 1), max(height, 1)), _PAPER)
    for number, path in enumerate(pictures):
        place = (number % columns * _TILE_PX, number // columns * _TILE_PX)
        try:
            if not path.is_file():
                continue
            with Image.open(path) as picture:
                picture.draft("RGB", (_TILE_PX, _TILE_PX))
                tile = picture.convert("RGB").resize((_TILE_PX,) * 2, Image.Resampling.BOX)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
        sheet.paste(tile, place)
    data = io.BytesIO()
    sheet.save(data, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}", width, height


def spread(figures: FloatArray, limit: int) -> list[int]:
    """Rows that show the whole range: the most usual one, then always the one furthest from those
    taken. figures: N x M, on comparable scales."""
    if not len(figures):
        return []
    taken = [int(np.linalg.norm(figures - np.median(figures, 0), axis=1).argmin())]
    apart = np.linalg.norm(figures - figures[taken[0]], axis=1)
    while len(taken) < min(limit, len(figures)):
        row = int(apart.argmax())
        if apart[row] <= 0:
            break
        taken.append(row)
        apart = np.minimum(apart, np.linalg.norm(figures - figures[row], axis=1))
    return taken


_COLUMNS = (
    *coverage.COLUMNS, "file", "person", "rejected", "input", "face_px", "identity", "phash",
    "split", "size_px", "input_sha256", "track",
)  # fmt: skip
_SHEET, _SMALL_SHEET, _LARGE_SHEETS = 24, 8, 40
_DOUBLE_BITS = 6


@dataclass(frozen=True)
class PersonFindings:
    """Of one person; "" stands for the faces that are nobody's yet. inputs: videos and photos that
    show the person. face_px, sharpness: float, a face each. pictures: a few files that show the
    range. doubles: faces that show what another one does."""

    name: str
    covered: Coverage
    wishes: list[Wish]
    inputs: int
    face_px: FloatArray
    sharpness: FloatArray
    pictures: list[Path]
    doubles: int


@dataclass(frozen=True)
class SetFindings:
    """Of a whole set. people: with most faces first. rejected: reason -> faces. splits: `train`,
    `test`, "" -> faces. suggestions: pairs of people that may be one, with their similarity."""

    folder: Path
    faces: int
    people: list[PersonFindings]
    unsorted: PersonFindings | None
    rejected: dict[str, int]
    splits: dict[str, int]
    sizes: dict[int, int]
    inputs: int
    suggestions: list[tuple[str, str, float]]


def examine(store: FaceStore) -> SetFindings:
    """The figures of a set. Raises NoFaceError where it has no face that is not rejected."""
    table = store.read(_COLUMNS)
    usable = table["rejected"] == ""
    if not usable.any():
        raise NoFaceError(f"{store.folder} has no faces that are not rejected: extract some first.")
    counts = Counter(table["person"][usable].tolist())
    names = sorted(counts, key=lambda name: (-counts[name], name))
    people = []
    for number, name in enumerate(names):
        rows = np.flatnonzero(usable & (table["person"] == name))
        own = {column: values[rows] for column, values in table.items()}
        shown = _SHEET if number < _LARGE_SHEETS else _SMALL_SHEET
        people.append(_person(name, own, store, shown))
    known = [person for person in people if person.name]
    return SetFindings(
        folder=store.folder,
        faces=int(usable.sum()),
        people=known,
        unsorted=next((person for person in people if not person.name), None),
        rejected=dict(Counter(table["rejected"][~usable].tolist()).most_common()),
        splits=dict(Counter(table["split"][usable].tolist())),
        sizes=dict(Counter(table["size_px"][usable].tolist()).most_common()),
        inputs=len(set(table["input"].tolist())),
        suggestions=_suggestions(store, set(counts)),
    )


def _person(
    name: str, own: Mapping[str, NDArray[Any]], store: FaceStore, shown: int
) -> PersonFindings:
    covered = coverage.cover(own)
    seen = np.column_stack(
        [own["yaw"] / 30, own["pitch"] / 20, own["side_light"] * 5, own["expression"] * 1.5]
    )
    good = np.flatnonzero(coverage.good(own))
    rows = good if len(good) >= shown else np.arange(len(seen))
    chosen = rows[spread(seen[rows], shown)]
    pictures = [store.place(own["file"][k]) for k in chosen[np.argsort(own["yaw"][chosen])]]
    # Among faces that nobody has sorted yet, likenesses say little, and there may be very many.
    pairs = doubles(own, _DOUBLE_BITS) if name else []
    return PersonFindings(
        name=name,
        covered=covered,
        wishes=coverage.wishes(covered),
        inputs=len(set(own["input"].tolist())),
        face_px=own["face_px"],
        sharpness=own["sharpness"],
        pictures=pictures,
        doubles=len({b for _, b, _ in pairs}),
    )


def _suggestions(store: FaceStore, people: set[str]) -> list[tuple[str, str, float]]:
    """Those of the last clustering, of people that are still there."""
    told = store.settings.get("cluster", {}).get("suggestions", [])
    pairs = ((str(p["one"]), str(p["other"]), float(p["similarity"])) for p in told)
    return [pair for pair in pairs if {pair[0], pair[1]} <= people]


_SHEET_COLUMNS = 12
_DETAILED = 200
"""People who get a section of their own; the others have a line in the table."""

_SIZE_STEPS = (0, 64, 128, 192, 256, 384, 512, 768, 1024)
_SHARPNESS_STEPS = (0, 0.03, 0.05, 0.08, 0.11, 0.14, 0.18, 0.25)


def write_report(findings: SetFindings, path: Path) -> None:
    """Write the page, whole or not at all; an earlier one is replaced."""
    write_whole(path, render(findings))


def render(findings: SetFindings) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("sosie.datasets"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "thousands": lambda number: f"{number:,}",
        "median": np.median,
        "sheet": lambda pictures: contact_sheet(pictures, _SHEET_COLUMNS),
        "spread_over": _spread_over,
    }
    unsorted = [findings.unsorted] if findings.unsorted else []
    return environment.get_template("report.html").render(
        title=f"Faces: {findings.folder.resolve().name}",
        set=findings,
        people=[*findings.people[:_DETAILED], *unsorted],
        tiles=_tiles(findings),
        notes=_notes(findings),
        detailed=_DETAILED,
        enough=coverage.ENOUGH,
        formula=coverage.FORMULA,
        yaws=coverage.YAWS,
        pitches=coverage.PITCHES,
        kinds=coverage.KINDS,
        lights=coverage.LIGHTS,
        size_steps=_SIZE_STEPS,
        sharpness_steps=_SHARPNESS_STEPS,
    )


def _tiles(findings: SetFindings) -> list[tuple[str, str]]:
    """Names and values of the figures of the whole set."""
    low, high = min(findings.sizes), max(findings.sizes)
    numbers = {
        "put aside": sum(findings.rejected.values()),
        "doubles": sum(person.doubles for person in findings.people),
    }
    if findings.unsorted:
        numbers["nobody's yet"] = findings.unsorted.covered.faces
    return [
        ("faces", f"{findings.faces:,}"),
        ("people", f"{len(findings.people):,}"),
        ("videos and photos", f"{findings.inputs:,}"),
        ("pictures of", f"{low} px" if low == high else f"{low} to {high} px"),
        *((name, f"{number:,}") for name, number in numbers.items()),
    ]


def _notes(findings: SetFindings) -> list[str]:
    notes = []
    if findings.rejected:
        reasons = (f"{reason} {number:,}" for reason, number in findings.rejected.items())
        notes.append(f"Put aside: {', '.join(reasons)}.")
    if set(findings.splits) - {""}:
        parts = (f"{part or 'neither'} {number:,}" for part, number in findings.splits.items())
        notes.append(f"Split: {', '.join(parts)}.")
    return notes


def _spread_over(values: FloatArray, steps: Sequence[float]) -> list[tuple[float, int]]:
    """How many of the values each step has, up to the next; the last has all above."""
    counts, _ = np.histogram(values, bins=[*steps, np.inf])
    return list(zip(steps, counts.tolist(), strict=True))
