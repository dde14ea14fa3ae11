"""`sosie dataset extract`: videos and photos to aligned faces, measured and judged."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sosie.app.cli.arguments import AsJson
from sosie.app.cli.output import print_json, video_progress
from sosie.datasets import dataset_packages
from sosie.datasets.extract.options import ExtractOptions, template_name
from sosie.errors import NoFaceError, SosieError, UsageError

if TYPE_CHECKING:
    from sosie.datasets.extract.job import ExtractReport

DEFAULTS = ExtractOptions
_OFF = "off"


def _help(name: str) -> str:
    """The words of the dataclass's docstring for a field."""
    pattern = rf"^    {name}: (.+(?:\n        .+)*)"
    described = re.search(pattern, ExtractOptions.__doc__ or "", re.MULTILINE)
    text = " ".join(described[1].split()) if described else ""
    return re.sub(r"; None [^;.]*", "", text).replace("`", "")


def _option(flag: str, name: str) -> Any:
    return typer.Option(flag, help=_help(name))


def _rule(flag: str, name: str) -> Any:
    return typer.Option(
        flag, help=f"{_help(name)} `{_OFF}` switches the rule off.", metavar="LIMIT"
    )


def extract(
    *,
    inputs: Annotated[
        list[Path],
        typer.Argument(help="Videos, photos, folders or zips of them.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the set; it may exist.")],
    align: Annotated[
        str,
        typer.Option(help="Alignment template: ffhq, arcface, simswap, dfl-whole-face, ..."),
    ] = DEFAULTS.align,
    size: Annotated[int, _option("--size", "size_px")] = DEFAULTS.size_px,
    enlarge: Annotated[bool, _option("--enlarge", "enlarge")] = DEFAULTS.enlarge,
    picture: Annotated[str, _option("--format", "picture")] = DEFAULTS.picture,
    every: Annotated[
        int | None, typer.Option(help=f"{_help('every')[:-1]}; left out, {DEFAULTS.every}.")
    ] = None,
    fps: Annotated[float | None, _option("--fps", "fps")] = DEFAULTS.fps,
    min_face: Annotated[
        str, typer.Option("--min-face", help=_help("min_face"), metavar="PX|SHARE")
    ] = f"{DEFAULTS.min_face:g}",
    per_second: Annotated[str, _rule("--per-second", "per_second")] = f"{DEFAULTS.per_second:g}",
    min_distance: Annotated[int, _option("--min-distance", "min_distance")] = DEFAULTS.min_distance,
    max_tilt: Annotated[str, _rule("--max-tilt", "max_tilt_deg")] = f"{DEFAULTS.max_tilt_deg:g}",
    min_share: Annotated[str, _rule("--min-share", "min_share")] = f"{DEFAULTS.min_share:g}",
    max_blur: Annotated[str, _rule("--max-blur", "max_blur_px")] = f"{DEFAULTS.max_blur_px:g}",
    min_visible: Annotated[
        str, _rule("--min-visible", "min_visible")
    ] = f"{DEFAULTS.min_visible:g}",
    max_turn: Annotated[str, _rule("--max-turn", "max_turn_deg")] = f"{DEFAULTS.max_turn_deg:g}",
    threads: Annotated[int | None, _option("--threads", "threads")] = DEFAULTS.threads,
    as_json: AsJson = False,
) -> None:
    """Cut the faces out of videos and photos into a set: aligned, measured, judged.

    A run that was stopped goes on where it was; an input that is done is not read again. Rejected
    faces go to rejected/REASON; nothing is deleted.
    """
    if every is not None and fps is not None:
        raise UsageError("Give --every or --fps, not both.")
    options = ExtractOptions(
        align=template_name(align),
        size_px=size,
        enlarge=enlarge,
        picture=picture.lower(),
        every=DEFAULTS.every if every is None else every,
        fps=fps,
        min_face=_face_size(min_face),
        per_second=_limit("--per-second", per_second),
        min_distance=min_distance,
        max_tilt_deg=_limit("--max-tilt", max_tilt),
        min_share=_limit("--min-share", min_share),
        max_blur_px=_limit("--max-blur", max_blur),
        min_visible=_limit("--min-visible", min_visible),
        max_turn_deg=_limit("--max-turn", max_turn),
        threads=threads,
    )
    with dataset_packages():
        from sosie.app.dataset_inputs import gather
        from sosie.datasets.extract.inputs import Archives
        from sosie.datasets.extract.job import extract as run

    with Archives() as archives:
        media, refused, ignored = gather(inputs, out, archives)
        report = run(media, out, options, video_progress)
    report = dataclasses.replace(report, failures=(*refused, *report.failures))
    for failure in report.failures:
        print(f"sosie: {failure.error}", file=sys.stderr)
    if not report.total and not report.failures:
        raise NoFaceError(
            f"No face of at least {options.min_face_px:g} pixels was found, so no set was made; "
            f"try a smaller --min-face, or other inputs."
        )
    if as_json:
        facts = dataclasses.asdict(report)
        print_json({**facts, "ignored": [str(path) for path in ignored]})
    else:
        print(summary(report, len(ignored)))
    if report.failures:
        raise typer.Exit(SosieError.exit_code)


def summary(report: ExtractReport, ignored: int) -> str:
    """What a run did, in a few lines."""
    put_aside = sum(report.rejected.values())
    told = f"{report.faces} faces added, {put_aside} of them rejected, {report.total} in the set"
    lines = [f"{report.folder}: {told}, in {report.seconds:.1f} s"]
    if report.frames:
        lines.append(f"  {report.frames} frames of video, {report.fps:.1f} a second")
    if report.rejected:
        lines += [f"  rejected as {reason}: {n}" for reason, n in report.rejected.items()]
    for count, words in (
        (report.thinned, "left out as near-identical to a clearer or earlier one"),
        (report.too_small, "left out as too small"),
        (report.unconfirmed, "faces that the other tool had marked and Sosie did not find"),
        (report.skipped, "inputs done before, or of the same content as another"),
        (ignored, "files ignored, neither video nor photo"),
        (report.synced.moved, "pictures found where somebody moved them"),
        (report.synced.missing, "pictures gone"),
        (len(report.failures), "inputs that could not be read, or not to their end"),
    ):
        if count:
            lines.append(f"  {words}: {count}")
    return "\n".join([*lines, *(f"  {note}" for note in report.notes)])


def _limit(flag: str, text: str) -> float | None:
    """A number, or None for `off`."""
    if text.strip().lower() == _OFF:
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{flag} takes a number or {_OFF!r}, not {text!r}.") from None


def _face_size(text: str) -> float:
    """Pixels (`200`, `200px`), or a share of the size (`0.5`, `50%`)."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(px|%)?", text.strip().lower())
    if match is None:
        raise UsageError(
            f"--min-face takes pixels, such as 200, or a share of the size, such as 0.5 or 50%, "
            f"not {text!r}."
        )
    value = float(match[1])
    if match[2] == "%":
        return value / 100
    return value
