"""bf16 where it is fast, and nowhere else."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.nn.blocks import fast_precision  # noqa: E402


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
