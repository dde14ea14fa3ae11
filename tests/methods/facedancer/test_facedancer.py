"""FaceDancer: what its parts compute, and its published file from import to swap."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.fixtures.hdf5 import write_hdf5

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.errors import UsageError  # noqa: E402
from sosie.methods import load_method  # noqa: E402
from sosie.methods.facedancer import recipe as recipes  # noqa: E402
from sosie.methods.facedancer.losses import distances, similarity_loss  # noqa: E402
from sosie.methods.facedancer.network import Fusion, Generator  # noqa: E402
from sosie.methods.facedancer.published import from_keras  # noqa: E402
from sosie.options import SwapOptions  # noqa: E402
from sosie.recipes import load_recipe  # noqa: E402
from sosie.recipes.published.importing import import_weights  # noqa: E402
from sosie.recipes.published.networks import published_shapes  # noqa: E402
from sosie.recipes.swapper import recipe as swapping  # noqa: E402
from sosie.recipes.train import Order, make  # noqa: E402

NETWORK = "facedancer_config_c"


def drawn(seed: int = 0) -> dict[str, np.ndarray]:
    """Weights by their published names, in PyTorch's layout."""
    rng = np.random.default_rng(seed)
    return {
        key: np.float32(rng.normal(0, np.prod(shape[1:]) ** -0.5, shape))
        for key, shape in published_shapes(NETWORK).items()
    }


def as_keras(weights, first=53, dense=9):
    """The tree of a file in which other models were counted before."""
    tree, within = {}, {}
    for key, value in weights.items():
        layer, *rest = key.split("/")
        if layer.split("_")[0] == "conv2d":
            number = int(layer.split("_")[1]) if "_" in layer else 0
            layer = f"conv2d_{number + first}"
        if len(rest) == 2:
            number = within.setdefault((layer, rest[0]), dense + len(within))
            rest = [f"dense_{number}", rest[1]]
        if rest[-1] == "kernel":
            value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
        inner = tree.setdefault(layer, {}).setdefault(layer, {})
        for part in rest[:-1]:
            inner = inner.setdefault(part, {})
        inner[f"{rest[-1]}:0"] = value
    return {"model_weights": tree, "optimizer_weights": {"Adam": {"m:0": np.zeros(3)}}}


def flat(tree, before=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{key}/")
        else:
            yield f"{before}{key}", value


def test_names_and_layout_of_keras_are_undone():
    weights = drawn()
    found = from_keras(dict(flat(as_keras(weights))))
    assert found.keys() == weights.keys()
    assert all(np.array_equal(found[key], value) for key, value in weights.items())
    # What has PyTorch's layout already is let be.
    assert from_keras(weights) is weights


def test_a_published_file_is_imported_and_runs(tmp_path):
    weights = drawn(1)
    write_hdf5(tmp_path / "FaceDancer.h5", as_keras(weights))
    done = import_weights("facedancer", tmp_path / "FaceDancer.h5", tmp_path)
    assert done.card.network == NETWORK
    assert 0 <= done.deviation < 1
    assert done.onnx.is_file()


def test_fusion_takes_each_value_from_one_of_both():
    fusion = Fusion(8)
    target, made = torch.randn(2, 2, 8, 4, 4)
    for bias, expected in ((-50.0, target), (50.0, made)):
        torch.nn.init.constant_(fusion.mask.bias, bias)
        torch.nn.init.zeros_(fusion.mask.weight)
        assert torch.allclose(fusion(target, made), expected, atol=1e-5)


def test_the_small_form_has_the_levels_of_the_published_one():
    for size, ups in ((64, 3), (128, 4), (256, 5)):
        with torch.device("meta"):
            network = Generator(size, 4)
            made = network(torch.empty(2, 3, size, size), torch.empty(2, 512))
        assert (len(network.up), len(network.fusions)) == (ups, 3)
        assert made.shape == (2, 3, size, size)


def test_what_is_within_the_margin_costs_nothing():
    target = [torch.randn(3, 4, 2, 2), torch.randn(3, 8, 1, 1)]
    near = [t + 0.01 * torch.randn_like(t) for t in target]
    margins = torch.tensor([0.1, 0.1])
    assert float(similarity_loss(near, target, margins)) == 0
    far = [-t for t in target]
    assert torch.allclose(distances(far, target), torch.tensor([2.0, 2.0]))
    assert float(similarity_loss(far, target, margins)) == pytest.approx(2 * (2 - 1.2 * 0.1))


def test_margins_are_measured_on_the_pictures(materials, some_people, monkeypatch):
    monkeypatch.setattr(swapping, "open_people", lambda *_: some_people())
    kind = load_recipe("facedancer")
    plan = dataclasses.replace(kind.presets["small"], width=4, critic=4)
    margins = kind(materials, plan)._margins
    assert margins.shape == (3,)
    assert bool((margins > 0).all())
    assert torch.equal(margins, kind(materials, plan)._margins)


def test_one_photo_twice_is_lit_twice(materials, some_people, monkeypatch):
    monkeypatch.setattr(swapping, "open_people", lambda *_: some_people())
    kind = load_recipe("facedancer")
    recipe = kind(materials, dataclasses.replace(kind.presets["small"], same=1.0))
    sample = recipe.sample(0, np.random.default_rng(0))
    assert sample["same"] == 1
    shift = sample["source"].astype(float) - sample["target"]
    assert np.abs(shift).mean() > 1
    assert np.abs(np.corrcoef(sample["source"].ravel(), sample["target"].ravel())[0, 1]) > 0.8


def test_the_rate_falls_as_published(materials):
    kind = load_recipe("facedancer")
    paces = [phase.pace for phase in kind(materials, kind.presets["256"]).phases()]
    # A million steps are ten times a hundred thousand.
    assert [pace(1.0) for pace in paces] == pytest.approx([0.97**10] * 2)
    assert paces[0](0.0) == 1


def test_a_size_that_cannot_be_halved_is_refused(materials, tmp_path):
    order = Order("facedancer", materials, tmp_path / "run", settings={"size_px": "96"})
    with pytest.raises(UsageError, match="power of two from 64 on, not 96"):
        make(order)
    assert recipes.FaceDancerRecipe.plan.perceptual > 0


def test_the_published_network_is_told_an_embedding_as_it_comes(
    imported, model_face, source_of, crop_for
):
    files = imported(NETWORK)
    options = SwapOptions.from_dict({"method": "facedancer", **files})
    swapper = load_method("facedancer")(options)
    assert (swapper.card.template, swapper.card.size_px) == ("arcface", 256)
    face = model_face(unit_px=55)
    photo, frame = (np.full((256, 256, 3), level, np.uint8) for level in (200, 100))
    prepared = swapper.prepare([source_of(photo, face)])
    # The mean color in 0..1, not in -1..1 and not of length 1.
    assert np.allclose(prepared[0].identity[0, :3], 200 / 255, atol=0.01)
    assert swapper.swap(prepared, [crop_for(frame, face, swapper.card)])[0].mask.max() == 1
    del files["converter"]
    with pytest.raises(UsageError, match="--converter"):
        load_method("facedancer")(SwapOptions.from_dict({"method": "facedancer", **files}))
