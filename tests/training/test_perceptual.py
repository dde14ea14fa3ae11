"""The perceptual distance, on weights drawn at random."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from safetensors.torch import save_file  # noqa: E402

from sosie.errors import InputError  # noqa: E402
from sosie.training import perceptual  # noqa: E402

# Squeezed and expanded channels of each fire.
FIRES = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128), 6: (48, 192), 7: (48, 192),
         8: (64, 256), 9: (64, 256)}  # fmt: skip
COMPARED = (64, 128, 256, 384, 384, 512, 512)


@pytest.fixture(scope="module")
def distance(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers")
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        fan = max(1, shape[1] * shape[2] * shape[3]) if len(shape) == 4 else 1
        return torch.randn(*shape, generator=generator) * (2 / fan) ** 0.5

    tensors = {"conv1.weight": drawn(64, 3, 3, 3), "conv1.bias": torch.zeros(64)}
    inputs = 64
    for number, (narrow, wide) in FIRES.items():
        for name, shape in (
            ("squeeze1x1", (narrow, inputs, 1, 1)),
            ("expand1x1", (wide, narrow, 1, 1)),
            ("expand3x3", (wide, narrow, 3, 3)),
        ):
            tensors[f"fire{number}.{name}.weight"] = drawn(*shape)
            tensors[f"fire{number}.{name}.bias"] = torch.zeros(shape[0])
        inputs = 2 * wide
    save_file(tensors, folder / perceptual.FEATURES_FILE)
    weights = {
        f"lin{k}.model.1.weight": torch.full((1, channels, 1, 1), 1 / channels)
        for k, channels in enumerate(COMPARED)
    }
    save_file(weights, folder / perceptual.WEIGHTS_FILE)
    return perceptual.PerceptualDistance(folder)


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
