"""faceswap's faces and frames: extracted PNGs with a text of what is known of each, and alignment
files (`.fsa`) that tell of frames where their faces are.

The points in an extracted face's text are of its frame, not of the picture, which shows one face in
its middle: there it is looked for. In frames the points say where.
"""

from __future__ import annotations

import ast
import zlib
from pathlib import Path
from typing import Any

from sosie.datasets.hints import Hint
from sosie.datasets.imports import containers, pickled
from sosie.datasets.imports.refusals import not_of
from sosie.errors import InputError
from sosie.files import open_regular
from sosie.training.inert_pickle import MIB, Budget, Table

_KEYWORD, _TEXT_CHUNK = b"faceswap", b"iTXt"
_MOST_TEXT = 4 * MIB
_MOST_PACKED, _MOST_UNPACKED = 1024 * MIB, 2048 * MIB
_POINTS = (68, 2)
_REMEDY = "extract the faces anew with `sosie dataset extract`"


def read_hint(path: Path) -> Hint:
    """What faceswap knew of an extracted face. Raises InputError where the picture holds none of
    its data, or such that is none."""
    content = containers.read_picture(path)
    chunks = containers.png_chunks(content) if content.startswith(containers.PNG) else ()
    for kind, data in chunks:
        keyword, zero, rest = data.partition(b"\0")
        if kind == _TEXT_CHUNK and keyword == _KEYWORD and zero:
            return Hint(_source(path, rest), None)
    raise not_of(path, "faceswap")


def _source(path: Path, rest: bytes) -> str:
    """The name of the frame, by an iTXt chunk behind its keyword."""
    # Flag and method of compression, then a language and a translated keyword, both ended by 0.
    flags, _, text = rest[:2], *rest[2:].partition(b"\0")[::2]
    _, _, text = text.partition(b"\0")
    if flags != b"\0\0" or len(text) > _MOST_TEXT:
        raise InputError(f"{path} holds a text of faceswap that is packed or too long: {_REMEDY}.")
    try:
        # Reads literals alone: numbers, texts, lists and dictionaries.
        told = ast.literal_eval(text.decode())
        source = told["source"]["source_filename"]
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise InputError(
            f"{path} holds a text that is none of faceswap's, which is a dictionary of literals: "
            f"{_REMEDY}."
        ) from error
    return pickled.text(source)


def read_alignments(path: Path) -> dict[str, Hint]:
    """Of each frame that an alignment file tells of, where its faces are: by the frame's name.

    Raises InputError where it is none, or is damaged.
    """
    told = pickled.parse(_unpacked(path), str(path), _REMEDY, Budget(50_000_000, _MOST_UNPACKED))
    frames = pickled.entry(told, "__data__")
    if not isinstance(frames, Table):
        raise InputError(f"{path} is no alignment file of faceswap, version 2 or later: {_REMEDY}.")
    hints: dict[str, Hint] = {}
    for name, frame in frames.pairs:
        faces = pickled.entry(frame, "faces")
        if not isinstance(name, str) or not isinstance(faces, list):
            raise InputError(f"{path} is damaged: it tells of a frame without its faces.")
        points = [pickled.numbers(pickled.entry(one, "landmarks_xy"), _POINTS) for one in faces]
        known = tuple(one for one in points if one is not None)
        hints[name] = Hint(name, known, len(points) - len(known))
    return hints


def _unpacked(path: Path) -> bytes:
    """The pickle in an alignment file."""
    with open_regular(path, "alignment file") as opened:
        content = opened.read(_MOST_PACKED + 1)
    reader: Any = zlib.decompressobj()
    try:
        whole: bytes = reader.decompress(content, _MOST_UNPACKED)
    except zlib.error as error:
        raise InputError(
            f"{path} is no alignment file of faceswap ({error}): {_REMEDY}."
        ) from error
    if len(content) > _MOST_PACKED or reader.unconsumed_tail or not reader.eof:
        raise InputError(f"{path} is cut short, or too large for an alignment file: {_REMEDY}.")
    return whole
