"""A training sample of one side: a face, moved a little, and the same bent out of shape.

The network sees the bent one and is to give the straight one, so that it learns what a face of the
person looks like rather than to copy. As DeepFaceLab does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_TURN_DEG, _SHIFT = 10.0, 0.05
_CELLS = (2, 4, 8)
# Of a cell's side: by how much a node of the grid moves, where a normal number that was cut off at
# so many deviations is at its highest.
_MOVED, _CUT = 0.24, 2.5
_FLIPPED = 0.4
_COLOR = 0.1


@dataclass(frozen=True)
class Bending:
    """warp: bend what the network sees. flip: mirror some. scale: faces are made larger or smaller
    by up to this share. hue: share by which colors change at most."""

    warp: bool
    flip: bool
    scale: float
    hue: float = 0.0


def make_sample(
    face: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    features: NDArray[np.uint8],
    how: Bending,
    rng: np.random.Generator,
) -> dict[str, NDArray[Any]]:
    """`seen` and `face`, uint8, S x S x 3, RGB; `mask` and `features` of the face, uint8, S x S."""
    size = len(face)
    matrix = _placed(size, how, rng)
    straight = cv2.warpAffine(
        face, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    masks = [cv2.warpAffine(one, matrix, (size, size)) for one in (mask, features)]
    if how.hue:
        straight = _recolored(np.asarray(straight, np.uint8), how.hue, rng)
    seen = straight
    if how.warp:
        at_x, at_y = _bent_grid(size, rng)
        seen = cv2.remap(straight, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    flipped = how.flip and rng.random() < _FLIPPED
    found = {"seen": seen, "face": straight, "mask": masks[0], "features": masks[1]}
    return {
        name: np.ascontiguousarray(value[:, ::-1] if flipped else value, np.uint8)
        for name, value in found.items()
    }


def _placed(size: int, how: Bending, rng: np.random.Generator) -> NDArray[np.float64]:
    """Face -> sample: a random similarity about the middle, 2 x 3."""
    turn = rng.uniform(-_TURN_DEG, _TURN_DEG)
    step = rng.uniform(-how.scale, how.scale)
    scale = 1 + step if step >= 0 else 1 / (1 - step)
    middle = (size - 1) / 2
    matrix = np.asarray(cv2.getRotationMatrix2D((middle, middle), turn, scale), np.float64)
    matrix[:, 2] += rng.uniform(-_SHIFT, _SHIFT, 2) * size
    return matrix


def _bent_grid(
    size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where each pixel of the bent picture is taken from, float32, S x S each."""
    cell = size // int(rng.choice(_CELLS))
    count = size // cell + 1
    nodes = np.linspace(-0.5, size - 0.5, count)
    maps = []
    for axis in (1, 0):
        grid = np.broadcast_to(nodes if axis else nodes[:, None], (count, count)).copy()
        drawn = np.clip(rng.standard_normal((count - 2, count - 2)), -_CUT, _CUT) / _CUT
        grid[1:-1, 1:-1] += drawn * cell * _MOVED
        # Half a cell more on each side, so that the outermost nodes lie on the picture's edges.
        wide = cv2.resize(grid.astype(np.float32), (size + cell, size + cell))
        half = cell // 2
        maps.append(np.asarray(wide[half : half + size, half : half + size], np.float32))
    return maps[0], maps[1]


def _recolored(
    picture: NDArray[np.uint8], share: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Another hue, saturation and brightness."""
    values = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    values[..., 0] = (values[..., 0] + rng.uniform(-180, 180) * share) % 360
    values[..., 1:] = np.clip(values[..., 1:] + rng.uniform(-0.5, 0.5, 2) * share, 0, 1)
    unit = cv2.cvtColor(values, cv2.COLOR_HSV2RGB)
    return np.asarray(np.rint(np.clip(unit, 0, 1) * 255), np.uint8)


class Yaws:
    """Draws faces so that each direction of looking comes up as often.

    yaws: degrees. bins: how many directions there are between the outermost.
    """

    def __init__(self, yaws: NDArray[np.float32], bins: int = 64) -> None:
        places = np.clip(((yaws + 90) / 180 * bins).astype(int), 0, bins - 1)
        self._groups = [np.flatnonzero(places == one) for one in np.unique(places)]

    def draw(self, rng: np.random.Generator) -> int:
        """A row."""
        group = self._groups[int(rng.integers(len(self._groups)))]
        return int(rng.choice(group))
