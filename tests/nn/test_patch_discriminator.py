from __future__ import annotations

import pytest

pytest.importorskip("torch", exc_type=ImportError)

import torch
from torch.nn import functional

from sosie.nn.blocks import MultiScaleDiscriminator, PatchDiscriminator


def test_sizes_follow_the_rule_that_is_told():
    size = 64
    for _ in range(3):
        size = size // 2 + 1
    assert PatchDiscriminator(3)(torch.randn(1, 3, 64, 64)).shape[2:] == (size + 2, size + 2)


def test_each_scale_sees_the_picture_halved_once_more():
    torch.manual_seed(2)
    network = MultiScaleDiscriminator(scales=2, steps=2)
    x = torch.rand(1, 3, 32, 32)
    full, half = network(x)
    assert torch.equal(full, network.scales[0](x))
    # The border's averages count the picture's own pixels alone: a plain one stays plain.
    plain = torch.full((1, 3, 32, 32), 0.25)
    halved = torch.full((1, 3, 16, 16), 0.25)
    torch.testing.assert_close(network(plain)[1], network.scales[1](halved))
    pooled = functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    assert torch.equal(half, network.scales[1](pooled))
