"""The recipe of the expression network: its samples, its answer on both sides, what it learns."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.analysis import embedder, landmarker  # noqa: E402
from sosie.methods.graft.samples import CachedFace  # noqa: E402
from sosie.methods.graft.store import SwapFaces  # noqa: E402
from sosie.models.session import create_session  # noqa: E402
from sosie.recipes.likeness import Judges  # noqa: E402
from sosie.reenactment.expression import network as network_module  # noqa: E402
from sosie.reenactment.expression import recipe as recipes  # noqa: E402
from sosie.reenactment.expression import view as view  # noqa: E402
from sosie.reenactment.expression.network import ExpressionNetwork, applied  # noqa: E402
from sosie.training.recipe import Materials  # noqa: E402

SMALL = (8, 16, 16, 16)


class Differing(torch.nn.Module):
    def forward(self, ours: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        return (ours - answer).abs().mean((1, 2, 3))


class Colors(torch.nn.Module):
    """An identity network that knows people by the color of their skin."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.numbers = numbers

    def forward(self, faces: torch.Tensor):
        channels_last = faces.shape[-1] == 3
        mean = (faces / 255 - 0.5).mean((1, 2) if channels_last else (2, 3))
        found = torch.nn.functional.pad(mean, (0, self.numbers - 3))
        # dlib's descriptor answers with its numbers alone.
        return (found,) if channels_last else found


class Bright(torch.nn.Module):
    """A landmark network that reads brightness as an expression."""

    def forward(self, squares: torch.Tensor) -> tuple[torch.Tensor, ...]:
        mean = squares.mean((1, 2, 3)) / 255
        return torch.zeros(len(squares), 478, 3), mean, mean[:, None].expand(-1, 52)


@pytest.fixture(scope="module")
def faces(swap_faces) -> SwapFaces:
    """Videos and photos."""
    both = [swap_faces(group, 4) for group in ("youtube", "celeba")]
    fields = [field.name for field in dataclasses.fields(SwapFaces)]
    return SwapFaces(*(np.concatenate([getattr(one, f) for one in both]) for f in fields))


@pytest.fixture
def recipe(faces, tmp_path: Path, monkeypatch) -> recipes.ExpressionRecipe:
    monkeypatch.setattr(recipes, "_VALIDATION", 4)
    made = recipes.ExpressionRecipe(Materials(tmp_path, tmp_path, tmp_path, workers=0))
    made._faces = faces
    made._judges = Judges(Differing(), Colors(embedder.NUMBERS), Bright(), Colors(128))
    return made


def batch_of(recipe: recipes.ExpressionRecipe, indices: range) -> dict[str, torch.Tensor]:
    found = [recipe.sample(i, np.random.default_rng((0, i))) for i in indices]
    return {key: torch.from_numpy(np.stack([s[key] for s in found])) for key in found[0]}


def test_known_answers_are_frames_of_one_video_and_nobody_held_back_is_shown(recipe, monkeypatch):
    shown = []
    make = recipes.make_sample

    def noted(source: CachedFace, target: CachedFace, known: bool, rng: np.random.Generator):
        shown.append((source, target, known))
        return make(source, target, known, rng)

    monkeypatch.setattr(recipes, "make_sample", noted)
    for index in range(40):
        recipe.sample(index, np.random.default_rng((1, index)))
    faces = recipe._faces
    rows = {crop.tobytes(): row for row, crop in enumerate(faces.crops)}
    for source, target, known in shown:
        one, other = (rows[face.crop.tobytes()] for face in (source, target))
        assert not faces.validation[[one, other]].any()
        assert (faces.people[one] == faces.people[other]) == known
        assert not known or (one != other and faces.groups[one] == "youtube")
    assert {known for _, _, known in shown} == {True, False}


def test_a_sample_shows_a_face_in_its_place(recipe):
    one, again = (recipe.sample(5, np.random.default_rng((0, 5))) for _ in range(2))
    assert all(np.array_equal(one[key], again[key]) for key in one)
    face = one["shown"][..., 3] > 250
    assert 0.25 < face.mean() < 0.7
    beyond = one["shown"][..., 3] == 0
    assert np.array_equal(one["shown"][beyond][:, :3], one["target"][beyond])
    # The middle of the mean face lies in the middle of the square.
    middle = one["shown"][80:112, 80:112, 5:].astype(float).mean((0, 1))
    assert np.abs(middle - 128).max() < 30


def test_an_untrained_network_changes_nothing(recipe):
    given = batch_of(recipe, range(2))
    network = ExpressionNetwork(SMALL).eval()
    told = torch.rand(2, 2, len(landmarker.EXPRESSIONS))
    with torch.no_grad():
        result = applied(given["shown"], network(given["shown"], *told))
    shown = given["shown"].permute(0, 3, 1, 2).float() / 255
    assert float((result - shown[:, :3]).abs().max()) < 1e-4


