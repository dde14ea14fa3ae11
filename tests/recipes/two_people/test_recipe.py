"""The recipes of two people in tiny: what they learn, how they stop, and what they leave."""

from __future__ import annotations

import dataclasses
import os
import signal

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.errors import (  # noqa: E402
    InputError,
    InterruptedTrainingError,
    SosieError,
    UsageError,
)
from sosie.models.session import create_session  # noqa: E402
from sosie.recipes import load_recipe  # noqa: E402
from sosie.recipes.train import Order, make  # noqa: E402
from sosie.recipes.two_people import recipe as shared  # noqa: E402
from sosie.recipes.two_people.dfm import trained_network  # noqa: E402
from sosie.recipes.two_people.model_file import FACE, MORPH  # noqa: E402
from sosie.training.checkpoint import load_tensors  # noqa: E402
from sosie.training.loop import STATE  # noqa: E402
from sosie.training.optimizer_steps import Steps  # noqa: E402

TINY = {"samples": "12", "batch": "4", "validate_every": "8", "ae": "8"}
SIZES = {
    "deepfacelab": {"e": "2", "d": "2", "dm": "1"},
    "deepfakes": {"width": "2"},
}
EVERY = [
    *(("deepfacelab", preset) for preset in ("small", "small-liae", "small-amp")),
    ("deepfakes", "small"),
    ("deepfakes", "phaze-a"),
]


def sizes(name, preset):
    return SIZES[name] | ({"style": "4", "size_px": "64"} if preset == "phaze-a" else {})


@pytest.fixture
def people(monkeypatch, person):
    """The source is in a folder `a`, the target in another; `same` is the source once more."""

    def opened(place, *_):
        return person(2 if place.name == "b" else 1)

    monkeypatch.setattr(shared, "open_person", opened)
    monkeypatch.setattr(shared, "open_mixed", lambda *_: person(3, count=20))
    monkeypatch.setattr(shared, "_VALIDATED", 4)


@pytest.fixture
def pair(materials, people, tmp_path):
    return dataclasses.replace(materials, pair=(tmp_path / "a", tmp_path / "b"))


@pytest.fixture
def order(pair, tmp_path):
    settings = TINY | SIZES["deepfacelab"]
    return Order("deepfacelab", pair, tmp_path / "run", settings=settings, preset="small")


def tiny(name, materials, preset="small", **changes):
    recipe = load_recipe(name)
    plan = recipe.presets[preset].changed(TINY | sizes(name, preset))
    return recipe(materials, dataclasses.replace(plan, **changes))


def batch_of(recipe, count=4):
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}


@pytest.mark.parametrize(("name", "preset"), EVERY)
def test_a_recipe_learns_a_batch_by_heart(pair, name, preset):
    torch.manual_seed(0)
    recipe = tiny(name, pair, preset, lr=1e-2)
    network = recipe.network()
    steps = Steps(network, recipe.phases(), recipe.chosen)
    batch = batch_of(recipe)
    found = [steps.take([dict(batch)], 0.1) for _ in range(40)]
    for side in ("source", "target"):
        errors = [
            sum(value for name, value in terms.items() if name.startswith(side)) for terms in found
        ]
        assert errors[-1] < 0.6 * errors[0], side


def test_every_term_that_is_switched_on_is_there_and_teaches(pair):
    torch.manual_seed(0)
    recipe = tiny(
        "deepfacelab", pair,
        true_face=0.01, face_style=10.0, background_style=10.0, gan=0.1, gan_base=2, features=300.0,
    )  # fmt: skip
    network = recipe.network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    terms = Steps(network, recipe.phases(), recipe.chosen).take([batch_of(recipe)], 0.1)
    for name in (
        *("true_face", "face_style", "background_style", "adversarial", "smooth", "outside"),
        *("source_features", "code_judge/told_apart", "judge/told_apart"),
    ):
        assert np.isfinite(terms[name])
        assert terms[name] > 0, name
    for part in ("network.encoder", "network.decoder_src", "judge", "code_judge"):
        moved = [
            not torch.equal(value, before[name])
            for name, value in network.state_dict().items()
            if name.startswith(part)
        ]
        assert any(moved), part


