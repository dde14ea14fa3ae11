"""The recipe: it learns, takes nobody twice, judges by what is no loss, exports what it learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.methods.graft import losses, view  # noqa: E402
from sosie.methods.graft import recipe as recipes  # noqa: E402
from sosie.methods.graft.network import ExportedGraft, GraftLearner  # noqa: E402
from sosie.methods.graft.samples import CROSS, PAIR, SELF  # noqa: E402
from sosie.methods.graft.store import SwapFaces  # noqa: E402
from sosie.models.session import create_session  # noqa: E402
from sosie.recipes.occluders.library import KINDS, Library  # noqa: E402
from sosie.training.recipe import Materials  # noqa: E402


class Differing(torch.nn.Module):
    def forward(self, ours: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        return (ours - answer).abs().mean((1, 2, 3))


class Colors(torch.nn.Module):
    """An identity network that knows people by the color of their skin."""

    def __init__(self, numbers: int, channel: int) -> None:
        super().__init__()
        self.numbers, self.channel = numbers, channel

    def forward(self, faces: torch.Tensor):
        axes = (1, 2) if self.channel == 3 else (2, 3)
        mean = (faces / 255 - 0.5).mean(axes)
        found = torch.nn.functional.pad(mean, (0, self.numbers - 3))
        # dlib's descriptor answers with its numbers alone.
        return found if self.numbers == 128 else (found,)


class Bright(torch.nn.Module):
    """A landmark network that reads brightness, as a place and as an expression."""

    def forward(self, squares: torch.Tensor) -> tuple[torch.Tensor, ...]:
        mean = squares.mean((1, 2, 3)) / 255
        return mean[:, None, None].expand(-1, 478, 3), mean, mean[:, None].expand(-1, 52)


@pytest.fixture(scope="module")
def faces(swap_faces) -> SwapFaces:
    return swap_faces("celeba")


@pytest.fixture
def recipe(faces, tmp_path: Path, monkeypatch) -> recipes.SwapRecipe:
    monkeypatch.setattr(recipes, "_VALIDATION", {CROSS: 4, PAIR: 2})
    made = recipes.SwapRecipe(Materials(tmp_path, tmp_path, tmp_path, workers=0))
    rgba = np.zeros((len(KINDS), 128, 128, 4), np.uint8)
    rgba[:, 30:90, 20:110] = (20, 200, 40, 255)
    rows = {name: np.array([n]) for n, name in enumerate(KINDS)}
    made._faces = faces
    made._library = Library(rgba, rgba[..., 3].copy(), rows)
    made._judges = losses.Judges(Differing(), Colors(512, 3), Bright(), Colors(128, 1))
    made._mobile = Colors(256, 1)
    return made


def batch_of(recipe: recipes.SwapRecipe, indices: range) -> dict[str, torch.Tensor]:
    found = [recipe.sample(i, np.random.default_rng((0, i))) for i in indices]
    return {key: torch.from_numpy(np.stack([s[key] for s in found])) for key in found[0]}


def test_a_network_learns_from_the_samples(recipe, taught, monkeypatch):
    monkeypatch.setattr(losses, "_LIKENESS", 0.0)
    torch.manual_seed(0)
    network = GraftLearner((8, 16, 16, 16)).train()
    given = batch_of(recipe, range(6))
    # An answer that geometry cannot guess: all a good deal brighter.
    given["target"] = given["target"].clamp(0, 205) + 50
    first, *_, last = taught(recipe, network, given, 1e-2, 15)
    assert sum(last.values()) < 0.8 * sum(first.values())


def test_the_network_is_fast_and_its_losses_are_exact(recipe, precisions):
    network = GraftLearner((8, 16, 16, 16)).train()
    inside, given = precisions(recipe, network, batch_of(recipe, range(3)), "graft_losses")
    assert inside == {torch.bfloat16}
    assert given <= {torch.float32}


def test_all_kinds_come_up_and_nobody_held_back_is_learned_from(recipe, faces):
    held = {str(person) for person in faces.people[faces.validation]}
    kinds = set()
    for index in range(40):
        made = recipe.sample(index, np.random.default_rng((1, index)))
        kinds.add(int(made["kind"]))
        same = np.allclose(made["source_identity"], made["target_identity"])
        assert made["kind"] != CROSS or np.abs(made["source_dlib"]).max() > 0
        assert same == (made["kind"] != CROSS)
    assert kinds == {PAIR, SELF, CROSS}
    assert held.isdisjoint(recipe._anchors)
    assert held.isdisjoint(recipe._dlib[0])
    assert held.isdisjoint(str(p) for p in faces.people[recipe._sources])


def test_a_sample_is_the_same_each_time(recipe):
    one, again = (recipe.sample(5, np.random.default_rng((0, 5))) for _ in range(2))
    assert all(np.array_equal(one[key], again[key]) for key in one)


def test_validation_judges_the_light_and_the_likeness(recipe):
    network = recipe.network().eval()
    with torch.no_grad():
        plain = recipe.validate(network)
        again = recipe.validate(network)
        # All too bright: other light, and a poorer answer.
        network.generator.light.bias[3:] = 0.3
        bright = recipe.validate(network)
    assert plain == again
    assert plain["light"] < 0.05
    assert bright["light"] > plain["light"] + 0.15
    assert bright["color"] > plain["color"]
    assert bright["expression"] > plain["expression"]
    assert bright["score"] < plain["score"]


def test_the_export_is_what_the_run_time_loads(recipe, tmp_path):
    network = recipe.network().eval()
    recipe.export(network, tmp_path / "swap.onnx")
    session = create_session(tmp_path / "swap.onnx")
    shown = batch_of(recipe, range(1))["shown"]
    found = session.run({"pixels": shown.numpy()})
    assert found["light"].shape == (1, view.LIGHT_PX, view.LIGHT_PX, 6)
    assert found["detail"].shape == (1, view.SIDE_PX, view.SIDE_PX, 3)
    with torch.no_grad():
        light, detail = ExportedGraft(network.generator)(shown)
    assert np.abs(found["light"] - light.numpy()).max() < 1e-3
    assert np.abs(found["detail"] - detail.numpy()).max() < 1e-3
    assert (tmp_path / "swap.onnx").stat().st_size < 15e6


def test_training_goes_on_from_the_exported_file(recipe, tmp_path):
    network = recipe.network().eval()
    with torch.no_grad():
        for parameter in network.generator.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    recipe.export(network, tmp_path / "swap.onnx")
    other = recipe.network().eval()
    fitting = recipe.weights_from(tmp_path / "swap.onnx")
    assert not other.load_state_dict(fitting, strict=False).unexpected_keys
    shown = batch_of(recipe, range(2))["shown"]
    with torch.no_grad():
        ours, theirs = network.generator(shown), other.generator(shown)
    for one, again in zip(ours, theirs, strict=True):
        assert float((one - again).abs().max()) < 0.02 * float(one.abs().max())


def test_the_judge_learns_to_tell_swaps_from_photos(recipe):
    network = recipe.network().train()
    first, second = recipe.phases()
    given = batch_of(recipe, range(8))
    assert bool((given["kind"] == CROSS).any())
    # Swaps that anybody tells: far too bright.
    with torch.no_grad():
        network.generator.light.bias[3:] = 0.5
    first.losses(network, given, 0.0)
    optimizer = torch.optim.Adam(network.judge.parameters(), 1e-3)
    told = []
    for _ in range(16):
        (term,) = second.losses(network, given, 0.0).values()
        optimizer.zero_grad()
        term.backward()
        optimizer.step()
        told.append(float(term.detach()))
    assert told[-1] < 0.7 * told[0]
    # And the network is told so.
    after = first.losses(network, given, 0.0)
    assert float(after["adversarial"].detach()) > 0.3 * losses._ADVERSARIAL * _share_of_crosses(
        given
    )


def test_a_batch_without_crosses_teaches_the_judge_too(recipe):
    network = recipe.network().train()
    first, second = recipe.phases()
    indices = [k for k in range(40) if int(batch_of(recipe, range(k, k + 1))["kind"]) != CROSS]
    found = [batch_of(recipe, range(k, k + 1)) for k in indices[:2]]
    given = {key: torch.cat([one[key] for one in found]) for key in found[0]}
    first.losses(network, given, 0.0)
    (term,) = second.losses(network, given, 0.0).values()
    term.backward()
    assert any(float(p.grad.abs().max()) > 0 for p in network.judge.parameters())


def _share_of_crosses(given: dict[str, torch.Tensor]) -> float:
    return float((given["kind"] == CROSS).float().mean())
