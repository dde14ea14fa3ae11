"""The folder of a run: what is in it, and how it is written, resumed and read.

RUN/config.json     exactly what was done: method, options, pairs, weights, versions
RUN/results.jsonl   a line a pair
RUN/set.json        figures of the whole set, and what the run cost
RUN/results/ID.png  the results (of `sosie eval run`)
RUN/traits/ID.npz   what figures of the whole set need of a pair
RUN/pictures/       pictures that were taken out of archives and videos
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from sosie import foreign
from sosie.errors import InputError, OutputError
from sosie.evaluation.cache import pack_vectors, unpack_vectors, write_arrays
from sosie.evaluation.files import json_line, remove, write_json
from sosie.evaluation.metric import SampleFeatures
from sosie.output import check_folder, make_folder, not_written, write_whole

CONFIG, LINES, SET = "config.json", "results.jsonl", "set.json"
RESULTS, TRAITS, PICTURES = "results", "traits", "pictures"

FRAMES, MOMENTS, MOMENT_PICTURES = "frames.jsonl", "moments.json", "moments"

VIDEO = "video"
"""The kind of a run of one video in its configuration, and the name of its one pair."""
# What both were called before version 0.2.0, and how the names of figures of videos began.
_OLD_VIDEO, _OLD_PREFIX = "film", "film_"

_OWN = (LINES, SET, "report.html", "report.md", RESULTS, TRAITS, PICTURES)
_OF_VIDEOS = (FRAMES, MOMENTS, MOMENT_PICTURES)
# What of a configuration decides about results, in words, and which keys about their scores.
_RESULTS_OF: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "methods": lambda config: config["method"],
    "options or code": lambda config: config["swap"],
    "pairs": lambda config: config["pairs"]["sha256"],
}
_SCORING = ("score", "weights", "versions")
_REMEDY = "give the folder of a run"
_TEXT = (str, None)
_CONFIG_FORM: dict[Any, Any] = {
    "method": object,
    "swap": object,
    "pairs": {"sha256?": _TEXT, "name?": _TEXT, "file?": _TEXT, "seed?": (int, None)},
    "score": {"notes?": [str], "frames?": int},
    "weights": dict,
    "versions": object,
    "name?": _TEXT,
    "kind?": str,
}


def _box(value: object) -> None:
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError("should be four numbers")
    foreign.check(value, [float])


_LINE_FORM: dict[Any, Any] = {
    "pair": str,
    "method": str,
    **dict.fromkeys(("source?", "target?", "result?", "other_source?", "error?"), _TEXT),
    "source_person?": str,
    "target_person?": str,
    "figures?": {str: (float, None)},
    "reasons?": {str: str},
    "no_face?": [str],
    "boxes?": {str: _box},
    "cost?": {str: float},
}
_TEXTS = ("source", "target", "source_person", "target_person", "other")


@dataclass(frozen=True)
class Line:
    """One pair of a run: a line of results.jsonl.

    pair: its id. source, target, result, other_source: the pictures, as paths relative to the run's
    folder where they lie in it; None where there is none. figures: name -> value; None where it
    cannot be told, and then reasons says why. no_face: which of the pictures show no face. boxes:
    `source`, `target`, `result` or `other` -> x0, y0, x1, y1 of the face in it, pixels.
    error: why the pair could not be scored at all, or None. cost: milliseconds by stage.
    """

    pair: str
    method: str
    source: str | None = None
    target: str | None = None
    result: str | None = None
    other_source: str | None = None
    source_person: str = ""
    target_person: str = ""
    figures: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    no_face: tuple[str, ...] = ()
    boxes: dict[str, tuple[float, ...]] = field(default_factory=dict)
    error: str | None = None
    cost: dict[str, float] = field(default_factory=dict)


def holds_run(folder: Path) -> bool:
    """Whether a folder holds a run, of pairs or of a video; it need not be there.

    Raises OutputError where it is no folder, cannot be written to, or holds what is no run.
    """
    if not folder.exists():
        return False
    check_folder(folder)
    if (folder / CONFIG).is_file():
        return True
    if any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty and holds no run; give another --out.")
    return False


def clear_run(folder: Path) -> None:
    """Remove all that runs write. The configuration goes last: while anything is left, the folder
    is still known as a run's."""
    for name in (*_OWN, *_OF_VIDEOS, CONFIG):
        remove(folder / name)