def test_what_is_published_as_frozen_does_not_learn(pair):
    for preset, changes, frozen in (
        ("small-amp", {}, ("inter_src", "inter_dst")),
        ("small-liae", {"random_warp": 0}, ("inter_AB",)),
        ("small-liae", {}, ()),
    ):
        recipe = tiny("deepfacelab", pair, preset, lr=1e-2, **changes)
        network = recipe.network()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        steps = Steps(network, recipe.phases(), recipe.chosen)
        for _ in range(2):
            steps.take([batch_of(recipe)], 0.1)
        still = {
            name.split(".")[1]
            for name, value in network.state_dict().items()
            if name.endswith("weight") and torch.equal(value, before[name])
        }
        assert still == set(frozen), preset


@pytest.mark.parametrize(("name", "preset"), EVERY)
def test_a_run_leaves_files_for_both_directions(order, name, preset):
    made = make(
        dataclasses.replace(order, name=name, preset=preset, settings=TINY | sizes(name, preset))
    )
    network, card = trained_network(order.run / "snapshot.safetensors")
    assert (card.method, card.face_type, card.size_px) == (name, "full", 64)
    picture = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    given = {FACE: picture} | ({MORPH: np.float32([1])} if card.morph else {})
    found = create_session(made.file, threads=1).run(given)
    seen = torch.from_numpy(picture).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = network.swapped(seen)[0].permute(0, 2, 3, 1).numpy()
        back = network.of_target(seen)[0].permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found["out_celeb_face"], expected, atol=2e-3)
    other = create_session(order.run / "snapshot_back.onnx", threads=1).run({FACE: picture})
    np.testing.assert_allclose(other["out_celeb_face"], back, atol=2e-3)
    assert made.card.remake.startswith(f"sosie train {name} --source SOURCE --target TARGET")
    assert {"similarity", "apart"} <= {k.removeprefix("validation: ") for k in made.card.figures}


def test_a_preview_has_the_five_columns_of_the_field(pair):
    recipe = tiny("deepfacelab", pair)
    picture = recipe.preview(recipe.network().eval())
    assert picture.shape == (4 * 64, 5 * 64, 3)
    people = recipe._people
    rows = {side: people[side].faces for side in ("source", "target")}
    for column, side in ((0, "source"), (2, "target")):
        shown = picture[:64, 64 * column : 64 * (column + 1)]
        assert any(np.array_equal(shown, face) for face in rows[side]), column


