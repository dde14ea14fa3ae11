"""Adaptive instance normalization, on values that can be worked out by hand."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.nn.adain import AdaIn, AdaInBlock, normalize_instance  # noqa: E402


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
