"""What of LivePortrait's networks the parity kit does not hold: their ONNX form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("onnx", exc_type=ImportError)

from torch import nn  # noqa: E402

from sosie.models.session import create_session  # noqa: E402
from sosie.recipes.published.networks import find_published  # noqa: E402
from sosie.reenactment.portrait.motion import degrees_of  # noqa: E402
from sosie.reenactment.portrait.motion_network import (  # noqa: E402
    HEADS,
    MotionInDegrees,
    ResponseNorm,
)
from sosie.reenactment.portrait.warping_network import sampled  # noqa: E402
from sosie.training.export import trace  # noqa: E402


class _Sampling(nn.Module):
    def forward(self, volume: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        return sampled(volume, places)


def test_a_volume_is_sampled_by_onnx_runtime_as_by_torch(tmp_path: Path):
    """5-D sampling came with opset 20. Some places lie outside."""
    generator = torch.Generator().manual_seed(0)
    volume = torch.rand((2, 3, 4, 6, 5), generator=generator)
    places = torch.rand((2, 4, 6, 5, 3), generator=generator) * 3 - 1.5
    file = tmp_path / "sampling.onnx"
    opset = find_published("liveportrait_warping_module").opset
    assert opset == 20
    trace(_Sampling(), {"volume": volume, "places": places}, ("out",), file, opset=opset)
    given = {"volume": volume.numpy()[:1], "places": places.numpy()[:1]}
    found = create_session(file, threads=1).run(given)["out"]
    expected = sampled(volume, places)[:1].numpy()
    assert np.allclose(found, expected, atol=1e-5)
    assert 0.1 < (expected == 0).mean() < 0.9


def test_places_are_read_between_the_samples_outer_edges():
    volume = torch.arange(4.0).reshape(1, 1, 1, 1, 4)
    across = torch.tensor([-0.75, -0.25, 0.0, 0.75])
    places = torch.stack([across, torch.zeros(4), torch.zeros(4)], -1).reshape(1, 1, 1, 4, 3)
    assert torch.allclose(sampled(volume, places).flatten(), torch.tensor([0.0, 1.0, 1.5, 3.0]))


class _Told(nn.Module):
    def forward(self, face: torch.Tensor) -> list[torch.Tensor]:
        return [face[:, :width] for width in HEADS.values()]


def test_the_exported_extractor_tells_degrees_and_points():
    told = torch.randn((2, 66), generator=torch.Generator().manual_seed(1)) * 3
    found = dict(zip(HEADS, MotionInDegrees(_Told())(told), strict=True))
    for row in range(2):
        expected = degrees_of(told[row].numpy())
        assert found["pitch"][row].item() == pytest.approx(expected, abs=1e-3)
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    assert shapes == {
        **dict.fromkeys(("pitch", "yaw", "roll"), (2, 1)),
        "t": (2, 3),
        "exp": (2, 21, 3),
        "scale": (2, 1),
        "kp": (2, 21, 3),
    }


def test_channels_compete_by_their_size_over_the_picture():
    norm = ResponseNorm(2)
    with torch.no_grad():
        norm.gamma += 1
    x = torch.zeros(1, 2, 2, 2)
    x[..., 0], x[0, 0, 0, 1] = 3.0, 2.0
    out = norm(x)
    # Sizes 6 and 2, of which 4 is the mean: what is there grows by 1.5 and 0.5 of itself.
    assert torch.allclose(out[..., 0], torch.tensor(7.5))
    assert out[0, 0, 0, 1].item() == pytest.approx(3.0, abs=1e-4)
