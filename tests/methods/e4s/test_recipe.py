"""E4S trained around a small generator, what it loses by, and swaps with what it exported."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

pytest.importorskip("torch", exc_type=ImportError)

import torch

from sosie.errors import InputError, UsageError
from sosie.methods.e4s.losses import ParserFeatures, at_all_sizes, features_loss, sizes_of
from sosie.methods.e4s.regions import REGIONS
from sosie.options import SwapOptions
from sosie.pipeline import swap_image
from sosie.recipes import load_recipe
from sosie.recipes.stylegan2 import inversion
from sosie.recipes.train import Order, make
from sosie.training.optimizer_steps import Steps
from sosie.training.recipe import Materials

TINY = {"samples": "12", "batch": "4", "validate_every": "8", "width": "4", "hidden": "8"}
LOSSES = ("pixel", "perceptual", "identity", "parsing", "adversarial")


@pytest.fixture(autouse=True)
def faces(monkeypatch, some_people):
    drawn = some_people(24)
    monkeypatch.setattr(inversion, "open_people", lambda *_: drawn)
    monkeypatch.setattr(inversion, "VALIDATED", 4)


@pytest.fixture(scope="module")
def built(untrained):
    """A folder with the generator."""
    return untrained("e4s").parent


@pytest.fixture
def folder(tmp_path, built, perceptual_teachers):
    """Where all that a training asks for lies."""
    for file in (*perceptual_teachers.iterdir(), built / "stylegan2.safetensors"):
        shutil.copy(file, tmp_path)
    return tmp_path


def order_of(folder):
    materials = Materials(folder, folder, folder, 0)
    return Order("e4s", materials, folder / "run", settings=TINY, preset="small")


def tiny(folder, **changes):
    recipe = load_recipe("e4s")
    plan = dataclasses.replace(recipe.presets["small"].changed(TINY), **changes)
    return recipe(Materials(folder, folder, folder, 0), plan)


def batch_of(recipe, count=4):
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}


@pytest.mark.timeout(300)
def test_it_is_trained_and_swaps_with_what_was_exported(folder, hopper, astronaut):
    made = make(order_of(folder))
    assert made.file == folder / "run" / "snapshot.onnx"
    assert "--teachers" in made.card.remake
    weights = str(folder / "run" / "snapshot.safetensors")
    whole, eyes = (
        swap_image(hopper, astronaut, SwapOptions(method="e4s", weights=weights, region=region))
        for region in ("face", "eyes")
    )
    changed = [(one.image != astronaut).any(2) for one in (whole, eyes)]
    face = whole.faces[0]
    x0, y0, x1, y1 = np.rint(face.box).astype(int)
    inside = np.zeros(astronaut.shape[:2], bool)
    inside[y0 - 12 : y1 + 12, x0 - 12 : x1 + 12] = True
    assert not (changed[0] & ~inside).any()
    assert 0.05 * changed[0].sum() < changed[1].sum() < 0.4 * changed[0].sum()
    nose = face.landmarks[1, 1]
    assert not changed[1][int(nose) :].any()


@pytest.mark.timeout(300)
def test_a_run_that_was_stopped_ends_as_one_that_was_not(folder, stopped_and_resumed):
    stopped_and_resumed(order_of(folder))


def test_the_generator_is_asked_for(tmp_path):
    with pytest.raises(InputError, match=r"no stylegan2\.safetensors.*sosie train stylegan2"):
        make(order_of(tmp_path))


def test_it_learns_by_all_losses_and_is_judged_at_times(folder):
    torch.manual_seed(0)
    recipe = tiny(folder, lr=3e-3, samples=4_000)
    network = recipe.network()
    before = {k: v.clone() for k, v in recipe.generator.state_dict().items()}
    steps = Steps(network, recipe.phases(), recipe.chosen)
    batch = batch_of(recipe)
    found = [steps.take([dict(batch)], step / 1000) for step in range(17)]
    painted = {f"paint/{name}" for name in LOSSES}
    judged = {"judge/told_apart", "judge/penalty"}
    assert [set(terms) - painted == judged for terms in found] == [k % 15 == 0 for k in range(17)]
    assert all(set(terms) >= painted for terms in found)
    assert found[-1]["paint/pixel"] < 0.9 * found[0]["paint/pixel"]
    # It learns by a copy of the generator.
    after = recipe.generator.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    own = network.network.generator
    assert not torch.equal(own.constant, recipe.generator.constant)
    assert torch.equal(own.mapping[0].weight, recipe.generator.mapping[0].weight)
    figures = recipe.validate(network.eval().requires_grad_(False))
    assert set(figures) >= {"score", "similarity", "target", "apart", "reconstruction"}
    assert recipe.preview(network).shape[2] == 3


@pytest.mark.parametrize("name", ["pixel", "identity", "landmarks", "parsing"])
def test_each_loss_alone_goes_down_on_a_batch(folder, name):
    torch.manual_seed(0)
    off = dict.fromkeys((*LOSSES, "landmarks"), 0.0)
    recipe = tiny(folder, **off | {name: 1.0}, lr=5e-3, warmup=0.0)
    steps = Steps(recipe.network(), recipe.phases(), recipe.chosen)
    batch = batch_of(recipe)
    found = [steps.take([dict(batch)], 0.0)[f"paint/{name}"] for _ in range(8)]
    assert min(found[-2:]) < 0.98 * found[0]


def test_a_generator_may_stay_as_it_was(folder):
    recipe = tiny(folder, tuned=0, lr=1e-2, perceptual=0.0, adversarial=0.0)
    network = recipe.network()
    steps = Steps(network, recipe.phases(), recipe.chosen)
    steps.take([batch_of(recipe)], 0.0)
    own = network.network.generator.state_dict()
    assert all(torch.equal(own[key], value) for key, value in recipe.generator.state_dict().items())


def test_features_are_compared_by_their_direction_at_each_depth():
    torch.manual_seed(0)
    one, other = torch.randn(2, 2, 4, 8, 8)
    assert float(features_loss([one, other], [3 * one, other])) == pytest.approx(0, abs=1e-6)
    half = features_loss([one, other], [one, -other])
    assert float(half) == pytest.approx(1, abs=1e-6)


def test_pictures_are_compared_whole_and_reduced():
    assert sizes_of(1024) == [1024, 512, 256]
    assert sizes_of(64) == [64]
    seen = []

    def distance(made, wanted):
        seen.append(int(made.shape[-1]))
        return (made - wanted).abs().mean()

    checks = torch.zeros(1, 3, 128, 128)
    checks[..., ::2] = 1
    # The smaller ones do not see stripes of a pixel.
    total = float(at_all_sizes(distance, checks, torch.full_like(checks, 0.5)))
    assert seen == [128, 64]
    assert total == pytest.approx(0.5)


def test_the_parser_s_features_have_gradients_and_are_its_own():
    pictures = (torch.rand(1, 3, 64, 64) * 2 - 1).requires_grad_()
    square = np.array([[3.0, 0, 1.0], [0, 3.0, 1.0]])
    found = ParserFeatures(square)(pictures)
    assert [tuple(one.shape[2:]) for one in found] == [(48, 48), (24, 24), (12, 12), (6, 6)]
    found[-1].sum().backward()
    assert float(pictures.grad.abs().sum()) > 0


def test_a_sample_is_mirrored_with_its_map(folder):
    recipe = tiny(folder)
    faces, maps = recipe.people.faces, recipe._maps
    mirrored = set()
    for number in range(12):
        sample = recipe.sample(number, np.random.default_rng(number))
        assert sample["regions"].max() < len(REGIONS)
        for flipped in (False, True):
            face = sample["face"][:, ::-1] if flipped else sample["face"]
            if any(np.array_equal(face, one) for one in faces):
                regions = sample["regions"][:, ::-1] if flipped else sample["regions"]
                assert np.array_equal(regions, maps.read(np.ascontiguousarray(face)))
                mirrored.add(flipped)
    assert mirrored == {False, True}


def test_settings_that_make_no_sense_are_refused(folder):
    recipe = load_recipe("e4s")
    with pytest.raises(UsageError, match="tuned must be 0 to 1"):
        recipe.plan_with(recipe.plan, {"tuned": "2"})
    assert tiny(folder).weights_of_published("e4s_net3_256", {"a": 1}) == {"network.a": 1}
    with pytest.raises(UsageError, match="no part of e4s"):
        tiny(folder).weights_of_published("megafs_hierfe", {})
