"""The landmark network: a convolutional trunk, a first guess of the whole mesh, and corrections.

The mesh is predicted as a mean shape, a linear combination of directions, and a free rest, so that
it is a face from the first step on. A correction samples fine features at chosen points of the mesh
so far, which makes small shifts of lids and lips visible wherever the face stands in the square
(a cascade over shape-indexed features: Cao et al., "Face alignment by explicit shape regression",
2012).

Coordinates inside: the square spans -1..1 from edge to edge, z in the same unit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from sosie.analysis.landmarker import EXPRESSIONS, SIDE_PX
from sosie.geometry import mesh
from sosie.nn.blocks import relu_unit, to_input
from sosie.recipes.teachers_onnx import OnnxModule
from sosie.training.export import weights_of

# Where a correction looks: lids, irises, lips, brows, nose, outline. They are also what the
# expression weights are read from.
_LOOKED_AT = sorted(
    {
        *mesh.RIGHT_EYE,
        *mesh.LEFT_EYE,
        *mesh.RIGHT_IRIS,
        *mesh.LEFT_IRIS,
        *mesh.INNER_LIPS,
        *mesh.OUTER_LIPS,
        *mesh.RIGHT_BROW,
        *mesh.LEFT_BROW,
        *mesh.NOSE,
        *mesh.OVAL[::2],
    }
)
# Channels at a quarter, an eighth and a sixteenth of the square's side, and residual units there.
_CHANNELS, _UNITS = (32, 80, 160), (1, 2, 2)
_STEM, _SQUEEZED, _FINE = 16, 32, 16
_HIDDEN, _HIDDEN_EXPRESSION = 256, 192
_CORRECTIONS = 2
# A correction's coefficients are small beside the first ones; so are free coordinates, of which a
# step of the optimizer would otherwise be pixels.
_CORRECTION_SCALE, _REST_SCALE = 0.3, 0.02
# Coordinates of the points about their center come to about one unit by this.
_POINT_SCALE = 3.0


class Answer(NamedTuple):
    """points: N x 478 x 3; guesses: the same before each correction; presence: logits, N;
    expression: logits, N x 52."""

    points: torch.Tensor
    guesses: tuple[torch.Tensor, ...]
    presence: torch.Tensor
    expression: torch.Tensor


class LandmarkNetwork(nn.Module):
    """Pixels (N x 3 x SIDE_PX x SIDE_PX, -1..1) -> Answer.

    mean: 478 x 3, the mean shape. basis: K x 1434, directions of shape, each as long as the
    training shapes' deviation along it.
    """

    def __init__(self, mean: torch.Tensor, basis: torch.Tensor) -> None:
        super().__init__()
        quarter, eighth, sixteenth = _CHANNELS
        self.stem = nn.Sequential(
            relu_unit(3, _STEM, stride=2), relu_unit(_STEM, quarter, stride=2)
        )
        self.quarter = _stage(quarter, _UNITS[0])
        self.eighth = nn.Sequential(relu_unit(quarter, eighth, stride=2), _stage(eighth, _UNITS[1]))
        self.sixteenth = nn.Sequential(
            relu_unit(eighth, sixteenth, stride=2), _stage(sixteenth, _UNITS[2])
        )
        self.squeeze = relu_unit(sixteenth, _SQUEEZED, 1)
        self.whole = _dense(_SQUEEZED * (SIDE_PX // 16) ** 2, _HIDDEN)
        self.lateral = nn.ModuleList(nn.Conv2d(c, _FINE, 1) for c in _CHANNELS)
        self.fine = relu_unit(_FINE, _FINE)

        # Fixed: a step of the optimizer that suits the weights would be large beside them.
        self.mean: torch.Tensor
        self.basis: torch.Tensor
        self.register_buffer("mean", mean.reshape(-1).clone())
        self.register_buffer("basis", basis.clone())
        self.shape = _small_linear(_HIDDEN, len(basis))
        self.corrections = nn.ModuleList(
            _Correction(len(basis), mean.numel(), free=step == _CORRECTIONS - 1)
            for step in range(_CORRECTIONS)
        )
        self.presence = nn.Linear(_HIDDEN, 1)
        self.expression = nn.Sequential(
            nn.Linear(3 * len(_LOOKED_AT) + 2 * _HIDDEN, _HIDDEN_EXPRESSION),
            nn.ReLU(inplace=True),
            nn.Linear(_HIDDEN_EXPRESSION, len(EXPRESSIONS)),
        )
        self.looked_at: torch.Tensor
        self.register_buffer("looked_at", torch.tensor(_LOOKED_AT), persistent=False)

    def forward(self, pixels: torch.Tensor) -> Answer:
        quarter = self.quarter(self.stem(pixels))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        whole = self.squeeze(sixteenth).flatten(1)
        fine = self._fine((quarter, eighth, sixteenth))
        # Eight bits of mantissa are a third of a pixel: what follows is float32 also where the
        # trunk is not.
        with torch.autocast(pixels.device.type, enabled=False):
            return self._read(whole.float(), fine.float())

    def _read(self, whole: torch.Tensor, fine: torch.Tensor) -> Answer:
        """The answer from the trunk's last features, N x F, and the fine ones, N x C x H x W."""
        whole = self.whole(whole)
        points = (self.mean + self.shape(whole) @ self.basis).unflatten(1, (-1, 3))
        guesses, local = [], whole
        for correction in self.corrections:
            guesses.append(points)
            seen = torch.cat([self._at_points(fine, points), local], 1)
            local, change = correction(seen, self.basis)
            points = points + change.unflatten(1, (-1, 3))

        seen = points[:, self.looked_at]
        seen = (seen - seen.mean(1, keepdim=True)) * _POINT_SCALE
        reading = torch.cat([seen.flatten(1), whole, local], 1)
        return Answer(points, tuple(guesses), self.presence(whole)[:, 0], self.expression(reading))

    def _fine(self, maps: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Features at a quarter of the square's side that know of the coarser ones."""
        quarter, eighth, sixteenth = (
            lateral(features) for features, lateral in zip(maps, self.lateral, strict=True)
        )
        coarse = eighth + functional.interpolate(sixteenth, scale_factor=2.0, mode="nearest")
        merged = quarter + functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        result: torch.Tensor = self.fine(functional.relu(merged))
        return result

    def _at_points(self, fine: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        """Features at the looked-at points of a shape, N x (points * channels)."""
        # What the place of a sample does to the features says little of where it should be.
        places = shape.detach()[:, self.looked_at, None, :2]
        sampled = functional.grid_sample(
            fine, places, mode="bilinear", padding_mode="border", align_corners=False
        )
        return sampled.flatten(1)


class _Correction(nn.Module):
    """What is seen at the points -> features of the whole face, and a change of its shape.

    directions: of the basis; coordinates: of the mesh; free: whether it may leave the basis' span.
    """

    def __init__(self, directions: int, coordinates: int, free: bool) -> None:
        super().__init__()
        self.local = _dense(len(_LOOKED_AT) * _FINE + _HIDDEN, _HIDDEN)
        self.shape = _small_linear(_HIDDEN, directions)
        self.rest = _small_linear(_HIDDEN, coordinates) if free else None

    def forward(self, seen: torch.Tensor, basis: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        local = self.local(seen)
        change = _CORRECTION_SCALE * self.shape(local) @ basis
        return local, change if self.rest is None else change + _REST_SCALE * self.rest(local)


class PixelLandmarks(nn.Module):
    """The network as the run time calls it: pixels (uint8, N x SIDE_PX x SIDE_PX x 3) -> points in
    pixels of the square (N x 478 x 3), presence logits (N), expression weights (N x 52, 0..1)."""

    def __init__(self, network: LandmarkNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        answer = self.network(to_input(pixels))
        return to_pixels(answer.points), answer.presence, answer.expression.sigmoid()


def to_pixels(points: torch.Tensor) -> torch.Tensor:
    """Points of the network, N x 478 x 3, in pixels of the square."""
    half = SIDE_PX / 2
    return points * half + points.new_tensor([half - 0.5, half - 0.5, 0.0])


def from_pixels(points: torch.Tensor) -> torch.Tensor:
    """The inverse of `to_pixels`."""
    half = SIDE_PX / 2
    return (points - points.new_tensor([half - 0.5, half - 0.5, 0.0])) / half


class FrozenLandmarks(nn.Module):
    """The network of a weight file, for losses of other trainings: squares, N x 3 x SIDE_PX x
    SIDE_PX in -1..1 -> points, N x 478 x 3, in pixels of the square. Gradients flow to the squares.

    content: of a file that `sosie train landmarks` wrote, as `weights.read_embedded("landmarks")`
    gives it.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._network = OnnxModule(content, ("points",))
        self._mean = weights_of(content)["network.mean"]

    def forward(self, squares: torch.Tensor) -> torch.Tensor:
        points: torch.Tensor = self._network((squares.permute(0, 2, 3, 1) + 1) * 127.5)[0]
        return points

    def mean_face(self) -> NDArray[np.float32]:
        """The mean mesh, 478 x 3, in pixels of the square."""
        points: NDArray[np.float32] = to_pixels(self._mean.reshape(1, -1, 3))[0].numpy()
        return points


class _Residual(nn.Module):
    """act(x + f(x)) with two 3 x 3 convolutions (He et al. 2016, "Deep residual learning")."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = relu_unit(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(x + self.second(self.first(x)))


def _stage(channels: int, units: int) -> nn.Sequential:
    return nn.Sequential(*(_Residual(channels) for _ in range(units)))


def _dense(inputs: int, outputs: int) -> nn.Sequential:
    # The statistics of a batch of some tens would be noise of a tenth of what is to be measured.
    return nn.Sequential(nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU(inplace=True))


def _small_linear(inputs: int, outputs: int) -> nn.Linear:
    """A layer that begins near zero."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer
