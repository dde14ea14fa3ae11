"""What the network is asked for, on pictures whose terms are known."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.methods.graft import losses, view  # noqa: E402
from sosie.methods.graft.network import GraftNetwork  # noqa: E402
from sosie.methods.graft.samples import CROSS, PAIR, SELF  # noqa: E402

SIDE = view.SIDE_PX


def round_face() -> torch.Tensor:
    steps = torch.arange(SIDE) - (SIDE - 1) / 2
    return ((steps[:, None] ** 2 + steps[None] ** 2) < 90**2).float()


def batch(
    kinds: tuple[int, ...], base: float = 0.5, target: float = 0.5
) -> dict[str, torch.Tensor]:
    count = len(kinds)
    shown = torch.zeros(count, SIDE, SIDE, len(view.CHANNELS), dtype=torch.uint8)
    shown[..., :3] = round(255 * base)
    shown[..., 3] = 255
    shown[..., 7] = (255 * round_face()).byte()
    identities = torch.nn.functional.normalize(torch.randn(2, count, 512), dim=2)
    return {
        "shown": shown,
        "target": torch.full((count, SIDE, SIDE, 3), round(255 * target), dtype=torch.uint8),
        "kind": torch.tensor(kinds),
        "aligned": torch.eye(2, 3)[None].repeat(count, 1, 1),
        "looked": torch.tensor([[2.0, 0, 0.5], [0, 2, 0.5]])[None].repeat(count, 1, 1),
        "moved": torch.zeros(count, 478, 3),
        "source_dlib": torch.ones(count, 128),
        "dlib_mean": torch.zeros(count, 128),
        "source_identity": identities[0],
        "target_identity": identities[1],
    }


class Differing(torch.nn.Module):
    """As a perceptual distance, the mean difference."""

    def forward(self, ours: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        return (ours - answer).abs().mean((1, 2, 3))


class Constant(torch.nn.Module):
    """As an identity network, the numbers that it was given."""

    def __init__(self, numbers: torch.Tensor) -> None:
        super().__init__()
        self.numbers = numbers

    def forward(self, faces: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.numbers[: len(faces)] + 0 * faces.mean(),)


class Flat(torch.nn.Module):
    """As dlib's descriptor, the same numbers for everybody."""

    def forward(self, chips: torch.Tensor) -> torch.Tensor:
        return chips.mean((1, 2, 3))[:, None].expand(-1, 128) + 1


class Spot(torch.nn.Module):
    """As a landmark network, where brightness is: every point at its center; how bright it is for
    an expression."""

    def forward(self, squares: torch.Tensor) -> tuple[torch.Tensor, ...]:
        bright = squares.mean(3) / 255
        total = bright.sum((1, 2)) + 1e-6
        steps = torch.arange(squares.shape[1], dtype=torch.float32)
        x, y = (bright.sum(axis) @ steps / total for axis in (1, 2))
        points = torch.stack([x, y, torch.zeros_like(x)], 1)[:, None].expand(-1, 478, 3)
        return points, x, bright.mean((1, 2))[:, None].expand(-1, 52)