class RunFolder:
    """A run's folder, open for writing.

    kept: lines of an earlier run with the same configuration, by pair. earlier: those of a run
    whose results are good, but may be scored anew.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: dict[str, Line] = {}
        self.earlier: dict[str, Line] = {}

    def begin(self, config: Mapping[str, Any], overwrite: bool, resume: bool = True) -> None:
        """Make the folder ready; what an earlier run with the same configuration found is kept,
        unless `resume` is False.

        Results are the same where method, `swap` and pairs are, and scores where the keys of
        _SCORING are as well. Raises OutputError where the folder holds a run with other results,
        unless `overwrite` is given, or holds what is no run.
        """
        before = read_config(self.folder) if holds_run(self.folder) else None
        if before is not None and overwrite:
            clear_run(self.folder)
        elif before is not None:
            different = [what for what, of in _RESULTS_OF.items() if of(before) != of(config)]
            if different:
                raise OutputError(
                    f"{self.folder} holds a run with other {' and '.join(different)}; give "
                    f"another --out or --name, or --overwrite."
                )
        self._make()
        if before is not None and resume and not overwrite:
            lines = [line for line in self._read_lines() if line.error is None]
            if all(before[key] == config[key] for key in _SCORING):
                self.kept = {
                    line.pair: line for line in lines if self._features_file(line.pair).is_file()
                }
            self.earlier = {line.pair: line for line in lines}
        write_json(self.folder / CONFIG, config)
        self._write_lines(self.kept.values())

    def result(self, pair: str) -> Path:
        """Where the result of a pair lies."""
        return foreign.inside(self.folder / RESULTS, f"{pair}.png", f"The run {self.folder}")

    @property
    def pictures(self) -> Path:
        """Where pictures of archives and videos are put."""
        return self.folder / PICTURES

    def named(self, path: Path | None) -> str | None:
        """A path as lines have it."""
        if path is None:
            return None
        try:
            return path.resolve().relative_to(self.folder.resolve()).as_posix()
        except ValueError:
            return str(path.resolve())

    def add(self, line: Line, features: SampleFeatures | None = None) -> None:
        """Write a line, and what figures of the set need of the pair."""
        if features is not None:
            write_whole(self._features_file(line.pair), write_arrays(_feature_arrays(features)))
        try:
            with (self.folder / LINES).open("a", encoding="utf-8") as file:
                file.write(json_line(asdict(line)))
        except OSError as error:
            raise OutputError(not_written(self.folder / LINES, error)) from error

    def features(self, pairs: Iterable[str]) -> list[SampleFeatures]:
        """What was kept of these pairs, of those that have it."""
        files = [self._features_file(pair) for pair in pairs]
        return [_read_features(file) for file in files if file.is_file()]

    def finish(self, lines: Iterable[Line], whole: Mapping[str, Any]) -> None:
        """Write all lines, in order, and the figures of the whole set."""
        self._write_lines(lines)
        write_json(self.folder / SET, whole)

    def _make(self) -> None:
        make_folder(self.folder)
        for name in (CONFIG, *_OWN):
            foreign.inside(self.folder, name, f"The run {self.folder}")
        for name in (RESULTS, TRAITS):
            make_folder(self.folder / name)

    def _features_file(self, pair: str) -> Path:
        return foreign.inside(self.folder / TRAITS, f"{pair}.npz", f"The run {self.folder}")

    def _read_lines(self) -> list[Line]:
        return read_lines(self.folder) if (self.folder / LINES).is_file() else []

    def _write_lines(self, lines: Iterable[Line]) -> None:
        write_whole(self.folder / LINES, "".join(json_line(asdict(line)) for line in lines))


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a run. Raises InputError where there is none that can be read."""
    file = folder / CONFIG
    try:
        config: dict[str, Any] = foreign.read_json(file, _CONFIG_FORM, _REMEDY)
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist; {_REMEDY}.") from error
    if config.get("kind") == _OLD_VIDEO:
        config["kind"] = VIDEO
    return config


def read_lines(folder: Path) -> list[Line]:
    """The lines of a run. One that was cut short at the end, when the run was stopped, is left out.

    Raises InputError where there are none that can be read.
    """
    file = folder / LINES
    try:
        text = foreign.read_text_file(file, _REMEDY).decode()
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read; {_REMEDY}.") from error
    known = {entry.name for entry in fields(Line)}
    lines = []
    whole = text.split("\n")[:-1]
    for number, row in enumerate(whole, 1):
        name = f"Line {number} of {file} cannot be read: it"
        entries = foreign.parse_json(row, _LINE_FORM, name, "run it anew")
        entries["no_face"] = tuple(entries.get("no_face", ()))
        entries["boxes"] = {part: tuple(b) for part, b in entries.get("boxes", {}).items()}
        _take_old_names(entries)
        lines.append(Line(**{key: entries[key] for key in entries if key in known}))
    return lines


def _take_old_names(entries: dict[str, Any]) -> None:
    """Bring the line of a video that an earlier version wrote to the names of today."""
    for part in ("figures", "reasons"):
        told = entries.get(part, {})
        for name in [name for name in told if name.startswith(_OLD_PREFIX)]:
            told[f"{VIDEO}_{name.removeprefix(_OLD_PREFIX)}"] = told.pop(name)
            entries["pair"] = VIDEO


def _feature_arrays(features: SampleFeatures) -> dict[str, Any]:
    names = {name: np.array(getattr(features, name)) for name in ("pair", *_TEXTS)}
    return {**names, **pack_vectors(features.vectors)}


def _read_features(file: Path) -> SampleFeatures:
    try:
        kept = foreign.parse_arrays(file.read_bytes())
        texts = {name: str(kept[name]) for name in ("pair", *_TEXTS)}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{file} is damaged ({foreign.reason(error)}); delete it and run the pair anew."
        ) from error
    return SampleFeatures(**texts, vectors=unpack_vectors(kept))
