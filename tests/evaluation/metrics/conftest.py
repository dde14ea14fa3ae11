"""Looks and swaps that tests of figures share. No network is needed for most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import sosie
from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.evaluation.metric import Readings, Settings
from sosie.evaluation.metrics import load_metric
from sosie.evaluation.sample import AnalyzedImage, Sample, look_at
from sosie.types import Face

Picture = NDArray[np.uint8]


@pytest.fixture(scope="session")
def analyzer() -> Analyzer:
    return create_analyzer(1)


@pytest.fixture(scope="session")
def astronaut_look(astronaut: Picture, analyzer: Analyzer) -> AnalyzedImage:
    return look_at(astronaut, "astronaut", analyzer)


@pytest.fixture(scope="session")
def hopper_look(hopper: Picture, analyzer: Analyzer) -> AnalyzedImage:
    return look_at(hopper, "hopper", analyzer)


@pytest.fixture(scope="session")
def swapped(
    astronaut: Picture,
    astronaut_look: AnalyzedImage,
    hopper_look: AnalyzedImage,
    analyzer: Analyzer,
) -> Sample:
    """Grace Hopper's face in the astronaut's place, by the method `mesh`."""
    result = sosie.swap_image(hopper_look.pixels, astronaut, method="mesh").image
    look = look_at(result, "result", analyzer, near=astronaut_look.face)
    return Sample(hopper_look, astronaut_look, look)


@pytest.fixture(scope="session")
def untouched(astronaut_look: AnalyzedImage, hopper_look: AnalyzedImage) -> Sample:
    """A result that is the target itself."""
    return Sample(hopper_look, astronaut_look, astronaut_look)


@pytest.fixture(scope="session")
def faces(model_face: Callable[..., Face]) -> Callable[..., Sample]:
    """Triples of faces without pictures: the result's, the target's and the source's."""

    def make(result: Face, target: Face | None = None, source: Face | None = None) -> Sample:
        plain = model_face()
        blank = np.zeros((256, 256, 3), np.uint8)
        looks = [
            AnalyzedImage(blank, name, face or plain)
            for name, face in (("source", source), ("target", target), ("result", result))
        ]
        return Sample(*looks)

    return make


@pytest.fixture(scope="session")
def pictures(model_face: Callable[..., Face]) -> Callable[..., Sample]:
    """Triples of made-up pictures of one size with one face at the same place in all."""

    def make(target: Picture, result: Picture, unit_px: float = 30) -> Sample:
        height, width = target.shape[:2]
        face = model_face(unit_px=unit_px, center=(width / 2, height / 2))
        looks = [
            AnalyzedImage(pixels, name, face)
            for name, pixels in (("source", target), ("target", target), ("result", result))
        ]
        return Sample(*looks)

    return make


@pytest.fixture(scope="session")
def measured() -> Callable[..., dict[str, Any]]:
    """What a file of figures says of a sample."""

    def measure(file: str, sample: Sample, settings: Settings | None = None) -> Readings:
        readings: Readings = load_metric(file).measure(sample, settings or Settings(threads=1))
        return readings

    return measure
