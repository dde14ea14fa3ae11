"""Losses that a weight above 0 switches on: they reach the generator, and mean what they say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.analysis.analyzer import create_analyzer  # noqa: E402
from sosie.errors import InputError, UsageError  # noqa: E402
from sosie.geometry import alignment  # noqa: E402
from sosie.geometry.mesh import LEFT_IRIS, RIGHT_IRIS  # noqa: E402
from sosie.models.cards import read_embedded  # noqa: E402
from sosie.models.session import create_session  # noqa: E402
from sosie.recipes import load_recipe  # noqa: E402
from sosie.recipes.landmarks.network import FrozenLandmarks  # noqa: E402
from sosie.recipes.swapper import extra_losses  # noqa: E402
from sosie.recipes.swapper import recipe as swapping  # noqa: E402
from sosie.recipes.swapper.extra_losses import FurtherLosses  # noqa: E402
from sosie.recipes.train import Order, make  # noqa: E402
from sosie.training.optimizer_steps import Steps  # noqa: E402

TERMS = ("cycle", "eyes", "perceptual", "consistency")
TEMPLATE = "arcface_112_v1"


@pytest.fixture(scope="module")
def losses(perceptual_teachers):
    return FurtherLosses(TEMPLATE, perceptual_teachers)


@pytest.fixture(scope="module")
def aligned(astronaut):
    """The portrait's five points, and a function that cuts its face out."""
    face = create_analyzer(1).analyze(astronaut)[0]

    def cut(size_px, points5=face.points5):
        matrix = alignment.align_matrix(points5, TEMPLATE, size_px)
        crop = np.array(alignment.crop(astronaut, matrix, size_px))
        return matrix, torch.from_numpy(crop[None]).permute(0, 3, 1, 2).float() / 255

    return face, cut


def test_the_frozen_landmarks_are_those_of_the_file(aligned):
    content = read_embedded("landmarks")
    squares = (aligned[1](128)[1] * 255).round()
    file = create_session(content, threads=1)
    expected = file.run({"pixels": squares.byte().permute(0, 2, 3, 1).numpy()})["points"]
    frozen = FrozenLandmarks(content)
    found = frozen.eval()(squares / 127.5 - 1)
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=2e-2)
    assert not any(p.requires_grad for p in frozen.parameters())


@pytest.mark.parametrize(("size", "within"), [(64, 3.0), (256, 1.5)])
def test_pupils_are_where_the_analyzer_sees_them(losses, aligned, size, within):
    """In an aligned crop, of which the landmark network sees its square without a detector; in
    pixels of that square, where a pupil is about four across."""
    face, cut = aligned
    matrix, picture = cut(size)
    onto = alignment.compose(losses.square(size), matrix)
    irises = face.landmarks[[RIGHT_IRIS[0], LEFT_IRIS[0]], :2]
    expected = alignment.transform_points(irises, onto)
    found = losses.pupils(picture)[0].detach().numpy()
    assert np.linalg.norm(found - expected, axis=1).max() < within


def test_eyes_that_are_elsewhere_cost(losses, aligned):
    face, cut = aligned
    picture = cut(128)[1]
    lower = cut(128, face.points5 - [0.0, 8.0])[1].requires_grad_()
    assert float(losses.eyes(picture, picture)) == 0
    cost = losses.eyes(lower, picture)
    cost.backward()
    assert float(cost.detach()) > 1
    assert float(lower.grad.abs().sum()) > 0


def test_the_perceptual_term_counts_pairs_of_one_person_alone(losses):
    one, other = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    both, first, none = (
        float(losses.perceptual(one, other, torch.tensor(same)))
        for same in ([1.0, 1.0], [1.0, 0.0], [0.0, 0.0])
    )
    assert both > first > none == 0


def of_tiny(name, people_of, materials, monkeypatch, **weights):
    """A tiny recipe with weights of losses, and a batch."""
    monkeypatch.setattr(swapping, "open_people", lambda *_: people_of())
    kind = load_recipe(name)
    tiny = {"batch": 4, "width": 4, "depth": 1, "critic": 4, "same": 0.5}
    recipe = kind(materials, dataclasses.replace(kind.presets["small"], **tiny, **weights))
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in range(4)]
    batch = {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}
    return recipe, batch


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("name", ["simswap", "faceshifter", "ghost", "facedancer", "hififace"])
def test_a_weight_switches_a_term_on_that_the_generator_learns_from(
    name, term, some_people, materials, perceptual_teachers, monkeypatch
):
    materials = dataclasses.replace(materials, teachers=perceptual_teachers)
    slopes = {}
    for weight in (1.0, 3.0):
        recipe, batch = of_tiny(name, some_people, materials, monkeypatch, **{term: weight})
        torch.manual_seed(0)
        network = recipe.network().train()
        value = recipe.generate(network, batch, 0.0)[term]
        value.backward()
        grads = [p.grad for p in network.generator.parameters() if p.grad is not None]
        slopes[weight] = (float(value.detach()), float(sum(g.abs().sum() for g in grads)))
    assert min(slopes[1.0]) > 0
    assert slopes[3.0] == pytest.approx([3 * v for v in slopes[1.0]], rel=0.02)


