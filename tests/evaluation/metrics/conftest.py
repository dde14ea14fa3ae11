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
from sosie.evaluation.sample import Look, Triple, look_at
from sosie.types import Face

Picture = NDArray[np.uint8]


@pytest.fixture(scope="session")
def analyzer() -> Analyzer:
    return create_analyzer(1)


@pytest.fixture(scope="session")
def astronaut_look(astronaut: Picture, analyzer: Analyzer) -> Look:
    return look_at(astronaut, "astronaut", analyzer)


@pytest.fixture(scope="session")
def hopper_look(hopper: Picture, analyzer: Analyzer) -> Look:
    return look_at(hopper, "hopper", analyzer)


@pytest.fixture(scope="session")
def swapped(
    astronaut: Picture, astronaut_look: Look, hopper_look: Look, analyzer: Analyzer
) -> Triple:
    """Grace Hopper's face in the astronaut's place, by the method `mesh`."""
    result = sosie.swap_image(hopper_look.pixels, astronaut, method="mesh").image
    look = look_at(result, "result", analyzer, near=astronaut_look.face)
    return Triple(hopper_look, astronaut_look, look)


@pytest.fixture(scope="session")
def untouched(astronaut_look: Look, hopper_look: Look) -> Triple:
    """A result that is the target itself."""
    return Triple(hopper_look, astronaut_look, astronaut_look)


@pytest.fixture(scope="session")
def faces(model_face: Callable[..., Face]) -> Callable[..., Triple]:
    """Triples of faces without pictures: the result's, the target's and the source's."""

    def make(result: Face, target: Face | None = None, source: Face | None = None) -> Triple:
        plain = model_face()
        blank = np.zeros((256, 256, 3), np.uint8)
        looks = [
            Look(blank, name, face or plain)
            for name, face in (("source", source), ("target", target), ("result", result))
        ]
        return Triple(*looks)

    return make


@pytest.fixture(scope="session")
def pictures(model_face: Callable[..., Face]) -> Callable[..., Triple]:
    """Triples of made-up pictures of one size with one face at the same place in all."""

    def make(target: Picture, result: Picture, unit_px: float = 30) -> Triple:
        height, width = target.shape[:2]
        face = model_face(unit_px=unit_px, center=(width / 2, height / 2))
        looks = [
            Look(pixels, name, face)
            for name, pixels in (("source", target), ("target", target), ("result", result))
        ]
        return Triple(*looks)

    return make


@pytest.fixture(scope="session")
def measured() -> Callable[..., dict[str, Any]]:
    """What a file of figures says of a triple."""

    def measure(file: str, triple: Triple, settings: Settings | None = None) -> Readings:
        readings: Readings = load_metric(file).measure(triple, settings or Settings(threads=1))
        return readings

    return measure
