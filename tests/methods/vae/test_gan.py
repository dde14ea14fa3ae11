"""The home GAN: its networks, and the figures that tell how it fails."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.errors import InputError  # noqa: E402
from sosie.methods.vae.gan_network import Gan  # noqa: E402
from sosie.models.session import create_session  # noqa: E402
from sosie.recipes import load_recipe, own_faces  # noqa: E402
from sosie.recipes.train import Order, make  # noqa: E402
from sosie.training.optimizer_steps import Steps  # noqa: E402

TINY = {"samples": "16", "batch": "8", "validate_every": "8", "width": "4", "latent": "5",
        "size_px": "16"}  # fmt: skip


@pytest.fixture
def recipe(monkeypatch, some_people, materials):
    monkeypatch.setattr(own_faces, "open_people", lambda *_: some_people(24, 160))
    kind = load_recipe("dcgan")
    return kind(materials, kind.presets["small"].changed(TINY))


@pytest.mark.parametrize("size_px", [16, 64])
def test_pictures_are_made_and_judged(size_px):
    gan = Gan(size_px, 4, 5)
    pictures = gan.generator(torch.randn(3, 5))
    assert pictures.shape == (3, 3, size_px, size_px)
    assert 0 <= float(pictures.detach().min()) <= float(pictures.detach().max()) <= 1
    assert gan.judge(pictures).shape == (3,)


def test_the_published_form_has_the_published_widths():
    """1024 channels at 4 px there; here half of it at 64 px, as its public implementations have."""
    gan = Gan(64, 64, 100)
    assert gan.generator.first[0].weight.shape == (100, 512, 4, 4)
    assert gan.judge.last.weight.shape == (1, 512, 4, 4)


def test_each_phase_moves_its_own_network_alone(recipe):
    torch.manual_seed(0)
    network = recipe.network()
    judge, generator = recipe.phases()
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in range(8)]
    batch = {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}
    for phase, moves, stays in ((judge, "judge", "generator"), (generator, "generator", "judge")):
        before = {k: v.clone() for k, v in network.state_dict().items() if "running" not in k}
        Steps(network, (phase,), recipe.chosen).take([dict(batch)], 0.0)
        changed = {
            name.split(".")[0]
            for name, value in network.named_parameters()
            if not torch.equal(value, before[name])
        }
        assert changed == {moves}, stays


def test_copies_and_sameness_are_told_by_the_figures(recipe, monkeypatch):
    network = recipe.network().eval()
    own = recipe._own
    photos = torch.from_numpy(own.pictures(own.train, 16)).permute(0, 3, 1, 2).float() / 255
    for made, variety, copied in (
        (photos, pytest.approx(1, abs=0.01), pytest.approx(0, abs=1e-6)),
        (photos[:1].repeat(8, 1, 1, 1), pytest.approx(0, abs=1e-3), pytest.approx(0, abs=1e-6)),
    ):
        monkeypatch.setattr(recipe, "_made", lambda *_, made=made: made)
        found = recipe.validate(network)
        assert (found["variety"], found["copied"]) == (variety, copied)
    # The last photos, mirrored: copies all the same.
    monkeypatch.setattr(recipe, "_made", lambda *_: photos[-4:].flip(-1))
    assert recipe.validate(network)["copied"] == pytest.approx(0, abs=1e-6)
    monkeypatch.setattr(recipe, "_made", lambda *_: torch.rand(8, 3, 16, 16))
    assert recipe.validate(network)["copied"] > 0.8


def test_a_run_ends_with_a_generator_to_call(recipe, materials, tmp_path):
    made = make(Order("dcgan", materials, tmp_path / "run", settings=TINY, preset="small"))
    assert made.file.name == "dcgan.onnx"
    session = create_session(made.file, threads=1)
    pictures = session.run({"latent": np.zeros((3, 5), np.float32)})["made"]
    assert pictures.shape == (3, 3, 16, 16)


def test_too_few_faces(recipe, materials, monkeypatch, some_people, tmp_path):
    monkeypatch.setattr(own_faces, "open_people", lambda *_: some_people(6, 160))
    order = Order("dcgan", materials, tmp_path / "run", settings=TINY, preset="small")
    with pytest.raises(InputError, match="gives 6 faces, and at least 20 are wanted"):
        make(dataclasses.replace(order))
