"""The recipes of the one-shot swappers in tiny, and what is swapped with their results."""

from __future__ import annotations

import dataclasses
import signal
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.errors import InputError, InterruptedTrainingError, UsageError  # noqa: E402
from sosie.geometry.morphable_model import face_shape  # noqa: E402
from sosie.methods import load_method  # noqa: E402
from sosie.methods.faceshifter.recipe import Hear  # noqa: E402
from sosie.options import SwapOptions  # noqa: E402
from sosie.recipes import load_recipe  # noqa: E402
from sosie.recipes import train as make_module  # noqa: E402
from sosie.recipes.published.files import make_card, save_snapshot  # noqa: E402
from sosie.recipes.published.importing import import_weights  # noqa: E402
from sosie.recipes.published.networks import find_published, published_shapes  # noqa: E402
from sosie.recipes.swapper import recipe as swapping  # noqa: E402
from sosie.recipes.train import Order, make  # noqa: E402
from sosie.training.checkpoint import load_tensors  # noqa: E402
from sosie.training.loop import STATE, train  # noqa: E402
from sosie.training.optimizer_steps import Steps  # noqa: E402
from sosie.types import Pose  # noqa: E402

TINY = {"samples": "12", "batch": "4", "validate_every": "8", "width": "4", "depth": "1",
        "critic": "4"}  # fmt: skip
METHODS = ("simswap", "faceshifter", "ghost", "facedancer", "hififace", "infoswap")


def tiny_settings(name):
    """Those of TINY that a recipe has a use for."""
    return {k: v for k, v in TINY.items() if k not in load_recipe(name).ignores}


@pytest.fixture
def people(monkeypatch, some_people):
    monkeypatch.setattr(swapping, "open_people", lambda *_: some_people())
    monkeypatch.setattr(swapping, "_VALIDATED", 4)


@pytest.fixture
def order(materials, people, tmp_path):
    return Order("simswap", materials, tmp_path / "run", settings=TINY, preset="small")


def tiny(name, materials, **changes):
    recipe = load_recipe(name)
    plan = recipe.presets["small"].changed(TINY)
    return recipe(materials, dataclasses.replace(plan, **changes))


def batch_of(recipe, count=4):
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}


@pytest.mark.parametrize("name", METHODS)
def test_a_recipe_learns_a_batch_by_heart(materials, people, name):
    torch.manual_seed(0)
    recipe = tiny(name, materials, lr=2e-3, identity=0.0, adversarial=0.1, same=1.0)
    network = recipe.network()
    steps = Steps(network, recipe.phases(), recipe.chosen)
    batch = batch_of(recipe)
    found = [steps.take([dict(batch)], 0.0) for _ in range(25)]
    errors = [terms["generator/reconstruction"] for terms in found]
    assert errors[-1] < 0.6 * errors[0]
    assert all(np.isfinite(list(terms.values())).all() for terms in found)


@pytest.mark.parametrize("name", METHODS)
def test_the_identity_loss_reaches_the_generator_through_the_embedder(materials, people, name):
    recipe = tiny(name, materials)
    network = recipe.network()
    batch = batch_of(recipe)
    source, target = (recipe.pictures(batch, name) for name in ("source", "target"))
    made = recipe.swapped(network, target, recipe.describe(source))
    assert made.shape == target.shape
    recipe.identity_term(made, recipe.embed(source)).backward()
    slopes = [p.grad for p in network.generator.parameters() if p.grad is not None]
    assert sum(float(slope.abs().sum()) for slope in slopes) > 0


def test_faces_are_seen_as_the_embedder_is_shown_them(materials, people, astronaut):
    """Through the torch crop as through the run time's, for crops of several sizes."""
    from sosie.analysis.analyzer import create_analyzer
    from sosie.geometry import alignment

    recipe = tiny("simswap", materials)
    analyzer = create_analyzer(1)
    face = analyzer.analyze(astronaut)[0]
    expected = analyzer.identify(astronaut, face)
    for size, least in ((64, 0.8), (128, 0.95), (256, 0.95)):
        matrix = alignment.align_matrix(face.points5, recipe.template, size)
        crop = alignment.crop(astronaut, matrix, size)
        pictures = recipe.pictures({"face": torch.from_numpy(np.array(crop)[None])}, "face")
        with torch.no_grad():
            found = recipe.embed(pictures)[0].numpy()
        assert float(found @ expected) > least, size


