from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch", exc_type=ImportError)

import torch
from tests.parity.weights import agrees, make_weights, read_expected, read_inputs, thin
from torch.nn import functional

from sosie.models.session import create_session
from sosie.nn.stylegan2 import layers
from sosie.nn.stylegan2.discriminator import Discriminator, with_deviation
from sosie.nn.stylegan2.generator import Form, Generator, mixed, truncated
from sosie.recipes.published.stylegan2 import generator_name
from sosie.training.export import trace

TINY = Form(size_px=16, latent=8, depth=2, total=64, most=6)


@pytest.fixture
def generator():
    torch.manual_seed(0)
    made = Generator(TINY)
    for layer in made.layers:
        torch.nn.init.constant_(layer.noise, 0.3)
    return made.eval()


def test_its_form_tells_its_layers():
    assert TINY.sides == [4, 8, 16]
    assert (TINY.layers, TINY.count) == (5, 6)
    assert (Form().layers, Form().count) == (17, 18)
    assert [Form().channels(side) for side in (4, 64, 128, 1024)] == [512, 512, 256, 32]


def test_the_mapping_begins_with_a_fixed_length_and_keeps_its_scale(generator):
    torch.manual_seed(1)
    drawn = torch.randn(400, 8)
    latents = generator.map(drawn)
    assert torch.allclose(latents, generator.map(drawn * 5), atol=1e-4)
    whole = Generator(Form(8))
    with torch.no_grad():
        assert 0.5 < float(whole.map(torch.randn(64, 512)).square().mean()) < 3


def test_noise_is_stored_drawn_given_or_none(generator):
    latents = generator.spread(generator.map(torch.randn(2, 8)))
    with torch.no_grad():
        stored = generator.synthesize(latents).picture
        assert torch.equal(stored, generator(generator.constant.expand(2, -1, -1, -1), latents))
        assert torch.equal(stored, generator.synthesize(latents).picture)
        torch.manual_seed(3)
        one, two = (generator.synthesize(latents, noise="drawn").picture for _ in range(2))
        assert not torch.equal(one, two)
        kept = list(generator.noises.buffers())
        assert torch.equal(stored, generator.synthesize(latents, noise=kept).picture)
        bare = generator.synthesize(latents, noise="none").picture
        none = [torch.zeros_like(one) for one in kept]
        assert torch.allclose(bare, generator.synthesize(latents, noise=none).picture)
        assert not torch.allclose(bare, stored, atol=1e-3)


def test_features_of_each_layer_are_given_out(generator):
    made = generator.synthesize(generator.spread(torch.randn(2, 8)))
    assert [tuple(one.shape) for one in made.features] == [
        (2, TINY.channels(side), side, side) for side in (4, 8, 8, 16, 16)
    ]
    assert made.picture.shape == (2, 3, 16, 16)


def test_a_latent_changes_its_own_layer_and_what_follows(generator):
    first, second = (generator.spread(torch.randn(1, 8)) for _ in range(2))
    joined = mixed(first, second, 3)
    assert torch.equal(joined[:, :3], first[:, :3])
    assert torch.equal(joined[:, 3:], second[:, 3:])
    ours, theirs = (generator.synthesize(one).features for one in (first, joined))
    for number in range(3):
        assert torch.equal(ours[number], theirs[number])
    assert not torch.equal(ours[3], theirs[3])


def test_truncation_moves_towards_the_mean(generator):
    mean = generator.mean_latent(500)
    assert torch.equal(mean, generator.mean_latent(500))
    latents = generator.map(torch.randn(3, 8))
    assert torch.allclose(truncated(latents, mean, 0.0), mean.expand(3, -1))
    assert torch.allclose(truncated(latents, mean, 1.0), latents)
    halved = truncated(latents, mean, 0.5)
    assert torch.allclose((halved - mean) * 2, latents - mean, atol=1e-5)


def test_a_structure_takes_the_place_of_the_constant(generator):
    latents = generator.spread(torch.randn(1, 8))
    other = generator(torch.randn_like(generator.constant), latents)
    assert not torch.allclose(other, generator(generator.constant, latents), atol=1e-3)


def test_modulation_is_that_of_a_kernel_for_each_picture():
    """The paper's own way: scale a kernel, normalize it, convolve one picture with it."""
    torch.manual_seed(0)
    conv = layers.ModulatedConv(5, 7, 3, 4)
    x, latents = torch.randn(2, 5, 6, 6), torch.randn(2, 4)
    made = conv(x, latents)
    for k in range(2):
        kernel = conv.weight[0] * (5 * 9) ** -0.5 * conv.style(latents)[k, None, :, None, None]
        kernel = kernel * (kernel.square().sum((1, 2, 3)) + 1e-8).rsqrt()[:, None, None, None]
        wanted = functional.conv2d(x[k : k + 1], kernel, padding=1)
        assert torch.allclose(made[k : k + 1], wanted, atol=1e-5)


