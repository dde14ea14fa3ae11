"""E4S's networks: regions that do not know of one another, and the graph of a swap."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", exc_type=ImportError)

import torch

from sosie.methods.e4s.network import E4sForm, RegionNetwork, SwapGraph
from sosie.methods.e4s.published import PUBLISHED
from sosie.methods.e4s.regions import REGIONS
from sosie.nn.stylegan2 import layers
from sosie.nn.stylegan2.generator import Form
from sosie.nn.stylegan2.layers import ModulatedConv
from sosie.recipes.published import networks
from sosie.recipes.published.files import export, make_card

FORM = E4sForm(Form(64, 8, 2, 256, 8), 64, 4, ((4, 1), (8, 1), (8, 1), (8, 1)), 8, 7)


def masks_of(*shape: int) -> torch.Tensor:
    found = torch.nn.functional.one_hot(torch.randint(0, len(REGIONS), shape), len(REGIONS))
    return found.movedim(-1, 1).float()


@pytest.fixture(scope="module")
def network() -> RegionNetwork:
    torch.manual_seed(0)
    return RegionNetwork(FORM).eval().requires_grad_(False)


@pytest.mark.parametrize(("side", "up"), [(3, False), (3, True), (1, False)])
def test_a_convolution_of_regions_is_that_of_each_in_its_own(
    side: int, up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    conv = ModulatedConv(5, 7, side, 8, up=up, demodulated=side > 1)
    if up:
        conv.kernel.copy_(torch.rand(4, 4))
    x, latents = torch.randn(2, 5, 6, 6), torch.randn(2, len(REGIONS), 8)
    masks = masks_of(2, 12, 12) if up else masks_of(2, 6, 6)
    each = [conv(x, latents[:, k]) * masks[:, k : k + 1] for k in range(len(REGIONS))]
    found = conv.by_regions(x, latents, masks)
    assert torch.allclose(found, torch.stack(each).sum(0), atol=1e-5)
    one = latents[:, 0]
    assert torch.allclose(conv.in_parts(x, one), conv(x, one), atol=1e-5)
    # Large maps are made in bands.
    monkeypatch.setattr(layers, "_AT_ONCE", 5 * 6 * 2)
    assert torch.allclose(conv.by_regions(x, latents, masks), found, atol=1e-5)


def test_a_region_is_described_by_its_own_features_alone(network: RegionNetwork) -> None:
    features, masks = torch.randn(1, 8, 16, 16), torch.zeros(1, len(REGIONS), 64, 64)
    masks[:, 3, :32], masks[:, 6, 32:] = 1, 1
    described = network.described(torch.rand(1, 3, 64, 64), masks)
    seen = described.abs().sum(2)[0] > 0
    assert [REGIONS[k] for k in range(len(REGIONS)) if seen[k]] == ["eyes", "skin"]
    from sosie.methods.e4s.network import region_means

    means = region_means(features, masks)
    assert torch.allclose(means[0, 3], features[0, :, :8].mean((1, 2)), atol=1e-6)


def test_of_a_swap_each_region_looks_as_one_or_the_other_and_none_that_is_not_there_counts(
    network: RegionNetwork,
) -> None:
    torch.manual_seed(1)
    mean = network.generator.mean_latent()
    graph = SwapGraph(network, mean)
    source, target = torch.rand(2, 1, 3, 64, 64) * 2 - 1
    ours, theirs = masks_of(1, 64, 64), masks_of(1, 64, 64)
    none = torch.zeros(1, len(REGIONS))
    every = network.generator.spread(mean[None])[0]
    for taken, who, masks in ((none, target, theirs), (none + 1, source, ours)):
        latents = network.latents(network.described(who, masks), every)
        expected, _ = network.painted(latents, theirs)
        found = graph(source, ours, target, theirs, theirs, taken)
        assert torch.allclose(found, expected, atol=1e-4)
    two = torch.zeros_like(theirs)
    two[:, 3, :, :32], two[:, 6, :, 32:] = 1, 1
    plain = graph(source, ours, target, theirs, two, none)
    hair, eyes = none.clone(), none.clone()
    hair[0, 4], eyes[0, 3] = 1, 1
    assert torch.equal(graph(source, ours, target, theirs, two, hair), plain)
    apart = (graph(source, ours, target, theirs, two, eyes) - plain).abs()[0].mean(0)
    # What a region looks like is seen beyond it no further than convolutions reach.
    assert float(apart[:, :16].mean()) > 3 * float(apart[:, 60:].mean())


def test_a_published_network_becomes_the_graph_of_a_swap(
    network: RegionNetwork, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sosie.methods.e4s import published
    from sosie.methods.e4s.swapper import INPUTS, E4sSwapper
    from sosie.options import SwapOptions

    entry = published._published(FORM)
    monkeypatch.setitem(PUBLISHED, "e4s_net3_256", entry)
    assert networks.find_published("e4s_net3_256") is entry
    file = tmp_path / "e4s_net3_256.onnx"
    card = make_card("e4s_net3_256", network, "iteration_300000.pt", "0" * 64, False)
    assert export(entry.exported(network), card, file) < 1
    assert tuple(card.inputs) == INPUTS
    swapper = E4sSwapper(SwapOptions(method="e4s", weights=str(file)))
    assert swapper.card.size_px == 64
    assert "MIT" in swapper.card.license


def test_the_published_form_is_that_of_1024_px() -> None:
    entry = PUBLISHED["e4s_net3_1024"]
    assert dict(entry.exported_inputs)["source"] == (1, 3, 1024, 1024)
    assert dict(entry.exported_inputs)["regions"] == (1, 12, 256, 256)
    with torch.device("meta"):
        built = entry.build()
    # Layers of more than 256 px have the mean latent alone.
    assert built.form.regional == 13
    assert built.generator.form.count == 18
    assert np.prod(built.regions[0].mlp[2].weight.shape) == 512 * 13 * 512
