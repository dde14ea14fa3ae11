"""What both forms of a report say of a run in sentences."""

from __future__ import annotations

from collections import Counter

from sosie.evaluation.report.run import Run
from sosie.evaluation.report.table import Row


def title(run: Run) -> str:
    """What a run is, as a heading."""
    return f"{run.name}: evaluation of a {'film' if run.film else 'set of face swaps'}"


def subtitle(run: Run) -> str:
    """What was scored, in one sentence."""
    made = f"made {run.config.get('made', 'at an unknown time')}"
    if run.film is not None:
        return f"A film, {run.config['score'].get('frames')} frames; {made}."
    drawn = run.config["pairs"]
    parts = [f"{len(run.lines)} pairs of {drawn.get('name') or drawn.get('file')}"]
    if drawn.get("seed") is not None:
        parts.append(f"seed {drawn['seed']}")
    if run.failed:
        parts.append(f"{len(run.failed)} could not be scored")
    return f"{', '.join(parts)}; {made}."


def counted(run: Run) -> list[str]:
    """How many pairs are whole, and how many are not: sentences."""
    if run.film is not None:
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
