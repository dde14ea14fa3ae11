"""Two people who do not exist: one face mesh, drawn in two ways, from several sides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sosie.recipes.two_people.faces import PersonFaces


@pytest.fixture
def person() -> Callable[..., PersonFaces]:
    """`person(seed, count=16, size=64)`: discs of one color with eyes, and an identity."""

    def make(seed: int, count: int = 16, size: int = 64) -> PersonFaces:
        rng = np.random.default_rng(seed)
        y, x = (np.indices((size, size)) + 0.5) / size - 0.5
        disc, color = x**2 + y**2 < 0.12, rng.uniform(60, 220, 3)
        eyes = (np.abs(np.abs(x) - 0.14) < 0.05) & (np.abs(y + 0.08) < 0.04)
        faces = np.full((count, size, size, 3), 40.0)
        faces[:, disc] = color
        faces[:, eyes] = 255 - color
        faces *= rng.uniform(0.8, 1, (count, 1, 1, 1))
        identity = rng.standard_normal(512)
        aligned = np.array([[size / 112, 0, 0], [0, size / 112, 0]], np.float32)
        return PersonFaces(
            faces=faces.clip(0, 255).astype(np.uint8),
            masks=np.repeat(disc[None], count, 0).astype(np.uint8) * 255,
            features=np.repeat(eyes[None], count, 0).astype(np.uint8) * 255,
            yaws=rng.uniform(-40, 40, count).astype(np.float32),
            identities=np.repeat((identity / np.linalg.norm(identity))[None], count, 0).astype(
                np.float32
            ),
            aligned=np.repeat(aligned[None], count, 0),
        )

    return make
