"""HifiFace: the shapes it is told of, its masks, and what it is trained and swapped with."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.errors import InputError, UsageError  # noqa: E402
from sosie.geometry import alignment  # noqa: E402
from sosie.geometry.morphable_model import face_shape  # noqa: E402
from sosie.methods import load_method  # noqa: E402
from sosie.methods.hififace import shape  # noqa: E402
from sosie.methods.hififace.losses import (  # noqa: E402
    MeshModel,
    mask_loss,
    shape_loss,
    target_vector,
)
from sosie.methods.hififace.network import Form, Generator, XuehyFusion  # noqa: E402
from sosie.options import SwapOptions  # noqa: E402
from sosie.recipes import load_recipe  # noqa: E402
from sosie.recipes.swapper import recipe as swapping  # noqa: E402
from sosie.recipes.swapper.face_regions import FaceRegions  # noqa: E402
from sosie.training.optimizer_steps import Steps  # noqa: E402


def drawn_mesh(seed: int, turn: float = 0.2) -> np.ndarray:
    """A made-up face, turned in the picture's plane, of 40 px a unit: 478 x 3."""
    model = face_shape()
    coefficients = np.random.default_rng(seed).normal(0, 0.2, len(model.basis))
    coefficients[shape.MODES :] = 0
    points = model.mean + (coefficients @ model.basis).reshape(-1, 3)
    cosine, sine = np.cos(turn), np.sin(turn)
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    return np.asarray(points @ rotation * 40 + (60, 62, 0), np.float32)


def as_batch(points: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(points)[None]


def test_training_and_swap_are_told_the_same():
    source, target = drawn_mesh(0), drawn_mesh(1, -0.3)
    model = MeshModel()
    seen, there = model(as_batch(source)), model(as_batch(target))
    told = seen.shape[:, : shape.MODES].numpy()
    np.testing.assert_allclose(told, shape.source_shape(source), atol=1e-4)
    np.testing.assert_allclose(
        target_vector(there).numpy(), shape.target_numbers(target), atol=1e-4
    )


def test_a_face_with_its_own_shape_is_itself_and_with_anothers_is_not():
    source, target = drawn_mesh(0), drawn_mesh(1)
    model = MeshModel()
    seen, there = model(as_batch(source)), model(as_batch(target))
    own = model.fused(there.shape[:, : shape.MODES], there)
    other = model.fused(seen.shape[:, : shape.MODES], there)
    small, large = (float(shape_loss(x, there.points, there.scale)) for x in (own, other))
    assert small < 0.2 * large
    # It stands where the target stands, as large and as tilted.
    again = model(other)
    np.testing.assert_allclose(again.middle, there.middle, atol=2)
    np.testing.assert_allclose(again.scale, there.scale, rtol=0.05)


def test_the_shape_loss_moves_the_points_alone():
    points = as_batch(drawn_mesh(1)).requires_grad_()
    seen = MeshModel()(points)
    seen.shape.square().sum().backward()
    assert float(points.grad.abs().sum()) > 0
    assert not seen.rotation.requires_grad


def test_masks_cost_where_they_are_not_the_face():
    face = torch.zeros(1, 1, 64, 64)
    face[..., 16:48, 16:48] = 1
    low = face[..., ::4, ::4]
    assert float(mask_loss(face, low, face)) < 0.05
    assert float(mask_loss(1 - face, 1 - low, face)) > 1.8


def test_the_parser_finds_the_face_of_an_aligned_crop(astronaut):
    from sosie.analysis.analyzer import create_analyzer

    points = create_analyzer(1).analyze(astronaut)[0].points5
    matrix = alignment.align_matrix(points, "mtcnn_512", 64)
    crop = np.asarray(alignment.crop(astronaut, matrix, 64), np.uint8)
    regions = FaceRegions("mtcnn_512", 64)
    found = regions.read(0, crop)
    assert found.shape == (64, 64, 2)
    assert found[30:50, 28:36, 0].mean() > 200
    assert found[:, :4, 0].mean() < 60
    assert regions.read(0, np.zeros_like(crop)) is found


@pytest.fixture
def tiny(materials, some_people, monkeypatch):
    monkeypatch.setattr(swapping, "open_people", lambda *_: some_people())
    monkeypatch.setattr(swapping, "_VALIDATED", 4)

    def make(**changes):
        kind = load_recipe("hififace")
        plan = {"batch": 4, "width": 4, "critic": 4, **changes}
        return kind(materials, dataclasses.replace(kind.presets["small"], **plan))

    return make


def batch_of(recipe, count=4):
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}


def test_the_mask_is_mirrored_with_its_target(tiny, monkeypatch):
    recipe = tiny()
    half = np.zeros((64, 64, 2), np.uint8)
    half[:, :32] = 255
    monkeypatch.setattr(recipe._regions, "read", lambda *_: half)
    faces = recipe._people.faces
    for index in range(6):
        sample = recipe.sample(index, np.random.default_rng(index))
        own = any(np.array_equal(sample["target"], face) for face in faces)
        assert sample["face"][:, 0].all() == own


def test_each_loss_is_there_and_falls(tiny):
    recipe = tiny(lr=2e-3, identity=0.0, adversarial=0.1, masks=5.0)
    torch.manual_seed(0)
    steps = Steps(recipe.network(), recipe.phases(), recipe.chosen)
    batch = batch_of(recipe)
    found = [steps.take([dict(batch)], 0.0) for _ in range(15)]
    assert {"generator/shape", "generator/masks", "judges/penalty"} <= set(found[0])
    for term in ("masks", "reconstruction"):
        assert found[-1][f"generator/{term}"] < 0.8 * found[0][f"generator/{term}"]


def test_the_form_fits_its_size():
    for size, halvings in ((64, 3), (256, 5)):
        with torch.device("meta"):
            network = Generator(XuehyFusion, Form(4, halvings, 10))
            made, low, mask, _ = network(torch.empty(2, 3, size, size), torch.empty(2, 10))
        assert made.shape == (2, 3, size, size)
        assert low.shape == (2, 3, size // 4, size // 4)
        assert mask.shape == (2, 1, size, size)


def test_a_file_of_another_kind_is_no_trained_hififace(untrained, tmp_path, imported):
    onnx = pytest.importorskip("onnx", exc_type=ImportError)
    model = onnx.load(str(untrained("ghost")))
    (entry,) = (p for p in model.metadata_props if p.key == "sosie.card")
    entry.value = entry.value.replace('"ghost"', '"hififace"')
    (tmp_path / "a.safetensors").write_bytes(b"")
    onnx.save(model, str(tmp_path / "a.onnx"))
    options = SwapOptions(method="hififace", weights=str(tmp_path / "a.safetensors"))
    swapper = load_method("hififace")(options)
    with pytest.raises(InputError, match=r"takes target, identity, which no network of"):
        from types import SimpleNamespace

        from sosie.types import Pose

        crop = SimpleNamespace(
            pixels=np.zeros((64, 64, 3), np.uint8), landmarks=drawn_mesh(0), source=0
        )
        prepared = SimpleNamespace(
            known=np.zeros((1, shape.MODES + 512), np.float32), pose=Pose(0, 0, 0)
        )
        swapper.swap([prepared], [crop])
    weights = str(untrained("hififace"))
    encoder = imported("blendswap")["encoder"]
    with pytest.raises(UsageError, match="trained with Sosie needs no encoder"):
        load_method("hififace")(SwapOptions(method="hififace", weights=weights, encoder=encoder))
