"""Patch discriminators; and bf16 where it is fast, and nowhere else."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from torch.nn import functional  # noqa: E402

from sosie.nn.blocks import (  # noqa: E402
    MultiScaleDiscriminator,
    PatchDiscriminator,
    fast_precision,
)


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


def computed_in(device: torch.device) -> torch.dtype:
    x = torch.ones(2, 2, device=device)
    return (x @ x).dtype


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx512_bf16": True, "avx2": True}, torch.bfloat16),
        ({"avx512_bf16": False, "avx2": True}, torch.float32),
        ({"neon": True}, torch.float32),
    ],
)
def test_a_processor_takes_bf16_where_it_has_instructions_for_it(monkeypatch, capabilities, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    device = torch.device("cpu")
    with fast_precision(device):
        assert computed_in(device) == dtype
    assert computed_in(device) == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_takes_bf16(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    device = torch.device("cuda")
    with fast_precision(device):
        assert computed_in(device) == torch.bfloat16
    assert computed_in(device) == torch.float32
