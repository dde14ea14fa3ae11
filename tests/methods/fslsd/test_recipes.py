"""FSLSD's inverter and its swap, trained around a small generator, and what they lose by."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

pytest.importorskip("torch", exc_type=ImportError)

import torch

from sosie.errors import InputError, UsageError
from sosie.geometry.morphable_model import face_shape
from sosie.methods.fslsd import losses
from sosie.methods.fslsd.codes import Networks
from sosie.methods.fslsd.heat_maps import heat_maps, points_106
from sosie.methods.fslsd.masks import face_mask
from sosie.methods.fslsd.recipe import moved_picture
from sosie.methods.fslsd.swap_network import seen_of
from sosie.methods.fslsd.trajectory import flow_back
from sosie.recipes import load_recipe
from sosie.recipes.stylegan2 import inversion
from sosie.recipes.stylegan2 import recipe as stylegan_recipe
from sosie.recipes.train import Order, make
from sosie.training.optimizer_steps import Steps
from sosie.training.recipe import Materials

NAMES = ("stylegan2", "fslsd_inverter", "fslsd")
TINY = {"samples": "12", "batch": "4", "validate_every": "8"}
OWN = {
    "stylegan2": {"latent": "8", "depth": "2", "total": "256", "most": "8"},
    "fslsd_inverter": {"width": "4"},
    "fslsd": {"width": "4"},
}
PLAIN = {"perceptual": 0.0, "adversarial": 0.0}


@pytest.fixture(autouse=True)
def faces(monkeypatch, some_people):
    drawn = some_people(24)
    for module in (stylegan_recipe, inversion):
        monkeypatch.setattr(module, "open_people", lambda *_: drawn)
    monkeypatch.setattr(stylegan_recipe, "_MADE", 8)
    monkeypatch.setattr(inversion, "VALIDATED", 4)


@pytest.fixture
def folder(tmp_path, perceptual_teachers):
    """Where all of FSLSD lies, the files of the perceptual distance among it."""
    for file in perceptual_teachers.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.fixture
def order(folder):
    def make_order(name, **changes):
        return Order(
            name,
            Materials(folder, folder, folder, 0),
            folder / name,
            settings=TINY | OWN[name],
            preset="small",
            **changes,
        )

    return make_order


@pytest.fixture(scope="module")
def built(untrained):
    """A folder with all three, untrained."""
    return untrained("fslsd")


def tiny(name, folder, **changes):
    recipe = load_recipe(name)
    plan = recipe.presets["small"].changed(TINY | OWN[name])
    plan = dataclasses.replace(plan, **changes)
    return recipe(Materials(folder, folder, folder, 0), plan)


def batch_of(recipe, count=4):
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}


@pytest.mark.timeout(300)
def test_all_three_are_trained_one_after_the_other_and_their_files_are_one_folders(order, folder):
    for name in NAMES:
        made = make(order(name))
        assert made.file == folder / name / f"{name}.onnx"
    networks = Networks(folder, "cpu", 1)
    assert networks.size_px == 64
    assert set(networks.sessions) == {"inverter", "swap"}
    assert "sosie train fslsd" in made.card.remake
    assert "--teachers" in made.card.remake


def test_what_comes_first_is_asked_for(order, built):
    with pytest.raises(InputError, match=r"no stylegan2\.safetensors.*sosie train stylegan2"):
        make(order("fslsd_inverter"))
    shutil.copy(built / "stylegan2.safetensors", order("stylegan2").materials.teachers)
    with pytest.raises(InputError, match=r"no fslsd_inverter\.safetensors.*sosie train"):
        make(order("fslsd"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES[1:])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    order, folder, built, stopped_and_resumed, name
):
    for part in NAMES[: NAMES.index(name)]:
        shutil.copy(built / f"{part}.safetensors", folder)
    stopped_and_resumed(order(name))


def test_an_inverter_learns_a_batch_by_heart(built):
    torch.manual_seed(0)
    off = {"perceptual": 0.0, "identity": 0.0, "landmarks": 0.0}
    recipe = tiny("fslsd_inverter", built, lr=1e-2, **off)
    before = {key: value.clone() for key, value in recipe.generator.state_dict().items()}
    steps = Steps(recipe.network(), recipe.phases(), recipe.chosen)
    batch = batch_of(recipe)
    # Of the generator's own faces none: they are drawn anew.
    batch["made"].zero_()
    found = [steps.take([dict(batch)], 0.0)["pixel"] for _ in range(30)]
    assert found[-1] < 0.9 * found[0]
    after = recipe.generator.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_swap_takes_all_losses_and_learns(built, folder):
    for part in NAMES[:2]:
        shutil.copy(built / f"{part}.safetensors", folder)
    recipe = tiny("fslsd", folder, lr=1e-3, code_trajectory=1.0, flow_trajectory=1.0)
    network = recipe.network()
    steps = Steps(network, recipe.phases(), recipe.chosen)
    batch = batch_of(recipe)
    batch["same"] = torch.ones(4)
    found = [steps.take([dict(batch)], step / 100) for step in range(5)]
    assert set(found[0]) == {"judge/told_apart", "judge/penalty"} | {
        f"swap/{name}"
        for name in (
            *("identity", "landmarks", "pixel", "perceptual", "adversarial", "histogram"),
            *("features", "variation", "outside", "code_trajectory", "flow_trajectory"),
        )
    }
    for name in ("pixel", "outside"):
        assert found[-1][f"swap/{name}"] < found[0][f"swap/{name}"]
    figures = recipe.validate(network.eval().requires_grad_(False))
    assert set(figures) >= {"score", "similarity", "target", "apart", "landmarks"}
    assert recipe.preview(network).shape[2] == 3


LEARNED = ("pixel", "histogram", "features", "variation", "outside")
VIDEO = ("code_trajectory", "flow_trajectory")


@pytest.mark.parametrize("name", [*LEARNED, "identity", "landmarks", *VIDEO])
def test_each_loss_alone_goes_down_on_a_batch(built, name):
    torch.manual_seed(0)
    off = dict.fromkeys((*LEARNED, "identity", "landmarks", *VIDEO), 0.0)
    recipe = tiny("fslsd", built, **PLAIN | off | {name: 1.0}, lr=3e-3, same=0.5)
    network = recipe.network()
    batch = batch_of(recipe)
    batch["same"] = torch.ones(4)
    steps = Steps(network, recipe.phases(), recipe.chosen)
    found = [steps.take([dict(batch)], 0.0)[f"swap/{name}"] for _ in range(15)]
    assert min(found[-2:]) < 0.98 * found[0]


def test_the_exported_graph_is_what_was_trained_and_keeps_a_share_of_what_was(built):
    networks = Networks(built, "cpu", 1)
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 255, (2, 64, 64, 3)).astype(np.uint8)
    places = np.asarray(face_shape().mean, np.float32)
    places = (places - places.min(0)) / np.ptp(places[:, :2]) * 60
    source, target = (networks.encode(crop, places) for crop in crops)
    plain = networks.draw(source, target, crops[1], places)
    other = np.asarray(rng.normal(size=plain.moved.shape), np.float32)
    same = networks.draw(source, target, crops[1], places, other, 0.0)
    assert np.allclose(same.picture, plain.picture, atol=1e-5)
    half = networks.draw(source, target, crops[1], places, other, 0.5)
    assert np.allclose(half.moved, (plain.moved + other) / 2, atol=1e-5)
    assert not np.allclose(half.picture, plain.picture, atol=1e-3)


def test_heat_maps_of_training_are_those_of_a_swap():
    mean = np.asarray(face_shape().mean, np.float32)[:, :2]
    mean = (mean - mean.min(0)) / np.ptp(mean) * 70 - 4
    maps, mask = seen_of(torch.from_numpy(mean[None]), torch.from_numpy(mean[None] + 3), 64, 128)
    for ours, points in ((maps[0, :106], mean), (maps[0, 106:], mean + 3)):
        assert np.array_equal(ours.numpy(), heat_maps(points_106(points), 64, 128))
    assert np.array_equal(mask[0, 0].numpy(), face_mask(mean + 3, 64, 64))
    assert 0.2 < float(mask.mean()) < 1


def test_settings_that_make_no_sense_are_refused(built):
    recipe = load_recipe("fslsd")
    with pytest.raises(UsageError, match="same must be 0 to 1"):
        recipe.plan_with(recipe.plan, {"same": "2"})
    for name in NAMES[1:]:
        with pytest.raises(UsageError, match="structure must be 4 to 9 with this generator"):
            tiny(name, built, structure=10).prepare()


def test_published_parts_begin_a_training(built):
    recipe = tiny("fslsd", built)
    assert recipe.weights_of_published("fslsd_target_encoder", {"a": 1}) == {"target.a": 1}
    with pytest.raises(UsageError, match="no part of fslsd"):
        recipe.weights_of_published("fslsd_f_mapping", {})


def test_colors_are_matched_inside_the_mask_alone():
    torch.manual_seed(0)
    target = torch.randn(2, 3, 16, 16) * 0.2 + 0.3
    mask = torch.zeros(2, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    shuffled = target.flatten(2)[..., torch.randperm(256)].reshape(target.shape)
    full = torch.ones_like(mask)
    assert float(losses.histogram_loss(shuffled, target, full)) < 1e-3
    assert float(losses.histogram_loss(shuffled - 0.5, target, full)) > 0.2
    outside = torch.where(mask > 0, target, target - 0.5)
    assert float(losses.histogram_loss(outside, target, mask)) < 1e-3
    assert float(losses.outside_loss(outside, target, mask)) > 0.1
    assert float(losses.outside_loss(outside, outside + mask, mask)) == 0


def test_a_code_trajectory_that_goes_as_the_targets_costs_nothing():
    torch.manual_seed(0)
    before, move, target = torch.randn(3, 2, 10, 8).unbind()
    loss = losses.code_trajectory_loss
    assert float(loss(before, before + move, target, target + move)) == pytest.approx(0, abs=1e-5)
    apart = torch.zeros(2, 10, 8)
    apart[:, 0, 0], apart[:, 1, 0] = 3, 4
    # The length of what one moves more than the other, whatever the faces are.
    assert float(loss(before, before + move + apart, target, target + move)) == pytest.approx(5)


def smooth(rng, size=64):
    noise = rng.normal(size=(8, 8, 3))
    spread = np.kron(noise, np.ones((size // 8, size // 8, 1)))
    for _ in range(4):
        for axis in (0, 1):
            spread = sum(np.roll(spread, k, axis) for k in range(-3, 4)) / 7
    spread = spread / np.abs(spread).max()
    return (spread * 110 + 128).astype(np.uint8)


def as_signed(*pictures):
    stacked = torch.from_numpy(np.stack(pictures)).float() / 127.5 - 1
    return stacked.permute(0, 3, 1, 2)


def test_the_flow_trajectory_counts_pixels_of_motion():
    rng = np.random.default_rng(0)
    target, result = smooth(rng), smooth(rng)
    moved = {k: np.roll(result, k, 1) for k in (1, 2, 3)}
    flow = flow_back(target, np.roll(target, 2, 1))[8:-8, 8:-8]
    assert np.median(flow[..., 0]) == pytest.approx(-2, abs=0.2)
    assert np.median(flow[..., 1]) == pytest.approx(0, abs=0.2)
    exact = torch.zeros(1, 64, 64, 2)
    exact[..., 0] = -2
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 8:-8, 8:-8] = 1
    found = {
        k: float(losses.flow_trajectory_loss(as_signed(result), as_signed(x), exact, mask))
        for k, x in moved.items()
    }
    assert found[2] < 0.1
    assert min(found[1], found[3]) > 0.15
    still = float(losses.flow_trajectory_loss(as_signed(result), as_signed(result), exact, mask))
    assert still > 1.5 * max(found[1], found[3])


def test_a_made_up_next_frame_moves_little_and_keeps_its_looks():
    rng = np.random.default_rng(1)
    picture = smooth(rng)
    for _ in range(5):
        later = moved_picture(picture, rng)
        assert later.shape == picture.shape
        assert not np.array_equal(later, picture)
        lengths = np.linalg.norm(flow_back(picture, later)[16:-16, 16:-16], axis=2)
        assert np.median(lengths) < 0.08 * 64