def test_a_flat_picture_stays_flat_when_it_is_resampled():
    torch.manual_seed(0)
    picture = layers.PictureLayer(2, 4)
    below = torch.full((1, 3, 8, 8), 0.7)
    made = picture(torch.zeros(1, 2, 16, 16), torch.zeros(1, 4), below)
    assert torch.allclose(made[..., 2:-2, 2:-2], torch.tensor(0.7), atol=1e-5)
    half = layers.EqualConv(1, 1, 1, down=True, active=False)
    torch.nn.init.ones_(half.weight)
    assert torch.allclose(half(torch.full((1, 1, 16, 16), 0.4))[..., 1:-1, 1:-1], torch.tensor(0.4))


def test_onnx_computes_what_torch_does(generator, tmp_path):
    inputs = {"structure": torch.randn(1, 6, 4, 4), "latents": torch.randn(1, 6, 8)}
    trace(generator, inputs, ("picture",), tmp_path / "g.onnx")
    both = {name: torch.randn(3, *one.shape[1:]) for name, one in inputs.items()}
    with torch.no_grad():
        wanted = generator(*both.values()).numpy()
    session = create_session(tmp_path / "g.onnx", threads=1)
    found = session.run({name: one.numpy() for name, one in both.items()})["picture"]
    assert np.abs(found - wanted).max() < 1e-4 * wanted.std()


def test_the_discriminator_judges_each_picture_and_compares_those_of_a_batch():
    torch.manual_seed(0)
    judge = Discriminator(TINY)
    pictures = torch.randn(4, 3, 16, 16)
    assert judge(pictures).shape == (4, 1)
    assert judge(pictures[:3]).shape == (3, 1)
    alike = with_deviation(torch.ones(4, 2, 4, 4))
    assert alike.shape == (4, 3, 4, 4)
    assert float(alike[:, 2].max()) < 1e-3
    apart = with_deviation(torch.randn(4, 2, 4, 4))[:, 2]
    assert 0.5 < float(apart.mean()) < 1.5
    # Eight are two groups, each of every second picture.
    eight = torch.zeros(8, 1, 4, 4)
    eight[::2] = torch.randn(4, 1, 4, 4)
    shown = with_deviation(eight)[:, 1, 0, 0]
    assert float(shown[::2].min()) > 0.1
    assert float(shown[1::2].max()) < 1e-3


def load_kit(folder):
    size = 256 if "256" in folder.name else 1024
    with torch.device("meta"):
        network = Generator(Form(size))
    weights = make_weights(folder)
    own = {key: generator_name(key) for key in network.state_dict()}
    assert sorted(own.values()) == sorted(weights)
    values = {key: torch.from_numpy(np.array(weights[name])) for key, name in own.items()}
    network.load_state_dict(values, strict=True, assign=True)
    return network.eval().requires_grad_(False)


@pytest.mark.timeout(300)
def test_features_are_those_of_the_published_one(shared_parity):
    """The kit keeps the mean over each map of the last layer of each side."""
    folder = shared_parity / "fslsd_generator_feats"
    network = load_kit(folder)
    made = network.synthesize(torch.from_numpy(read_inputs(folder)[0]))
    for ours, theirs in zip(made.features[2::2], read_expected(folder), strict=True):
        assert agrees(thin(ours.mean((2, 3)).numpy()), theirs)


MEMORY = """
import resource, torch
from sosie.nn.stylegan2.generator import Form, Generator
with torch.inference_mode():
    Generator(Form()).synthesize(torch.randn(1, 18, 512))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory in kilobytes")
@pytest.mark.timeout(300)
def test_a_picture_of_1024_px_is_made_in_less_than_8_gb():
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 8_000_000


def test_weights_that_are_settled_compute_the_same(generator):
    torch.manual_seed(2)
    drawn = torch.randn(2, 8)

    def made():
        with torch.no_grad():
            return generator.synthesize(generator.spread(generator.map(drawn))).picture

    before, stored = made(), generator.layers[0].conv.weight.clone()
    assert layers.settle(generator) is generator
    assert torch.allclose(made(), before, atol=1e-5)
    once = generator.layers[0].conv.weight.clone()
    assert not torch.equal(once, stored)
    layers.settle(generator)
    assert torch.equal(generator.layers[0].conv.weight, once)
