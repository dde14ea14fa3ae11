"""`sosie eval run` and `sosie eval score`: figures of methods, and of what another tool made."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sosie.app.cli import eval_flags as flags
from sosie.app.cli.arguments import AsJson, Overwrite, offering
from sosie.app.cli.output import note_progress, print_json, video_progress
from sosie.errors import SosieError, UsageError

if TYPE_CHECKING:
    from sosie.evaluation.metric import Settings
    from sosie.evaluation.runner import Summary

# More failed pairs than this are not all printed; they stand in results.jsonl and the report.
_MOST_SHOWN = 20


def _every_method() -> Iterable[str]:
    from sosie.evaluation.generators import method_names

    return method_names()


def run(
    *,
    pairs: flags.Pairs,
    methods: Annotated[
        list[str],
        typer.Option(
            "--method",
            "-m",
            help="Method to measure, or one that bounds them all: target, source or paste. "
            "Several may follow.",
            autocompletion=offering(_every_method),
        ),
    ],
    out: flags.Out = Path("runs"),
    name: flags.Name = None,
    root: flags.Root = None,
    limit: flags.Limit = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="[METHOD:]OPTION=VALUE",
            help="An option of `sosie swap`, for all methods or for one: `shape=0.5`, "
            "`ghost:weights=ghost.safetensors`. Repeatable.",
        ),
    ] = None,
    identity: flags.Identity = None,
    landmarker: flags.Landmarker = None,
    weights: flags.Weights = None,
    perceptual: flags.Perceptual = "auto",
    fid: flags.Fid = False,
    threads: flags.Threads = None,
    cache: flags.Cache = None,
    no_cache: flags.NoCache = False,
    no_cost: Annotated[
        bool, typer.Option("--no-cost", help="Measure neither memory nor operations.")
    ] = False,
    no_report: flags.NoReport = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Swap every pair by each method, score the results, and write a report.

    A run that was stopped goes on where it was. Its folder is OUT/METHOD, or OUT/NAME.
    """
    from sosie.evaluation.configuration import Plan, swap_options
    from sosie.evaluation.generators import BOUNDS, require_method
    from sosie.evaluation.runner import run_method

    methods = list(dict.fromkeys(methods))
    for method in methods:
        require_method(method)
    if name is not None and len(methods) > 1:
        raise UsageError("--name is for one run; give one --method with it.")
    options = {
        method: swap_options({}) if method in BOUNDS else swap_options(own, threads, method)
        for method, own in changes_of(methods, read_changes(changes or ())).items()
    }
    done = []
    for method in methods:
        title = name or method
        plan = Plan(
            pairs=pairs,
            folder=out / require_name(title),
            name=title,
            root=root,
            limit=limit,
            settings=_settings(weights, perceptual, fid, threads),
            embedders=tuple(identity or ()),
            landmarker=landmarker,
            threads=threads,
            cache=_cache(cache, no_cache),
            overwrite=overwrite,
            cost=not no_cost,
        )
        with video_progress(title, "pairs/s") as on_progress:
            summary = run_method(plan, method, options[method], on_progress)
        done.append(finish(summary, not no_report, as_json))
    _end(done, as_json)