def test_the_first_part_can_be_of_half_the_size(materials, people):
    recipe = tiny("simswap", materials, half_until=0.5)
    batch = batch_of(recipe)
    assert recipe.pictures(batch, "target", 0.4).shape[-1] == 32
    assert recipe.pictures(batch, "target", 0.5).shape[-1] == 64


def test_other_terms_can_be_switched_on(materials, people):
    recipe = tiny("simswap", materials, cycle=1.0, penalty=10.0)
    terms = Steps(recipe.network(), recipe.phases(), recipe.chosen).take([batch_of(recipe)], 0.0)
    assert {"generator/cycle", "judges/penalty"} <= set(terms)
    assert terms["judges/penalty"] > 0


def test_presets_of_the_published_forms_have_the_published_parameters(materials):
    for recipe, preset, network in (
        ("simswap", "224", "simswap224_official"),
        ("simswap", "512", "simswap512_official"),
        ("ghost", "unet_1", "ghost_unet_1"),
        ("ghost", "unet_2", "ghost_unet_2"),
        ("faceshifter", "256", "faceshifter_tao_aei"),
        ("facedancer", "256", "facedancer_config_c"),
    ):
        kind = load_recipe(recipe)
        with torch.device("meta"):
            learner = kind(materials, kind.presets[preset]).learner()
        own = sorted(tuple(v.shape) for v in learner.generator.state_dict().values())
        assert own == sorted(published_shapes(network).values()), (recipe, preset)
    with torch.device("meta"):
        shapes = sorted(tuple(v.shape) for v in Hear(64).state_dict().values())
    assert shapes == sorted(published_shapes("faceshifter_tao_hear").values())


def test_a_training_begins_with_an_imported_network(materials, tmp_path, order):
    """As `sosie weights import` leaves it: each of its weights finds its place."""
    published = find_published("simswap_disc").build()
    file = tmp_path / "simswap_disc.safetensors"
    save_snapshot(published, make_card("simswap_disc", published, "D.pth", "0", False), file)
    kind = load_recipe("simswap")
    recipe = kind(materials, kind.presets["224"])
    found = make_module._weights(recipe, file)
    with torch.device("meta"):
        judges = {k: v for k, v in recipe.learner().state_dict().items() if k.startswith("judges")}
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in judges.items()}
    for number in (0, 1):
        for key, value in published.state_dict().items():
            assert torch.equal(found[f"judges.{number}.{key}"], value)
    for changes, words in (
        ({"start": file}, "simswap_disc is of another form.*--preset"),
        ({"start": file, "name": "ghost"}, "ghost cannot begin with simswap_disc"),
        ({"start": file, "finetune": True, "preset": None}, "imported network.*--from"),
    ):
        with pytest.raises(UsageError, match=words):
            make(dataclasses.replace(order, **changes))


def test_a_gan_that_stopped_ends_as_if_it_had_not(materials, people, tmp_path):
    whole, parts = tiny("simswap", materials), tiny("simswap", materials)
    train(whole, whole.chosen, tmp_path / "whole")
    taken = []

    def losses(network, batch, progress):
        taken.append(progress)
        if len(taken) == 2:
            signal.raise_signal(signal.SIGINT)
        return generate(network, batch, progress)

    generate, parts.generate = parts.generate, losses
    with pytest.raises(InterruptedTrainingError):
        train(parts, parts.chosen, tmp_path / "parts")
    again = tiny("simswap", materials)
    train(again, again.chosen, tmp_path / "parts", resume=True)
    expected, facts = load_tensors(tmp_path / "whole" / STATE)
    found, resumed = load_tensors(tmp_path / "parts" / STATE)
    assert facts == resumed
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def swapped(method, weights, crops=2):
    """What a trained method makes of crops of its size."""
    swapper = load_method(method)(SwapOptions(method=method, weights=str(weights)))
    size = swapper.card.size_px
    pixels = np.random.default_rng(0).integers(0, 256, (crops, size, size, 3), np.uint8)
    points = np.array([[30, 30], [60, 30], [45, 45], [35, 60], [55, 60]], np.float32)
    mesh = np.asarray(face_shape().mean * 30 + 45, np.float32)
    face = SimpleNamespace(points5=points, landmarks=mesh, pose=Pose(0, 0, 0))
    source = SimpleNamespace(pixels=pixels[0].repeat(2, 0).repeat(2, 1), face=face)
    made = [SimpleNamespace(pixels=p, face=face, landmarks=mesh, source=None) for p in pixels]
    return swapper, swapper.swap(swapper.prepare([source]), made), pixels


