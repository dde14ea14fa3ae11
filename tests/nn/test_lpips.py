from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sosie.errors import InputError  # noqa: E402
from sosie.nn.lpips import Lpips  # noqa: E402

KINDS = {
    "alex": (2_469_696, [64, 192, 384, 256, 256]),
    "vgg": (14_714_688, [64, 128, 256, 512, 512]),
    "squeeze": (722_496, [64, 128, 256, 384, 384, 512, 512]),
}


def linear_of(widths, value=1.0):
    return {
        f"lin{n}.model.1.weight": torch.full((1, width, 1, 1), value)
        for n, width in enumerate(widths)
    }


@pytest.fixture(scope="module", params=["alex", "squeeze"])
def network(request):
    torch.manual_seed(0)
    return Lpips(request.param)


@pytest.mark.parametrize("kind", KINDS)
def test_backbones_have_the_size_of_the_published_ones(kind):
    count, widths = KINDS[kind]
    network = Lpips(kind)
    assert sum(p.numel() for p in network.features.parameters()) == count
    assert [len(weight) for weight in network.weights] == widths


def test_equal_pictures_are_at_no_distance(network):
    picture = torch.rand(3, 96, 80)
    found = network.distance(picture, picture)
    assert found.total == 0
    assert found.places.shape == (96, 80) and not found.places.any()


def test_the_distance_by_its_definition(network):
    """Eq. 1 of the paper, with a weight of 1: for unit vectors |a - b|^2 = 2 - 2 ab."""
    one, other = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        layers = network(torch.stack([one, other]))
    wanted = sum(float((2 - 2 * (f[0] * f[1]).sum(0)).mean()) for f in layers)
    found = network.distance(one, other)
    # Where all channels answer 0 there is no unit vector: the two formulas differ there.
    assert found.total == pytest.approx(wanted, rel=0.02)
    assert float(found.places.mean()) == pytest.approx(found.total, rel=0.1)
    assert network.distance(other, one).total == pytest.approx(found.total)


def test_linear_weights_scale_the_distance(network):
    one, other = torch.rand(2, 3, 64, 64)
    before = network.distance(one, other).total
    backbone = {f"features.{n}": v for n, v in network.features.state_dict().items()}
    widths = [len(weight) for weight in network.weights]
    other_network = Lpips("alex" if len(widths) == 5 else "squeeze")
    other_network.load({**backbone, "classifier.1.weight": torch.zeros(2)}, linear_of(widths, 3.0))
    assert other_network.distance(one, other).total == pytest.approx(3 * before, rel=1e-4)


def test_more_noise_is_further_away(network):
    torch.manual_seed(1)
    picture, noise = torch.rand(3, 96, 96), torch.rand(3, 96, 96)
    found = [network.distance(picture, picture + share * noise).total for share in (0.05, 0.2, 0.6)]
    assert 0 < found[0] < found[1] < found[2]


def test_other_weights_are_refused():
    network = Lpips("alex")
    backbone = {f"features.{n}": v for n, v in network.features.state_dict().items()}
    widths = KINDS["alex"][1]
    for back, linear in (
        ({}, linear_of(widths)),
        (backbone, linear_of(widths[:-1])),
        (backbone, linear_of([64, 192, 384, 256, 255])),
        (backbone, {f"{n}": v for n, v in enumerate(linear_of(widths).values())}),
    ):
        with pytest.raises(InputError, match="not the weights of this LPIPS network"):
            network.load(back, linear)
