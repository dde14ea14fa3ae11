"""`sosie eval video`: figures of a swapped video, over time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sosie.app.cli import eval_flags as flags
from sosie.app.cli.arguments import AsJson, Overwrite, parse_time
from sosie.app.cli.output import print_json, video_progress


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
