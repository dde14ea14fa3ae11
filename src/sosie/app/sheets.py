"""Sheets of pictures: swaps side by side, and what is made of source photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sosie.analysis.analyzer import create_analyzer
from sosie.analysis.occlusion import shares
from sosie.geometry.morphable_model import silhouette
from sosie.media.image_write import save_photo
from sosie.media.photo import array_photo
from sosie.media.sheet import PAPER, as_bytes, draw_sheet
from sosie.methods.graft import unwrap
from sosie.methods.graft.completion import TIMES, Completed, complete
from sosie.methods.graft.source_texture import cut_out
from sosie.swapping.assignment import Casting, read_sources
from sosie.types import Face, FloatArray, Pixels

SWAP_COLUMNS = ("source", "target", "result")
SOURCE_COLUMNS = ("photo", "hidden", "made whole", "unwrapped", "trusted")
_SWAP_TILE_PX, _TILE_PX = 420, 320
_HIDDEN, _TRUSTED = (214, 60, 50), (40, 160, 90)
_FACES_WIDE = 2.2
"""Side of the square of a swap that is shown, in sizes of the face."""


@dataclass(frozen=True)
class Row:
    """One swap. Pictures are RGB uint8, h x w x 3; each face says what part of them to show.

    target and result are the same part of one frame, so both are placed by the target's face.
    """

    source: Pixels
    source_face: Face
    target: Pixels
    result: Pixels
    target_face: Face


def draw_contact_sheet(rows: Sequence[Row]) -> NDArray[np.uint8]:
    """The sheet of swaps, RGB uint8, a line of three pictures for each under a line of labels."""
    shown = [
        [
            _face_tile(row.source, row.source_face),
            _face_tile(row.target, row.target_face),
            _face_tile(row.result, row.target_face),
        ]
        for row in rows
    ]
    return draw_sheet(SWAP_COLUMNS, shown)


def _face_tile(pixels: Pixels, face: Face) -> Image.Image:
    """The square round a face, kept inside the picture, at the size of a tile."""
    height, width = pixels.shape[:2]
    side = min(face.size_px * _FACES_WIDE, height, width)
    x, y = face.center
    left = min(max(x - side / 2, 0), width - side)
    top = min(max(y - side * 0.52, 0), height - side)
    box = (left, top, left + side, top + side)
    picture = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
    return picture.resize((_SWAP_TILE_PX, _SWAP_TILE_PX), Image.Resampling.LANCZOS, box=box)


@dataclass(frozen=True)
class SourceRow:
    """pixels: the part of a source photo that shows the face (RGB uint8 or uint16), and what was
    made of it."""

    pixels: Pixels
    made: Completed


def examine(
    photos: Sequence[Path], keep: Sequence[str]
) -> tuple[list[SourceRow], list[dict[str, Any]]]:
    """Photos of one person made whole, and for each what lies on the face and how much of it was
    filled in (shares of the face, 0..1).

    Raises InputError where a photo cannot be read, NoFaceError where one shows no face.
    """
    sources, _ = read_sources(Casting(None, tuple(photos)), create_analyzer())
    cut = [cut_out(one) for one in sources]
    rows = [SourceRow(one.pixels, made) for one, made in zip(cut, complete(cut, keep), strict=True)]
    found = []
    for path, one, row in zip(photos, cut, rows, strict=True):
        height, width = one.pixels.shape[:2]
        face = silhouette(one.face.landmarks, width, height) > 127
        laid = shares(one.parts, one.face.landmarks) if one.parts else {}
        filled = float(row.made.hidden[face].mean()) if face.any() else 0.0
        found.append({"photo": str(path), "on_it": laid, "filled": filled})
    return rows, found


def write_sheet(rows: Sequence[SourceRow], path: Path, overwrite: bool) -> None:
    """Raises OutputError where the sheet cannot be written."""
    save_photo(array_photo(draw_source_sheet(rows)), path, overwrite=overwrite)


def draw_source_sheet(rows: Sequence[SourceRow]) -> NDArray[np.uint8]:
    """The sheet, RGB uint8: a line of pictures for each photo under a line of labels."""
    shown = [[_whole_tile(picture) for picture in _pictures(row)] for row in rows]
    return draw_sheet(SOURCE_COLUMNS, shown)


def _pictures(row: SourceRow) -> list[NDArray[np.uint8]]:
    photo, made = as_bytes(row.pixels), row.made
    size = (unwrap.HEIGHT * TIMES, unwrap.WIDTH * TIMES, 3)
    fill = np.zeros(size, np.uint8)
    if made.fill is not None:
        fill = np.rint(made.fill * 255).astype(np.uint8)
    trust = cv2.resize(made.trust, (fill.shape[1], fill.shape[0]))
    return [
        photo,
        _tinted(photo, made.hidden, _HIDDEN),
        as_bytes(made.source.pixels),
        fill,
        _tinted(fill, np.asarray(trust, np.float32), _TRUSTED),
    ]


def _tinted(
    picture: NDArray[np.uint8], share: FloatArray, color: tuple[int, int, int]
) -> NDArray[np.uint8]:
    mixed = picture + (np.array(color) - picture) * (0.7 * share[..., None])
    return np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)


def _whole_tile(picture: NDArray[np.uint8]) -> Image.Image:
    """The picture, whole, in the middle of a square."""
    height, width = picture.shape[:2]
    scale = _TILE_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    tile = Image.new("RGB", (_TILE_PX, _TILE_PX), PAPER)
    small = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
    tile.paste(small, ((_TILE_PX - size[0]) // 2, (_TILE_PX - size[1]) // 2))
    return tile
