"""Faces for FSGAN's trainings, drawn and not photographed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sosie.geometry import alignment
from sosie.geometry.face_types import BOX, face_matrix
from sosie.types import Face

SIDE_PX = 64


@pytest.fixture(scope="session")
def drawn_faces(model_face: Callable[..., Face], paint: Callable[..., Any]) -> Any:
    """Twelve people, each in a color of their own, in three poses each."""
    pytest.importorskip("torch", exc_type=ImportError)
    from sosie.analysis import embedder
    from sosie.datasets.people import People
    from sosie.methods.fsgan.heat_maps import points_98
    from sosie.methods.fsgan.samples import Faces

    rng = np.random.default_rng(0)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("faces", "labels", "points", "poses", "aligned", "people")
    }
    for person in range(12):
        shades = rng.uniform(60, 230, 3) + rng.normal(0, 12, (478, 3))
        for yaw in (-25, 0, 25):
            face = model_face(yaw, unit_px=55)
            matrix = face_matrix(face, BOX, SIDE_PX)
            pixels = paint(face, shades)
            shown = paint(face, (255, 255, 255), (0, 0, 0))
            label = alignment.crop(shown, matrix, SIDE_PX)[..., 0] > 127
            onto = alignment.align_matrix(face.points5, embedder.TEMPLATE, embedder.SIDE_PX)
            columns["faces"].append(alignment.crop(pixels, matrix, SIDE_PX))
            columns["labels"].append(label.astype(np.uint8))
            columns["points"].append(alignment.transform_points(points_98(face.landmarks), matrix))
            columns["poses"].append((yaw, 0, 0))
            columns["aligned"].append(alignment.compose(matrix, alignment.invert(onto)))
            columns["people"].append(f"person {person}")
    names = np.array(columns["people"])
    numbers = rng.normal(size=(12, 512)).astype(np.float32).repeat(3, 0)
    return Faces(
        People(np.array(columns["faces"]), names, names, np.full(len(names), ""), 0, 0),
        np.array(columns["labels"]),
        np.array(columns["points"], np.float32),
        np.array(columns["poses"], np.float32),
        numbers / np.linalg.norm(numbers, axis=1, keepdims=True),
        np.array(columns["aligned"], np.float32),
    )
