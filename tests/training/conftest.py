"""A network that learns in a second (how bright is a picture of 8 x 8?), and drawn faces."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from sosie.analysis.landmarker import EXPRESSIONS
from sosie.face_shape import silhouette
from sosie.training.faces import CROP_PX, FaceSet
from sosie.training.recipe import Materials, PlainRecipe, Plan


class BrightnessRecipe(PlainRecipe):
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
def brightness() -> type[PlainRecipe]:
    return BrightnessRecipe


@pytest.fixture
def recipe_that(materials) -> Callable[..., Any]:
    """`recipe_that(losses=function)`: the recipe with some methods replaced."""

    def make(**methods: Any) -> Any:
        return type("Changed", (BrightnessRecipe,), methods)(materials)

    return make


@pytest.fixture(scope="session")
def face_set() -> Callable[..., FaceSet]:
    """`face_set(crops, landmarks, people=...)`: a cache of these faces. Where nothing else is given
    each shows a person of LFW, upright and without expression."""

    def make(crops: Any, landmarks: Any, **columns: Any) -> FaceSet:
        count = len(crops)
        people = columns.setdefault("people", np.array([f"lfw/person_{n}" for n in range(count)]))
        groups = columns.setdefault("groups", np.array([str(p).split("/")[0] for p in people]))
        known = {
            "expression": np.zeros((count, len(EXPRESSIONS)), np.float32),
            "expression_names": EXPRESSIONS,
            "rotation": np.repeat(np.eye(3, dtype=np.float32)[None], count, 0),
            "agreement": np.full(count, 0.02, np.float32),
            "archives": np.array([f"{group}.zip" for group in groups]),
            "names": np.array([f"{n}.webp" for n in range(count)]),
            "matrices": np.repeat(np.eye(2, 3)[None], count, 0),
        }
        return FaceSet(np.asarray(crops), np.asarray(landmarks), **known | columns)

    return make


def _on_a_wall(points: NDArray[np.float32]) -> NDArray[np.uint8]:
    crop = np.full((CROP_PX, CROP_PX, 3), (60, 90, 130), np.uint8)
    crop[silhouette(points, CROP_PX, CROP_PX) > 0] = (210, 160, 130)
    return crop


@pytest.fixture(scope="session")
def drawn_faces(model_face, face_set) -> Callable[..., FaceSet]:
    """`drawn_faces(count, most)`: heads turned by up to `most` (yaw, pitch, roll) degrees either
    way. draw: from landmarks to a crop; if not given, skin in a face's outline before a wall."""

    def make(count: int, most: Any, draw: Any = _on_a_wall, **columns: Any) -> FaceSet:
        rng = np.random.default_rng(0)
        poses = rng.uniform(-1, 1, (count, 3)) * most
        heads = [model_face(*pose, unit_px=32, centre=(112, 112)).landmarks for pose in poses]
        return face_set([draw(points) for points in heads], heads, **columns)

    return make


@pytest.fixture
def taught() -> Callable[..., list[dict[str, float]]]:
    """`taught(recipe, network, batch, lr, steps)`: the terms at each step on one batch."""
    import torch

    def teach(recipe: PlainRecipe, network: Any, batch: Any, lr: float, steps: int) -> Any:
        optimizer = torch.optim.AdamW(network.parameters(), lr)
        found = []
        for _ in range(steps):
            terms = recipe.phases()[0].losses(network, batch, 0.5)
            optimizer.zero_grad()
            sum(terms.values()).backward()
            optimizer.step()
            found.append({name: float(term.detach()) for name, term in terms.items()})
        assert np.isfinite([list(terms.values()) for terms in found]).all()
        return found

    return teach


@pytest.fixture
def precisions(monkeypatch) -> Callable[..., tuple[set[Any], set[Any]]]:
    """`precisions(recipe, network, batch, term)`: what the network's convolutions compute in, where
    the processor has bf16, and in what the function named `term` in the recipe's module is given
    what they found."""
    import torch

    def of(value: Any) -> set[Any]:
        if isinstance(value, torch.Tensor):
            return {value.dtype} if value.is_floating_point() else set()
        parts = value if isinstance(value, tuple | list) else ()
        return {dtype for part in parts for dtype in of(part)}

    def measure(
        recipe: PlainRecipe, network: Any, batch: Any, term: str
    ) -> tuple[set[Any], set[Any]]:
        inside: set[Any] = set()
        given: set[Any] = set()
        module = sys.modules[type(recipe).__module__]
        losses = getattr(module, term)

        def noted(*values: Any) -> Any:
            given.update(of(values))
            return losses(*values)

        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
        monkeypatch.setattr(module, term, noted)
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.register_forward_hook(lambda _, __, found: inside.add(found.dtype))
        terms = recipe.phases()[0].losses(network, batch, 0.5)
        return inside, given | of(tuple(terms.values()))

    return measure


# Squeezed and expanded channels of each of SqueezeNet's fires, and those of what is compared.
_FIRES = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128), 6: (48, 192), 7: (48, 192),
          8: (64, 256), 9: (64, 256)}  # fmt: skip
_COMPARED = (64, 128, 256, 384, 384, 512, 512)


@pytest.fixture(scope="session")
def perceptual_teachers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the perceptual distance, their weights drawn at random."""
    import torch
    from safetensors.torch import save_file

    from sosie.training import perceptual

    folder = tmp_path_factory.mktemp("teachers")
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Any:
        fan = max(1, shape[1] * shape[2] * shape[3]) if len(shape) == 4 else 1
        return torch.randn(*shape, generator=generator) * (2 / fan) ** 0.5

    tensors = {"conv1.weight": drawn(64, 3, 3, 3), "conv1.bias": torch.zeros(64)}
    inputs = 64
    for number, (narrow, wide) in _FIRES.items():
        for name, shape in (
            ("squeeze1x1", (narrow, inputs, 1, 1)),
            ("expand1x1", (wide, narrow, 1, 1)),
            ("expand3x3", (wide, narrow, 3, 3)),
        ):
            tensors[f"fire{number}.{name}.weight"] = drawn(*shape)
            tensors[f"fire{number}.{name}.bias"] = torch.zeros(shape[0])
        inputs = 2 * wide
    save_file(tensors, folder / perceptual.FEATURES_FILE)
    weights = {
        f"lin{k}.model.1.weight": torch.full((1, channels, 1, 1), 1 / channels)
        for k, channels in enumerate(_COMPARED)
    }
    save_file(weights, folder / perceptual.WEIGHTS_FILE)
    return folder


@pytest.fixture(scope="session")
def some_people() -> Callable[..., Any]:
    """`some_people(count, size_px, each)`: smooth pictures, each person's of a colour."""
    from sosie.datasets.people import People

    def make(count: int = 12, size_px: int = 64, each: int = 2) -> People:
        rng = np.random.default_rng(0)
        colours = np.repeat(rng.integers(40, 215, (count // each, 1, 1, 3)), each, 0)
        noise = rng.normal(0, 20, (count, 8, 8, 3)).repeat(size_px // 8, 1).repeat(size_px // 8, 2)
        names = np.array([f"p{k // each}" for k in range(count)])
        faces = np.clip(colours + noise, 0, 255).astype(np.uint8)
        return People(faces, names, names, np.full(len(names), ""), 0, 0)

    return make
