"""The report of one run: `report.html` and `report.md` in its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sosie import foreign
from sosie.errors import InputError
from sosie.evaluation import metrics
from sosie.evaluation.environment import extra_packages
from sosie.evaluation.metric import Figure
from sosie.evaluation.metrics.base import FrameMetric
from sosie.evaluation.report import plots, text
from sosie.evaluation.report.plots import Drawn, Series
from sosie.evaluation.report.run import (
    ARROWS,
    Row,
    Run,
    grouped,
    interval,
    number,
    read_run,
    rows_of,
)
from sosie.evaluation.report.sheets import SIDE_PX, Strips, data_address, places
from sosie.evaluation.report.text import counted, reasons_of, subtitle, title, verdict
from sosie.evaluation.statistics import MIN_COUNT
from sosie.evaluation.video_record import EVENLY, Curve, Moment, VideoRecord
from sosie.output import write_whole

HTML, MARKDOWN = "report.html", "report.md"

NOTE = (
    "Value: mean over the pairs. Behind it the 95 % confidence interval, by bootstrap over the "
    f"pairs; fewer than {MIN_COUNT} have none, nor have figures of the whole set. "
    "↑ more is better, ↓ less is better, → 1 nearer to 1 is better, no arrow: neither is by itself."
)
VIDEO_NOTE = "↑ more is better, ↓ less is better, no arrow: what the others are to be held against."

IDENTITY = "identity_source"
AGAINST = ("pose_error", "expression_error", "gaze_error", "light_error")
"""Figures that identity is drawn against: what a swap loses where it gains likeness."""

_IDENTITIES = {
    IDENTITY: "to source",
    "identity_target": "to target",
    "identity_limit": "two real photos",
}
# A cloud or a distribution of fewer points shows nothing.
_LEAST_POINTS = 3
# A video of many shots has many tracks: the longest are drawn, and the page says so.
_MAX_TRACKS = 6


def write_report(folder: Path) -> tuple[Path, Path]:
    """Make the report of a run, of pairs or of a video, from its folder.

    Returns the paths of the page and of the text; earlier ones are replaced. Raises InputError
    where the folder holds no run, OutputError where it cannot be written to, and UnavailableError
    where a package of the extra `eval` is absent.
    """
    run = read_run(folder)
    rows = rows_of(run)
    note = NOTE if run.video is None else VIDEO_NOTE
    strips = Strips(run)
    html = render(
        "run.html",
        title=title(run),
        subtitle=subtitle(run),
        run=run,
        note=note,
        strips=strips,
        verdict=verdict(rows),
        groups=grouped(rows),
        told=grouped([row for row in rows if row.is_told]),
        counted=counted(run),
        untold=_untold(run, rows),
        digests={"pairs": run.config["pairs"].get("sha256"), **run.config["weights"]},
        **(_pairs_view(run, rows, strips) if run.video is None else _video_view(run.video)),
    )
    return save(folder, f"The run {folder}", (HTML, html), (MARKDOWN, text.markdown(run, note)))


def save(folder: Path, said: str, *files: tuple[str, str]) -> tuple[Path, Path]:
    """Write a page and a text, each whole or not at all, over those that are there.

    said: what the folder is, for the error where something leads out of it.
    """
    page, text = ((foreign.inside(folder, name, said), content) for name, content in files)
    for path, content in (page, text):
        write_whole(path, content)
    return page[0], text[0]


def render(template: str, **values: Any) -> str:
    """A page by one of the templates.

    It holds all it needs, asks for nothing from elsewhere and has no script; whatever a run's files
    hold is escaped in it. Raises UnavailableError where Jinja is not installed.
    """
    with extra_packages():
        import jinja2
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sosie.evaluation.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {"arrows": ARROWS, "side_px": SIDE_PX}
    environment.filters |= {
        "number": number,
        "interval": interval,
        "data_address": data_address,
        "json": lambda value: json.dumps(value, indent=1, ensure_ascii=False),
    }
    return environment.get_template(template).render(nav=[], **values)


def label(figure: Figure) -> str:
    """A figure's title for an axis."""
    return f"{figure.title} ({figure.unit})" if figure.unit else figure.title


def _untold(run: Run, rows: Sequence[Row]) -> dict[str, list[str]]:
    return {
        "Pairs that could not be scored": [f"{line.pair}: {line.error}" for line in run.failed],
        "Pairs with a picture that shows no face": [
            f"{line.pair}: {', '.join(line.no_face)}" for line in run.lines if line.no_face
        ],
        "Figures without a value": [item for row in rows for item in reasons_of(run, row)],
    }


