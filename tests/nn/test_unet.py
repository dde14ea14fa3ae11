from __future__ import annotations

import pytest

pytest.importorskip("torch", exc_type=ImportError)

import torch

from sosie.nn.unet import UShape


@pytest.mark.parametrize(
    ("skip", "widths"), [("concat", [8, 14, 8]), ("concat_first", [8, 14, 8]), ("add", [8, 6, 4])]
)
def test_maps_double_in_size_and_have_the_widths_told(skip, widths):
    down = (4, 6, 8)
    up = (6, 4) if skip == "add" else (8, 4)
    network = UShape(3, down, up, skip)
    maps = network(torch.randn(1, 3, 32, 32))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (width, 4 << step, 4 << step) for step, width in enumerate(widths)
    ]
    assert network.widths(down, up, skip) == widths


def test_the_skip_stands_last_or_first():
    torch.manual_seed(3)
    last = UShape(3, (4, 6), (5,), "concat")
    first = UShape(3, (4, 6), (5,), "concat_first")
    first.load_state_dict(last.state_dict())
    x = torch.randn(1, 3, 16, 16)
    a, b = last.eval()(x)[1], first.eval()(x)[1]
    assert torch.equal(a, torch.cat([b[:, 4:], b[:, :4]], 1))
    assert not torch.equal(a, b)
