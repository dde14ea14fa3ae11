"""The networks of FSLSD: landmarks into a generator's latents, a target into its maps, and a
decoder that lays the one before the other.

Source: Xu et al. 2022, "High-resolution Face Swapping via Latent Semantics Disentanglement",
section 3. Latents are N x C x L, the coarsest layer's first; those of the first `structure` layers
say how a face is built and posed, the others how it looks (color, light, texture).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from sosie.methods.fslsd.heat_maps import POINTS
from sosie.nn.encoders import IR_SE_STAGES, IrSeUnit
from sosie.nn.stylegan2.generator import Form, Generator
from sosie.nn.stylegan2.layers import EqualConv, EqualLinear, blurred, leaky, low_pass
from sosie.types import FloatArray

STRUCTURE = 7
"""Of the 18 latents of 1024 px so many are of the structure: those of 4 to 32 px."""

COARSE = 3
"""So many latents are read from the smallest map, the rest of the structure from the next one."""

FIRST_PX = 8
"""Side of the smallest map that is blended."""

MOST_SEEN_PX = 256
"""Side of what an encoder of latents sees, where the generator's pictures are not smaller."""

_BETWEEN = 16
"""Channels before the decoder's picture."""


@dataclass(frozen=True)
class EncoderForm:
    """What the shape of an encoder of latents hangs on; as it stands, that of the landmarks.

    channels: planes of its input. shares: how many latents are read from its smallest map, from the
    next larger one, and from the one after. stages: channels and units of each stage, all of which
    halve. latent: numbers of a latent. size_px: side of its input.
    """

    channels: int = 2 * POINTS
    shares: tuple[int, ...] = (COARSE, STRUCTURE - COARSE)
    stages: tuple[tuple[int, int], ...] = IR_SE_STAGES
    latent: int = 512
    size_px: int = MOST_SEEN_PX


