"""A network that learns in a second: how bright is a picture of 8 x 8?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from sosie.training.recipe import Materials, Plan, Recipe


class BrightnessRecipe(Recipe):
    """The loop's contract in small. Torch is imported where it is needed, since tests of it are
    skipped where it is not installed."""

    name: ClassVar[str] = "brightness"
    summary: ClassVar[str] = "Tells how bright a picture is."
    origins: ClassVar[Mapping[str, str]] = {"lfw": "looked at", "yunet": "asked"}
    plan: ClassVar[Plan] = Plan(
        samples=640, batch=8, lr=0.02, warmup=0.1, ema=0.9, validate_every=160
    )

    prepared = 0

    def prepare(self) -> None:
        self.prepared += 1

    def network(self):
        import torch
        from torch import nn

        from sosie.nn.blocks import ConvUnit, PixelInput

        return nn.Sequential(
            PixelInput(),
            ConvUnit(3, 16),
            ConvUnit(16, 16, stride=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 1),
        ).to(torch.float32)

    def sample(self, index, rng):
        level = rng.uniform(40, 215)
        pixels = np.clip(rng.normal(level, 30, (8, 8, 3)), 0, 255).astype(np.uint8)
        return {"pixels": pixels, "brightness": np.float32([pixels.mean() / 255])}

    def losses(self, network, batch, progress):
        difference = network(batch["pixels"]) - batch["brightness"]
        return {"difference": difference.square().mean()}

    def validate(self, network):
        import torch

        samples = [self.sample(k, np.random.default_rng((99, k))) for k in range(32)]
        pixels = torch.from_numpy(np.stack([sample["pixels"] for sample in samples]))
        found = network(pixels).numpy()
        error = float(np.abs(found - np.stack([s["brightness"] for s in samples])).mean())
        return {"score": -error, "error": error}

    def export(self, network, file):
        import torch

        from sosie.training.export import to_onnx

        example = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
        to_onnx(network, example, file, outputs=("brightness",))


@pytest.fixture
def materials(tmp_path: Path) -> Materials:
    return Materials(data=tmp_path, teachers=tmp_path, cache=tmp_path / "cache", workers=0)


@pytest.fixture
def brightness() -> type[Recipe]:
    return BrightnessRecipe


@pytest.fixture
def recipe_that(materials) -> Callable[..., Any]:
    """`recipe_that(losses=function)`: the recipe with some methods replaced."""

    def make(**methods: Any) -> Any:
        return type("Changed", (BrightnessRecipe,), methods)(materials)

    return make
