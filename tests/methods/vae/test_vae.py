"""The autoencoder of one's own faces: its bound, its directions, its training and its swap."""

from __future__ import annotations

import dataclasses
import json
import math
import signal

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.errors import InputError, InterruptedTrainingError, UsageError  # noqa: E402
from sosie.methods import load_method  # noqa: E402
from sosie.methods.vae import open_space  # noqa: E402
from sosie.methods.vae.latent import read_card  # noqa: E402
from sosie.methods.vae.losses import bound, with_free_bits  # noqa: E402
from sosie.methods.vae.network import Vae  # noqa: E402
from sosie.methods.vae.recipe import shifted  # noqa: E402
from sosie.methods.vae.samples import ATTRIBUTES, directions  # noqa: E402
from sosie.models.session import create_session  # noqa: E402
from sosie.options import SwapOptions  # noqa: E402
from sosie.recipes import load_recipe, own_faces  # noqa: E402
from sosie.recipes.train import Order, make  # noqa: E402
from sosie.training.checkpoint import load_tensors  # noqa: E402
from sosie.training.loop import STATE, train  # noqa: E402
from sosie.training.losses import divergence  # noqa: E402
from sosie.training.optimizer_steps import Steps  # noqa: E402

TINY = {"samples": "24", "batch": "4", "validate_every": "12", "width": "4", "latent": "8",
        "size_px": "16"}  # fmt: skip


@pytest.fixture
def people(monkeypatch, some_people, tmp_path):
    """24 faces in every place, of other colors in `ben`; 6 in `few`."""
    faces = some_people(24, 160)

    def read(place, *_):
        if place.name == "ben":
            return dataclasses.replace(faces, faces=255 - faces.faces)
        return some_people(6, 160) if place.name == "few" else faces

    def measured(own, _):
        rows = own.every
        values = np.random.default_rng(0).normal(size=(len(rows), len(ATTRIBUTES)))
        return rows, values.astype(np.float32)

    monkeypatch.setattr(own_faces, "open_people", read)
    monkeypatch.setattr("sosie.methods.vae.recipe.measured", measured)
    monkeypatch.setattr(own_faces, "require_two", lambda *_: None)


@pytest.fixture
def order(materials, people, tmp_path):
    pair = (tmp_path / "anna", tmp_path / "ben")
    materials = dataclasses.replace(materials, pair=pair)
    return Order("vae", materials, tmp_path / "run", settings=TINY, preset="small")


def tiny(materials, **changes):
    recipe = load_recipe("vae")
    plan = recipe.presets["small"].changed(TINY)
    return recipe(materials, dataclasses.replace(plan, **changes))


def batch_of(recipe, count=8):
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}


def test_the_divergence_is_that_of_gaussians():
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 5, 3, generator=generator)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(
        normal(mean, (log_variance / 2).exp()), normal(torch.zeros(5, 3), torch.ones(5, 3))
    ).mean(0)
    assert torch.allclose(divergence(mean, log_variance), expected, atol=1e-6)


def test_free_bits_press_on_what_carries_more_alone():
    each = torch.tensor([0.01, 0.2, 1.0], requires_grad=True)
    total = with_free_bits(each, 0.1)
    assert float(total.detach()) == pytest.approx(1.3)
    total.backward()
    assert each.grad.tolist() == [0, 1, 1]


def test_the_bound_is_the_likelihood_less_the_divergence():
    made = torch.tensor([0.2, 0.5, 0.9])
    wanted = torch.tensor([0.3, 0.5, 0.4])
    likelihood = torch.distributions.Laplace(made, 0.1).log_prob(wanted).sum()
    expected = (float(likelihood) - 1.7) / 3
    error = float((made - wanted).abs().mean())
    assert bound(error, 1.7, 3, 0.1) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("size_px", "width"), [(16, 4), (64, 4), (128, 2)])
def test_a_picture_of_any_size_comes_back_in_its_size(size_px, width):
    pictures = torch.rand(2, 3, size_px, size_px)
    made, mean, log_variance = Vae(size_px, width, 5)(pictures)
    assert made.shape == pictures.shape
    assert mean.shape == log_variance.shape == (2, 5)
    assert 0 <= float(made.detach().min()) <= float(made.detach().max()) <= 1


def test_the_border_moves_and_the_picture_stays_whole():
    pictures = torch.rand(1, 3, 16, 16)
    wide = shifted(pictures, 2, 5)
    assert wide.shape == (1, 3, 24, 24)
    assert torch.equal(wide[..., 5:21, 2:18], pictures)
    assert torch.equal(wide[..., 0, 2:18], pictures[..., 0, :])


def test_what_goes_along_with_an_attribute_is_not_taken_for_it():
    """Those who smile here look to the left, too: the difference of means would turn the head."""
    rng = np.random.default_rng(0)
    smile = rng.normal(size=400)
    yaw = 20 * (0.8 * smile + 0.6 * rng.normal(size=400))
    of_smile, of_yaw = np.eye(6)[:2]
    latents = smile[:, None] * of_smile + yaw[:, None] / 20 * of_yaw
    latents += 0.1 * rng.normal(size=latents.shape)
    values = np.column_stack([smile, yaw, np.zeros(400)])
    values[3] = np.nan
    found = directions(
        latents.astype(np.float32), values.astype(np.float32), ("smile", "yaw", "hat")
    )
    assert set(found) == {"smile", "yaw"}
    assert found["smile"][0] == pytest.approx(1, abs=0.1)
    assert abs(found["smile"][1]) < 0.1
    assert found["yaw"][1] == pytest.approx(1, abs=0.1)
    assert directions(latents[:8].astype(np.float32), values[:8].astype(np.float32)) == {}


