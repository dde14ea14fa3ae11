"""What `sosie dataset import` is to read: pictures of other tools, with what these knew of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from sosie import foreign
from sosie.datasets.extract.inputs import Input
from sosie.datasets.extract.job import Failure
from sosie.datasets.hints import Hint
from sosie.datasets.imports import deepfacelab, faceswap
from sosie.datasets.imports.refusals import refusal
from sosie.datasets.markers import is_set
from sosie.errors import InputError
from sosie.media.kinds import kind_of

_ALIGNMENTS = ".fsa"

Gathered = tuple[list[Input], list[Failure], list[Path]]
"""Pictures to read, those that cannot be and why, and files that are neither."""


def of_deepfacelab(folder: Path, person: str = "") -> Gathered:
    """The aligned faces in a folder and those in it. person: whose all of them are, "" where
    unknown. Raises InputError where there is none."""
    return _gathered(folder, person, "DeepFaceLab", deepfacelab.read_hint)


def of_faceswap(folder: Path, person: str = "") -> Gathered:
    """The extracted faces in a folder and those in it, and the frames there of which an alignment
    file in the same folder tells. Raises InputError where there is neither."""
    known: dict[Path, Hint] = {}
    failures: list[Failure] = []
    for path in _files(folder):
        if path.suffix.lower() != _ALIGNMENTS:
            continue
        try:
            told = faceswap.read_alignments(path)
        except InputError as error:
            failures.append(Failure(str(path), str(error)))
            continue
        there = {name: hint for name, hint in told.items() if _is_file(path.parent, name)}
        known |= {path.parent / name: hint for name, hint in there.items()}
        if len(there) < len(told):
            failures.append(Failure(str(path), _absent(path, len(told) - len(there), len(told))))

    def read_hint(path: Path) -> Hint:
        return known[path] if path in known else faceswap.read_hint(path)

    try:
        inputs, refused, ignored = _gathered(folder, person, "faceswap", read_hint)
    except InputError as error:
        # What is wrong with the alignment file is the reason.
        raise InputError(failures[0].error if failures else str(error)) from error
    ignored = [path for path in ignored if path.suffix.lower() != _ALIGNMENTS]
    return inputs, [*failures, *refused], ignored


def _is_file(folder: Path, name: str) -> bool:
    """Whether a name that a file gave is that of a file beside it."""
    return "/" not in name and foreign.is_inside(name) and (folder / name).is_file()


def _absent(path: Path, absent: int, all_: int) -> str:
    return (
        f"{path} tells of {all_} frames, of which {absent} are not beside it: put the frames there "
        f"(those of a video as images of these names), or read the video itself with `sosie "
        f"dataset extract`."
    )


def _gathered(folder: Path, person: str, tool: str, read_hint: Callable[[Path], Hint]) -> Gathered:
    inputs: list[Input] = []
    failures: list[Failure] = []
    ignored: list[Path] = []
    for path in _files(folder):
        if reason := refusal(path):
            failures.append(Failure(str(path), reason))
            continue
        try:
            if kind_of(path) != "photo":
                ignored.append(path)
                continue
            inputs.append(Input(path, "photo", hint=read_hint(path), person=person))
        except InputError as error:
            failures.append(Failure(str(path), str(error)))
    if not inputs:
        raise InputError(
            failures[0].error if failures else f"The folder {folder} holds no faces of {tool}."
        )
    return inputs, failures, ignored


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder and of those in it, by name, but for hidden ones and sets of faces."""
    if not folder.is_dir():
        reason = (
            refusal(folder) if folder.is_file() else f"{folder} does not exist; check the name."
        )
        raise InputError(reason or f"{folder} is a file; give the folder that holds the faces.")
    for current, folders, files in os.walk(folder):
        here = Path(current)
        if is_set(here):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (here / name for name in sorted(files) if not name.startswith("."))
