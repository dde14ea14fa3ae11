"""The landmark recipe: it learns, exports what it learned, and asks for the right things."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.analysis.landmarker import EXPRESSIONS, SIDE_PX, Landmarker  # noqa: E402
from sosie.geometry.head_pose import Region  # noqa: E402
from sosie.models.session import create_session  # noqa: E402
from sosie.nn.blocks import to_input  # noqa: E402
from sosie.recipes.face_cache import CROP_PX, FaceSet  # noqa: E402
from sosie.recipes.landmarks import recipe as recipe_module  # noqa: E402
from sosie.recipes.landmarks.losses import landmark_losses, point_weights  # noqa: E402
from sosie.recipes.landmarks.measures import LIDS  # noqa: E402
from sosie.recipes.landmarks.network import Answer, PixelLandmarks, from_pixels, to_pixels  # noqa: E402
from sosie.training.recipe import Materials  # noqa: E402

COUNT = 90


def drawn(points: np.ndarray) -> np.ndarray:
    """A face of flat colors over its points."""
    picture = np.full((CROP_PX, CROP_PX, 3), (70, 90, 120), np.uint8)
    xy = np.round(points[:, :2]).astype(np.int32)
    cv2.fillConvexPoly(picture, cv2.convexHull(xy), (220, 180, 150))
    for ring, color in ((range(468, 478), (30, 40, 60)), ((61, 0, 291, 17), (180, 60, 60))):
        cv2.fillConvexPoly(picture, cv2.convexHull(xy[list(ring)]), color)
    return picture


@pytest.fixture(scope="module")
def faces(drawn_faces) -> FaceSet:
    expression = np.random.default_rng(1).random((COUNT, len(EXPRESSIONS))).astype(np.float32)
    expression[::7] = np.nan
    return drawn_faces(COUNT, (40, 20, 15), drawn, expression=expression)


class Mistakes:
    """Stands for `HardNegatives`: gray squares."""

    def __len__(self) -> int:
        return 3

    def place(self, number: int) -> tuple[np.ndarray, Region]:
        return np.full((90, 90, 3), 60 * number, np.uint8), Region(40.0, 50.0, 30.0, 0.0)


@pytest.fixture(scope="module")
def recipe(faces) -> Iterator[recipe_module.LandmarkRecipe]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe_module, "open_faces", lambda materials: faces)
        patch.setattr(recipe_module, "open_hard_negatives", lambda materials: Mistakes())
        nowhere = Path("nowhere")
        yield recipe_module.LandmarkRecipe(Materials(nowhere, nowhere, nowhere, 0))


@pytest.fixture(scope="module")
def fresh(recipe) -> torch.nn.Module:
    torch.manual_seed(0)
    return recipe.network()


@pytest.fixture
def network(fresh) -> torch.nn.Module:
    return copy.deepcopy(fresh)


def batch_of(recipe, indices: range) -> dict[str, torch.Tensor]:
    made = [recipe.sample(index, np.random.default_rng((0, index))) for index in indices]
    return {
        name: torch.stack([torch.as_tensor(sample[name]) for sample in made]) for name in made[0]
    }


def test_a_few_steps_learn(recipe, network, taught):
    first, *_, last = taught(recipe, network, batch_of(recipe, range(6)), 1e-3, 10)
    for name in ("points", "guesses", "shape"):
        assert last[name] < 0.7 * first[name], name
    assert last["presence"] < first["presence"]


def test_the_network_is_fast_and_its_losses_are_exact(recipe, network, precisions):
    inside, given = precisions(recipe, network, batch_of(recipe, range(2)), "landmark_losses")
    assert inside == {torch.bfloat16}
    assert given == {torch.float32}


def test_a_fresh_network_answers_with_a_face(recipe, network):
    """The mean face of the training shapes, before anything was learned."""
    network.eval()
    with torch.no_grad():
        answer = network(to_input(batch_of(recipe, range(4))["pixels"]))
    points = to_pixels(answer.points).numpy()
    right, left = points[:, 33, :2], points[:, 263, :2]
    assert (left[:, 0] - right[:, 0] > 20).all()
    assert (points[:, 152, 1] - points[:, 10, 1] > 50).all()
    assert np.abs(points[..., :2].mean(1) - SIDE_PX / 2).max() < 12


def test_every_face_is_learned_from_once_an_epoch(recipe):
    learned = recipe._rows
    held = recipe._faces.test | recipe._faces.validation
    assert not held[learned].any()
    first, second = np.array([recipe._order[k] for k in range(2 * len(learned))]).reshape(2, -1)
    assert sorted(first) == sorted(second) == learned.tolist()
    assert not np.array_equal(first, second)


def test_faces_whose_labels_disagree_are_left_out(faces, recipe):
    disagree = faces.agreement.copy()
    disagree[recipe._rows[:3]] = 0.5
    changed = recipe_module.LandmarkRecipe(recipe.materials)
    changed._faces = FaceSet(**{**faces.__dict__, "agreement": disagree})
    assert set(recipe._rows) - set(changed._rows) == set(recipe._rows[:3])


def test_the_exported_file_answers_as_the_network(recipe, network, tmp_path):
    batch = batch_of(recipe, range(5))
    for _ in range(3):
        recipe.losses(network.train(), batch, 0.0)  # gives batch norm something to know
    network.eval()
    file = tmp_path / "landmarks.onnx"
    recipe.export(network, file)
    assert file.stat().st_size < 5e6
    session = create_session(file, threads=1)
    assert Landmarker(session).read(batch["pixels"].numpy()).points.shape == (5, 478, 3)
    found = session.run({"pixels": batch["pixels"].numpy()})
    with torch.no_grad():
        points, presence, expression = PixelLandmarks(network)(batch["pixels"])
    assert np.abs(found["points"] - points.numpy()).max() < 0.5
    assert np.abs(found["points"] - points.numpy()).mean() < 0.1
    assert np.abs(found["presence"] - presence.numpy()).max() < 0.08
    assert np.abs(found["expression"] - expression.numpy()).max() < 0.02


def test_training_goes_on_from_an_exported_file(recipe, network, tmp_path):
    batch = batch_of(recipe, range(4))
    for _ in range(3):
        recipe.losses(network.train(), batch, 0.0)
    file = tmp_path / "landmarks.onnx"
    recipe.export(network.eval(), file)
    again = recipe.network()
    again.load_state_dict(recipe.weights_from(file))
    with torch.no_grad():
        before, after = (PixelLandmarks(n.eval())(batch["pixels"]) for n in (network, again))
    assert (before[0] - after[0]).abs().max() < 0.5
    assert (before[2] - after[2]).abs().max() < 0.02


def test_validation_figures(recipe, network):
    with torch.no_grad():
        figures = recipe.validate(network.eval())
    assert set(figures) >= {"score", "error", "first_error", "openings", "missed", "false"}
    assert figures["score"] == pytest.approx(-figures["error"] - figures["openings"])
    assert 3 < figures["error"] < 60


def test_pixels_and_the_networks_unit():
    corners = torch.tensor([[[-0.5, -0.5, 0.0], [SIDE_PX - 0.5, SIDE_PX - 0.5, SIDE_PX / 2]]])
    assert torch.allclose(from_pixels(corners), torch.tensor([[[-1.0, -1, 0], [1, 1, 1]]]))
    assert torch.allclose(to_pixels(from_pixels(corners)), corners)


@pytest.fixture
def truth(faces) -> torch.Tensor:
    return torch.from_numpy(faces.landmarks[:4] / 112 - 1)


def losses(
    points: torch.Tensor,
    truth: torch.Tensor,
    presence: float = 9.0,
    readable: float = 1.0,
    label: float = 1.0,
) -> dict[str, float]:
    count = len(truth)
    expression = torch.full((count, 52), 0.5)
    expression[0] = float("nan")
    answer = Answer(
        points, (points,), torch.full((count,), presence), torch.zeros(count, len(EXPRESSIONS))
    )
    terms = landmark_losses(
        answer,
        truth,
        expression,
        torch.tensor([label, float("nan"), label, label]),
        torch.full((count,), readable),
        0.0,
    )
    return {name: float(term) for name, term in terms.items()}


def test_nothing_is_asked_of_an_answer_that_is_right(truth):
    assert max(losses(truth, truth).values()) < 1e-3


def test_a_square_without_a_face_asks_for_absence_alone(truth):
    terms = losses(truth + 0.3, truth, readable=0.0, label=0.0)
    assert terms.pop("presence") > 0.1
    assert terms == dict.fromkeys(terms, 0.0)


def test_openings_are_asked_for_beyond_their_points(truth):
    closed = truth.clone()
    for upper, lower in LIDS:
        closed[:, upper] = closed[:, lower]
    moved = truth + (closed - truth).norm(dim=2).mean()
    assert losses(closed, truth)["openings"] > 10 * losses(moved, truth)["openings"]
    assert losses(closed, truth)["points"] > 0


def test_size_and_place_do_not_change_the_shape(truth):
    moved = 1.2 * truth + 0.1
    assert losses(moved, truth)["shape"] < 1e-4 < losses(moved, truth)["points"]


def test_lids_lips_and_irises_count_most():
    weights = point_weights(torch.device("cpu"))
    assert float(weights.sum()) == pytest.approx(1)
    assert weights[[159, 13, 468]].min() > 2 * weights[[10, 234, 50]].max()