def test_the_recipe_learns_a_batch_by_heart(materials, people):
    torch.manual_seed(0)
    recipe = tiny(materials, lr=5e-3, beta=0.01)
    network = recipe.network()
    steps = Steps(network, recipe.phases(), recipe.chosen)
    batch = batch_of(recipe)
    found = [steps.take([dict(batch)], 0.5) for _ in range(60)]
    assert found[-1]["reconstruction"] < 0.5 * found[0]["reconstruction"]
    assert all(np.isfinite(list(terms.values())).all() for terms in found)


def test_the_perceptual_term_can_be_switched_on(materials, people, perceptual_teachers):
    materials = dataclasses.replace(materials, teachers=perceptual_teachers)
    recipe = tiny(materials, size_px=64, perceptual=1.0)
    recipe.prepare()
    terms = Steps(recipe.network(), recipe.phases(), recipe.chosen).take([batch_of(recipe)], 0.0)
    assert terms["perceptual"] > 0
    assert set(recipe.uses()) == {"given", "sosie_landmarks", "squeezenet", "lpips"}


def test_a_training_that_stopped_ends_as_if_it_had_not(materials, people, tmp_path):
    whole, parts = tiny(materials), tiny(materials)
    train(whole, whole.chosen, tmp_path / "whole")
    taken = []

    def losses(network, batch, progress):
        taken.append(progress)
        if len(taken) == 3:
            signal.raise_signal(signal.SIGINT)
        return real(network, batch, progress)

    real, parts.losses = parts.losses, losses
    with pytest.raises(InterruptedTrainingError):
        train(parts, parts.chosen, tmp_path / "parts")
    again = tiny(materials)
    train(again, again.chosen, tmp_path / "parts", resume=True)
    expected, found = (load_tensors(tmp_path / name / STATE)[0] for name in ("whole", "parts"))
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_two_people_are_exchanged_by_the_difference_of_their_means(
    order, model_face, paint, source_of, crop_for
):
    made = make(order)
    assert "--source SOURCE --target TARGET" in made.card.remake
    weights = order.run / "snapshot.safetensors"
    space = open_space(weights)
    assert set(space.people) == {"source", "target"}
    assert set(space.directions) == set(ATTRIBUTES)
    swapper = load_method("vae")(SwapOptions(method="vae", weights=str(weights)))
    face = model_face(unit_px=55)
    frame = paint(face, (120, 90, 80))
    crop = crop_for(frame, face, swapper.card)
    result = swapper.swap(swapper.prepare([source_of(frame, face)]), [crop])[0]
    # Who is put in is in the weights: no photo is needed.
    assert np.array_equal(swapper.swap(swapper.prepare([]), [crop])[0].pixels, result.pixels)
    latent = space.encode(crop.pixels[None].astype(np.float32) / 255)
    moved = space.decode(latent + space.people["source"] - space.people["target"])
    np.testing.assert_allclose(result.pixels, moved[0], atol=1e-6)
    assert np.abs(result.pixels - space.decode(latent)[0]).max() > 1e-4


def test_the_file_computes_what_the_network_does(order):
    make(order)
    space = open_space(order.run / "snapshot.safetensors")
    tensors, _ = load_tensors(order.run / "snapshot.safetensors")
    network = Vae(16, 4, 8)
    network.load_state_dict(tensors)
    pictures = torch.rand(40, 3, 16, 16)
    with torch.no_grad():
        mean, _ = network.eval().encoder(pictures)
        again = network.decoder(mean)
    found = space.encode(pictures.permute(0, 2, 3, 1).numpy())
    np.testing.assert_allclose(found, mean.numpy(), atol=1e-3)
    np.testing.assert_allclose(space.decode(found), again.permute(0, 2, 3, 1).numpy(), atol=1e-3)
    assert space.decode(found[:0]).shape == (0, 16, 16, 3)


def test_a_space_of_one_set_is_walked_in_and_not_swapped_with(order, tmp_path):
    data = dataclasses.replace(order.materials, pair=None, data=tmp_path / "all")
    make(dataclasses.replace(order, materials=data))
    weights = str(order.run / "snapshot.safetensors")
    assert len(open_space(order.run / "snapshot.safetensors").people) == 12
    with pytest.raises(UsageError, match=r"learned one set.*--source FOLDER --target FOLDER"):
        load_method("vae")(SwapOptions(method="vae", weights=weights))


def test_too_few_faces(order, tmp_path):
    few = dataclasses.replace(order.materials, pair=(tmp_path / "anna", tmp_path / "few"))
    with pytest.raises(InputError, match="few gives 6 faces, and at least 20"):
        make(dataclasses.replace(order, materials=few))
    assert not (order.run / STATE).exists()


def test_numbers_that_cannot_be_meant():
    plan = load_recipe("vae").plan
    for settings, words in (
        ({"size_px": "48"}, "size_px must be a power of two"),
        ({"spread": "0"}, "spread must be 0.001 or more"),
        ({"beta": "-1"}, "beta must be 0 or more"),
    ):
        with pytest.raises(UsageError, match=words):
            plan.changed(settings)


@pytest.mark.parametrize(
    "damage",
    [
        lambda card: card.pop("people"),
        lambda card: card["people"]["source"].pop(),
        lambda card: card["people"].clear(),
        lambda card: card.update(latent=9),
        lambda card: card.update(template="other"),
        lambda card: card["directions"].update(smile=[math.inf] * 8),
    ],
)
def test_a_damaged_card_is_refused(order, damage):
    make(order)
    file = order.run / "snapshot.onnx"
    session = create_session(file, threads=1)
    card = json.loads(session.metadata["sosie.card"])
    assert read_card(file, session, json.dumps(card)).latent == 8
    damage(card)
    with pytest.raises(InputError, match="no trained space of faces, or it is damaged"):
        read_card(file, session, json.dumps(card))
