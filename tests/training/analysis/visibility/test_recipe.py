"""The visibility recipe: it learns, judges itself rightly, and exports what it learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.analysis.visibility import SIDE_PX, Visibility  # noqa: E402
from sosie.runtime import create_session  # noqa: E402
from sosie.training.analysis.visibility import recipe as recipes  # noqa: E402
from sosie.training.analysis.visibility.labels import (  # noqa: E402
    MAP_PX,
    FaceLabels,
    outline_of,
)
from sosie.training.analysis.visibility.losses import overlap, visibility_losses  # noqa: E402
from sosie.training.analysis.visibility.network import (  # noqa: E402
    ExportedVisibility,
    VisibilityNetwork,
)
from sosie.training.analysis.visibility.sprites import KINDS, Library  # noqa: E402
from sosie.training.faces import CROP_PX, FaceSet  # noqa: E402
from sosie.training.recipe import Materials  # noqa: E402

COUNT = 60


@pytest.fixture(scope="module")
def faces(drawn_faces) -> FaceSet:
    return drawn_faces(COUNT, (20, 10, 10))


@pytest.fixture
def recipe(faces, tmp_path: Path) -> recipes.VisibilityRecipe:
    made = recipes.VisibilityRecipe(Materials(tmp_path, tmp_path, tmp_path, workers=0))
    known = np.full((COUNT, MAP_PX, MAP_PX), 255, np.uint8)
    outlines = np.stack([outline_of(p, CROP_PX) for p in faces.landmarks])
    rgba = np.zeros((len(KINDS), 128, 128, 4), np.uint8)
    rgba[:, 30:90, 20:110] = (20, 200, 40, 255)
    made._faces = faces
    made._labels = FaceLabels(outlines, known, known, np.zeros(COUNT, np.float32))
    made._library = Library(
        rgba, rgba[..., 3].copy(), {name: np.array([n]) for n, name in enumerate(KINDS)}
    )
    return made


def batch_of(recipe: recipes.VisibilityRecipe, indices: range) -> dict[str, torch.Tensor]:
    found = [recipe.sample(i, np.random.default_rng((0, i))) for i in indices]
    return {key: torch.from_numpy(np.stack([s[key] for s in found])) for key in found[0]}


class Answering(torch.nn.Module):
    """Sees the face where red is well above blue: right on the drawn faces."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        values = pixels.float()
        return (values[..., 0] - values[..., 2])[:, None] - 20 + self.weight


def test_a_network_learns_from_the_samples(recipe, taught):
    torch.manual_seed(0)
    network = VisibilityNetwork((8, 16, 16, 16)).train()
    first, *_, last = taught(recipe, network, batch_of(recipe, range(6)), 1e-2, 25)
    assert sum(last.values()) < 0.5 * sum(first.values())


def test_the_network_is_fast_and_its_losses_are_exact(recipe, precisions):
    network = VisibilityNetwork((8, 16, 16, 16)).train()
    inside, given = precisions(recipe, network, batch_of(recipe, range(2)), "visibility_losses")
    assert inside == {torch.bfloat16}
    assert given == {torch.float32}


def test_the_held_out_and_the_doubtful_are_not_learned_from(faces, recipe):
    held = faces.test | faces.validation
    assert not held[recipe._rows].any()
    assert len(recipe._rows) == faces.train.sum()
    doubt = np.zeros(COUNT, np.float32)
    doubt[recipe._rows[:4]] = 0.9
    changed = recipes.VisibilityRecipe(recipe.materials)
    changed._faces = faces
    changed._labels = FaceLabels(
        recipe._labels.outlines, recipe._labels.visible, recipe._labels.trust, doubt
    )
    assert set(recipe._rows) - set(changed._rows) == set(recipe._rows[:4])


def test_validation_is_one_for_a_network_that_is_right_on_bare_faces(faces, recipe):
    with torch.no_grad():
        figures = recipe.validate(Answering())
        again = recipe.validate(Answering())
    assert len(recipe._validation.bare) == faces.validation.sum() > 0
    assert figures["bare"] > 0.97
    assert figures["score"] == pytest.approx((figures["bare"] + figures["behind"]) / 2)
    assert figures == again


def test_validation_sees_what_hides(recipe):
    """A network that takes everything in the outline for the face is right only on bare faces."""
    kept = recipe._validation

    class Memory(Answering):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(kept.face)[: len(pixels), None].float() - 127

    with torch.no_grad():
        figures = recipe.validate(Memory())
    assert figures["bare"] == 1
    assert figures["behind"] < 0.97


def test_the_exported_file_answers_as_the_network(recipe, tmp_path):
    torch.manual_seed(0)
    network = recipe.network()
    batch = batch_of(recipe, range(4))
    for _ in range(3):
        recipe.losses(network.train(), batch, 0.0)  # gives batch norm something to know
    network.eval()
    file = tmp_path / "visibility.onnx"
    recipe.export(network, file)
    assert file.stat().st_size < 4e6
    masks = Visibility(create_session(file, threads=1)).masks(batch["pixels"].numpy())
    with torch.no_grad():
        wanted = ExportedVisibility(network)(batch["pixels"]).numpy()
    assert masks.shape == (4, SIDE_PX, SIDE_PX)
    assert np.abs(masks - wanted).max() < 0.02


def test_an_answer_has_the_place_of_its_pixels():
    """Shifting the picture by what the coarsest cell covers shifts the answer."""
    torch.manual_seed(0)
    network = VisibilityNetwork((4, 8, 8)).eval()
    pixels = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    shifted = torch.roll(pixels, (8, 16), (1, 2))
    with torch.no_grad():
        one, two = network(pixels), network(shifted)
    assert one.shape == (1, 1, 64, 64)
    middle = (slice(None), slice(None), slice(30, 42), slice(34, 46))
    moved = torch.roll(one, (8, 16), (2, 3))
    assert torch.allclose(moved[middle], two[middle], atol=1e-4)


def test_losses_look_only_where_the_label_is_known():
    target = torch.zeros(1, 32, 32)
    target[:, :, 16:] = 1
    weight = torch.ones(1, 32, 32)
    weight[:, 4:12] = 0
    right = (target - 0.5) * 20
    wrong_there = right.clone()
    wrong_there[:, 4:12] *= -1
    wrong_here = right.clone()
    wrong_here[:, 20:28] *= -1
    losses = [visibility_losses(x, target, weight) for x in (right, wrong_there, wrong_here)]
    for term in ("pixel", "dice"):
        assert float(losses[0][term]) < 0.01
        assert float(losses[1][term]) == pytest.approx(float(losses[0][term]), abs=1e-5)
        assert float(losses[2][term]) > 0.05


def test_an_error_at_an_edge_costs_more():
    target = torch.zeros(1, 32, 32)
    target[:, :, 16:] = 1
    at_edge = (target - 0.5) * 20
    at_edge[:, :, 16] *= -1
    inside = (target - 0.5) * 20
    inside[:, :, 26] *= -1
    weight = torch.ones(1, 32, 32)
    edge, plain = (visibility_losses(x, target, weight)["pixel"] for x in (at_edge, inside))
    assert float(edge) > 2 * float(plain)


def test_overlap():
    a = np.zeros((3, 4, 4), bool)
    b = np.zeros((3, 4, 4), bool)
    a[0, :2], b[0, 1:3] = True, True
    a[1] = b[1] = True
    assert overlap(a, b).tolist() == [pytest.approx(1 / 3), 1.0, 1.0]
