"""Faces for analysis: one analyzer for all tests, portraits put into pictures and videos."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.geometry.alignment import transform_points
from sosie.types import Face

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="session")
def analyzer() -> Analyzer:
    return create_analyzer(2)


@pytest.fixture(scope="session")
def astronaut_face(analyzer: Analyzer, astronaut: Pixels) -> Face:
    (face,) = analyzer.analyze(astronaut)
    return face


@pytest.fixture(scope="session")
def hopper_face(analyzer: Analyzer, hopper: Pixels) -> Face:
    (face,) = analyzer.analyze(hopper)
    return face


@pytest.fixture(scope="session")
def backdrop() -> Callable[..., Pixels]:
    """A picture without faces: colored blobs, seeded; light enough to tell apart by seed."""

    def make(width: int, height: int, seed: int = 0) -> Pixels:
        coarse = np.random.default_rng(seed).uniform(0, 255, (5, 8, 3)).astype(np.float32)
        smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.clip(smooth, 0, 255).astype(np.uint8)

    return make


@pytest.fixture(scope="session")
def put() -> Callable[..., NDArray[np.float64]]:
    """Draws a portrait's head into a canvas and returns the transform portrait -> canvas."""

    def draw(
        canvas: Pixels,
        portrait: Pixels,
        face: Face,
        x: float,
        y: float,
        size_px: float,
        roll_deg: float = 0,
    ) -> NDArray[np.float64]:
        scale = size_px / face.size_px
        angle = np.radians(roll_deg)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = np.column_stack([turn, (x, y) - turn @ face.center])
        if scale < 1:
            portrait = cv2.GaussianBlur(portrait, (0, 0), 0.5 * np.sqrt(scale**-2 - 1) + 1e-3)
        oval = np.zeros(portrait.shape[:2], np.float32)
        center = (round(face.center[0]), round(face.center[1]))
        axes = (round(0.85 * face.size_px), round(0.95 * face.size_px))
        cv2.ellipse(oval, center, axes, 0, 0, 360, 1.0, -1)
        oval = cv2.GaussianBlur(oval, (0, 0), 0.02 * face.size_px)
        size = (canvas.shape[1], canvas.shape[0])
        alpha = cv2.warpAffine(oval, matrix, size, flags=cv2.INTER_LINEAR)[..., None]
        drawn = cv2.warpAffine(portrait, matrix, size, flags=cv2.INTER_CUBIC)
        canvas[:] = np.clip(alpha * drawn + (1 - alpha) * canvas + 0.5, 0, 255).astype(np.uint8)
        return matrix

    return draw


@pytest.fixture(scope="session")
def landmarks_error_px() -> Callable[..., float]:
    """Mean distance of a face's landmarks from those of another, moved by a transform."""

    def error(face: Face, original: Face, matrix: NDArray[np.float64]) -> float:
        truth = transform_points(original.landmarks[:, :2], matrix)
        return float(np.linalg.norm(face.landmarks[:, :2] - truth, axis=1).mean())

    return error
