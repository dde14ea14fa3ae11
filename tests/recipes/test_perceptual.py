"""The perceptual distance, on weights drawn at random."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.errors import InputError  # noqa: E402
from sosie.recipes import perceptual  # noqa: E402


@pytest.fixture(scope="module")
def distance(perceptual_teachers):
    return perceptual.PerceptualDistance(perceptual_teachers)


def pictures(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def test_equal_pictures_are_not_apart(distance):
    assert distance(pictures(), pictures()).tolist() == [0, 0]


def test_more_noise_is_further_apart(distance):
    answer = pictures()
    noise = torch.randn(answer.shape, generator=torch.Generator().manual_seed(4))
    apart = [distance(answer + share * noise, answer) for share in (0.02, 0.1, 0.4)]
    assert (apart[0] < apart[1]).all()
    assert (apart[1] < apart[2]).all()


def test_gradients_flow_to_the_first_picture_alone(distance):
    ours, answer = pictures().requires_grad_(), (pictures() + 0.1).requires_grad_()
    distance(ours, answer).sum().backward()
    assert ours.grad is not None
    assert ours.grad.abs().sum() > 0
    assert answer.grad is None
    assert not any(value.requires_grad for value in distance.parameters())


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(InputError, match=perceptual.FEATURES_FILE):
        perceptual.PerceptualDistance(tmp_path)