def test_terms_are_learned_from(some_people, materials, monkeypatch):
    """Eyes that do not look where the target's do come to, where nothing else is asked for."""
    off = {"identity": 0.0, "reconstruction": 0.0, "adversarial": 0.0, "attribute": 0.0}
    recipe, batch = of_tiny("ghost", some_people, materials, monkeypatch, eyes=1.0, lr=2e-3, **off)
    torch.manual_seed(0)
    steps = Steps(recipe.network(), recipe.phases(), recipe.chosen)
    found = [steps.take([dict(batch)], 0.0)["generator/eyes"] for _ in range(12)]
    assert min(found[-3:]) < 0.8 * found[0]


def test_what_is_not_switched_on_is_not_loaded(some_people, materials, monkeypatch):
    def refuse(*_):
        raise AssertionError("loaded for nothing")

    for name in ("PerceptualDistance", "FrozenLandmarks"):
        monkeypatch.setattr(extra_losses, name, refuse)
    recipe, batch = of_tiny("ghost", some_people, materials, monkeypatch)
    recipe.prepare()
    terms = recipe.generate(recipe.network(), batch, 0.0)
    assert not set(terms) & set(TERMS)
    assert set(recipe.uses()) == {"given", "sosie"}


def test_the_card_names_what_the_terms_looked_through(
    some_people, materials, perceptual_teachers, monkeypatch, tmp_path
):
    monkeypatch.setattr(swapping, "open_people", lambda *_: some_people())
    monkeypatch.setattr(swapping, "_VALIDATED", 4)
    tiny = {"samples": "4", "batch": "4", "validate_every": "4", "width": "4", "depth": "1",
            "critic": "4", "perceptual": "0.2", "eyes": "1"}  # fmt: skip
    order = Order("ghost", materials, tmp_path / "run", settings=tiny, preset="small")
    with pytest.raises(InputError, match=r"squeezenet1_1_features.*--teachers"):
        make(order)
    taught = dataclasses.replace(materials, teachers=perceptual_teachers)
    card = make(dataclasses.replace(order, materials=taught)).card
    names = {teacher.name.split()[0] for teacher in card.teachers}
    files = {"squeezenet1_1_features.safetensors", "lpips_squeeze_lin_v0_1.safetensors"}
    assert names == {"identity.onnx", "landmarks.onnx"} | files
    assert "--teachers TEACHERS_FOLDER" in card.remake


@pytest.mark.parametrize(
    ("name", "setting", "words"),
    [
        ("ghost", {"eyes": "-1"}, "eyes must be 0 or more, not -1"),
        ("simswap", {"perceptual": "much"}, "perceptual must be a number, not 'much'"),
        ("simswap", {"consistancy": "1"}, "did you mean 'consistency'"),
        ("simswap", {"same": "1.5"}, "same must be 0 to 1, not 1.5"),
        ("simswap", {"width": "0"}, "width must be 1 or more"),
        ("simswap", {"size_px": "60"}, "size_px must be a multiple of 16"),
        ("ghost", {"size_px": "60"}, "size_px must be a power of two"),
        ("simswap", {"lr": "-1"}, "lr must be 0 or more, not -1"),
        ("simswap", {"clip": "0"}, "clip must be above 0, not 0"),
        # What would change nothing.
        ("simswap", {"attribute": "3"}, "simswap has no use for attribute: leave it out"),
        ("ghost", {"feature": "3"}, "ghost has no use for feature"),
        ("ghost", {"half_until": "0.5"}, "ghost has no use for half_until"),
        ("faceshifter_hear", {"adversarial": "1"}, "faceshifter_hear has no use for adversarial"),
    ],
)
def test_settings_that_make_no_sense(name, setting, words, materials, tmp_path):
    with pytest.raises(UsageError, match=words):
        make(Order(name, materials, tmp_path / "run", settings=setting, preset="small"))
    assert not (tmp_path / "run").exists()
