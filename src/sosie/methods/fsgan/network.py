"""The networks of FSGAN: a residual U-Net at two scales, a U-Net that segments, and the critic.

Source: Nirkin et al. 2022, "FSGANv2: Improved Subject Agnostic Face Swapping and Reenactment",
section 4, in the form of its public code. Pictures are RGB, -1..1.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from sosie.nn.blocks import MultiScaleDiscriminator

WIDTH, MOST_WIDTH = 128, 1024
"""Channels at full size and at most, in the published form."""

LEVELS = 3
"""Sizes that the coarse part works at: half of the picture's side, a quarter and an eighth."""

HEATMAPS = 98
"""Maps that stand behind the picture in what the reenactment is given."""

INPUTS = {"reenactment": 3 + HEATMAPS, "inpainting": 4, "blending": 7}
"""Channels of what each generator is given, by its stage."""

CLASSES = 3
"""Of the segmentation: background, face, hair."""


def halved(x: torch.Tensor) -> torch.Tensor:
    """The next picture of a pyramid: N x C x H x W -> N x C x H/2 x W/2."""
    return functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)


class PyramidGenerator(nn.Module):
    """N x inputs x S x S, and the same at half the size -> a picture N x 3 x S x S, -1..1.

    S is a multiple of 16. width: channels at full size; they double with every halving, to `most`.
    flat: residual blocks behind each join. heads: pictures to make; with two, both are returned.
    half: what the coarse part sees; without it, the picture halved by averaging.
    """

    def __init__(
        self,
        inputs: int,
        width: int = WIDTH,
        most: int = MOST_WIDTH,
        flat: int = 2,
        heads: int = 1,
    ) -> None:
        super().__init__()
        coarse = min(2 * width, most)
        self.base = Coarse(inputs, coarse, most, flat, heads)
        self.fine = Fine(inputs, coarse, width, flat, heads)

    def forward(
        self, full: torch.Tensor, half: torch.Tensor | None = None
    ) -> torch.Tensor | list[torch.Tensor]:
        below = self.base.features(halved(full) if half is None else half)
        made: list[torch.Tensor] = self.fine(full, below)
        return made if len(made) > 1 else made[0]

    def coarse(self, half: torch.Tensor) -> torch.Tensor:
        """The picture that the coarse part makes alone, at its own size: of one level no more than
        this is trained."""
        made: list[torch.Tensor] = self.base(half)
        return made[0]


class Coarse(nn.Module):
    """The part at half of the size: features, and pictures of its own."""

    def __init__(self, inputs: int, width: int, most: int, flat: int, heads: int) -> None:
        super().__init__()
        widths = [min(width * 2**level, most) for level in range(LEVELS)]
        steps = list(pairwise(widths))
        self.stem = nn.Sequential(*_unit(inputs, width, 7))
        self.down = nn.ModuleList(
            nn.Sequential(*_unit(fine, coarse, 3, 2), *_unit(coarse, coarse))
            for fine, coarse in steps
        )
        self.up = nn.ModuleList(nn.Sequential(*_unit(coarse, fine)) for fine, coarse in steps)
        self.flat = nn.ModuleList(_residuals(channels, flat) for channels in widths)
        self.heads = nn.ModuleList(_head(width) for _ in range(heads))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """N x inputs x H x W -> N x width x H x W."""
        x = self.stem(x)
        way = [x]
        for step in self.down:
            way.append(step(way[-1]))
        x = self.flat[-1](way.pop())
        for step, flat in zip(reversed(self.up), reversed(self.flat[:-1]), strict=True):
            x = flat(way.pop() + step(_doubled(x)))
        return x

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.features(x)
        return [head(x) for head in self.heads]


class Fine(nn.Module):
    """The part at full size, over the coarse one's features."""

    def __init__(self, inputs: int, below: int, width: int, flat: int, heads: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_unit(inputs, width, 7))
        self.up = nn.Sequential(*_unit(below, width))
        self.flat = _residuals(width, flat)
        self.heads = nn.ModuleList(_head(width) for _ in range(heads))

    def forward(self, full: torch.Tensor, below: torch.Tensor) -> list[torch.Tensor]:
        x = self.flat(self.stem(full) + self.up(_doubled(below)))
        return [head(x) for head in self.heads]


class Residual(nn.Module):
    """relu(x + f(x)) with two convolutions: N x channels x H x W -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        second = _unit(channels, channels)[:-1]
        self.branch = nn.Sequential(*_unit(channels, channels), *second)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(x + self.branch(x))


def _unit(before: int, after: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    """Reflected edges, convolution, batch norm, ReLU."""
    return [
        nn.ReflectionPad2d(kernel // 2),
        nn.Conv2d(before, after, kernel, stride, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]


def _residuals(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(channels) for _ in range(count)))


def _head(width: int) -> nn.Sequential:
    return nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7, bias=False), nn.Tanh())


def _doubled(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class SegmentationNetwork(nn.Module):
    """Picture N x 3 x H x W -> scores N x 3 x H x W of background, face and hair; H and W are
    multiples of 16.

    A U-Net (Ronneberger et al. 2015) with batch norm on its way down alone. width: channels at full
    size, doubled with every halving.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [width * 2**step for step in range(5)]
        self.down = nn.ModuleList(
            _pair(before, after, norm=True)
            for before, after in zip([3, *widths], widths, strict=False)
        )
        steps = list(pairwise(widths))
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in steps)
        self.up = nn.ModuleList(_pair(coarse, fine, norm=False) for fine, coarse in steps)
        self.last = nn.Conv2d(width, CLASSES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        way = []
        for position, step in enumerate(self.down):
            x = step(functional.max_pool2d(x, 2) if position else x)
            way.append(x)
        x = way.pop()
        for narrow, step in zip(reversed(self.narrow), reversed(self.up), strict=True):
            # A convolution of single pixels and an interpolation may change places.
            wide = functional.interpolate(
                narrow(x), scale_factor=2.0, mode="bilinear", align_corners=True
            )
            x = step(torch.cat([way.pop(), wide], 1))
        scores: torch.Tensor = self.last(x)
        return scores


def _pair(before: int, after: int, norm: bool) -> nn.Sequential:
    """Two convolutions, rectified."""

    def one(channels: int) -> nn.Sequential:
        layers: list[nn.Module] = [nn.Conv2d(channels, after, 3, padding=1)]
        return nn.Sequential(*layers, *([nn.BatchNorm2d(after)] if norm else []), nn.ReLU())

    return nn.Sequential(one(before), one(after))


class Critic(nn.Module):
    """Picture N x 3 x H x W -> how real each patch is, 0..1, at full size and at half."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.judges = MultiScaleDiscriminator(2, 3, width, norm=nn.BatchNorm2d)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        return [logits.sigmoid() for logits in self.judges(pictures)]


def published_generator(
    stage: str, width: int = WIDTH, heads: int = 1, inputs: int = 0
) -> PyramidGenerator:
    """The generator of a stage (of INPUTS) in the published form. inputs: where it has others."""
    most = MOST_WIDTH if width == WIDTH else MOST_WIDTH // 2
    return PyramidGenerator(inputs or INPUTS[stage], width, most, heads=heads)
