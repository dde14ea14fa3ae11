"""The identity network: a small residual network of dense convolutions, and ways to load it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from sosie.analysis.embedder import NUMBERS, SIDE_PX
from sosie.errors import InputError
from sosie.nn.blocks import ConvUnit, PixelInput, ResidualUnit
from sosie.recipes.teachers_onnx import OnnxModule
from sosie.training.export import name_of, read_graph, unmerged, weights_of

CHANNELS, UNITS = (32, 64, 128, 256), (1, 2, 2)
"""Channels at 56, 28, 14 and 7 px, and residual units at the last three."""

_SQUEEZED = 96

_STAGES = tuple(f"/1/stages.{n}/stages.{n}.{UNITS[n]}/act/PRelu_output_0" for n in range(3))
"""What the exporter calls the stages' values."""


class IdentityNetwork(nn.Module):
    """Aligned faces, N x 3 x 112 x 112 in -1..1 -> N x 512, float32, each of unit length."""

    def __init__(
        self, channels: tuple[int, ...] = CHANNELS, units: tuple[int, ...] = UNITS
    ) -> None:
        super().__init__()
        self.stem = ConvUnit(3, channels[0], stride=2)
        self.stages = nn.ModuleList()
        for before, after, count in zip(channels, channels[1:], units, strict=False):
            residual = [ResidualUnit(after) for _ in range(count)]
            self.stages.append(nn.Sequential(ConvUnit(before, after, stride=2), *residual))
        side = SIDE_PX // 2 ** (1 + len(self.stages))
        self.squeeze = ConvUnit(channels[-1], _SQUEEZED, 1)
        self.last = nn.Linear(_SQUEEZED * side**2, NUMBERS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.with_stages(x)[0]

    def with_stages(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The numbers, and what each stage computes on the way to them."""
        x = self.stem(x)
        seen = []
        for stage in self.stages:
            x = stage(x)
            seen.append(x)
        x = self.squeeze(x).flatten(1)
        with torch.autocast(x.device.type, enabled=False):
            numbers = self.last(x.float())
        norm = torch.linalg.vector_norm(numbers, dim=1, keepdim=True).clamp_min(1e-6)
        return numbers / norm, seen


class PixelIdentity(nn.Sequential):
    """The network as it is exported: uint8, N x 112 x 112 x 3 -> N x 512."""

    def __init__(self, network: IdentityNetwork) -> None:
        super().__init__(PixelInput(), network)


class FrozenIdentity(nn.Module):
    """The identity network of a weight file, for losses of other trainings: as IdentityNetwork, but
    its weights do not learn. Gradients flow to the pictures.

    content: of a file that `sosie train identity` wrote, as `weights.read_embedded("identity")`
    gives it, or its path. stages: whether `stages` is asked for.
    """

    def __init__(self, content: bytes | Path, stages: bool = False) -> None:
        super().__init__()
        self._network = OnnxModule(content)
        self._on_the_way = OnnxModule(content, _STAGES) if stages else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: N x 3 x 112 x 112 in -1..1, cut by the template `arcface`."""
        numbers: torch.Tensor = self._network(_as_pixels(x))[0]
        return numbers

    def stages(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What each stage computes on the way to the numbers: N x C x H x W each. x: as above."""
        assert self._on_the_way is not None, "asked for stages of a network made without"
        found: tuple[torch.Tensor, ...] = self._on_the_way(_as_pixels(x))
        return found

    def restricted(
        self, x: torch.Tensor, changes: Sequence[Callable[[torch.Tensor], torch.Tensor]]
    ) -> torch.Tensor:
        """The numbers where each stage's value is changed on the way. changes: one a stage."""
        named = dict(zip(_STAGES, changes, strict=True))
        numbers: torch.Tensor = self._network(_as_pixels(x), named)[0]
        return numbers


def _as_pixels(x: torch.Tensor) -> torch.Tensor:
    return (x.permute(0, 2, 3, 1) + 1) * 127.5


def weights_in(
    network: IdentityNetwork, file: Path | bytes, pixels: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Parameters with which a network computes what a file of `sosie train identity` does.

    network: of the file's architecture; it is changed. file: its path or content. pixels: uint8,
    N x 112 x 112 x 3, aligned faces from which the batch norms get their statistics. Raises
    InputError where the file is of another network.
    """
    whole = PixelIdentity(network)
    _fill_unmerged(whole, file)
    found = unmerged(whole, file, pixels)
    return {name.removeprefix("1."): value for name, value in found.items()}


def _fill_unmerged(network: PixelIdentity, file: Path | bytes) -> None:
    """Give the network what no batch norm was merged with: slopes, and the last layer."""
    stored = weights_of(file)
    graph = read_graph(file)
    # The exporter stores equal weights once.
    same = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Identity"}
    values = [
        stored[same.get(node.input[1], node.input[1])].flatten()
        for node in graph.node
        if node.op_type == "PRelu"
    ]
    values += [stored[name] for name in ("1.last.weight", "1.last.bias") if name in stored]
    own = [module.weight for module in network.modules() if isinstance(module, nn.PReLU)]
    own += [p for name, p in network.named_parameters() if name.startswith("1.last.")]
    if [p.shape for p in own] != [value.shape for value in values]:
        raise InputError(
            f"{name_of(file)} holds another architecture: name a file of this network."
        )
    for parameter, value in zip(own, values, strict=True):
        parameter.data.copy_(value)
