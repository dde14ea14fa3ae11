"""Contact sheets: the pairs that a figure puts first, in the middle and last."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie import foreign
from sosie.analysis.analyzer import to_8_bit
from sosie.errors import SosieError
from sosie.evaluation.metric import Figure
from sosie.evaluation.report.run import Run
from sosie.evaluation.results import Line
from sosie.evaluation.statistics import around_median, ranked
from sosie.media.image import load_photo

Picture = NDArray[np.uint8]

SIDE_PX = 132
"""Side of each picture of a sheet."""

PER_PLACE = 4
"""So many pairs are shown as the best, the median and the worst."""

_QUALITY = 80
# The part that is shown: a square so many times as wide as the face, and no smaller than this.
_MARGIN, _LEAST_PX = 1.7, 16.0


@dataclass(frozen=True)
class Places:
    """Pairs by their place under one figure. best, worst: from the outermost one inwards; a figure
    without a better side has the smallest values in `best`. median: in order."""

    best: list[str]
    median: list[str]
    worst: list[str]

    @property
    def all(self) -> list[str]:
        return [*self.best, *self.median, *self.worst]


def places(run: Run, figure: Figure, count: int = PER_PLACE) -> Places:
    """Which pairs are shown for a figure. No pair is shown twice: of few pairs fewer are shown."""
    order = ranked(run.by_pair(figure.name), figure.better)
    count = min(count, max(1, len(order) // 3))
    if len(order) < 3:
        return Places(order, [], [])
    return Places(order[:count], around_median(order, count), order[::-1][:count])


def strip(folder: Path, line: Line, results: list[tuple[Path, Line]] | None = None) -> bytes:
    """Source, target and result of a pair side by side: a JPEG, SIDE_PX high.

    results: further runs' folders and lines of the same pair, whose results follow. Target and
    results are cut to the same part, around the target's face. A picture that cannot be read is an
    empty square.
    """
    source = _read(folder, line.source)
    target = _read(folder, line.target)
    shown = [_read(at, one.result) for at, one in [(folder, line), *(results or [])]]
    parts = [_square(source, _window(line.boxes.get("source"), source))]
    window = _window(line.boxes.get("target"), target)
    parts += [_square(picture, window) for picture in (target, *shown)]
    return _jpeg(np.concatenate(parts, axis=1))


def data_address(content: bytes, kind: str = "image/jpeg") -> str:
    """A picture as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


class Strips:
    """The strips of a page, each made and kept once, however often it is shown.

    run: whose pairs are shown. others: further runs, whose results of the same pairs follow.
    """

    def __init__(self, run: Run, others: Sequence[Run] = ()) -> None:
        self._runs = [
            (one.folder, {line.pair: line for line in one.lines}) for one in (run, *others)
        ]
        self._made: dict[str, tuple[str, bytes]] = {}

    def name(self, pair: str) -> str:
        """The name of a pair's strip in the page."""
        if pair not in self._made:
            (folder, lines), *others = self._runs
            results = [(at, found[pair]) for at, found in others]
            content = strip(folder, lines[pair], results)
            self._made[pair] = f"strip-{len(self._made)}", content
        return self._made[pair][0]

    def all(self) -> dict[str, bytes]:
        """Name -> JPEG."""
        return dict(self._made.values())


def _read(folder: Path, name: str | None) -> Picture | None:
    if name is None:
        return None
    try:
        # What lies elsewhere has its whole path, as the run wrote it.
        is_own = not Path(name).is_absolute()
        path = foreign.inside(folder, name, f"The run {folder}") if is_own else Path(name)
        return to_8_bit(load_photo(path).pixels)
    except SosieError:
        # The report is of what was scored then; pictures may have been moved since.
        return None


def _window(
    box: Sequence[float] | None, picture: Picture | None
) -> tuple[float, float, float, float] | None:
    """The square around a face as shares of its picture's width and height: x0, y0, x1, y1. None
    where no face is known."""
    if box is None or picture is None:
        return None
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = box
    side = min(max(_MARGIN * max(x1 - x0, y1 - y0), _LEAST_PX), width, height)
    left = float(np.clip((x0 + x1 - side) / 2, 0, width - side))
    top = float(np.clip((y0 + y1 - side) / 2, 0, height - side))
    return left / width, top / height, (left + side) / width, (top + side) / height


def _square(picture: Picture | None, window: tuple[float, ...] | None) -> Picture:
    """The part of a picture in the window, or its middle square, SIDE_PX wide."""
    if picture is None:
        return np.full((SIDE_PX, SIDE_PX, 3), 128, np.uint8)
    height, width = picture.shape[:2]
    if window is None:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        part = picture[top : top + side, left : left + side]
    else:
        x0, y0, x1, y1 = window
        rows = slice(int(y0 * height), max(int(y0 * height) + 1, int(y1 * height)))
        columns = slice(int(x0 * width), max(int(x0 * width) + 1, int(x1 * width)))
        part = picture[rows, columns]
    method = cv2.INTER_AREA if part.shape[0] > SIDE_PX else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (SIDE_PX, SIDE_PX), interpolation=method), np.uint8)


def _jpeg(picture: Picture) -> bytes:
    encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return np.asarray(encoded[1]).tobytes()
