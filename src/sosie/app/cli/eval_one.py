"""`sosie eval pair` and `sosie eval video`: figures of one swap, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sosie.app.cli import eval_flags as flags
from sosie.app.cli.arguments import AsJson, Overwrite, parse_time
from sosie.app.cli.output import print_json, video_progress
from sosie.errors import NoFaceError

if TYPE_CHECKING:
    from sosie.evaluation.score import Score

_COLUMNS = 80
_PICTURES = {
    "source": "source",
    "target": "target",
    "result": "result",
    "other": "second photo",
}


def pair(
    source: Annotated[Path, typer.Argument(help="Photo of the face that was put in.")],
    target: Annotated[Path, typer.Argument(help="Picture before the swap.")],
    result: Annotated[Path, typer.Argument(help="Picture after the swap.")],
    other: Annotated[
        Path | None,
        typer.Option(help="Another real photo of the source's person: tells what can be reached."),
    ] = None,
    identity: flags.Identity = None,
    landmarker: flags.Landmarker = None,
    weights: flags.Weights = None,
    perceptual: flags.Perceptual = "auto",
    threads: flags.Threads = None,
    as_json: AsJson = False,
) -> None:
    """Measure one swap: every figure, and what it means."""
    from sosie.analysis.analyzer import create_analyzer
    from sosie.evaluation.metric import Settings
    from sosie.evaluation.recognition import open_judges
    from sosie.evaluation.runner import score_pair
    from sosie.evaluation.score import Scorer

    settings = Settings(weights=weights, perceptual=perceptual, threads=threads)
    judges = open_judges(identity or (), landmarker, threads)
    scorer = Scorer(create_analyzer(threads), settings, judges)
    score = score_pair(source, target, result, other, scorer)
    if as_json:
        print_json(entries(score))
    else:
        _show(score)
    if set(score.no_face) & {"source", "target", "result"}:
        raise typer.Exit(NoFaceError.exit_code)


def entries(score: Score) -> dict[str, Any]:
    """A score for JSON: each figure with what it means."""
    from sosie.evaluation.metrics import describe_figure

    found = {}
    for name, value in score.scored.figures.items():
        figure = describe_figure(name)
        found[name] = {
            "value": value,
            "unit": figure.unit,
            "better": figure.better,
            "title": figure.title,
            "summary": figure.summary,
            "limits": figure.limits,
            "reason": score.scored.reasons.get(name),
        }
    return {"figures": found, "no_face": list(score.no_face)}


def _show(score: Score) -> None:
    from textwrap import fill

    from sosie.evaluation.metrics import describe_figure
    from sosie.evaluation.report.run import number

    print("Each figure with its value, which way is better, and what it means:\n")
    reasons: dict[str, list[str]] = {}
    for name, value in score.scored.figures.items():
        figure = describe_figure(name)
        if value is None:
            reasons.setdefault(score.scored.reasons[name], []).append(figure.title)
        else:
            better = f" ({figure.better} is better)" if figure.better else ""
            print(fill(f"{figure.title}: {number(value, figure.unit)}{better}", _COLUMNS))
            print(fill(figure.summary, _COLUMNS, initial_indent="  ", subsequent_indent="  "))
    for reason, titles in reasons.items():
        print("\n" + fill(f"Not told: {', '.join(titles)}. {reason}", _COLUMNS))
    for part in score.no_face:
        print(f"\nNo face was found in the {_PICTURES[part]}.")


def video(
    target: Annotated[Path, typer.Argument(help="The video as it was.")],
    result: Annotated[Path, typer.Argument(help="The video with the face swapped.")],
    source: Annotated[
        list[Path] | None,
        typer.Option("--source", "-s", help="Photo of the face that was put in; repeatable."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="Where in the target the result begins, as it was swapped with --start."),
    ] = None,
    end: Annotated[
        str | None, typer.Option(help="Where in the target it ends, as swapped with --end.")
    ] = None,
    identity: flags.Identity = None,
    out: flags.Out = Path("runs"),
    name: flags.Name = None,
    threads: flags.Threads = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Score a swapped video against the one that it was made from: identity, flicker, jitter,
    frames that fell back, sound and timing. Writes report.html and report.md."""
    from sosie.evaluation.recognition import open_judges
    from sosie.evaluation.report import write_report
    from sosie.evaluation.report.run import read_run
    from sosie.evaluation.report.text import video_summary
    from sosie.evaluation.video_record import check_video_folder, write_video_record
    from sosie.evaluation.video_score import score_video

    named = name or result.stem
    folder = out / named
    check_video_folder(folder, overwrite)
    judges = open_judges(identity or (), threads=threads)
    with video_progress("Scoring") as show:
        score = score_video(
            target,
            result,
            source or (),
            networks=judges.embedders,
            start_s=None if start is None else parse_time(start),
            end_s=None if end is None else parse_time(end),
            threads=threads,
            on_progress=show,
        )
    write_video_record(
        folder, named, (target, result), source or (), judges, score, overwrite=overwrite
    )
    page = write_report(folder)[0]
    if as_json:
        print_json(
            {
                "run": str(folder),
                "report": str(page),
                "figures": score.scored.figures,
                "reasons": score.scored.reasons,
                "notes": list(score.notes),
            }
        )
        return
    print(video_summary(read_run(folder)))
    print(f"\nThe report: {page}")
