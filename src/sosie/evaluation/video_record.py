"""The folder of a video's evaluation: what is in it, and how it is written and read.

RUN/config.json     what was scored, with what: files and their hashes, weights, versions
RUN/results.jsonl   one line: the figures of the video
RUN/frames.jsonl    a line a face and frame: what figures are made of, over time
RUN/moments.json    which pictures were kept, and why
RUN/moments/        those pictures, target and result side by side
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sosie import foreign
from sosie.errors import InputError, OutputError
from sosie.evaluation.configuration import record
from sosie.evaluation.files import json_line, write_json
from sosie.evaluation.recognition import Judges
from sosie.evaluation.results import (
    CONFIG,
    FRAMES,
    LINES,
    MOMENT_PICTURES,
    MOMENTS,
    VIDEO,
    clear_run,
    holds_run,
)
from sosie.evaluation.video_score import Snapshot, VideoScore
from sosie.evaluation.weight_files import file_sha256
from sosie.output import make_folder, write_whole

_REMEDY = "make it anew"
_MOMENT_FORM = {
    "why": str,
    "track": int,
    "frame": int,
    "time_s": float,
    "value": (float, None),
    "file": foreign.folder_name,
}


def _frame_form(row: object) -> None:
    foreign.check(row, {"frame": int, "time_s": float, "track": int, "judged": bool})
    foreign.check(row, {str: (float, bool)})


EVENLY = "evenly"
"""What a picture is kept for that stands for its stretch of the video, not for its badness."""


@dataclass(frozen=True)
class Moment:
    """A picture of a video. why: EVENLY, or the value of which it is among the worst frames.
    value: that value, NaN for EVENLY. file: JPEG, the target's face and the result's."""

    why: str
    track: int
    frame: int
    time_s: float
    value: float
    file: Path


@dataclass(frozen=True)
class Curve:
    """One track over time. frames, times_s and each of `values` are equally long; NaN: not told."""

    track: int
    judged: bool
    times_s: tuple[float, ...]
    values: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class VideoRecord:
    """A video's evaluation as it lies in a folder."""

    curves: tuple[Curve, ...]
    moments: tuple[Moment, ...]


def check_video_folder(folder: Path, overwrite: bool) -> None:
    """Raises OutputError where the folder is taken: by a run without `overwrite`, or by what is
    none."""
    if holds_run(folder) and not overwrite:
        raise OutputError(
            f"{folder} holds a run already; give another --out or --name, or --overwrite."
        )


def write_video_record(
    folder: Path,
    name: str,
    videos: tuple[Path, Path],
    sources: Sequence[Path],
    judges: Judges,
    score: VideoScore,
    overwrite: bool = False,
) -> None:
    """Write all of it but the report. videos: target and result.

    Raises OutputError as `check_video_folder` does, and where the folder cannot be written to.
    """
    check_video_folder(folder, overwrite)
    if folder.is_dir():
        clear_run(folder)
    make_folder(folder)
    write_json(folder / CONFIG, _config(name, videos, sources, judges, score))
    make_folder(folder / MOMENT_PICTURES)
    write_whole(folder / FRAMES, "".join(map(json_line, _frame_lines(score))))
    write_json(folder / MOMENTS, _keep_moments(folder, score))
    line = {
        "pair": VIDEO,
        "method": name,
        "source": str(sources[0].resolve()) if sources else None,
        "target": str(videos[0].resolve()),
        "result": str(videos[1].resolve()),
        "figures": score.scored.figures,
        "reasons": score.scored.reasons,
        "error": None,
        "cost": {},
    }
    write_whole(folder / LINES, json_line(line))


def read_video_record(folder: Path) -> VideoRecord:
    """Reads it back. Raises InputError where that cannot be done."""
    try:
        content = foreign.read_text_file(folder / FRAMES, _REMEDY)
        entries = foreign.read_json(folder / MOMENTS, [_MOMENT_FORM], _REMEDY)
    except FileNotFoundError as error:
        raise InputError(f"The record of a video in {folder} cannot be read; {_REMEDY}.") from error
    rows = [
        foreign.parse_json(row, _frame_form, f"Line {number} of {folder / FRAMES}", _REMEDY)
        for number, row in enumerate(content.splitlines(), 1)
    ]
    moments = tuple(
        Moment(
            entry["why"],
            entry["track"],
            entry["frame"],
            entry["time_s"],
            math.nan if entry["value"] is None else entry["value"],
            foreign.inside(folder / MOMENT_PICTURES, entry["file"], f"{folder / MOMENTS}"),
        )
        for entry in entries
    )
    return VideoRecord(_curves(rows), moments)


def _config(
    name: str,
    videos: tuple[Path, Path],
    sources: Sequence[Path],
    judges: Judges,
    score: VideoScore,
) -> dict[str, Any]:
    target, result = map(file_sha256, videos)
    known = [file_sha256(path) for path in sources]
    basis = json.dumps([target, known], sort_keys=True)
    pairs = {
        "file": None,
        "name": videos[0].name,
        "seed": None,
        "sha256": hashlib.sha256(basis.encode()).hexdigest(),
        "count": 1,
    }
    swap = {
        "target": str(videos[0].resolve()),
        "result": str(videos[1].resolve()),
        "sources": [str(path.resolve()) for path in sources],
        "sha256": {"target": target, "result": result, "sources": known},
    }
    scored = {"frames": score.series.frames, "notes": list(score.notes)}
    return {**record(name, name, pairs, swap, scored, judges), "kind": VIDEO}


def _frame_lines(score: VideoScore) -> list[dict[str, Any]]:
    """By frame, then by track; values that were not told are left out."""
    judged = {track.track for track in score.series.judged}
    lines = []
    for number, track in sorted(score.series.tracks.items()):
        for place, (frame, time_s) in enumerate(zip(track.frames, track.times_s, strict=True)):
            told = {
                name: round(values[place], 5)
                for name, values in track.values.items()
                if math.isfinite(values[place])
            }
            key = {"frame": frame, "time_s": round(time_s, 6), "track": number}
            lines.append({**key, "judged": number in judged, **told})
    return sorted(lines, key=lambda line: (line["frame"], line["track"]))


def _keep_moments(folder: Path, score: VideoScore) -> list[dict[str, Any]]:
    tracks = [track.track for track in score.series.judged]
    kept = [(EVENLY, *one) for one in score.album.evenly(tracks)]
    kept += [(v.name, *one) for v in score.album.values for one in score.album.worst(v, tracks)]
    return [_keep_moment(folder, *one) for one in kept]


def _keep_moment(folder: Path, why: str, track: int, snapshot: Snapshot) -> dict[str, Any]:
    file = f"{snapshot.frame:06}-{track}.jpg"
    write_whole(folder / MOMENT_PICTURES / file, snapshot.picture)
    return {
        "why": why,
        "track": track,
        "frame": snapshot.frame,
        "time_s": snapshot.time_s,
        "value": snapshot.value if math.isfinite(snapshot.value) else None,
        "file": file,
    }


def _curves(rows: Sequence[dict[str, Any]]) -> tuple[Curve, ...]:
    by_track: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        by_track.setdefault(int(row["track"]), []).append(row)
    curves = []
    for track, own in sorted(by_track.items()):
        names = {name for row in own for name in row} - {"frame", "time_s", "track", "judged"}
        values = {
            name: tuple(float(row.get(name, math.nan)) for row in own) for name in sorted(names)
        }
        times = tuple(float(row["time_s"]) for row in own)
        curves.append(Curve(track, bool(own[0]["judged"]), times, values))
    return tuple(curves)
