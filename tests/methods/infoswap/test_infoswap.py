"""InfoSwap: what its bottleneck lets pass, and that it learns to."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.errors import UsageError  # noqa: E402
from sosie.methods import load_method  # noqa: E402
from sosie.methods.infoswap.network import STAGES, Bottleneck, Generator  # noqa: E402
from sosie.options import SwapOptions  # noqa: E402
from sosie.recipes import load_recipe  # noqa: E402
from sosie.recipes.swapper import recipe as swapping  # noqa: E402
from sosie.training.optimizer_steps import Steps  # noqa: E402


def drawn_stages(count: int = 4) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    sides = (28, 14, 7)
    return [
        torch.randn(count, c, px, px, generator=generator) * 2 + 1
        for c, px in zip(STAGES, sides, strict=True)
    ]


@pytest.fixture
def bottleneck():
    torch.manual_seed(0)
    network = Bottleneck()
    for _ in range(60):
        network(drawn_stages())
    return network


def set_shares(bottleneck, value):
    return [torch.full_like(stage, value) for stage in drawn_stages()]


def test_the_more_passes_the_more_information_there_is(bottleneck):
    stages = drawn_stages()
    found = [float(bottleneck.information(stages, set_shares(bottleneck, v))) for v in
             (0.0, 0.3, 0.6, 0.9)]  # fmt: skip
    assert found[0] == pytest.approx(0, abs=1e-3)
    assert found == sorted(found)
    assert found[-1] > 1


def test_noise_is_like_what_it_stands_for_and_still_at_run_time(bottleneck):
    stage = drawn_stages()[1]
    noise = bottleneck.noise(1, stage)
    assert float(noise.mean()) == pytest.approx(1, abs=0.1)
    assert float(noise.std()) == pytest.approx(2, abs=0.2)
    bottleneck.eval()
    again = bottleneck.noise(1, stage)
    assert torch.equal(again, bottleneck.noise(1, stage))
    assert float(again.std((2, 3)).max()) < 1e-6


def test_at_first_nearly_all_passes(bottleneck):
    for share in bottleneck(drawn_stages()):
        assert float(share.detach().min()) > 0.9


def test_the_form_fits_its_size():
    for size in (64, 512):
        with torch.device("meta"):
            network = Generator(size, 4, 1)
            stages = [torch.empty(2, *s.shape[1:]) for s in drawn_stages(1)]
            made, maps = network(torch.empty(2, 3, size, size), torch.empty(2, 512), stages, stages)
        assert made.shape == (2, 3, size, size)
        assert [m.shape[-1] for m in maps] == [4 * 2**k for k in range(len(maps))]


@pytest.fixture
def tiny(materials, some_people, monkeypatch):
    monkeypatch.setattr(swapping, "open_people", lambda *_: some_people())

    def make(**changes):
        kind = load_recipe("infoswap")
        plan = {"batch": 4, "width": 4, "critic": 4, **changes}
        return kind(materials, dataclasses.replace(kind.presets["small"], **plan))

    return make


def batch_of(recipe, count=4):
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}


def test_where_information_costs_much_less_of_it_passes(tiny):
    off = {"identity": 0.0, "reconstruction": 0.0, "adversarial": 0.0, "attribute": 0.0}
    recipe = tiny(lr=5e-3, information=1.0, kept=0.0, contrast=0.0, **off)
    torch.manual_seed(0)
    network = recipe.network()
    steps = Steps(network, recipe.phases(), recipe.chosen)
    batch = batch_of(recipe)
    found = [steps.take([dict(batch)], 0.0)["generator/information"] for _ in range(25)]
    assert found[-1] < 0.5 * found[0]


def test_an_identity_that_is_not_restricted_is_the_networks_own(tiny):
    recipe = tiny()
    bottleneck = recipe.network().eval().generator.bottleneck
    source = recipe.pictures(batch_of(recipe), "source")
    for readout in bottleneck.readouts:
        torch.nn.init.constant_(readout[-1].bias, 50.0)
    with torch.no_grad():
        compressed = recipe._compressed(bottleneck, source)[0]
        whole = recipe.embed(source)
    assert float((compressed * whole).sum(1).min()) > 0.999


def test_each_loss_is_there(tiny):
    recipe = tiny()
    steps = Steps(recipe.network(), recipe.phases(), recipe.chosen)
    terms = steps.take([batch_of(recipe)], 0.0)
    for name in ("information", "kept", "contrast", "identity", "attribute", "adversarial"):
        assert np.isfinite(terms[f"generator/{name}"])


def test_how_to_get_weights_is_told():
    with pytest.raises(UsageError, match=r"sosie train infoswap.*ask the authors.*ONNX"):
        load_method("infoswap")(SwapOptions(method="infoswap"))
