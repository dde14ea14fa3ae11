"""How an identity is woven into a feature map, on values that can be worked out by hand."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from torch.nn import functional  # noqa: E402

from sosie.nn.aei import WIDTHS, AadGenerator  # noqa: E402
from sosie.nn.modulation import AadBlock, AadForm, AadLayer, AdaIn, AdaInBlock, normalize_instance  # noqa: E402


@pytest.fixture
def maps() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 3, 8, 6) * 5 + 7


def test_every_channel_of_every_picture_is_normalized_by_itself(maps):
    result = normalize_instance(maps)
    assert torch.allclose(result.mean((2, 3)), torch.zeros(2, 3), atol=1e-6)
    # The deviation is the biased one.
    assert torch.allclose(result.square().mean((2, 3)), torch.ones(2, 3), atol=1e-5)
    assert torch.allclose(normalize_instance(maps * 3 - 4), result, atol=1e-5)


def test_a_flat_channel_stays_finite():
    assert normalize_instance(torch.full((1, 2, 4, 4), 9.0)).abs().max() == 0


@pytest.mark.parametrize(("around_one", "scale"), [(True, 3.0), (False, 2.0)])
def test_the_identity_sets_deviation_and_mean(maps, around_one, scale):
    style = AdaIn(3, 4, around_one)
    with torch.no_grad():
        style.linear.weight.zero_()
        # Scales of all channels first, then shifts.
        style.linear.bias.copy_(torch.tensor([2.0, 2, 2, 10, 20, 30]))
        result = style(maps, torch.zeros(2, 4))
    assert torch.allclose(result.mean((2, 3)), torch.tensor([[10.0, 20, 30]] * 2), atol=1e-4)
    deviation = result.std((2, 3), correction=0)
    assert torch.allclose(deviation, torch.full((2, 3), scale), atol=1e-4)


def test_each_picture_of_a_batch_has_its_own_identity(maps):
    torch.manual_seed(1)
    block = AdaInBlock(3, 4, around_one=True).eval()
    identities = torch.randn(2, 4)
    with torch.no_grad():
        together = block(maps, identities)
        single = torch.cat([block(maps[k : k + 1], identities[k : k + 1]) for k in range(2)])
        swapped = block(maps, identities.flip(0))
    assert together.shape == maps.shape
    assert torch.allclose(together, single, atol=1e-5)
    assert not torch.allclose(together, swapped, atol=1e-2)


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
