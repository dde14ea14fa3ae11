"""A set on one page: HTML that needs nothing beside it, neither script nor net."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from sosie.datasets import coverage
from sosie.datasets.report_data import SetFindings, contact_sheet
from sosie.output import write_whole
from sosie.types import FloatArray

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