class Style(nn.Module):
    """A map, N x C x `side` x `side`, halved until one place is left -> a latent, N x L."""

    def __init__(self, inputs: int, latent: int, side: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        while side > 1:
            layers += [nn.Conv2d(inputs, latent, 3, 2, 1), nn.LeakyReLU(0.01)]
            inputs, side = latent, side // 2
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(latent, latent)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.linear(self.convs(x).flatten(1))
        return found


class LatentEncoder(nn.Module):
    """N x K x S x S -> latents, N x C x L: a pyramid of features, the smaller laid under the
    larger (the form is that of Richardson et al. 2021, "Encoding in Style", section 3).

    The landmark encoder sees the heat-maps of source and target and gives what is added to the
    source's first latents; the inverter sees a picture and gives all of them.
    """

    def __init__(self, form: EncoderForm) -> None:
        super().__init__()
        self.form = form
        width = form.stages[0][0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(form.channels, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.PReLU(width),
        )
        units, self._ends = [], []
        for channels, count in form.stages:
            for position in range(count):
                units.append(IrSeUnit(width, channels, 1 if position else 2))
                width = channels
            self._ends.append(len(units) - 1)
        self.body = nn.ModuleList(units)
        smallest = form.size_px // 2 ** len(form.stages)
        self.styles = nn.ModuleList(
            Style(width, form.latent, smallest * 2**number)
            for number, count in enumerate(form.shares)
            for _ in range(count)
        )
        # Onto the width of the smallest map; published under these names.
        for number in range(1, len(form.shares)):
            before = form.stages[-1 - number][0]
            self.add_module(f"latlayer{number}", nn.Conv2d(before, width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.input_layer(x)
        features = []
        for number, unit in enumerate(self.body):
            x = unit(x)
            if number in self._ends:
                features.append(x)
        seen, found, first = features[-1], [], 0
        for number, count in enumerate(self.form.shares):
            if number:
                beside = self.get_submodule(f"latlayer{number}")(features[-1 - number])
                seen = beside + _enlarged(seen)
            found += [self.styles[k](seen) for k in range(first, first + count)]
            first += count
        return torch.stack(found, 1)


def _enlarged(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)


class BaldMapping(nn.Module):
    """Latents side by side, N x C L -> those of the same face without hair, which would hide the
    target's own forehead. Each layer's latent is moved by twice a linear map of it."""

    def __init__(self, count: int = 18, latent: int = 512) -> None:
        super().__init__()
        self.dense = nn.ModuleList(EqualLinear(latent, latent) for _ in range(count))

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        each = latents.chunk(len(self.dense), 1)
        moves = [one(x) for one, x in zip(self.dense, each, strict=True)]
        return latents + 2 * torch.cat(moves, 1)


class TargetEncoder(nn.Module):
    """Picture, N x 3 x S x S in -1..1 -> maps, the smallest first, S / 128 to S for eight of them.

    widths: channels of the maps, the largest map's first.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        before = widths[0]
        stages = [EqualConv(3, before, 1)]
        for width in widths[1:]:
            stages.append(EqualConv(before, width, 3, down=True, stored=True))
            before = width
        self.stages = nn.ModuleList(stages)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        maps, x = [], pictures
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[::-1]


class Level(nn.Module):
    """N x in x H x W -> N x out x 2 H x 2 W, behind a low-pass filter; no activation."""

    kernel: torch.Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 3, 2)
        self.register_buffer("kernel", low_pass(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return blurred(self.conv(x), self.kernel, 1)


class Decoder(nn.Module):
    """Maps of source and target, the smallest first, and a mask -> picture, N x 3 x S x S.

    In the mask, N x 1 x S x S in 0..1, the source's maps count, and around it the target's. It is
    reduced to the smallest map's size, and from there enlarged for each next one: so its edge is
    soft in all. widths: channels of the maps, in order.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        later = widths[1:]
        before = (widths[0], *(2 * width for width in later))
        self.levels = nn.ModuleList(
            Level(inputs, outputs) for inputs, outputs in zip(before[:-1], later, strict=True)
        )
        self.reduce = nn.Conv2d(before[-1], _BETWEEN, 3, padding=1)
        self.bias = nn.Parameter(torch.zeros(_BETWEEN))
        self.picture = nn.Conv2d(_BETWEEN, 3, 3, padding=1)

    def forward(
        self, source: Sequence[torch.Tensor], target: Sequence[torch.Tensor], mask: torch.Tensor
    ) -> torch.Tensor:
        mask = reduced_mask(mask, int(source[0].shape[-1]))
        x = mask * source[0] + (1 - mask) * target[0]
        for level, ours, theirs in zip(self.levels, source[1:], target[1:], strict=True):
            mask = functional.interpolate(
                mask, scale_factor=2.0, mode="bilinear", align_corners=False
            )
            x = torch.cat([mask * ours + (1 - mask) * theirs, level(x)], 1)
        made: torch.Tensor = self.picture(leaky(self.reduce(x) + self.bias[:, None, None]))
        return made


class FlatDecoder(Decoder):
    """The same, with all maps given one after the other: the source's, the target's, the mask."""

    def forward(self, *given: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        count = len(self.levels) + 1
        return super().forward(given[:count], given[count : 2 * count], given[-1])


class GeneratorMaps(Generator):
    """Latents, N x C x L -> the last map of each side from `FIRST_PX` on, the smallest first."""

    def forward(self, latents: torch.Tensor) -> list[torch.Tensor]:  # type: ignore[override]
        return maps_of(self, latents)


def maps_of(generator: Generator, latents: torch.Tensor) -> list[torch.Tensor]:
    """What the decoder blends of a generator: of each side from `FIRST_PX` on the last map."""
    return generator.synthesize(latents).features[2::2]


def map_widths(form: Form) -> list[int]:
    """Channels of a generator's maps that are blended, the smallest map's first."""
    return [form.channels(side) for side in form.sides if side >= FIRST_PX]


def swapped_latents(
    source: torch.Tensor, target: torch.Tensor, offsets: torch.Tensor
) -> torch.Tensor:
    """Latents of a swap: in the layers of the structure the source's, moved by `offsets` into the
    target's pose and expression, and in the others the target's. N x C x L, offsets N x K x L."""
    structure = offsets.shape[1]
    return torch.cat([source[:, :structure] + offsets, target[:, structure:]], 1)


def reduced_mask(mask: torch.Tensor, side_px: int) -> torch.Tensor:
    """A mask, N x 1 x S x S, at `side_px`, linearly, each place as much as it covers.

    The sum is what an interpolation with antialias is, which has no form in ONNX.
    """
    weights = torch.from_numpy(_shares(int(mask.shape[-1]), side_px)).to(mask.device, mask.dtype)
    return weights @ mask @ weights.T


def _shares(before: int, after: int) -> FloatArray:
    """How much each of `before` places counts in each of `after`, after x before: a triangle as
    wide as two of the latter."""
    scale = max(before / after, 1.0)
    centers = (np.arange(after)[:, None] + 0.5) * (before / after)
    apart = np.abs(np.arange(before)[None] + 0.5 - centers) / scale
    found = np.clip(1 - apart, 0, None)
    return np.asarray(found / found.sum(1, keepdims=True), np.float32)
