"""A video that is kept steady: latents that move as the target's, pixels that its flow carries."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", exc_type=ImportError)

from sosie.errors import UsageError
from sosie.methods import load_method
from sosie.methods.fslsd.trajectory import following
from sosie.options import SwapOptions
from sosie.types import Crop, SwappedCrop


def pattern(seed: int, size: int = 64) -> np.ndarray:
    coarse = np.random.default_rng(seed).uniform(30, 220, (9, 9, 3)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).clip(0, 255)


def test_a_picture_follows_its_target_where_flow_carries_the_target() -> None:
    target, before = pattern(0).astype(np.uint8), pattern(1) / 255
    moved = np.roll(target, 3, 1)
    made = (pattern(2) / 255).astype(np.float32)
    found = following(made, moved, before.astype(np.float32), target, 0.5)
    expected = (made + np.roll(before, 3, 1)) / 2
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(found - expected)[inner].mean() < 0.03
    assert np.abs(made - expected)[inner].mean() > 0.1
    assert np.allclose(following(made, moved, before.astype(np.float32), target, 0.0), made)
    # Of a cut nothing is left of what was before.
    after_cut = following(made, 255 - target, before.astype(np.float32), target, 0.9)
    assert np.abs(after_cut - made).mean() < 0.05


@pytest.fixture(scope="module")
def frames(
    model_face: Callable[..., Any], paint: Callable[..., np.ndarray], crop_for: Callable[..., Crop]
) -> Callable[..., list[Crop]]:
    """Crops of a face that stands still, each with a noise of its own."""

    def make(card: Any, count: int = 6) -> list[Crop]:
        face, rng = model_face(5, unit_px=60, center=(128, 128)), np.random.default_rng(0)
        still = paint(face, rng.uniform(60, 200, (478, 3))).astype(np.float64)
        return [
            crop_for(np.clip(still + rng.normal(0, 4, still.shape), 0, 255).astype(np.uint8),
                     face, card)
            for _ in range(count)
        ]  # fmt: skip

    return make


@pytest.fixture(scope="module")
def swapped(
    untrained: Callable[[str], Any],
    frames: Callable[..., list[Crop]],
    model_face: Callable[..., Any],
    paint: Callable[..., np.ndarray],
    source_of: Callable[..., Any],
) -> Callable[..., list[SwappedCrop]]:
    """`swapped(**options)`: the frames, each with what the one before has left."""
    weights = str(untrained("fslsd"))
    face = model_face(0, unit_px=65, center=(128, 125))
    source = source_of(paint(face, (200, 90, 60)), face)

    def run(**options: float) -> list[SwappedCrop]:
        swapper = load_method("fslsd")(SwapOptions(method="fslsd", weights=weights, **options))
        assert swapper.card.carries == bool(options)
        prepared, results = swapper.prepare([source]), []
        carried: Any = {}
        for crop in frames(swapper.card):
            crop = dataclasses.replace(crop, carried=carried)
            results += swapper.swap(prepared, [crop])
            carried = results[-1].carried
        return results

    return run


def test_what_flickers_over_a_target_that_moves_flickers_less() -> None:
    rng, target, face = np.random.default_rng(0), pattern(0), pattern(1) / 255
    made, held, before = [], [], None
    for number in range(6):
        seen = np.roll(target, number, 1).astype(np.uint8)
        # Light comes and goes, as where each frame is inverted by itself.
        light = face + rng.normal(0, 0.05)
        made.append(np.roll(light, number, 1).astype(np.float32))
        held.append(made[-1])
        if before is not None:
            held[-1] = following(made[-1], seen, held[-2], before, 0.7)
        before = seen

    def flicker(pictures: list[np.ndarray]) -> float:
        still = np.stack([np.roll(one, -k, 1) for k, one in enumerate(pictures)])
        return float(np.abs(np.diff(still, axis=0))[:, 8:-8, 16:-16].mean())

    assert flicker(held) < 0.6 * flicker(made)


def test_each_constraint_carries_what_it_needs_and_latents_are_held(
    swapped: Callable[..., list[SwappedCrop]],
) -> None:
    plain = swapped()
    assert all(not one.carried for one in plain)
    flow = swapped(flow_trajectory=0.8)
    # The first frame has nothing before it.
    assert np.array_equal(flow[0].pixels, plain[0].pixels)
    assert set(flow[-1].carried) == {"picture", "target"}
    code = swapped(code_trajectory=0.9)
    assert set(code[-1].carried) == {"moved"}
    assert np.array_equal(code[0].pixels, plain[0].pixels)
    # What the latents of the swap are away from the target's changes by a tenth of what it would.
    own = [one.carried["moved"] for one in swapped(code_trajectory=1e-6)]
    held = [one.carried["moved"] for one in code]
    steps = [np.abs(np.diff(np.stack(x), axis=0)).mean() for x in (own, held)]
    assert steps[1] < 0.3 * steps[0]
    both = swapped(code_trajectory=0.5, flow_trajectory=0.5)
    assert set(both[-1].carried) == {"moved", "picture", "target"}


def test_other_methods_have_no_trajectories() -> None:
    for name in ("code_trajectory", "flow_trajectory"):
        with pytest.raises(UsageError, match=f"{name} belongs to the method fslsd"):
            SwapOptions.from_dict({"method": "graft", name: 0.5})
    with pytest.raises(UsageError, match="flow_trajectory must be between"):
        SwapOptions(method="fslsd", weights="x", flow_trajectory=1.0)
