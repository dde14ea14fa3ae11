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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sosie import foreign
from sosie.errors import InputError, OutputError
from sosie.evaluation.cache import code_digest, versions, weight_digests
from sosie.evaluation.files import make_folder, remove, write_json
from sosie.evaluation.key_frames import Snapshot
from sosie.evaluation.machine import machine
from sosie.evaluation.results import CONFIG, LINES
from sosie.evaluation.score import Embedders
from sosie.evaluation.video_score import VideoScore
from sosie.output import atomic_output

FRAMES, MOMENTS, PICTURES = "frames.jsonl", "moments.json", "moments"

# The configuration last: while anything is left, the folder is still known as a run's.
_OWN = (LINES, FRAMES, MOMENTS, PICTURES, "report.html", "report.md", CONFIG)
_REMEDY = "make it anew"
_MOMENT_FORM = {
    "why": str,
    "track": int,
    "frame": int,
    "time_s": float,
    "value": (float, None),
    "file": foreign.folder_name,
}


def _values(row: object) -> None:
    foreign.check(row, {"frame": int, "time_s": float, "track": int, "judged": bool})
    foreign.check(row, {str: (float, bool)})


_FRAME_FORM = _values
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
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is not a folder; give another --out or --name.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / CONFIG).is_file():
        raise OutputError(f"{folder} is not empty and holds no run; give another --out.")
    if not overwrite:
        raise OutputError(
            f"{folder} holds a run already; give another --out or --name, or --overwrite."
        )


def write_video_record(
    folder: Path,
    name: str,
    videos: tuple[Path, Path],
    sources: Sequence[Path],
    embedders: Embedders,
    score: VideoScore,
    overwrite: bool = False,
) -> None:
    """Write all of it but the report. videos: target and result.

    Raises OutputError as `check_video_folder` does, and where the folder cannot be written to.
    """
    check_video_folder(folder, overwrite)
    if folder.is_dir():
        _clear(folder)
    make_folder(folder)
    write_json(folder / CONFIG, _config(name, videos, sources, embedders, score))
    make_folder(folder / PICTURES)
    _write_lines(folder / FRAMES, _frame_lines(score))
    write_json(folder / MOMENTS, _keep_moments(folder, score))
    line = {
        "pair": "film",
        "method": name,
        "source": str(sources[0].resolve()) if sources else None,
        "target": str(videos[0].resolve()),
        "result": str(videos[1].resolve()),
        "figures": score.scored.figures,
        "reasons": score.scored.reasons,
        "error": None,
        "cost": {},
    }
    _write_lines(folder / LINES, [line])


def read_video_record(folder: Path) -> VideoRecord:
    """Reads it back. Raises InputError where that cannot be done."""
    try:
        content = foreign.read_file(folder / FRAMES, _REMEDY)
        entries = foreign.read_json(folder / MOMENTS, [_MOMENT_FORM], _REMEDY)
    except FileNotFoundError as error:
        raise InputError(f"The record of a video in {folder} cannot be read; {_REMEDY}.") from error
    rows = [
        foreign.parse_json(row, _FRAME_FORM, f"Line {number} of {folder / FRAMES}", _REMEDY)
        for number, row in enumerate(content.splitlines(), 1)
    ]
    moments = tuple(
        Moment(
            entry["why"],
            entry["track"],
            entry["frame"],
            entry["time_s"],
            math.nan if entry["value"] is None else entry["value"],
            foreign.inside(folder / PICTURES, entry["file"], f"{folder / MOMENTS}"),
        )
        for entry in entries
    )
    return VideoRecord(_curves(rows), moments)


def _clear(folder: Path) -> None:
    for name in _OWN:
        remove(folder / name)


def _config(
    name: str,
    videos: tuple[Path, Path],
    sources: Sequence[Path],
    embedders: Embedders,
    score: VideoScore,
) -> dict[str, Any]:
    digests = {
        "target": _file_digest(videos[0]),
        "result": _file_digest(videos[1]),
        "sources": [_file_digest(path) for path in sources],
    }
    basis = json.dumps([digests["target"], digests["sources"]], sort_keys=True)
    return {
        "format": 1,
        "kind": "film",
        "name": name,
        "method": name,
        "pairs": {
            "file": None,
            "name": videos[0].name,
            "seed": None,
            "sha256": hashlib.sha256(basis.encode()).hexdigest(),
            "count": 1,
        },
        "swap": {
            "target": str(videos[0].resolve()),
            "result": str(videos[1].resolve()),
            "sources": [str(path.resolve()) for path in sources],
            "sha256": digests,
        },
        "score": {
            "frames": score.series.frames,
            "recognisers": [
                {"name": known, "sha256": digest, "range": span}
                for known, digest, span in embedders.files
            ],
            "notes": list(score.notes),
        },
        "weights": weight_digests(),
        "versions": {**versions(), "code": code_digest()},
        "machine": machine(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    with atomic_output(folder / PICTURES / file, overwrite=True) as pending:
        pending.path.write_bytes(snapshot.picture)
    return {
        "why": why,
        "track": track,
        "frame": snapshot.frame,
        "time_s": snapshot.time_s,
        "value": snapshot.value if math.isfinite(snapshot.value) else None,
        "file": file,
    }


def _write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    text = "".join(json.dumps(one, ensure_ascii=False, allow_nan=False) + "\n" for one in lines)
    with atomic_output(path, overwrite=True) as pending:
        pending.path.write_text(text, "utf-8")


def _curves(rows: Sequence[dict[str, Any]]) -> tuple[Curve, ...]:
    tracks = sorted({int(row["track"]) for row in rows})
    curves = []
    for track in tracks:
        own = [row for row in rows if row["track"] == track]
        names = {name for row in own for name in row} - {"frame", "time_s", "track", "judged"}
        times = np.array([row["time_s"] for row in own], np.float64)
        values = {
            name: tuple(float(row.get(name, math.nan)) for row in own) for name in sorted(names)
        }
        curves.append(Curve(track, bool(own[0]["judged"]), tuple(times.tolist()), values))
    return tuple(curves)
