"""Faces are looked at as the run time looks at them, and a little askew."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.analysis import embedder  # noqa: E402
from sosie.geometry import alignment  # noqa: E402
from sosie.methods.graft import view  # noqa: E402
from sosie.recipes import identity_losses  # noqa: E402

SIDE = view.SIDE_PX


def test_aligned_faces_are_cut_as_the_run_time_cuts_them():
    rows, columns = np.indices((SIDE, SIDE)).astype(np.float32)
    picture = np.dstack([columns, rows, 128 + 60 * np.sin(columns / 9)]) / 255
    matrix = np.array([[0.43, 0.06, -5.0], [-0.06, 0.43, 8.0]])
    expected = alignment.warp(picture.astype(np.float32), matrix, 112, 112)
    found = identity_losses.aligned_faces(
        torch.from_numpy(picture).float().permute(2, 0, 1)[None],
        torch.from_numpy(alignment.invert(matrix)).float()[None],
        112,
    )[0].permute(1, 2, 0)
    assert np.abs(found.numpy() - expected).max() < 0.02


def test_faces_are_jittered_about_their_middle():
    torch.manual_seed(0)
    matrices = torch.tensor([[2.0, 0, 10], [0, 2, 30]]).expand(400, 2, 3)
    laid = identity_losses.jittered(matrices)
    middle = embedder.SIDE_PX / 2
    at = laid @ torch.tensor([middle, middle, 1.0])
    there = torch.tensor([2 * middle + 10, 2 * middle + 30])
    assert (at.mean(0) - there).abs().max() < 0.5
    # Two pixels of the square to one of the crop.
    assert at.std(0).tolist() == pytest.approx([2 * identity_losses._SHIFT_PX] * 2, rel=0.2)
    scales = laid[:, :, :2].det().sqrt() / 2
    assert float(scales.std()) == pytest.approx(identity_losses._SCALE, rel=0.2)
    turns = torch.atan2(laid[:, 1, 0], laid[:, 0, 0])
    assert float(turns.std()) == pytest.approx(identity_losses._TURN, rel=0.2)


class Seen(torch.nn.Module):
    """As an identity network, the mean color of each quarter of a crop in 0..255."""

    def __init__(self, channels_last: bool) -> None:
        super().__init__()
        self.channels_last = channels_last

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor]:
        first = crops.permute(0, 3, 1, 2) if self.channels_last else crops
        assert first.shape[1] == 3
        return (torch.nn.functional.avg_pool2d(first, embedder.SIDE_PX // 2).flatten(1),)


@pytest.mark.parametrize("channels_last", [True, False])
def test_networks_are_given_crops_as_they_want_them(channels_last):
    picture = torch.zeros(1, 3, SIDE, SIDE)
    picture[:, 0, :, : SIDE // 2] = 0.8
    aligned = torch.tensor([[[SIDE / embedder.SIDE_PX, 0, 0], [0, SIDE / embedder.SIDE_PX, 0]]])
    numbers = identity_losses.identified(picture, aligned, Seen(channels_last), channels_last)
    assert float(numbers.norm()) == pytest.approx(1)
    expected = torch.zeros(3, 2, 2)
    expected[0, :, 0] = 0.5**0.5
    assert torch.allclose(numbers[0].reshape(3, 2, 2), expected, atol=0.02)


def test_many_faces_are_described_as_each_alone(model_face, paint):
    class Mean(torch.nn.Module):
        def forward(self, chips: torch.Tensor) -> torch.Tensor:
            return chips.mean((2, 3)) + 1

    faces = [model_face(yaw, unit_px=80, center=(160, 160)) for yaw in range(-20, 21)]
    tones = np.random.default_rng(0).uniform(60, 220, (len(faces), 3))
    crops = [paint(f, tone, side_px=320) for f, tone in zip(faces, tones, strict=True)]
    points = [face.landmarks for face in faces]
    together = identity_losses.describe_all(crops, points, Mean())
    alone = identity_losses.describe_all(crops[36:37], points[36:37], Mean())
    assert together.shape == (41, 3)
    assert np.abs(together[36] - alone[0]).max() < 1e-5
    # Skin fills most of a chip: the tones are what is told.
    told = [np.corrcoef(a, b)[0, 1] for a, b in zip(together, tones, strict=True)]
    assert min(told) > 0.9
