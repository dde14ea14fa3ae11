"""What a report says of a run in sentences, and the report as a text in Markdown: for a terminal, a
review, a repository."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from sosie.analysis.selection import SAME_PERSON
from sosie.evaluation.report.run import (
    ARROWS,
    Row,
    Run,
    grouped,
    interval,
    number,
    rows_of,
)

_NOTICED = 1.25
"""From this multiple of the target's on a difference is told: less is not seen."""


def title(run: Run) -> str:
    """What a run is, as a heading."""
    return f"{run.name}: evaluation of a {'video' if run.video else 'set of face swaps'}"


def subtitle(run: Run) -> str:
    """What was scored, in one sentence."""
    made = f"made {run.config.get('made', 'at an unknown time')}"
    if run.video is not None:
        return f"A video, {run.config['score'].get('frames')} frames; {made}."
    drawn = run.config["pairs"]
    parts = [f"{len(run.lines)} pairs of {drawn.get('name') or drawn.get('file')}"]
    if drawn.get("seed") is not None:
        parts.append(f"seed {drawn['seed']}")
    if run.failed:
        parts.append(f"{len(run.failed)} could not be scored")
    return f"{', '.join(parts)}; {made}."


def counted(run: Run) -> list[str]:
    """How many pairs are whole, and how many are not: sentences."""
    if run.video is not None:
        return [str(note) for note in run.config["score"].get("notes", ())]
    no_face = Counter(part for line in run.lines for part in line.no_face)
    scored = len(run.lines) - len(run.failed)
    said = [f"{scored} of {len(run.lines)} pairs were scored."]
    said += [f"{count} show no face in the {part}." for part, count in sorted(no_face.items())]
    return said


def reasons_of(run: Run, row: Row) -> list[str]:
    """Why a figure has no value, for some pairs or for all: a sentence a reason. What is wrong with
    a whole pair is not said again for each figure."""
    errors = {line.error for line in run.failed}
    reasons = {why: n for why, n in run.reasons(row.figure.name).items() if why not in errors}
    return [
        f"{row.figure.title}: {why}" + (f" ({count} pairs)" if count > 1 else "")
        for why, count in sorted(reasons.items(), key=lambda entry: -entry[1])[:5]
    ]


def verdict(rows: Sequence[Row]) -> list[str]:
    """What the figures come to: a few sentences, of those figures that were told."""
    told = {row.figure.name: row.estimate.value for row in rows if row.is_told}
    return [*_whose(told), *_steady(told), *_alike(told), *_whole(told)]


def _whose(told: Mapping[str, float]) -> Iterator[str]:
    for name, who in (("identity_source", "source"), ("identity_target", "target")):
        value = told.get(f"video_{name}", told.get(name))
        if value is None:
            continue
        passes = value >= SAME_PERSON
        says = {
            ("source", True): "The result passes for the source",
            ("source", False): "The result does not pass for the source",
            ("target", True): "It still passes for the target",
            ("target", False): "It does not pass for the target any more",
        }[who, passes]
        yield f"{says}: similarity {number(value)}, where {SAME_PERSON} and more is one person."
    if (share := told.get("retrieval_top1")) is not None:
        yield f"{number(share, '%')} of the results are most like their own source."


def _steady(told: Mapping[str, float]) -> Iterator[str]:
    if (share := told.get("video_fallback")) is not None:
        yield (
            f"On {number(share, '%')} of the frames the face is the target's own."
            if share
            else "The face is swapped on every frame that shows it."
        )
    if share := told.get("video_lost"):
        yield f"On {number(share, '%')} of the frames no face is found in the result."
    for name, verb in (("flicker", "flickers"), ("jitter", "jitters")):
        if (ratio := told.get(f"video_{name}_ratio")) is not None:
            yield (
                f"The result {verb} {number(ratio)} times as much as the target."
                if ratio > _NOTICED
                else f"The result {verb} no more than the target."
            )


def _alike(told: Mapping[str, float]) -> Iterator[str]:
    if (angle := told.get("pose_error")) is not None:
        yield f"The head looks {number(angle)} degrees away from where the target's does."
    if (ratio := told.get("sharpness")) is not None:
        kept = 1 / _NOTICED <= ratio <= _NOTICED
        words = "as sharp as" if kept else "softer than" if ratio < 1 else "sharper than"
        yield f"The face is {words} the target's."


def _whole(told: Mapping[str, float]) -> Iterator[str]:
    missing, added = told.get("video_frames_missing"), told.get("video_frames_added")
    if missing is not None and added is not None:
        yield (
            f"{missing:.0f} frames are missing, and {added:.0f} are too many."
            if missing or added
            else "No frame is missing or too many."
        )
    if (share := told.get("video_sound_kept")) is not None:
        yield (
            "The sound is the target's to the bit."
            if share == 100
            else f"{number(share, '%')} of the sound is the target's to the bit."
        )


_HEADS = ("figure", "value", "95 % interval", "median", "pairs")


def markdown(run: Run, note: str) -> str:
    """The whole text: what was found in words, then the table."""
    rows = rows_of(run)
    told = [row for row in rows if row.is_told]
    parts = [f"# {escape(title(run))}", escape(subtitle(run))]
    parts += ["\n".join(f"- {escape(sentence)}" for sentence in verdict(rows)), note]
    for heading, members in grouped(told).items():
        parts += [f"## {heading}", markdown_table(_HEADS, [_cells(row) for row in members])]
    parts += ["## What could not be told", _untold(run, rows)]
    # The same JSON, in which no tag can begin.
    record = json.dumps(run.config, indent=1).replace("<", "\\u003c")
    parts += ["## Exact configuration", f"```json\n{record}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def video_summary(run: Run) -> str:
    """What the figures of a video come to, and the figures, for a terminal."""
    rows = rows_of(run)
    told = [_cells(row)[:2] for row in rows if row.is_told]
    parts = ("\n".join(verdict(rows)), markdown_table(_HEADS[:2], told), _untold(run, rows))
    return "\n\n".join(part for part in parts if part)


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table. The first column is of words, the others of numbers."""
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    rule = [f"{'-' * (width - 1)}{'-' if not at else ':'}" for at, width in enumerate(widths)]
    return "\n".join(_line(line, widths) for line in [heads, rule, *rows])


def escape(content: str) -> str:
    """A text from a file as it may stand in Markdown: no tag, link, picture or new line begins in
    it."""
    flat = html.escape(" ".join(content.split()), quote=False)
    return flat.replace("](", "]\\(").replace("]:", "]\\:").replace("`", "\\`")


def cell(content: str) -> str:
    """A text as it may stand in a cell."""
    return escape(content).replace("|", "\\|")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        content.rjust(width) if at else content.ljust(width)
        for at, (content, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"


def _cells(row: Row) -> tuple[str, ...]:
    title = cell(f"{row.figure.title} {ARROWS[row.figure.better]}".rstrip())
    median = number(row.spread.median) if row.spread else ""
    count = str(row.estimate.count) if row.spread or row.estimate.count > 1 else ""
    value = number(row.estimate.value, row.figure.unit)
    return title, value, interval(row.estimate), median, count


def _untold(run: Run, rows: Sequence[Row]) -> str:
    items = counted(run)
    items += [f"Pair {line.pair}: {line.error}" for line in run.failed]
    items += [
        f"Pair {line.pair} shows no face: {', '.join(line.no_face)}"
        for line in run.lines
        if line.no_face
    ]
    items += [item for row in rows for item in reasons_of(run, row)]
    return "\n".join(f"- {escape(item)}" for item in items)
