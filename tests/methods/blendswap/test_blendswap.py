"""BlendSwap and its encoder: blended faces, what the encoder unlearns, and swaps by it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.errors import InputError  # noqa: E402
from sosie.geometry import alignment, mesh  # noqa: E402
from sosie.geometry.morphable_model import face_shape  # noqa: E402
from sosie.methods.blendswap import encoder_recipe  # noqa: E402
from sosie.methods.blendswap.blending import blended, nearest_in_shape  # noqa: E402
from sosie.methods.blendswap.network import BlendSwap  # noqa: E402
from sosie.models.cards import read_embedded  # noqa: E402
from sosie.recipes import load_recipe  # noqa: E402
from sosie.recipes.identity.network import FrozenIdentity  # noqa: E402
from sosie.recipes.swapper import recipe as swapping  # noqa: E402
from sosie.recipes.train import Order, make  # noqa: E402
from sosie.training.optimizer_steps import Steps  # noqa: E402

TINY = {"samples": "8", "batch": "4", "validate_every": "4"}


def mean_points(side: int = 112) -> np.ndarray:
    return np.asarray(face_shape().mean[:, :2] * 24 + side / 2, np.float32)


def test_the_inner_face_is_the_sources_and_the_head_the_targets():
    points = mean_points()
    rng = np.random.default_rng(0)
    source = np.clip(rng.normal((200, 60, 60), 20, (112, 112, 3)), 0, 255).astype(np.uint8)
    target = np.clip(rng.normal((60, 60, 200), 20, (112, 112, 3)), 0, 255).astype(np.uint8)
    made = blended(source, points, target, points, np.random.default_rng(1))
    inside = alignment.fill_polygon(points[list(mesh.OVAL)], 112, 112) > 0
    assert np.array_equal(made[:8], target[:8])
    # The texture is the source's, in the target's color.
    middle = (slice(50, 62), slice(50, 62))
    assert np.abs(made[middle].mean((0, 1)) - target[inside].mean(0)).max() < 25
    one, other = (p[middle].astype(float).ravel() for p in (source, target))
    found = made[middle].astype(float)
    found = (found - found.mean((0, 1))).ravel()
    likeness = [np.corrcoef(found, x)[0, 1] for x in (one, other)]
    assert likeness[0] > abs(likeness[1])


def test_the_head_is_one_that_is_turned_alike():
    points = np.stack([mean_points() + shift for shift in (0, 9, 2, 5)])
    assert nearest_in_shape(points, 0, np.array([1, 2, 3])) == 2


@pytest.fixture
def people(monkeypatch, some_people):
    monkeypatch.setattr(encoder_recipe, "open_people", lambda *_: some_people(12, 112))
    monkeypatch.setattr(swapping, "open_people", lambda *_: some_people())
    monkeypatch.setattr(swapping, "_VALIDATED", 4)
    monkeypatch.setattr(encoder_recipe, "_VALIDATED", 4)


def test_the_encoder_begins_as_sosies_own(materials, people):
    recipe = load_recipe("blendface")(materials)
    learner = recipe.network().eval()
    faces = torch.from_numpy(np.array(recipe._people.faces[:6]))
    x = faces.permute(0, 3, 1, 2) / 127.5 - 1
    frozen = FrozenIdentity(read_embedded("identity"))
    with torch.no_grad():
        assert float((learner.network(x) * frozen(x)).sum(1).min()) > 0.98
    assert learner.people.shape == (6, 512)


def test_the_encoder_learns_a_batch_by_heart(materials, people):
    recipe = load_recipe("blendface")(materials)
    recipe.chosen = dataclasses.replace(recipe.presets["small"], batch=8, lr=1e-3, blended=1.0)
    torch.manual_seed(0)
    steps = Steps(recipe.network(), recipe.phases(), recipe.chosen)
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in range(8)]
    assert not np.array_equal(samples[0]["source"], samples[0]["face"])
    batch = {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}
    found = [steps.take([dict(batch)], 0.5)["kept"] for _ in range(12)]
    assert found[-1] < 0.6 * found[0]


def test_from_encoder_to_swapper(materials, people, tmp_path):
    made = make(Order("blendface", materials, tmp_path / "bf", settings=TINY, preset="small"))
    assert made.file.name == "blendface.onnx"
    assert {"validation: source", "validation: head"} <= set(made.card.figures)
    taught = dataclasses.replace(materials, teachers=tmp_path / "bf")
    tiny = {**TINY, "width": "4", "depth": "1", "critic": "4"}
    order = Order("blendswap", taught, tmp_path / "bs", settings=tiny, preset="small")
    file = make(order).file
    session = pytest.importorskip("onnxruntime").InferenceSession(str(file))
    assert {i.name for i in session.get_inputs()} == {"target", "source"}
    lost = dataclasses.replace(order, materials=materials, run=tmp_path / "lost")
    with pytest.raises(InputError, match=r"no blendface.onnx .*sosie train blendface.*--teachers"):
        make(lost)


def test_at_256_px_the_form_is_the_published_one():
    with torch.device("meta"):
        network = BlendSwap()
        small = BlendSwap(64, 4, 1)
        made, maps = small.with_maps(torch.empty(2, 3, 64, 64), torch.empty(2, 512))
    assert sum(p.numel() for p in network.parameters()) > 300e6
    assert made.shape == (2, 3, 64, 64)
    assert len(maps) == 6


def test_one_person_is_too_few(materials, some_people, monkeypatch):
    one = some_people(4, 112, each=4)
    monkeypatch.setattr(encoder_recipe, "open_people", lambda *_: one)
    with pytest.raises(InputError, match="are of one person, and blending takes two"):
        load_recipe("blendface")(materials).prepare()