class Level(torch.nn.Module):
    """As a judge, how bright a picture is."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.mean(1, keepdim=True)


def terms_of(given: dict[str, torch.Tensor], numbers: torch.Tensor | None = None):
    network = GraftNetwork((8, 16, 16, 16)).eval()
    made = losses.corrected(network, given)
    identity = Constant(given["source_identity"] if numbers is None else numbers)
    judges = losses.Judges(Differing(), identity, Spot(), Flat())
    terms = losses.graft_losses(made, given, judges, Level())
    return {name: term.detach() for name, term in terms.items()}, made


def test_nothing_is_asked_of_what_is_right():
    terms, made = terms_of(batch((PAIR, SELF, CROSS)))
    for name in ("detail", "color", "coarse", "edges", "grain", "perceptual", "light", "seam"):
        assert float(terms[name]) < 1e-4, name
    assert torch.allclose(made.joined.detach(), made.target, atol=1e-6)


def test_the_terms_tell_the_kinds_apart():
    always = {"detail", "grain", "likeness", "adversarial"}
    known = {"color", "coarse", "edges", "perceptual"}
    across = {"leak", "light", "seam", "alike", "expression", "places"}
    assert set(terms_of(batch((PAIR, SELF)))[0]) == always | known
    assert set(terms_of(batch((CROSS,)))[0]) == always | across


@pytest.mark.parametrize("kind", [SELF, PAIR])
def test_a_known_answer_is_missed_by_as_much_as_it_is(kind):
    terms, _ = terms_of(batch((kind, kind), base=0.5, target=0.6))
    off = (153 - 128) / 255
    assert float(terms["color"]) == pytest.approx(losses._COLOR * off, rel=0.01)
    assert float(terms["coarse"]) == pytest.approx(losses._COARSE * off, rel=0.05)


def test_light_and_seam_are_measured_in_shares_of_white():
    _, made = terms_of(batch((CROSS, CROSS), base=0.5, target=0.6))
    off = (153 - 128) / 255
    assert losses.light_difference(made).detach().tolist() == pytest.approx([off] * 2, rel=0.02)
    assert losses.seam(made).detach().tolist() == pytest.approx([off] * 2, rel=0.02)


def test_light_does_not_mind_detail():
    given = batch((CROSS,))
    checks = np.indices((SIDE, SIDE)).sum(0) // 4 % 2
    given["shown"][0, ..., :3] = torch.from_numpy(128 + 40 * (2 * checks - 1))[..., None].byte()
    _, made = terms_of(given)
    assert float(losses.light_difference(made).detach()) < 0.01


def test_faint_detail_is_missed_wherever_it_lies():
    """The same checks half as high cost grain, moved by their own width they cost none."""
    checks = torch.from_numpy(np.indices((SIDE, SIDE)).sum(0) // 2 % 2 * 2 - 1)
    costs = []
    for height, moved in ((40, 0), (20, 0), (40, 2)):
        given = batch((PAIR,))
        given["target"][0] = (128 + 40 * checks)[..., None].byte()
        shown = 128 + height * checks.roll(moved, 0)
        given["shown"][0, ..., :3] = shown[..., None].byte()
        costs.append(float(terms_of(given)[0]["grain"]))
    assert costs[0] < 1e-4
    assert costs[1] > 0.5
    # But for the edge of the face, where the target begins.
    assert costs[2] < 0.15 * costs[1]


def test_likeness_to_the_source_is_asked_and_to_the_target_forbidden():
    given = batch((CROSS, CROSS))
    right, _ = terms_of(given)
    wrong, _ = terms_of(given, given["target_identity"])
    assert float(right["likeness"]) == pytest.approx(0, abs=1e-5)
    assert float(right["alike"]) == pytest.approx(0, abs=1e-5)
    given["source_dlib"][:, ::2] *= -1
    assert float(terms_of(given)[0]["alike"]) == pytest.approx(losses._ALIKE, rel=0.01)
    assert float(wrong["likeness"]) > 0.5 * losses._LIKENESS
    assert float(wrong["leak"]) == pytest.approx(losses._LEAK * (1 - losses._STRANGERS), rel=0.01)


def test_likeness_is_asked_where_the_answer_is_known_too():
    given = batch((PAIR, SELF))
    right, _ = terms_of(given)
    wrong, _ = terms_of(given, -given["source_identity"])
    assert float(right["likeness"]) == pytest.approx(0, abs=1e-5)
    assert float(wrong["likeness"]) == pytest.approx(2 * losses._KNOWN_LIKENESS, rel=0.01)


def test_features_are_asked_to_be_where_they_are_meant_to_be():
    """A spot that geometry has moved by 12 px of the square, which are 6 of the network's."""
    given = batch((CROSS,), base=0, target=0)
    given["target"][0, 120:140, 100:120] = 255
    given["shown"][0, 120:140, 112:132, :3] = 255
    made = losses.corrected(GraftNetwork((8, 16, 16, 16)).eval(), given)
    _, off = losses.misread(made, given, Spot())
    given["moved"][..., 0] = 6
    _, right = losses.misread(made, given, Spot())
    assert float(off.detach()) == pytest.approx(6, abs=0.2)
    assert float(right.detach()) == pytest.approx(0.1, abs=0.1)


def test_another_expression_costs_as_much_as_it_differs():
    terms, _ = terms_of(batch((CROSS, CROSS), base=0.5, target=0.6))
    inside = float(round_face().mean())
    off = (153 - 128) / 255 * inside * np.sqrt(52)
    assert float(terms["expression"]) == pytest.approx(losses._EXPRESSION * off, rel=0.03)


def test_what_is_taken_for_a_photo_costs_less():
    dull, bright = (terms_of(batch((CROSS,), base=level))[0] for level in (0.3, 0.8))
    inside = float(round_face().mean())
    gained = float(dull["adversarial"] - bright["adversarial"])
    assert gained == pytest.approx(losses._ADVERSARIAL * 0.5 * inside, rel=0.02)


def test_gradients_reach_the_whole_network():
    network = GraftNetwork((8, 16, 16, 16)).train()
    for answer in (network.light, network.detail):
        torch.nn.init.normal_(answer.weight, std=0.01)
    given = batch((PAIR, CROSS), base=0.4, target=0.6)
    made = losses.corrected(network, given)
    judges = losses.Judges(Differing(), Constant(given["target_identity"]), Spot(), Flat())
    found = losses.graft_losses(made, given, judges, Level())
    torch.stack(list(found.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
