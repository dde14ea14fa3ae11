"""InfoSwap's information bottleneck and its generator, over the stages of an identity network.

Source: Gao et al. 2021, "Information Bottleneck Disentanglement for Identity Swapping". What an
identity network sees at a stage is mixed with noise: where the mixing is 1 all passes, where it is
0 nothing does. The mixing learns to let pass what tells the identity, and nothing more; what of the
target then does not pass is its attributes. The bottleneck with readouts is that of Schulz et al.
2020, "Restricting the Flow: Information Bottlenecks for Attribution", section 3.

Pictures are RGB, N x 3 x S x S in -1..1, aligned as the identity network's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from sosie.nn.aei import double
from sosie.nn.modulation import AadBlock, AadForm
from sosie.nn.unet import SLOPE

IDENTITY = 512
STAGES = (64, 128, 256)
"""Channels of the identity network's stages, at 28, 14 and 7 px."""
STAGE_PX = (32, 16, 8)
"""Where in the generator each stage joins: at a map of this side."""
_BOTTOM_PX = 4
_OPEN = 3.0
"""A readout begins with a mixing of the sigmoid of this: nearly all passes."""
_TINY = 1e-4

Maps = Sequence[torch.Tensor]


class Bottleneck(nn.Module):
    """Of each stage, N x C x h x w, how much passes: the mixing, of the same shape, 0..1.

    A readout sees all stages at once. What noise would have to be like is known by running
    statistics of each channel.
    """

    def __init__(self) -> None:
        super().__init__()
        every = sum(STAGES)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c, affine=False) for c in STAGES)
        self.readouts = nn.ModuleList(_readout(every, c) for c in STAGES)

    def forward(self, stages: Maps) -> list[torch.Tensor]:
        normed = [norm(s) for norm, s in zip(self.norms, stages, strict=True)]
        found = []
        for readout, own in zip(self.readouts, stages, strict=True):
            size = own.shape[-2:]
            seen = [functional.interpolate(x, size=size, mode="bilinear") for x in normed]
            found.append(torch.sigmoid(readout(torch.cat(seen, 1))))
        return found

    def noise(self, number: int, like: torch.Tensor) -> torch.Tensor:
        """What takes the place of what does not pass at a stage: in training noise with the
        channel's mean and deviation, later the mean, so that a video does not flicker."""
        norm = self.norms[number]
        assert isinstance(norm, nn.BatchNorm2d)
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        mean = mean[:, None, None]
        if not self.training:
            return mean.expand_as(like)
        return mean + variance.sqrt()[:, None, None] * torch.randn_like(like)

    def information(self, stages: Maps, passing: Maps) -> torch.Tensor:
        """Nats a value that pass, a mean: the divergence of what passes from noise alone (Schulz et
        al., equation 6)."""
        terms = []
        values = ((s.float(), p.float()) for s, p in zip(stages, passing, strict=True))
        for norm, (stage, share) in zip(self.norms, values, strict=True):
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            deviation = (norm.running_var + _TINY).sqrt()[:, None, None]
            apart = (stage - norm.running_mean[:, None, None]) / deviation
            spread = (1 - share).square().clamp_min(_TINY)
            terms.append(0.5 * (spread + (share * apart).square() - 1 - spread.log()).mean())
        return torch.stack(terms).mean()


class Encoder(nn.Module):
    """Target and what of its stages does not pass -> attribute maps, coarsest first.

    A U shape down to 4 x 4; the stages join it where the sizes meet.
    """

    def __init__(self, size_px: int, width: int) -> None:
        super().__init__()
        halvings = (size_px // _BOTTOM_PX).bit_length() - 1
        widths = [width * min(2**step, 16) for step in range(halvings)]
        sides = [size_px >> (step + 1) for step in range(halvings)]
        self._joins = [sides.index(px) for px in STAGE_PX]
        self.down = nn.ModuleList(_down(a, b) for a, b in pairwise([3, *widths]))
        self.join = nn.ModuleList(
            nn.Conv2d(c, widths[at], 1) for c, at in zip(STAGES, self._joins, strict=True)
        )
        self.up = nn.ModuleList()
        self.channels = [widths[-1]]
        for beside in widths[-2::-1]:
            self.up.append(_up(self.channels[-1], beside))
            self.channels.append(2 * beside)
        self.channels.append(self.channels[-1])

    def forward(self, target: torch.Tensor, left: Maps) -> list[torch.Tensor]:
        x, way = target, []
        for step, down in enumerate(self.down):
            x = functional.leaky_relu(down(x), SLOPE)
            if step in self._joins:
                number = self._joins.index(step)
                seen = functional.interpolate(left[number], size=x.shape[-2:], mode="bilinear")
                x = x + self.join[number](seen)
            way.append(x)
        maps = [way.pop()]
        for up in self.up:
            x = functional.leaky_relu(up(maps[-1]), SLOPE)
            maps.append(torch.cat([x, way.pop()], 1))
        return [*maps, double(maps[-1])]


class Generator(nn.Module):
    """Adaptive information integration: attribute maps, compressed identity and what passed at each
    place -> picture.

    size_px: of the pictures, a power of two, 64 or more. width: of the encoder's first layer.
    units: AAD units a block.
    """

    def __init__(self, size_px: int, width: int, units: int) -> None:
        super().__init__()
        self.bottleneck = Bottleneck()
        self.encoder = Encoder(size_px, width)
        form = AadForm(beside=len(STAGES))
        attributes = self.encoder.channels
        widths = [min(c, 16 * width) for c in attributes]
        self.start = nn.ConvTranspose2d(IDENTITY, widths[0], _BOTTOM_PX)
        self.blocks = nn.ModuleList(
            AadBlock(before, after, channels, IDENTITY, form, units)
            for before, after, channels in zip(widths, [*widths[1:], 3], attributes, strict=True)
        )

    def forward(
        self, target: torch.Tensor, identity: torch.Tensor, left: Maps, passing: Maps
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """identity: N x 512, of the source, compressed. left: of the target's stages what does not
        pass; passing: the mixing there. Returns the picture and the attribute maps."""
        maps = self.encoder(target, left)
        x = self.start(identity[:, :, None, None])
        # Of many channels' mixing the mean says where the identity is.
        where = [share.mean(1, keepdim=True) for share in passing]
        for position, (block, attributes) in enumerate(zip(self.blocks, maps, strict=True)):
            x = double(x) if position else x
            size = x.shape[-2:]
            beside = [functional.interpolate(w, size=size, mode="bilinear") for w in where]
            x = block(x, attributes, identity, torch.cat(beside, 1))
        return torch.tanh(x), maps


def _readout(every: int, channels: int) -> nn.Sequential:
    last = nn.Conv2d(channels, channels, 1)
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    nn.init.constant_(last.bias, _OPEN)
    return nn.Sequential(nn.Conv2d(every, channels, 1), nn.ReLU(), last)


def _down(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after))


def _up(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after)
    )