def test_a_resumed_run_ends_as_one_that_never_stopped(order, tmp_path, monkeypatch):
    whole = make(order)
    stopped = dataclasses.replace(order, run=tmp_path / "stopped")
    learn, steps = torch.optim.Adam.step, []

    def step(self, *given, **named):
        steps.append(1)
        if len(steps) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return learn(self, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", step)
        with pytest.raises(InterruptedTrainingError, match="after 4 samples"):
            make(stopped)
    # An early stop leaves what can be swapped with.
    assert (stopped.run / "snapshot.onnx").is_file()
    again = make(dataclasses.replace(stopped, resume=True))
    first, second = (
        load_tensors(made.file.with_name("best.safetensors"))[0] for made in (whole, again)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kind", ["adabelief", "rmsprop"])
def test_the_published_optimizers_resume_as_well(order, tmp_path, monkeypatch, kind):
    settings = {**order.settings, "optimizer": kind, "kept": "0.3", "period": "5", "ema": "0"}
    order = dataclasses.replace(order, settings=settings)
    whole = make(order)
    stopped = dataclasses.replace(order, run=tmp_path / "stopped")
    from sosie.training import published_optimizers

    chosen = {"adabelief": "AdaBelief", "rmsprop": "RmsProp"}[kind]
    change, calls = getattr(published_optimizers, chosen).change, []

    def stopping(self, *given):
        calls.append(1)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return change(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(getattr(published_optimizers, chosen), "change", stopping)
        with pytest.raises(InterruptedTrainingError):
            make(stopped)
    make(dataclasses.replace(stopped, resume=True))
    first, second = (load_tensors(run / STATE)[0] for run in (order.run, stopped.run))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert whole.file.is_file()


@pytest.mark.parametrize("name", ["snapshot.safetensors", "best.safetensors"])
def test_a_pretrained_network_begins_its_two_people_with_new_inner_parts(order, tmp_path, name):
    alone = dataclasses.replace(order.materials, pair=None)
    settings = {**order.settings, "pretrain": "1"}
    first = make(
        dataclasses.replace(order, materials=alone, settings=settings, run=tmp_path / "pre")
    )
    kind = load_recipe("deepfacelab")
    plan = kind.presets["small"].changed(dict(order.settings))
    recipe = kind(order.materials, plan)
    weights, facts = load_tensors(first.file.with_name(name))
    begun = recipe.starting_weights(weights, facts)
    assert {name.split(".")[1] for name in weights} - {name.split(".")[1] for name in begun} == {
        "inter"
    }
    assert make(dataclasses.replace(order, start=first.file.with_name(name))).file.is_file()


# What is refused.


def test_one_person_twice_is_refused_by_who_they_are(order, materials, tmp_path):
    twice = dataclasses.replace(materials, pair=(tmp_path / "a", tmp_path / "same"))
    with pytest.raises(InputError, match=r"show one person \(similarity 1\.00\)"):
        make(dataclasses.replace(order, materials=twice))


def test_two_people_are_wanted_and_one_mixed_set_to_pretrain(order, materials):
    with pytest.raises(UsageError, match="--source and --target"):
        make(dataclasses.replace(order, materials=materials))
    with pytest.raises(UsageError, match="without --source and --target"):
        make(dataclasses.replace(order, settings={**order.settings, "pretrain": "1"}))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size_px": "70"}, "multiple of 32"),
        ({"options": "udz"}, "Unknown option 'z'"),
        ({"kind": "liaa"}, "Unknown kind 'liaa'"),
        ({"face_type": "hole"}, "did you mean 'whole'"),
        ({"optimizer": "sgd"}, "Unknown optimizer 'sgd'"),
        ({"kind": "liae", "true_face": "0.1"}, "true_face belongs to the kind df"),
        ({"face_style": "200"}, "face_style must be 0 to 100"),
        ({"masked": "2"}, "masked must be 0 to 1"),
        ({"optimizer": "adam", "kept": "0.3"}, "kept and period belong to"),
        ({"gan_patch": "8"}, "give gan a weight"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_before_any_work(order, settings, words):
    with pytest.raises(UsageError, match=words):
        make(dataclasses.replace(order, settings={**order.settings, **settings}))
    assert not order.run.exists()


def test_the_first_deepfakes_have_no_discriminator(order):
    settings = TINY | SIZES["deepfakes"] | {"gan": "0.1"}
    with pytest.raises(UsageError, match="deepfakes has no use for gan"):
        make(dataclasses.replace(order, name="deepfakes", settings=settings))


def test_numbers_that_are_none_end_the_run_and_leave_the_last_good_state(order, monkeypatch):
    from sosie.methods.deepfacelab.recipe import DeepFaceLabRecipe

    losses = DeepFaceLabRecipe.terms

    def spoiled(self, network, batch, progress):
        terms = losses(self, network, batch, progress)
        if progress > 0.2:
            terms["source_squares"] = terms["source_squares"] * float("nan")
        return terms

    monkeypatch.setattr(DeepFaceLabRecipe, "terms", spoiled)
    settings = {**order.settings, "samples": "80", "validate_every": "8"}
    with pytest.raises(SosieError, match=r"came to nothing.*last good state"):
        make(dataclasses.replace(order, settings=settings))
    tensors, _ = load_tensors(order.run / "best.safetensors")
    assert all(bool(torch.isfinite(value).all()) for value in tensors.values())


def test_a_snapshot_of_another_training_is_no_network_of_two_people(tmp_path):
    from sosie.training.checkpoint import save_tensors

    save_tensors(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {"name": "simswap"})
    with pytest.raises(InputError, match="no snapshot of a network of two people"):
        trained_network(tmp_path / "other.safetensors")