def test_the_answer_is_the_same_at_run_time(recipe):
    shown = batch_of(recipe, range(1))["shown"]
    rng = torch.Generator().manual_seed(0)
    cells = 255 * torch.rand(1, 3, 24, 24, generator=rng)
    picture = torch.nn.functional.interpolate(cells, (192, 192), mode="bilinear")
    shown[..., :3] = picture.permute(0, 2, 3, 1).to(torch.uint8)
    flow = 4 * torch.rand(1, 2, 6, 6, generator=rng) - 2
    flow = torch.nn.functional.interpolate(flow, (48, 48), mode="bicubic")
    expected = applied(shown, flow)[0].permute(1, 2, 0).numpy()
    unit = shown[0].numpy().astype(np.float32) / 255
    answer = flow[0].permute(1, 2, 0).numpy()
    found = view.answered(unit[..., :3], unit[..., 3], answer, np.eye(2, 3))
    assert np.abs(expected - unit[..., :3]).mean() > 5e-3
    # The run time samples by cubics, and differs at edges.
    assert np.abs(found - expected).mean() < 2e-3


def test_an_answer_goes_where_a_turned_and_larger_crop_has_the_face():
    rng = np.random.default_rng(0)
    small = rng.uniform(0, 1, (24, 24, 3)).astype(np.float32)
    picture = np.repeat(np.repeat(small, 16, 0), 16, 1)
    # The crop is twice as large, and turned by a quarter.
    matrix = np.array([[0, 0.5, 0], [-0.5, 0, 191.5]])
    flow = np.zeros((48, 48, 2), np.float32)
    flow[..., 0] = 4
    everywhere = np.ones(picture.shape[:2], np.float32)
    found = view.answered(picture, everywhere, flow, matrix)
    # To the right in the square is down in the crop.
    assert np.abs(found[:-8] - picture[8:]).max() < 0.02


def test_a_network_learns_the_expression_from_the_samples(recipe, taught):
    torch.manual_seed(0)
    given = batch_of(recipe, range(4))
    # Faces that are brighter to the right, and targets as bright as those are a little further.
    ramp = torch.arange(55, 247).to(torch.uint8)[None, None, :, None]
    given["shown"][..., :3] = ramp
    given["target"] = (ramp + 5).expand(4, 192, 192, 3)
    first, *_, last = taught(recipe, ExpressionNetwork(SMALL).train(), given, 1e-2, 25)
    assert last["expression"] < 0.8 * first["expression"]


def test_the_network_is_fast_and_its_losses_are_exact(recipe, precisions):
    network = ExpressionNetwork(SMALL).train()
    inside, given = precisions(recipe, network, batch_of(recipe, range(3)), "expression_losses")
    assert inside == {torch.bfloat16}
    assert given <= {torch.float32}


def test_validation_tells_what_is_left_and_what_is_lost(recipe, monkeypatch):
    network = recipe.network().eval()
    with torch.no_grad():
        plain = recipe.validate(network)
        assert plain == recipe.validate(network)
        # A face that is drawn from beside the square is another's.
        monkeypatch.setattr(network_module, "FLOW_PX", 150.0)
        network.flow.bias[:] = 5.0
        moved = recipe.validate(network)
    assert plain["distance left"] == pytest.approx(1, abs=0.01)
    assert plain["likeness kept"] == pytest.approx(1, abs=1e-3)
    assert moved["likeness kept"] < 0.97
    assert moved["score"] < plain["score"]


def test_training_goes_on_from_the_exported_file(recipe, tmp_path):
    network = recipe.network().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    recipe.export(network, tmp_path / "expression.onnx")
    assert (tmp_path / "expression.onnx").stat().st_size < 3e6
    shown = batch_of(recipe, range(2))["shown"]
    told = torch.rand(2, 2, len(landmarker.EXPRESSIONS))
    with torch.no_grad():
        ours = network(shown, *told)
    given = {"shown": shown.numpy(), "has": told[0].numpy(), "wanted": told[1].numpy()}
    found = create_session(tmp_path / "expression.onnx").run(given)["flow"]
    assert np.abs(found - ours.permute(0, 2, 3, 1).numpy()).max() < 0.05
    other = recipe.network().eval()
    fitting = recipe.weights_from(tmp_path / "expression.onnx")
    assert not other.load_state_dict(fitting, strict=False).unexpected_keys
    with torch.no_grad():
        theirs = other(shown, *told)
    assert float((ours - theirs).abs().max()) < 0.02 * float(ours.abs().max())
