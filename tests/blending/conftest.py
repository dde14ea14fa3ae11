"""Crops and swapped crops without a network: a model face in a picture of any colors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from sosie.geometry.alignment import Matrix, transform_points
from sosie.types import Crop, Face, SwappedCrop


@pytest.fixture(scope="session")
def crop_of() -> Callable[..., Crop]:
    """The crop of a face in a frame: a window of it, or what `matrix` (frame -> crop) and `size`
    (width, height) say; `pixels` is what the crop shows then."""

    def make(
        frame: NDArray[np.generic],
        face: Face,
        *,
        window: tuple[int, int, int, int] | None = None,
        matrix: Matrix | None = None,
        pixels: NDArray[np.generic] | None = None,
        visible: NDArray[np.float32] | None = None,
    ) -> Crop:
        if matrix is None:
            x0, y0, x1, y1 = window or (0, 0, frame.shape[1], frame.shape[0])
            matrix = np.array([[1.0, 0, -x0], [0, 1.0, -y0]])
            pixels = frame[y0:y1, x0:x1]
        assert pixels is not None
        landmarks = transform_points(face.landmarks, matrix)
        if visible is None:
            visible = np.ones(pixels.shape[:2], np.float32)
        return Crop(pixels, matrix, landmarks, landmarks, visible, face)

    return make


@pytest.fixture(scope="session")
def swapped_with() -> Callable[..., SwappedCrop]:
    """A swapped crop: float pixels (or one color) with a mask and no parts of the target's."""

    def make(
        crop: Crop,
        pixels: NDArray[np.floating] | tuple[float, float, float],
        mask: NDArray[np.floating] | float = 1.0,
        own: NDArray[np.floating] | float = 0.0,
    ) -> SwappedCrop:
        shape = crop.pixels.shape
        return SwappedCrop(
            np.array(np.broadcast_to(np.asarray(pixels, np.float32), shape)),
            np.array(np.broadcast_to(np.asarray(mask, np.float32), shape[:2])),
            np.array(np.broadcast_to(np.asarray(own, np.float32), shape[:2])),
        )

    return make


@pytest.fixture(scope="session")
def textured() -> Callable[..., NDArray[np.uint8]]:
    """A seeded picture with detail of all sizes, RGB uint8."""

    def make(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
        random = np.random.default_rng(seed)
        picture = np.full((height, width, 3), 120.0)
        for cells in (3, 9, 30):
            coarse = random.uniform(-35, 35, (cells, cells, 3))
            rows = np.linspace(0, cells - 1e-6, height).astype(int)
            columns = np.linspace(0, cells - 1e-6, width).astype(int)
            picture += coarse[rows][:, columns]
        picture += random.uniform(-8, 8, picture.shape)
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8)

    return make
