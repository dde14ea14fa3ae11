"""The trainings of FSGAN's four networks, in tiny."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.errors import InputError, UsageError  # noqa: E402
from sosie.methods.fsgan import heat_maps as arrays  # noqa: E402
from sosie.methods.fsgan import recipe as generators  # noqa: E402
from sosie.methods.fsgan import reenactment_recipe as reenactment  # noqa: E402
from sosie.methods.fsgan import segmentation_recipe as segmentation  # noqa: E402
from sosie.methods.fsgan.later_recipe import blended, ellipse  # noqa: E402
from sosie.methods.fsgan.losses import heat_maps  # noqa: E402
from sosie.methods.fsgan.network import halved  # noqa: E402
from sosie.methods.fsgan.recipe import FsganPlan  # noqa: E402
from sosie.methods.fsgan.stages import halved as halved_arrays  # noqa: E402
from sosie.recipes import load_recipe  # noqa: E402
from sosie.recipes.train import Order, make  # noqa: E402
from sosie.training.optimizer_steps import Steps  # noqa: E402

TINY = {"samples": "12", "batch": "4", "validate_every": "8", "width": "4"}
GENERATORS = {"most": "16", "critic": "4", "attribute": "0"}
NAMES = ("fsgan_reenactment", "fsgan_segmentation", "fsgan_inpainting", "fsgan_blending")


@pytest.fixture(autouse=True)
def faces(monkeypatch, drawn_faces):
    monkeypatch.setattr(generators, "open_faces", lambda *_: drawn_faces)
    monkeypatch.setattr(segmentation, "open_faces", lambda *_: drawn_faces)
    monkeypatch.setattr(generators, "_VALIDATED", 4)


def settings_of(name):
    return TINY if name == "fsgan_segmentation" else TINY | GENERATORS


def tiny(name, materials, **changes):
    recipe = load_recipe(name)
    plan = recipe.presets["small"].changed(settings_of(name))
    return recipe(materials, dataclasses.replace(plan, **changes))


def batch_of(recipe, count=4):
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}


@pytest.fixture
def order(materials, tmp_path):
    def make_order(name, **changes):
        return Order(
            name, materials, tmp_path / name, settings=settings_of(name), preset="small", **changes
        )

    return make_order


def test_all_four_are_trained_one_after_the_other_and_their_files_are_one_folders(order, tmp_path):
    for name in NAMES:
        made = make(order(name))
        assert made.file == tmp_path / name / f"{name}.onnx"
        assert made.file.with_suffix(".safetensors").is_file()
    from sosie.methods.fsgan.stages import Networks

    assert Networks(tmp_path, "cpu", 1).size_px == 64


def test_what_comes_first_is_asked_for(order, tmp_path):
    with pytest.raises(InputError, match=r"no fsgan_reenactment\.safetensors.*sosie train"):
        make(order("fsgan_inpainting"))


@pytest.mark.parametrize("name", ["fsgan_reenactment", "fsgan_segmentation"])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(order, stopped_and_resumed, name):
    stopped_and_resumed(order(name))


def test_a_reenactment_learns_a_batch_by_heart(materials):
    torch.manual_seed(0)
    recipe = tiny("fsgan_reenactment", materials, lr=3e-3, identity=0.0)
    network = recipe.network()
    steps = Steps(network, recipe.phases(), recipe.chosen)
    batch = batch_of(recipe)
    found = [steps.take([dict(batch)], 0.0) for _ in range(25)]
    assert found[-1]["generator/pixel"] < 0.6 * found[0]["generator/pixel"]
    assert all(np.isfinite(list(terms.values())).all() for terms in found)


def test_a_segmentation_learns_a_batch_by_heart(materials):
    torch.manual_seed(0)
    recipe = tiny("fsgan_segmentation", materials, lr=1e-2)
    steps = Steps(recipe.network(), recipe.phases(), recipe.chosen)
    batch = batch_of(recipe)
    found = [steps.take([dict(batch)], 0.0)["labels"] for _ in range(25)]
    assert found[-1] < 0.5 * found[0]


def test_until_the_half_the_coarse_part_alone_learns(materials):
    recipe = tiny("fsgan_reenactment", materials, half_until=0.5)
    network = recipe.network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    steps = Steps(network, recipe.phases(), recipe.chosen)
    steps.take([batch_of(recipe)], 0.1)
    after = network.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert any(key.startswith("generator.base.heads") for key in changed)
    assert not any(key.startswith("generator.fine") for key in changed)
    steps.take([batch_of(recipe)], 0.6)
    after = network.state_dict()
    assert not torch.equal(before["generator.fine.heads.0.1.weight"],
                           after["generator.fine.heads.0.1.weight"])  # fmt: skip


def test_the_rate_is_halved_every_ten_epochs_of_both_sizes():
    plan = FsganPlan()
    at = [plan.pace(p) for p in (0.0, 0.1, 0.25, 0.45, 0.5, 0.62, 0.99)]
    assert at == pytest.approx([2.5, 2.5, 1.25, 0.625, 1, 0.5, 0.0625])
    assert FsganPlan(finetune=1).pace(0.7) == 1


def test_the_critic_learns_at_a_tenth_of_the_rate_by_the_same_steps(materials):
    recipe = tiny("fsgan_reenactment", materials, half_until=0.4, lr=1e-3)
    steps = Steps(recipe.network(), recipe.phases(), recipe.chosen)
    for progress, share in ((0.1, 2.5), (0.5, 1.0)):
        steps.take([batch_of(recipe, 2)], progress)
        rates = [optimizer.param_groups[0]["lr"] for optimizer in steps.optimizers]
        assert rates == pytest.approx([1e-3 * share, 1e-4 * share])


def test_the_mirrored_sample_is_seen_by_the_identity_network_as_the_same(materials):
    """Its matrix and its points follow the picture."""
    recipe = tiny("fsgan_reenactment", materials)
    pair = recipe.held_out[0]
    plain = recipe.of_pair(pair, None)
    drawn = (recipe.of_pair(pair, np.random.default_rng(k)) for k in range(20))
    other = next(one for one in drawn if not np.array_equal(one["target"], plain["target"]))
    assert np.array_equal(other["target"], plain["target"][:, ::-1])
    seen = [
        recipe.features.embed(
            generators.as_pictures(torch.from_numpy(one["target"][None])),
            torch.from_numpy(one["aligned"][None]),
        )
        for one in (plain, other)
    ]
    assert float((seen[0] * seen[1]).sum()) > 0.999
    at = plain["points"][54].round().astype(int)
    there = other["points"][54].round().astype(int)
    assert (plain["target"][at[1], at[0]] == other["target"][there[1], there[0]]).all()


def test_both_ways_to_draw_and_to_halve_are_one():
    points = np.random.default_rng(0).uniform(-5, 70, (98, 2)).astype(np.float32)
    ours = arrays.heat_maps(points, 64, 32)
    theirs = heat_maps(torch.from_numpy(points[None]), 64, 32)[0].numpy()
    assert np.abs(ours - theirs).max() < 1e-5
    picture = np.random.default_rng(1).random((7, 32, 32), np.float32)
    whole = halved(torch.from_numpy(picture[None]))[0].numpy()
    assert np.abs(halved_arrays(picture) - whole).max() < 1e-6


def test_what_is_cut_away_lies_at_an_end_of_a_row():
    mask = np.zeros((64, 64), np.bool_)
    mask[20:40, 16:48] = True
    for seed in range(30):
        hole = ellipse(mask, np.random.default_rng(seed))
        assert (hole & mask).any()
        x = np.nonzero(hole)[1]
        assert 16 <= np.ptp(x) + 1 <= 36 or x.min() == 0 or x.max() == 63
        assert hole[20:40, 16].any() or hole[20:40, 47].any()
    assert not ellipse(np.zeros((64, 64), np.bool_), np.random.default_rng(0)).any()


def test_the_label_of_the_blending_has_the_targets_colors():
    rng = np.random.default_rng(0)
    face = (np.full((64, 64, 3), 200) + rng.integers(-5, 5, (64, 64, 3))).astype(np.uint8)
    target = np.full((64, 64, 3), (60, 120, 90), np.uint8)
    mask = np.zeros((64, 64), np.bool_)
    mask[16:48, 16:48] = True
    made = blended(face, target, mask)
    assert np.array_equal(made[~mask], target[~mask])
    assert np.abs(made[mask].mean(0) - (60, 120, 90)).max() < 10
    # The face's own detail stays.
    assert np.corrcoef(made[20:44, 20:44, 0].ravel(), face[20:44, 20:44, 0].ravel())[0, 1] > 0.8
    small = np.zeros_like(mask)
    small[30:36, 30:40] = True
    assert (blended(face, target, small)[small] == face[small]).all()


def on_a_person(order, materials, tmp_path, rule, data=None):
    base = make(order("fsgan_reenactment"))
    person = tmp_path / "film.mp4"
    return Order(
        "fsgan_reenactment",
        dataclasses.replace(materials, data=data or person, person=person),
        tmp_path / "tuned",
        settings={"samples": "8", "batch": "4", "validate_every": "4"},
        preset=rule,
        start=base.file.with_suffix(".safetensors"),
        finetune=True,
    )


@pytest.fixture
def one_person(monkeypatch, drawn_faces):
    """All faces that are drawn are one person's where a video is read."""
    alike = np.tile(drawn_faces.identities[:1], (len(drawn_faces.points), 1))
    whole = dataclasses.replace(drawn_faces, identities=alike)
    monkeypatch.setattr(reenactment, "open_faces", lambda *_: whole)


