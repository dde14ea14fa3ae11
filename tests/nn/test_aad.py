from __future__ import annotations

import pytest

pytest.importorskip("torch", exc_type=ImportError)

import torch
from torch.nn import functional

from sosie.nn.aei import WIDTHS, AadGenerator
from sosie.nn.modulation import AadBlock, AadForm, AadLayer

BATCH = AadForm(norm="batch", kernel=3, mask_kernel=3, mask_per_channel=True, conv_bias=True)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(5)


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.randn(2, 6, 8, 8), torch.randn(2, 3, 8, 8), torch.randn(2, 4)


def close_mask(layer: AadLayer, bias: float) -> None:
    """A mask that is 1 everywhere (bias far above 0), or 0 (far below)."""
    torch.nn.init.zeros_(layer.mask.weight)
    torch.nn.init.constant_(layer.mask.bias, bias)


def test_where_the_mask_is_open_only_the_identity_speaks():
    layer = AadLayer(6, 3, 4, AadForm())
    x, attributes, identity = inputs()
    close_mask(layer, 100)
    result = layer(x, attributes, identity)
    assert torch.equal(result, layer(x, attributes + 1, identity))
    scale, shift = layer.identity_scale(identity), layer.identity_shift(identity)
    # The scale multiplies as it is: a scale of 0 would leave the shift alone.
    expected = functional.instance_norm(x) * scale[:, :, None, None] + shift[:, :, None, None]
    torch.testing.assert_close(result, expected)


def test_where_the_mask_is_closed_only_the_attributes_speak():
    layer = AadLayer(6, 3, 4, BATCH).eval()
    x, attributes, identity = inputs()
    close_mask(layer, -100)
    result = layer(x, attributes, identity)
    assert torch.equal(result, layer(x, attributes, identity + 1))
    scale, shift = layer.attribute_scale(attributes), layer.attribute_shift(attributes)
    torch.testing.assert_close(result, layer.norm(x) * scale + shift)


@pytest.mark.parametrize(("form", "channels"), [(AadForm(), 1), (BATCH, 6)])
def test_the_mask_is_one_for_all_or_one_a_channel(form, channels):
    assert AadLayer(6, 3, 4, form).mask.out_channels == channels


@pytest.mark.parametrize("units", [1, 2, 3])
def test_a_block_that_keeps_its_width_adds_its_input(units):
    block = AadBlock(6, 6, 3, 4, AadForm(), units)
    x, attributes, identity = inputs()
    torch.nn.init.zeros_(block.units[-1].conv.weight)
    assert len(block.units) == units
    assert torch.equal(block(x, attributes, identity), x)


def test_a_block_that_changes_its_width_has_one_unit_beside():
    block = AadBlock(6, 5, 3, 4, AadForm())
    x, attributes, identity = inputs()
    torch.nn.init.zeros_(block.units[-1].conv.weight)
    expected = block.side(x, attributes, identity)
    assert torch.equal(block(x, attributes, identity), expected)
    assert expected.shape == (2, 5, 8, 8)


def test_a_generator_begins_with_the_identity_or_with_the_coarsest_map():
    with torch.device("meta"):
        channels = [WIDTHS[0], *[4] * 7]
        maps = [torch.empty(1, n, 2 << k, 2 << k) for k, n in enumerate(channels)]
        identity = torch.empty(1, 8)
        for from_map in (False, True):
            generator = AadGenerator(channels, 8, AadForm(), 1, from_map)
            assert (generator.start is None) == from_map
            assert generator(maps, identity).shape == (1, 3, 256, 256)
