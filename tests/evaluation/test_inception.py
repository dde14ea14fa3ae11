from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sosie.errors import InputError  # noqa: E402
from sosie.evaluation.inception import NUMBERS, Inception, resize_as_tensorflow  # noqa: E402


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = Inception()
    for name, value in made.state_dict().items():
        if name.endswith("conv.weight"):
            torch.nn.init.kaiming_normal_(value)
    return made


def test_it_has_the_size_of_inception_v3(network):
    """21,785,568 numbers without the classifier, in 94 convolutions each with a normalization."""
    assert sum(p.numel() for p in network.parameters()) == 21_785_568
    assert sum(name.endswith("conv.weight") for name in network.state_dict()) == 94


def test_it_describes_pictures_of_any_size(network):
    with torch.inference_mode():
        found = network(torch.randint(0, 256, (2, 3, 80, 120), dtype=torch.uint8))
    assert found.shape == (2, NUMBERS)
    assert torch.isfinite(found).all() and (found >= 0).all()
    assert not torch.allclose(found[0], found[1])


def test_published_weights_are_taken_whatever_they_hold_of_a_classifier(network):
    weights = {
        name: torch.full_like(value, 0.25)
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    other = Inception()
    other.load({**weights, "fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)})
    assert other.Mixed_7c.branch_pool.conv.weight.unique().tolist() == [0.25]


def test_other_weights_are_refused(network):
    weights = dict(network.state_dict())
    del weights["Mixed_5b.branch_pool.bn.bias"]
    with pytest.raises(InputError, match="not the weights of FID's Inception"):
        Inception().load(weights)


def test_pictures_are_enlarged_with_their_corners_matched():
    line = torch.tensor([[0.0, 8.0]])[None, None].expand(1, 1, 2, 2)
    assert resize_as_tensorflow(line, 4)[0, 0, 0].tolist() == [0, 4, 8, 8]
    square = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert resize_as_tensorflow(square, 3).equal(square)
    # Nothing is filtered when a picture shrinks.
    assert resize_as_tensorflow(torch.arange(6.0).expand(1, 1, 6, 6), 3)[0, 0, 0].tolist() == [
        0,
        2,
        4,
    ]


def test_means_leave_out_the_padding(network):
    """A plain picture stays plain in a pooled branch: its corners are no darker."""
    block = network.Mixed_5b
    with torch.inference_mode():
        pooled = block(torch.ones(1, 192, 5, 5))[:, -32:]
    assert torch.allclose(pooled, pooled[..., 2:3, 2:3].expand_as(pooled), atol=1e-6)
