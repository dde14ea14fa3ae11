"""The shared losses: known answers."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.training import losses  # noqa: E402


@pytest.mark.parametrize(
    ("form", "told_apart", "fooled"),
    [
        # One real logit of 2, one made of 0.
        ("hinge", 0.5 * (0 + 1), 0.0),
        ("hinge_both", 0.5 * (0 + 1), 1.0),
        ("lsgan", 0.5 * (1 + 0), 0.5),
        ("nonsaturating", math.log1p(math.exp(-2)) + math.log(2), math.log(2)),
    ],
)
def test_adversarial_forms(form, told_apart, fooled):
    real, made = [torch.full((2, 1, 3, 3), 2.0)], [torch.zeros(2, 1, 3, 3)]
    assert float(losses.discriminator_loss(form, real, made)) == pytest.approx(told_apart)
    assert float(losses.generator_loss(form, made)) == pytest.approx(fooled)


@pytest.mark.parametrize("form", ["hinge", "hinge_both", "lsgan", "nonsaturating"])
def test_the_two_players_want_opposite_things(form):
    made = torch.tensor([0.3], requires_grad=True)
    real = torch.tensor([0.2])
    (one,) = torch.autograd.grad(losses.discriminator_loss(form, [real], [made]), made)
    (other,) = torch.autograd.grad(losses.generator_loss(form, [made]), made)
    assert float(one) > 0 > float(other)


def test_scales_count_alike():
    big, small = torch.zeros(1, 1, 9, 9), torch.ones(1, 1, 2, 2)
    assert float(losses.generator_loss("hinge", [big, small])) == pytest.approx(-0.5)


def test_the_gradient_penalty_of_a_linear_judge_is_its_squared_slope():
    pictures = torch.rand(2, 3, 4, 4, requires_grad=True)
    slope = torch.linspace(-1, 1, 48).reshape(3, 4, 4)
    logits = [(pictures * slope).sum((1, 2, 3))]
    found = losses.gradient_penalty(pictures, logits)
    assert float(found) == pytest.approx(float(slope.square().sum()), rel=1e-5)


def test_identity():
    a, b = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert float(losses.identity_loss(a, 5 * a)) == pytest.approx(0)
    assert float(losses.identity_loss(a, b)) == pytest.approx(1)
    assert float(losses.identity_loss(a, -a)) == pytest.approx(2)


def test_identity_consistency_allows_what_the_source_allows():
    target, source = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert float(losses.identity_consistency_loss([source], [target], [source])) == 0
    # As far as can be from the target: 2, where 1.2 times 1 is allowed.
    found = losses.identity_consistency_loss([-target], [target], [source])
    assert float(found) == pytest.approx(0.8)


def test_attributes_are_summed_over_maps():
    maps = [torch.zeros(1, 2, 2, 2), torch.zeros(1, 1, 4, 4)]
    others = [m + k for k, m in enumerate(maps, 1)]
    assert float(losses.attribute_loss(others, maps)) == pytest.approx(0.5 * (1 + 4))


def test_weak_feature_matching_leaves_the_first_layers_out():
    layers = [torch.zeros(1, 1, 2, 2) for _ in range(3)]
    others = [layers[0] + 100, layers[1] + 2, layers[2] + 4]
    assert float(losses.weak_feature_matching_loss(others, layers, first=1)) == pytest.approx(3)


@pytest.mark.parametrize(("power", "expected"), [(1, 0.5), (2, 0.25)])
def test_reconstruction_counts_pairs_of_one_person_alone(power, expected):
    found, wanted = torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    same = torch.tensor([1.0, 0.0])
    assert float(losses.reconstruction_loss(found, wanted, same, power)) == pytest.approx(expected)
    assert float(losses.reconstruction_loss(found, wanted, 0 * same, power)) == 0


def test_a_cycle_that_closes_costs_nothing():
    picture = torch.rand(1, 3, 4, 4)
    assert float(losses.cycle_loss(picture, picture)) == 0
    assert float(losses.cycle_loss(picture + 0.25, picture)) == pytest.approx(0.25)


def test_eye_heat_maps_peak_at_the_points_and_teach_where_to_go():
    points = torch.tensor([[[10.0, 20.0]]], requires_grad=True)
    maps = losses.eye_heat_maps(points, 32).detach()
    assert maps.shape == (1, 1, 32, 32)
    assert divmod(int(maps.argmax()), 32) == (20, 10)
    assert float(maps.max()) == pytest.approx(1)
    wanted = torch.tensor([[[10.5, 20.0]]])
    loss = losses.eye_loss(points, wanted, 32)
    (slope,) = torch.autograd.grad(loss, points)
    assert float(loss.detach()) > 0
    assert float(slope[0, 0, 0]) < 0
    assert float(losses.eye_loss(wanted, wanted, 32)) == 0


def test_occlusion_terms():
    found, first, target = (torch.full((2, 3, 4, 4), v) for v in (0.5, 0.25, 0.0))
    terms = losses.occlusion_losses(found, first, target, torch.tensor([1.0, 0.0]))
    assert float(terms["change"]) == pytest.approx(0.25)
    assert float(terms["reconstruction"]) == pytest.approx(0.5 * 0.25 / 2)


def test_a_generator_whose_pictures_change_evenly_pays_nothing_for_its_paths():
    torch.manual_seed(0)
    latents = torch.randn(16, 2, 6, requires_grad=True)
    # Of an orthogonal map the lengths are those of what is drawn.
    turned, _ = torch.linalg.qr(torch.randn(12, 12))

    def penalty(scale):
        pictures = (latents.flatten(1) @ turned).reshape(16, 3, 2, 2) * scale
        found, mean = losses.path_length_loss(pictures, latents, torch.tensor(0.0), pace=1.0)
        return float(found) / float(mean) ** 2, float(mean)

    even, length = penalty(torch.ones(16, 1, 1, 1))
    uneven, _ = penalty(torch.linspace(0.1, 4, 16).reshape(-1, 1, 1, 1))
    assert uneven > 3 * even
    assert penalty(torch.full((16, 1, 1, 1), 3.0))[1] == pytest.approx(3 * length, rel=0.5)


def test_the_mean_of_the_paths_is_renewed_by_a_share_and_learns_nothing():
    latents = torch.randn(4, 1, 3, requires_grad=True)
    mean = torch.tensor(2.0)
    pictures = (latents.reshape(4, 3, 1, 1) * 5).square()
    found, renewed = losses.path_length_loss(pictures, latents, mean)
    assert not renewed.requires_grad
    assert abs(float(renewed) - 2) < 0.2 * 50
    assert float(renewed) != 2
    found.backward()
    assert latents.grad is not None