def score(
    *,
    pairs: flags.Pairs,
    results: Annotated[Path, typer.Option(help="Folder of the results that another tool made.")],
    names: Annotated[
        str,
        typer.Option(
            help="What a result is called, without its ending, of {id}, {source} and {target}."
        ),
    ] = "{id}",
    out: flags.Out = Path("runs"),
    name: flags.Name = None,
    root: flags.Root = None,
    limit: flags.Limit = None,
    identity: flags.Identity = None,
    landmarker: flags.Landmarker = None,
    weights: flags.Weights = None,
    perceptual: flags.Perceptual = "auto",
    fid: flags.Fid = False,
    threads: flags.Threads = None,
    cache: flags.Cache = None,
    no_cache: flags.NoCache = False,
    no_report: flags.NoReport = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Score the results of another tool for a list of pairs, and write a report.

    The run's folder is OUT/NAME, and NAME is the results' folder's name unless it is given.
    """
    from sosie.evaluation.configuration import Plan
    from sosie.evaluation.runner import score_results

    title = name or results.resolve().name
    plan = Plan(
        pairs=pairs,
        folder=out / require_name(title),
        name=title,
        root=root,
        limit=limit,
        settings=_settings(weights, perceptual, fid, threads),
        embedders=tuple(identity or ()),
        landmarker=landmarker,
        threads=threads,
        cache=_cache(cache, no_cache),
        overwrite=overwrite,
    )
    with video_progress(title, "pairs/s") as on_progress:
        summary = score_results(plan, results, names, on_progress)
    _end([finish(summary, not no_report, as_json)], as_json)


def read_changes(texts: Sequence[str]) -> dict[str, str]:
    """Options from `shape=0.5`. Raises UsageError on anything else."""
    changes = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise UsageError(f"{text!r} sets no option; write OPTION=VALUE, such as shape=0.5.")
        changes[key.strip().replace("-", "_")] = value.strip()
    return changes


def changes_of(methods: Sequence[str], changes: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Of each method the options that are changed for all, and over them those for it alone. Raises
    UsageError where one is for a method that is not measured."""
    for key, value in changes.items():
        method, colon, _ = key.rpartition(":")
        if colon and method not in methods:
            raise UsageError(
                f"--set {key}={value} is for {method}, which is not measured: name it with "
                f"--method, or leave it out."
            )
    common = {key: value for key, value in changes.items() if ":" not in key}
    return {
        method: common
        | {
            key.removeprefix(f"{method}:"): value
            for key, value in changes.items()
            if key.startswith(f"{method}:")
        }
        for method in methods
    }


def require_name(name: str) -> str:
    """A name that is one folder's. Raises UsageError for another."""
    if not name or name.startswith(".") or Path(name).name != name:
        raise UsageError(f"{name!r} is no name for a run's folder; give a plain one with --name.")
    return name


def finish(summary: Summary, wants_report: bool, as_json: bool) -> dict[str, Any]:
    """Write the report of a run, tell what it came to, and return that for JSON."""
    page = _report(summary) if wants_report else None
    faceless = [line for line in summary.lines if "result" in line.no_face]
    entries = {
        "name": summary.name,
        "folder": str(summary.folder),
        "report": page,
        "pairs": len(summary.lines),
        "scored": len(summary.lines) - len(summary.failed),
        "failed": [{"pair": line.pair, "error": line.error} for line in summary.failed],
        "no_face": [line.pair for line in faceless],
        "figures": means(summary),
    }
    if not as_json:
        _tell(entries)
    return entries


def means(summary: Summary) -> dict[str, float | None]:
    """Figure -> mean over the pairs that have it, or the figure of the set; None where none has."""
    names = dict.fromkeys(name for line in summary.lines for name in line.figures)
    found: dict[str, float | None] = {}
    for name in names:
        values = [v for line in summary.lines if (v := line.figures.get(name)) is not None]
        found[name] = sum(values) / len(values) if values else None
    return found | summary.whole.figures


def _report(summary: Summary) -> str:
    note_progress(f"{summary.name}: writing the report ...")
    from sosie.evaluation.report import write_report

    page, _ = write_report(summary.folder)
    return str(page)


def _tell(entries: dict[str, Any]) -> None:
    from sosie.evaluation.metrics import describe_figure
    from sosie.evaluation.report.run import number

    name, failed, faceless = entries["name"], entries["failed"], entries["no_face"]
    print(f"{name}: {entries['scored']} of {entries['pairs']} pairs scored")
    for entry in failed[:_MOST_SHOWN]:
        print(f"sosie: {name}, pair {entry['pair']}: {entry['error']}", file=sys.stderr)
    if len(failed) > _MOST_SHOWN:
        more = len(failed) - _MOST_SHOWN
        print(f"sosie: {name}: {more} more pairs failed, see results.jsonl", file=sys.stderr)
    if faceless:
        print(f"  no face in {len(faceless)} of the results: {_some(faceless)}")
    for key, value in entries["figures"].items():
        if value is not None:
            figure = describe_figure(key)
            print(f"  {figure.title}: {number(value, figure.unit)}")
    print(f"  {entries['report'] or entries['folder']}")


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_SHOWN
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _end(done: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Print the JSON, and exit with 1 where a pair could not be scored."""
    code = SosieError.exit_code if any(entries["failed"] for entries in done) else 0
    if as_json:
        print_json({"runs": list(done), "exit_code": code})
    if code:
        raise typer.Exit(code)


def _settings(weights: Path | None, perceptual: str, fid: bool, threads: int | None) -> Settings:
    from sosie.evaluation.metric import Settings

    return Settings(weights=weights, perceptual=perceptual, inception=fid, threads=threads)


def _cache(cache: Path | None, no_cache: bool) -> Path | None:
    from sosie.evaluation.environment import user_folder

    return None if no_cache else cache or user_folder()
