"""StyleGAN2, MegaFS's encoder and its transfer, trained one after the other in small."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

pytest.importorskip("torch", exc_type=ImportError)

import torch

from sosie.errors import InputError, UsageError
from sosie.methods.megafs.codes import Networks
from sosie.methods.megafs.network import KEPT, shares, transfer_of
from sosie.recipes import load_recipe
from sosie.recipes.published.importing import import_weights
from sosie.recipes.stylegan2 import inversion
from sosie.recipes.stylegan2 import recipe as stylegan_recipe
from sosie.recipes.stylegan2.augment import augmented
from sosie.recipes.stylegan2.recipe import frechet
from sosie.recipes.train import Order, make
from sosie.training.checkpoint import load_tensors
from sosie.training.optimizer_steps import Steps
from sosie.training.recipe import Materials

NAMES = ("stylegan2", "megafs_encoder", "megafs_transfer")
TINY = {"samples": "12", "batch": "4", "validate_every": "8"}
OWN = {
    "stylegan2": {"latent": "8", "depth": "2", "total": "256", "most": "8"},
    "megafs_encoder": {"width": "4"},
    "megafs_transfer": {},
}


@pytest.fixture(autouse=True)
def faces(monkeypatch, some_people):
    drawn = some_people(24)
    for module in (stylegan_recipe, inversion):
        monkeypatch.setattr(module, "open_people", lambda *_: drawn)
    monkeypatch.setattr(stylegan_recipe, "_MADE", 8)
    monkeypatch.setattr(inversion, "VALIDATED", 4)


@pytest.fixture
def folder(tmp_path, perceptual_teachers):
    """Where all of MegaFS lies, the files of the perceptual distance among it."""
    for file in perceptual_teachers.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.fixture
def materials(folder):
    return Materials(folder, folder, folder, 0)


@pytest.fixture
def order(materials, folder):
    def make_order(name, **changes):
        return Order(
            name, materials, folder / name, settings=TINY | OWN[name], preset="small", **changes
        )

    return make_order


@pytest.fixture(scope="module")
def built(untrained):
    """A folder with all three, untrained."""
    return untrained("megafs")


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
    assert (networks.size_px, networks.count, networks.latent) == (64, 10, 8)
    # What does not learn is not kept with what does.
    assert all(
        key.startswith("transfer.")
        for key in load_tensors(folder / "megafs_transfer/megafs_transfer.safetensors")[0]
    )
    assert "sosie train megafs_transfer" in made.card.remake
    assert "--teachers" in made.card.remake


def test_what_comes_first_is_asked_for(order, built):
    with pytest.raises(InputError, match=r"no stylegan2\.safetensors.*sosie train stylegan2"):
        make(order("megafs_encoder"))
    shutil.copy(built / "stylegan2.safetensors", order("stylegan2").materials.teachers)
    with pytest.raises(InputError, match=r"no megafs_encoder\.safetensors.*sosie train"):
        make(order("megafs_transfer"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    order, folder, built, stopped_and_resumed, name
):
    for part in NAMES[: NAMES.index(name)]:
        shutil.copy(built / f"{part}.safetensors", folder)
    stopped_and_resumed(order(name))


def test_an_encoder_learns_a_batch_by_heart(built):
    torch.manual_seed(0)
    recipe = tiny("megafs_encoder", built, lr=3e-3, perceptual=0.0, identity=0.0, landmarks=0.0)
    before = {key: value.clone() for key, value in recipe.generator.state_dict().items()}
    steps = Steps(recipe.network(), recipe.phases(), recipe.chosen)
    batch = batch_of(recipe)
    # Of the generator's own faces none: they are drawn anew.
    batch["made"].zero_()
    found = [steps.take([dict(batch)], 0.0)["pixel"] for _ in range(15)]
    assert found[-1] < 0.9 * found[0]
    after = recipe.generator.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_share_of_the_faces_is_the_generators_own(built):
    recipe = tiny("megafs_encoder", built, made=0.5)
    batch = batch_of(recipe, 16)
    wanted = recipe._wanted(batch)
    given = stylegan_recipe.as_pictures(batch["face"])
    for k, made in enumerate(batch["made"] > 0.5):
        assert torch.equal(wanted[k], given[k]) != bool(made)
    assert 0 < float(batch["made"].sum()) < 16


def test_a_transfer_takes_all_losses_and_learns(built, perceptual_teachers, folder):
    for part in NAMES[:2]:
        shutil.copy(built / f"{part}.safetensors", folder)
    recipe = tiny("megafs_transfer", folder, lr=3e-3)
    network = recipe.network()
    steps = Steps(network, recipe.phases(), recipe.chosen)
    batch = batch_of(recipe)
    found = [steps.take([dict(batch)], 0.0) for _ in range(5)]
    assert set(found[0]) == {"reconstruction", "perceptual", "identity", "landmarks", "norm"}
    assert sum(found[-1].values()) < sum(found[0].values())
    figures = recipe.validate(network.eval().requires_grad_(False))
    assert set(figures) >= {"score", "similarity", "target", "apart", "landmarks"}
    assert recipe.preview(network).shape[2] == 3


def test_both_regularizations_have_their_own_pace(built):
    recipe = tiny("stylegan2", built, samples=400)
    network = recipe.network()
    steps = Steps(network, recipe.phases(), recipe.chosen)
    batch = batch_of(recipe)
    terms = [set(steps.take([dict(batch)], step / 100)) for step in range(18)]
    assert [k for k, found in enumerate(terms) if "judge/penalty" in found] == [0, 16]
    assert [k for k, found in enumerate(terms) if "generator/paths" in found] == [0, 4, 8, 12, 16]
    assert float(network.paths) > 0


def test_a_generator_learns_to_please_a_frozen_judge(built):
    torch.manual_seed(0)
    recipe = tiny("stylegan2", built, lr=1e-2, paths=0.0, augment=0)
    network, batch = recipe.network(), batch_of(recipe)
    steps = Steps(network, recipe.phases()[1:], recipe.chosen)
    found = [steps.take([dict(batch)], 0.01)["generator/adversarial"] for _ in range(25)]
    assert found[-1] < 0.7 * found[0]


def test_published_weights_begin_a_training(built):
    recipe = tiny("stylegan2", built)
    assert recipe.weights_of_published("megafs_stylegan2_1024", {"constant": 1}) == {
        "generator.constant": 1
    }
    with pytest.raises(UsageError, match="no part of stylegan2"):
        recipe.weights_of_published("megafs_hierfe", {})
    encoder = tiny("megafs_encoder", built)
    assert encoder.weights_of_published("megafs_hierfe", {"a": 1}) == {"encoder.a": 1}
    with pytest.raises(UsageError, match="it takes megafs_swapper_ftm"):
        tiny("megafs_transfer", built).weights_of_published("megafs_swapper_injection", {})


def test_settings_that_make_no_sense_are_refused():
    transfer, stylegan = load_recipe("megafs_transfer"), load_recipe("stylegan2")
    with pytest.raises(UsageError, match="nothing to learn"):
        transfer.plan_with(transfer.plan, {"transfer": "lcr"})
    with pytest.raises(UsageError, match="did you mean 'injection'"):
        transfer.plan_with(transfer.plan, {"transfer": "injektion"})
    with pytest.raises(UsageError, match="power of two"):
        stylegan.plan_with(stylegan.plan, {"size_px": "96"})
    with pytest.raises(UsageError, match="no use for warmup"):
        stylegan.plan_with(stylegan.plan, {"warmup": "0.1"})


def test_latents_come_from_three_maps():
    assert shares(18) == (4, 6, 8)
    for count in range(10, 19, 2):
        assert sum(shares(count)) == count
        assert min(shares(count)) >= 1


@pytest.mark.parametrize("kind", ["ftm", "injection", "lcr"])
def test_the_first_latents_stay_the_targets_and_the_rest_follows_the_source(kind):
    torch.manual_seed(0)
    transfer = transfer_of(kind, 10, 8).eval()
    source, other, target = torch.randn(3, 2, 10, 8).unbind()
    one, two = transfer(source, target), transfer(other, target)
    assert torch.equal(one[:, :KEPT], target[:, :KEPT])
    assert not torch.equal(one[:, KEPT:], two[:, KEPT:])
    if kind == "lcr":
        assert torch.equal(one[:, KEPT:], source[:, KEPT:])


def test_changed_pictures_keep_their_gradients_and_their_size():
    torch.manual_seed(0)
    pictures = torch.rand(6, 3, 32, 32, requires_grad=True)
    changed = augmented(pictures)
    assert changed.shape == pictures.shape
    # A quarter of each is cut out, or less at an edge.
    holes = (changed == 0).all(1).float().mean((1, 2))
    assert float(holes.max()) < 0.5
    assert len({round(float(one), 4) for one in changed.detach().mean((1, 2, 3))}) == 6
    changed.sum().backward()
    assert float(pictures.grad.abs().sum()) > 0


def test_the_frechet_distance_is_that_of_gaussians():
    torch.manual_seed(0)
    one, other = torch.randn(20000, 3), torch.randn(20000, 3) * 2 + torch.tensor([3.0, 0, 0])
    assert frechet(one, one) == pytest.approx(0, abs=1e-6)
    # Nine of the means; of each axis (2 - 1) squared.
    assert frechet(one, other) == pytest.approx(9 + 3, rel=0.05)


@pytest.mark.timeout(300)
def test_published_transfers_are_imported(tmp_path):
    torch.manual_seed(0)
    from sosie.methods.megafs.published import injection_name

    weights = {
        injection_name(key): value
        for key, value in transfer_of("injection", 18, 512).state_dict().items()
    }
    file = tmp_path / "injection_final.pth"
    torch.save({"s": weights}, file)
    made = import_weights("megafs", file, tmp_path / "out")
    assert made.card.network == "megafs_swapper_injection"
    assert made.onnx.is_file()
    # Replacing latents takes no parameters: any file of the method has it.
    made = import_weights("megafs", file, tmp_path / "lcr", network="megafs_swapper_lcr")
    assert made.card.parameters == 0
    torch.save({"s": {"weight": torch.ones(3)}}, file)
    with pytest.raises(InputError, match="is not megafs_swapper_lcr"):
        import_weights("megafs", file, tmp_path / "no", network="megafs_swapper_lcr")