def test_the_published_fine_tuning_takes_the_pixels_and_the_identity_alone(
    order, materials, tmp_path, one_person
):
    tuned = on_a_person(order, materials, tmp_path, "published")
    plan = load_recipe("fsgan_reenactment").finetuning(
        dataclasses.asdict(FsganPlan()), "published", True
    )
    assert (plan["samples"] // plan["batch"], plan["batch"], plan["lr"]) == (800, 3, 1e-4)
    assert (plan["pixel"], plan["identity"], plan["attribute"], plan["adversarial"]) == (
        0.1, 1, 0, 0,
    )  # fmt: skip
    made = make(tuned)
    assert {"validation: similarity", "validation: error"} <= set(made.card.figures)
    assert "--person" in made.card.remake


def test_sosies_own_tells_before_and_after_and_looks_at_other_people(
    order, materials, tmp_path, one_person
):
    made = make(on_a_person(order, materials, tmp_path, None, data=tmp_path))
    told = {key.removeprefix("validation: ") for key in made.card.figures}
    assert {"similarity", "before", "error", "error_before", "others", "others_before"} <= told


def test_it_ends_when_other_people_are_met_less_well(
    order, materials, tmp_path, one_person, monkeypatch
):
    tuned = on_a_person(order, materials, tmp_path, None, data=tmp_path)
    whole, asked = reenactment.ReenactmentRecipe.figures, []

    def figures(self, generator, pairs, faces=None):
        found = whole(self, generator, pairs, faces)
        asked.append(faces)
        # After the first validation others are lost.
        return found | ({"similarity": -1.0} if faces is None and len(asked) == 7 else {})

    monkeypatch.setattr(reenactment.ReenactmentRecipe, "figures", figures)
    settings = {**tuned.settings, "samples": "40"}
    made = make(dataclasses.replace(tuned, settings=settings))
    assert len(asked) == 8
    assert made.card.figures["samples"] == 4


def test_poses_that_are_held_out_are_learned_from_by_nobody(materials, tmp_path, one_person):
    materials = dataclasses.replace(materials, person=tmp_path)
    recipe = tiny("fsgan_reenactment", materials, finetune=2)
    held = {pair.target for pair in recipe._held_pairs}
    assert held
    assert not held & set(recipe._learned)
    assert {pair.source for pair in recipe._held_pairs} <= set(recipe._learned)


def test_a_person_goes_with_fine_tuning_alone(materials, tmp_path):
    recipe = tiny("fsgan_reenactment", dataclasses.replace(materials, person=tmp_path))
    with pytest.raises(UsageError, match="goes on with that person"):
        recipe.prepare()


def test_settings_that_change_nothing_are_refused():
    with pytest.raises(UsageError, match="no use for critic"):
        load_recipe("fsgan_segmentation").plan_with(FsganPlan(), {"critic": "3"})
    with pytest.raises(UsageError, match="multiple of 16"):
        load_recipe("fsgan_blending").plan_with(FsganPlan(), {"size_px": "72"})


def test_published_weights_begin_a_training(materials):
    recipe = tiny("fsgan_reenactment", materials)
    found = recipe.weights_of_published("fsgan_reenactment_v2", {"fine.stem.1.weight": 1})
    assert found == {"generator.fine.stem.1.weight": 1}
    with pytest.raises(UsageError, match="of the published networks it takes"):
        recipe.weights_of_published("fsgan_blending_v2", {})
