"""Samples bend and turn as they say; losses and optimizers agree with what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.recipes.two_people.samples import Bending, Yaws, make_sample

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.recipes.two_people import losses  # noqa: E402
from sosie.training.published_optimizers import AdaBelief, RmsProp  # noqa: E402

STILL = Bending(warp=False, flip=False, scale=0.0)


@pytest.fixture
def face():
    """A smooth picture, with a disc for its mask."""
    y, x = np.indices((64, 64)) / 64
    picture = np.stack([x, y, (x + y) / 2], -1) * 200 + 20
    disc = ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.09) * 255
    return picture.astype(np.uint8), disc.astype(np.uint8)


def sample(face, how, seed=0):
    picture, mask = face
    return make_sample(picture, mask, mask, how, np.random.default_rng(seed))


def test_without_bending_the_network_sees_what_it_is_to_give(face):
    made = sample(face, STILL)
    assert np.array_equal(made["seen"], made["face"])
    assert not np.array_equal(made["face"], face[0])  # turned and moved


def test_bending_changes_what_is_seen_alone(face):
    straight, bent = (sample(face, Bending(warp, False, 0.05)) for warp in (False, True))
    for name in ("face", "mask", "features"):
        assert np.array_equal(straight[name], bent[name])
    apart = np.abs(bent["seen"].astype(int) - straight["seen"])
    assert 1 < apart.mean() < 20
    # The border of the grid holds still.
    assert apart[[0, -1]].mean() < 0.2 * apart.mean()


def test_the_mask_goes_where_the_face_goes(face):
    mask = face[1]
    marked = np.where(mask[..., None] > 0, 255, 0).astype(np.uint8).repeat(3, -1)[..., :3]
    for seed in range(8):
        made = make_sample(
            marked, mask, mask, Bending(False, True, 0.15), np.random.default_rng(seed)
        )
        agree = (made["face"][..., 0] > 127) == (made["mask"] > 127)
        assert agree.mean() > 0.99


def test_some_are_mirrored_with_all_that_belongs_to_them(face):
    sides = []
    for seed in range(60):
        made = sample(face, Bending(False, True, 0.0), seed)
        sides.append(made["face"][:, 40:, 0].mean() < made["face"][:, :24, 0].mean())
    assert 0.25 < np.mean(sides) < 0.55


def test_a_sample_is_a_function_of_its_random_numbers(face):
    how = Bending(True, True, 0.15, hue=0.1)
    one, two, other = (sample(face, how, seed) for seed in (3, 3, 4))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not np.array_equal(one["seen"], other["seen"])


def test_seldom_directions_come_up_as_often_as_others():
    yaws = np.array([0.0] * 90 + [40.0] * 10, np.float32)
    rng = np.random.default_rng(0)
    drawn = [Yaws(yaws).draw(rng) >= 90 for _ in range(400)]
    assert 0.4 < np.mean(drawn) < 0.6


def test_dissimilarity_is_nothing_for_the_same_and_rises_with_noise():
    torch.manual_seed(0)
    picture = torch.rand(2, 3, 32, 32)
    same = losses.dissimilarity(picture, picture, 5)
    assert same.shape == (2,)
    assert float(same.abs().max()) < 1e-5
    little, much = (
        float(losses.dissimilarity(picture + s * torch.randn_like(picture), picture, 5).mean())
        for s in (0.05, 0.3)
    )
    assert 0 < little < much < 1


def test_dissimilarity_is_that_of_scikit_image():
    """By its Gaussian window, of which the border is left out."""
    measure = pytest.importorskip("skimage.metrics").structural_similarity
    rng = np.random.default_rng(0)
    a = rng.random((40, 40)).astype(np.float32)
    b = np.clip(a + rng.normal(0, 0.1, a.shape), 0, 1).astype(np.float32)
    _, known = measure(
        a, b, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        full=True,
    )  # fmt: skip
    one, two = (torch.from_numpy(x)[None, None] for x in (a, b))
    found = float(losses.dissimilarity(one, two, 11)[0])
    assert found == pytest.approx((1 - known[5:-5, 5:-5].mean()) / 2, abs=1e-4)


def test_a_loss_where_the_mask_is_does_not_see_the_rest():
    torch.manual_seed(0)
    wanted, mask = torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    made = torch.where(mask > 0, wanted, torch.rand_like(wanted))
    terms = losses.reconstruction(made, wanted, mask)
    assert max(float(term) for term in terms.values()) < 1e-5
    assert float(losses.reconstruction(made, wanted, torch.ones_like(mask))["squares"]) > 0.1


def test_a_soft_mask_stays_within_its_mask():
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    soft = losses.soft_mask(mask)
    assert float(soft[..., 32, 32]) == pytest.approx(1, abs=1e-3)
    assert float(soft[..., 20:44, 20:44].min()) > 0.99
    assert float(soft[..., :8, :].max()) < 1e-3


def test_style_sees_colors_and_not_where_they_are():
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 32, 32)
    moved = float(losses.style(picture.flip(-1), picture, 4))
    darker = float(losses.style(picture * 0.5, picture, 4))
    assert moved < 1e-6 < 1e-3 < darker


@pytest.mark.parametrize("kind", [AdaBelief, RmsProp])
def test_an_optimizer_finds_the_bottom(kind):
    value = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = kind([value], 0.05)
    for _ in range(300):
        optimizer.zero_grad()
        value.square().sum().backward()
        optimizer.step()
    assert float(value.detach().abs().max()) < 0.2


def test_the_first_step_of_adabelief_is_the_published_one():
    """m = 0.1 g, v = 0.001 (g - m)^2, without correction."""
    value = torch.nn.Parameter(torch.zeros(1))
    optimizer = AdaBelief([value], 0.01)
    value.grad = torch.tensor([2.0])
    optimizer.step()
    expected = -0.01 * 0.2 / ((0.001 * 1.8**2) ** 0.5 + 1e-6)
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_of_the_weights_a_share_takes_part_in_a_step():
    torch.manual_seed(0)
    value = torch.nn.Parameter(torch.zeros(4000))
    optimizer = RmsProp([value], 0.01, kept=0.3)
    value.grad = torch.ones(4000)
    optimizer.step()
    assert 0.25 < float((value != 0).float().mean()) < 0.35


def test_the_rate_goes_down_and_up_again():
    moved = []
    for steps_before in (0, 250):
        value = torch.nn.Parameter(torch.zeros(1))
        optimizer = RmsProp([value], 0.01, period=500)
        optimizer.state[value]["step"] = torch.tensor(float(steps_before))
        value.grad = torch.ones(1)
        optimizer.step()
        moved.append(abs(value.item()))
    assert moved[1] < 1e-6 < moved[0]
