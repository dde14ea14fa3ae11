"""The sheet of a preview: source, target, result and mask side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sosie.media.sheet import GAP_PX, PAPER, draw_sheet, tile_of
from sosie.media.timecodes import timecode
from sosie.swapping.preview import face_square
from sosie.types import Face, Pixels, PreviewFrame

COLUMNS = ("source", "target", "result", "mask")
CROPS = ("face", "frame")
"""What of a frame is shown: each face that was swapped, in a row of its own, or the whole frame."""

_FACE_PX, _FRAME_PX, _LEAST_PX = 512, (960, 540), 96
_FACES_WIDE = 2.0
# The sheet of many frames has smaller pictures.
_MOST_PIXELS = 32_000_000


@dataclass(frozen=True)
class _Row:
    """label: the line above. tiles: as wide and high as they are at most."""

    label: str
    tiles: tuple[Image.Image, ...]


def draw_preview(frames: Iterable[PreviewFrame], crop: str) -> NDArray[np.uint8]:
    """The sheet of a preview, RGB, h x w x 3. crop: one of CROPS.

    Each frame is let go of once it is drawn.
    """
    rows: list[_Row] = []
    for frame in frames:
        if crop == "face" and frame.faces:
            rows += [_face_row(frame, number) for number in range(len(frame.faces))]
        else:
            rows.append(_frame_row(frame))
    area = sum(sum(t.width for t in row.tiles) * row.tiles[1].height for row in rows)
    if area > _MOST_PIXELS:
        rows = [_smaller(row, (_MOST_PIXELS / area) ** 0.5) for row in rows]
    return draw_sheet(COLUMNS, [row.tiles for row in rows], [row.label for row in rows])


def _face_row(frame: PreviewFrame, number: int) -> _Row:
    face = frame.faces[number]
    shown = [
        _square_tile(pixels, face, frame.sample_aspect)
        for pixels in (frame.target, frame.result, _gray(frame))
    ]
    which = f"face {number + 1} of {len(frame.faces)}" if len(frame.faces) > 1 else ""
    # Of a method whose weights hold the person there is no photo to show.
    source = (
        tile_of(frame.sources[number], _FACE_PX, _FACE_PX)
        if frame.sources
        else Image.new("RGB", (_FACE_PX, _FACE_PX), PAPER)
    )
    return _Row(_label(frame, which), (source, *shown))


def _frame_row(frame: PreviewFrame) -> _Row:
    shown = [
        tile_of(pixels, *_FRAME_PX, frame.sample_aspect)
        for pixels in (frame.target, frame.result, _gray(frame))
    ]
    return _Row(_label(frame, ""), (_sources_tile(frame.sources, shown[0].height), *shown))


def _label(frame: PreviewFrame, which: str) -> str:
    time = "" if frame.time_s is None else timecode(frame.time_s)
    return "   ".join(part for part in (time, which, frame.note or "") if part)


def _square_tile(pixels: Pixels, face: Face, sample_aspect: float) -> Image.Image:
    return tile_of(face_square(pixels, face, _FACES_WIDE), _FACE_PX, _FACE_PX, sample_aspect)


def _gray(frame: PreviewFrame) -> NDArray[np.uint8]:
    return np.asarray(np.rint(frame.mask * 255), np.uint8)


def _sources_tile(sources: Sequence[Pixels], side: int) -> Image.Image:
    """The sources in the order of the faces, those that are the same photo once, in a square."""
    different: list[Pixels] = []
    for one in sources:
        if not any(one is other or np.array_equal(one, other) for other in different):
            different.append(one)
    across = max(1, int(np.ceil(len(different) ** 0.5)))
    each = max(1, (side - GAP_PX * (across - 1)) // across)
    tile = Image.new("RGB", (side, side), PAPER)
    for number, one in enumerate(different):
        down, right = divmod(number, across)
        place = (right * (each + GAP_PX), down * (each + GAP_PX))
        tile.paste(tile_of(one, each, each), place)
    return tile


def _smaller(row: _Row, scale: float) -> _Row:
    def reduced(tile: Image.Image) -> Image.Image:
        width, height = (max(1, round(side * scale)) for side in tile.size)
        return tile.resize((width, height), Image.Resampling.LANCZOS)

    scale = max(scale, _LEAST_PX / max(tile.height for tile in row.tiles))
    return replace(row, tiles=tuple(reduced(tile) for tile in row.tiles))