def _pairs_view(run: Run, rows: Sequence[Row], strips: Strips) -> dict[str, Any]:
    """What only runs over pairs have: contact sheets and plots."""
    told = [row.figure for row in rows if row.figure.kind == "pair" and row.is_told]
    return {
        "sheets": [_sheet(run, figure, strips) for figure in told],
        "scatters": list(_scatters(run)),
        "distributions": list(_distributions(run, told)),
    }


def _sheet(run: Run, figure: Figure, strips: Strips) -> dict[str, Any]:
    found, values = places(run, figure), run.by_pair(figure.name)
    words = ("Best", "Median", "Worst") if figure.better else ("Smallest", "Median", "Largest")
    parts = [
        (
            heading,
            [(strips.name(pair), f"{pair}: {number(values[pair], figure.unit)}") for pair in pairs],
        )
        for heading, pairs in zip(words, (found.best, found.median, found.worst), strict=True)
    ]
    return {"title": figure.title, "places": parts}


def _scatters(run: Run) -> Iterator[Drawn]:
    identity = run.by_pair(IDENTITY)
    for name in AGAINST:
        other = run.by_pair(name)
        common = [pair for pair in identity if pair in other]
        if len(common) < _LEAST_POINTS:
            continue
        x, y = [other[pair] for pair in common], [identity[pair] for pair in common]
        titles = label(run.figures[name]), label(run.figures[IDENTITY])
        said = f"{titles[1]} against {titles[0]}; {len(common)} pairs, dashed: medians."
        if np.ptp(x) and np.ptp(y):
            said += f" Correlation {number(float(np.corrcoef(x, y)[0, 1]))}."
        yield Drawn(plots.scatter(x, y, titles), said)


def _distributions(run: Run, told: Sequence[Figure]) -> Iterator[Drawn]:
    groups: dict[str, Sequence[float]] = {
        words: list(values.values())
        for name, words in _IDENTITIES.items()
        if len(values := run.by_pair(name)) >= _LEAST_POINTS
    }
    if groups:
        yield Drawn(
            plots.histogram(groups, "cosine similarity"),
            "Identity of results, and of two real photos of one person; dashed: medians.",
        )
    for figure in told:
        found = list(run.by_pair(figure.name).values())
        if figure.name not in _IDENTITIES and len(found) >= _LEAST_POINTS:
            svg = plots.histogram({"": found}, label(figure))
            yield Drawn(svg, f"{figure.title}; {len(found)} pairs.")


def _video_view(record: VideoRecord) -> dict[str, Any]:
    """What only videos have: pictures of moments, and figures along time for each swapped track."""
    judged = [curve for curve in record.curves if curve.judged]
    longest = sorted(judged, key=lambda curve: (-len(curve.times_s), curve.track))[:_MAX_TRACKS]
    said = f"{len(judged)} of {len(record.curves)} faces of the target were swapped."
    if len(judged) > len(longest):
        said += f" The {len(longest)} that are seen longest are drawn; frames.jsonl has all."
    every = metrics.metrics_of(FrameMetric).values()
    values = [value for metric in every for value in metric.values if value.worst]
    # That a frame has a flag is a yes; the others have a value.
    plain = {EVENLY, *(value.name for value in values if value.flag)}
    titles = {EVENLY: "Evenly along the video", **{value.name: value.worst for value in values}}
    return {
        "moments": [
            {"title": heading, "pictures": list(_pictures(record.moments, why, why in plain))}
            for why, heading in titles.items()
        ],
        "swapped": said,
        "tracks": [
            _track(curve) for curve in sorted(longest, key=lambda one: (one.times_s[0], one.track))
        ],
    }


def _track(curve: Curve) -> dict[str, Any]:
    drawn = []
    for plot in (plot for one in metrics.metrics_of(FrameMetric).values() for plot in one.plots):
        lines = [
            Series(words, curve.times_s, curve.values[value])
            for value, words in plot.lines.items()
            if value in curve.values
        ]
        # A line at 0 all along would only say what the table does.
        if any(value for line in lines for value in line.values if math.isfinite(value)):
            drawn.append(Drawn(plots.over_time(lines, plot.axis), plot.caption))
    start, end = curve.times_s[0], curve.times_s[-1]
    said = f"Face {curve.track}: {start:.1f} s to {end:.1f} s, {len(curve.times_s)} frames"
    return {"title": said, "plots": drawn}


def _pictures(moments: Sequence[Moment], why: str, plain: bool) -> Iterator[tuple[bytes, str]]:
    for moment in moments:
        if moment.why != why:
            continue
        try:
            content = foreign.read_text_file(moment.file, "evaluate the video anew")
        except FileNotFoundError as error:
            raise InputError(f"{moment.file} is gone; evaluate the video anew.") from error
        said = f"{moment.time_s:.2f} s, frame {moment.frame}, face {moment.track}"
        yield content, said if plain else f"{said}: {number(moment.value)}"