@pytest.mark.parametrize("name", METHODS)
def test_a_snapshot_is_swapped_with(order, name):
    made = make(dataclasses.replace(order, name=name, settings=tiny_settings(name)))
    assert made.file.name == "snapshot.onnx"
    snapshot = order.run / "snapshot.safetensors"
    swapper, found, pixels = swapped(name, snapshot)
    assert len(found) == 2
    for one in found:
        assert one.pixels.shape == pixels[0].shape
        assert 0 <= one.pixels.min() <= one.pixels.max() <= 1
        assert one.mask[0, 0] < 0.1
        assert one.mask[32, 32] == 1
    assert not np.array_equal(found[0].pixels, found[1].pixels)
    assert swapper.card.template == load_recipe(name).template
    assert "pictures" in made.card.license


def test_the_second_stage_learns_from_the_first(order, materials, tmp_path):
    first = dataclasses.replace(order, name="faceshifter", run=tmp_path / "aei")
    make(first)
    taught = dataclasses.replace(materials, teachers=tmp_path / "aei")
    settings = {key: value for key, value in TINY.items() if key not in ("depth", "critic")}
    second = dataclasses.replace(
        order, name="faceshifter_hear", materials=taught, settings=settings | {"eyes": "1"}
    )
    make(second)
    assert len(swapped("faceshifter", order.run / "snapshot.safetensors")[1]) == 2
    lost = dataclasses.replace(second, materials=materials, run=tmp_path / "lost")
    with pytest.raises(InputError, match=r"There is no snapshot.safetensors.*--teachers"):
        make(lost)


def test_a_trained_network_is_fine_tuned_on_one_person(order, tmp_path, monkeypatch, some_people):
    make(order)
    snapshot = order.run / "snapshot.safetensors"
    one = some_people(4, each=4)
    monkeypatch.setattr(swapping, "open_people", lambda *_: one)
    with pytest.raises(InputError, match=r"All 4 faces are of one person.*--finetune"):
        make(dataclasses.replace(order, run=tmp_path / "plain"))
    tuned = dataclasses.replace(
        order, run=tmp_path / "tuned", start=snapshot, finetune=True, preset=None,
        settings={"samples": "8"},
    )  # fmt: skip
    made = make(tuned)
    before, facts = load_tensors(snapshot)
    after, later = load_tensors(tmp_path / "tuned" / "snapshot.safetensors")
    assert later["plan"]["lr"] == pytest.approx(facts["plan"]["lr"] / 4)
    assert later["plan"]["width"] == facts["plan"]["width"]
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[k], after[k]) for k in before)
    assert "--finetune snapshot.safetensors" in made.card.remake
    with pytest.raises(InputError, match="no snapshot of a trained ghost"):
        make(dataclasses.replace(tuned, name="ghost", run=tmp_path / "wrong"))


def test_photos_of_one_person_without_folders_are_known_as_such(order, monkeypatch, some_people):
    same = some_people(6, each=6)
    alone = dataclasses.replace(same, people=np.array([f"photo {k}" for k in range(6)]))
    alone.faces[:] = alone.faces[0]
    monkeypatch.setattr(swapping, "open_people", lambda *_: alone)
    with pytest.raises(InputError, match="All 6 faces are of one person"):
        make(order)


def test_presets_that_are_not_there(order):
    with pytest.raises(UsageError, match="did you mean 'small'"):
        make(dataclasses.replace(order, preset="smal"))
    with pytest.raises(UsageError, match="accumulate must divide batch"):
        make(dataclasses.replace(order, settings={"batch": "4", "accumulate": "3"}))


def test_weights_that_cannot_be_swapped_with(order, tmp_path):
    make(order)
    for method, weights, words in (
        ("simswap", tmp_path / "gone.safetensors", "There is no"),
        ("ghost", order.run / "snapshot.safetensors", "is a simswap, not a ghost"),
        ("simswap", order.run / "best.safetensors", "There is no best.onnx beside"),
    ):
        with pytest.raises(InputError, match=words):
            load_method(method)(SwapOptions(method=method, weights=str(weights)))
    with pytest.raises(InputError, match=r"needs no import: swap with it by.*--weights"):
        import_weights("simswap", order.run / "snapshot.safetensors", tmp_path)
    with pytest.raises(UsageError, match="sosie train ghost"):
        load_method("ghost")(SwapOptions(method="ghost"))
    with pytest.raises(UsageError, match="weights belong to a trained method"):
        SwapOptions(method="mesh", weights="a.safetensors")
