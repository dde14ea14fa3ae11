"""The network that paints everybody as one person: its losses, its training and its swap."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from torch.nn import functional  # noqa: E402

from sosie.errors import InputError, UsageError  # noqa: E402
from sosie.methods import load_method  # noqa: E402
from sosie.methods.korshunova.losses import (  # noqa: E402
    content_loss,
    light_loss,
    style_loss,
    variation_loss,
)
from sosie.methods.korshunova.network import PaintingNetwork  # noqa: E402
from sosie.options import SwapOptions  # noqa: E402
from sosie.recipes import load_recipe, own_faces  # noqa: E402
from sosie.recipes.train import Order, make  # noqa: E402
from sosie.training.optimizer_steps import Steps  # noqa: E402

TINY = {"samples": "8", "batch": "4", "validate_every": "4", "width": "2"}


def unit_features(*shape, seed=0):
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return functional.normalize(drawn, dim=-3)


@pytest.fixture
def order(materials, monkeypatch, some_people, perceptual_teachers, tmp_path):
    faces = some_people(24, 160)

    def read(place, *_):
        if place.name == "ben":
            return dataclasses.replace(faces, faces=255 - faces.faces)
        return some_people(6, 160) if place.name == "few" else faces

    monkeypatch.setattr(own_faces, "open_people", read)
    monkeypatch.setattr(own_faces, "require_two", lambda *_: None)
    materials = dataclasses.replace(
        materials, teachers=perceptual_teachers, pair=(tmp_path / "anna", tmp_path / "ben")
    )
    return Order("korshunova", materials, tmp_path / "run", settings=TINY, preset="small")


@pytest.fixture
def recipe(order):
    kind = load_recipe("korshunova")
    return kind(order.materials, kind.presets["small"].changed(TINY))


@pytest.mark.parametrize(("size_px", "branches"), [(64, 4), (128, 5), (256, 6)])
def test_branches_see_the_picture_down_to_8_px(size_px, branches):
    network = PaintingNetwork(size_px, 2)
    assert len(network.branches) == branches
    pictures = torch.rand(1, 3, size_px, size_px)
    assert network(pictures).shape == pictures.shape


def test_the_published_form_has_as_many_parameters():
    network = PaintingNetwork(128, 32)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(1.1e6, rel=0.02)


def test_a_place_is_compared_with_the_most_alike_at_that_place():
    styles = unit_features(1, 3, 6, 4, 4)
    # Of each place the features of one photo or another: nothing is left to learn.
    mixed = torch.where(torch.arange(4) < 2, styles[:, 0], styles[:, 2])
    assert float(style_loss(mixed, styles)) == pytest.approx(0, abs=1e-6)
    # What a photo shows elsewhere does not count.
    assert float(style_loss(styles[:, 1].roll(2, -1), styles)) > 0.2


def test_the_content_is_that_of_the_target():
    one, other = unit_features(2, 6, 4, 4), unit_features(2, 6, 4, 4, seed=1)
    assert float(content_loss(one, one)) == pytest.approx(0, abs=1e-6)
    half_square = (one - other).square().sum(1).mean() / 2
    assert float(content_loss(one, other)) == pytest.approx(float(half_square), abs=1e-5)


def test_light_from_the_other_side_is_told_and_a_brighter_picture_is_not():
    left = torch.linspace(0.8, 0.2, 32).expand(1, 3, 32, 32)
    assert float(light_loss(left - 0.1, left)) == pytest.approx(0, abs=1e-9)
    assert float(light_loss(left.flip(-1), left)) > 0.05
    dotted = left + 0.1 * (torch.arange(32) % 2 * 2 - 1)
    assert float(light_loss(dotted, left)) < 1e-6


def test_variation_grows_with_noise():
    flat = torch.full((1, 3, 16, 16), 0.5)
    assert float(variation_loss(flat)) == 0
    assert float(variation_loss(flat + 0.1 * torch.rand(1, 3, 16, 16))) > 1e-3


def test_the_photos_with_the_nearest_landmarks_lend_their_style(recipe, monkeypatch):
    """Landmarks here are how bright a picture is: the styles nearest in that are found."""
    monkeypatch.setattr(
        "sosie.methods.korshunova.recipe.FurtherLosses",
        lambda *_: type("Reader", (), {"points": lambda _, x: x.mean((1, 2, 3))[:, None, None]})(),
    )
    own = recipe._own
    nearest = recipe._nearest
    levels = {row: own.face(row).mean() for row in (*recipe._style_rows.tolist(), *own.train)}
    row = int(own.of("target", own.train)[0])
    apart = [abs(levels[int(style)] - levels[row]) for style in recipe._style_rows]
    assert nearest.shape[1] == 16
    assert nearest[row][0] == int(np.argmin(apart))


def test_the_losses_fall_and_reach_the_network_alone(recipe):
    torch.manual_seed(0)
    recipe.prepare()
    network = recipe.network()
    plan = dataclasses.replace(recipe.chosen, lr=1e-2)
    steps = Steps(network, recipe.phases(), plan)
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in range(4)]
    batch = {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}
    found = [steps.take([dict(batch)], 0.5) for _ in range(20)]
    totals = [sum(terms.values()) for terms in found]
    assert totals[-1] < 0.9 * totals[0]
    assert set(found[0]) == {"content", "style", "light", "variation", "outside"}


def test_a_run_ends_with_a_network_that_swaps(order, model_face, paint, source_of, crop_for):
    made = make(order)
    assert {"validation: similarity", "validation: before"} <= set(made.card.figures)
    assert "--teachers" in made.card.remake
    weights = str(order.run / "snapshot.safetensors")
    swapper = load_method("korshunova")(SwapOptions(method="korshunova", weights=weights))
    face = model_face(unit_px=55)
    frame = paint(face, (120, 90, 80))
    crop = crop_for(frame, face, swapper.card)
    result = swapper.swap(swapper.prepare([source_of(frame, face)]), [crop])[0]
    # Who is put in is in the weights: no photo is needed.
    assert np.array_equal(swapper.swap(swapper.prepare([]), [crop])[0].pixels, result.pixels)
    assert result.pixels.shape == (64, 64, 3)
    with pytest.raises(InputError, match="is a korshunova, not a vae"):
        load_method("vae")(SwapOptions(method="vae", weights=weights))
    with pytest.raises(UsageError, match="needs no encoder"):
        load_method("korshunova")(
            SwapOptions(method="korshunova", weights=weights, encoder="face.onnx")
        )


def test_what_it_cannot_learn_from_is_told(order, tmp_path):
    place = tmp_path / "anna"
    for changes, error, words in (
        ({"pair": None}, UsageError, "--source and --target"),
        ({"pair": (tmp_path / "few", place)}, InputError, "few gives 6 faces.*at least 20"),
        ({"pair": (place, tmp_path / "few")}, InputError, "few gives 6 faces.*at least 20"),
        ({"teachers": tmp_path}, InputError, "squeezenet1_1_features"),
    ):
        materials = dataclasses.replace(order.materials, **changes)
        with pytest.raises(error, match=words):
            make(dataclasses.replace(order, materials=materials))
