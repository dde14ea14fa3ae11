"""The networks of MegaFS: an encoder of a face into StyleGAN2's latents, and three transfers of
whose face it is from one set of latents to another.

Source: Zhu et al. 2021, "One Shot Face Swapping on Megapixels", section 3.1 (hierarchical encoder)
and 3.2 (face transfer); the forms that the paper compares it with are its section 4.4. Latents are
N x C x L, the coarsest layer's first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from sosie.nn.stylegan2.generator import Form

KEPT = 4
"""The latents of so many layers, and the structure, are the target's: pose and rough shape."""

Transfer = Literal["ftm", "injection", "lcr"]
"""Face transfer module, identity injection, and replacement of latents, which learns nothing."""

_STRUCTURE_PX = 4
_MAP_SIDES = (8, 16, 32)
_STEPS = 3


def shares(count: int) -> tuple[int, int, int]:
    """How many of `count` latents come from the maps of 8, 16 and 32 px: 4, 6 and 8 of 18."""
    middle = max(1, round((count - KEPT) * 6 / 14))
    return KEPT, middle, count - KEPT - middle


@dataclass(frozen=True)
class EncoderForm:
    """What the encoder's shape hangs on; as it stands, the published one.

    generator: whose latents they are. size_px: side of what is encoded: 64, 128 or 256. width:
    channels behind the first convolution. depths: residual blocks of each size.
    """

    generator: Form = field(default_factory=Form)
    size_px: int = 256
    width: int = 64
    depths: tuple[int, ...] = (3, 4, 6, 3, 2)


class Bottleneck(nn.Module):
    """N x in x H x W -> N x 4 hidden x H/stride x W/stride (He et al. 2016, "Deep residual
    learning", figure 5 right; the 3 x 3 convolution strides)."""

    def __init__(self, inputs: int, hidden: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * hidden
        self.reduce = _unit(inputs, hidden, 1)
        self.middle = _unit(hidden, hidden, 3, stride)
        self.expand = _unit(hidden, outputs, 1)
        self.side = (
            nn.Sequential()
            if stride == 1 and inputs == outputs
            else _unit(inputs, outputs, 1, stride)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = functional.relu(self.middle(functional.relu(self.reduce(x))))
        return functional.relu(self.expand(inner) + self.side(x))


def _unit(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Trunk(nn.Module):
    """Picture N x 3 x S x S -> features of 32, 16, 8 and 4 px.

    The first convolution and the pooling behind it bring any size to 64 px.
    """

    def __init__(self, form: EncoderForm) -> None:
        super().__init__()
        self._pooled = form.size_px >= 256
        stride = 2 if form.size_px >= 128 else 1
        self.entry = nn.Sequential(
            nn.Conv2d(3, form.width, 7, stride, 3, bias=False), nn.BatchNorm2d(form.width)
        )
        self.stages = nn.ModuleList()
        self.channels = []
        inputs = form.width
        for number, depth in enumerate(form.depths):
            hidden = form.width * min(2**number, 8)
            stride = 1 if number == 0 else 2
            blocks = [Bottleneck(inputs, hidden, stride)]
            inputs = 4 * hidden
            blocks += [Bottleneck(inputs, hidden, 1) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(*blocks))
            self.channels.append(inputs)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        x = functional.relu(self.entry(pictures))
        if self._pooled:
            x = functional.max_pool2d(x, 3, 2, 1)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[1:]


class Encoder(nn.Module):
    """Picture, N x 3 x S x S in -1..1 -> latents in -1..1, N x C x L, and structure, N x K x 4 x 4,
    in place of the constant that the generator learned.

    Coarser features are laid under finer ones; the coarse latents are read from the maps of 8 px,
    the middle ones from 16 and the fine ones from 32.
    """

    def __init__(self, form: EncoderForm) -> None:
        super().__init__()
        self.form = form
        latent = form.generator.latent
        self.trunk = Trunk(form)
        fine, middle, coarse, last = self.trunk.channels[1:]
        self.fine, self.middle, self.coarse = (
            _feature(channels, latent) for channels in (fine, middle, coarse)
        )
        structure = form.generator.channels(_STRUCTURE_PX)
        self.structure = nn.Sequential(
            nn.Conv2d(last, structure, 3, padding=1), nn.BatchNorm2d(structure)
        )
        self.heads = nn.ModuleList(
            nn.ModuleList(_head(side, latent) for _ in range(count))
            for side, count in zip(_MAP_SIDES, shares(form.generator.count), strict=True)
        )

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fine, middle, coarse, last = self.trunk(pictures)
        maps = [self.coarse(coarse)]
        maps.append(self.middle(middle) + _enlarged(maps[-1]))
        maps.append(self.fine(fine) + _enlarged(maps[-1]))
        latents = [
            head(seen).flatten(1) for seen, heads in zip(maps, self.heads, strict=True)
            for head in self._of(heads)
        ]  # fmt: skip
        return torch.tanh(torch.stack(latents, 1)), self.structure(last)

    @staticmethod
    def _of(heads: nn.Module) -> list[nn.Module]:
        return list(heads.children())


def _feature(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def _enlarged(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)


def _head(side: int, width: int) -> nn.Sequential:
    """A map of `side` px, halved until one place is left."""
    layers: list[nn.Module] = []
    while side > 1:
        layers += [nn.Conv2d(width, width, 3, 2, 1), nn.BatchNorm2d(width), nn.LeakyReLU(0.01)]
        side //= 2
    return nn.Sequential(*layers)


class Gate(nn.Module):
    """Two vectors side by side -> how much of one stays, and what is added to it, N x L each."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.keep, self.add = (
            nn.Sequential(nn.Linear(2 * latent, latent // 2), nn.ReLU(),
                          nn.Linear(latent // 2, latent))
            for _ in range(2)
        )  # fmt: skip

    def forward(self, both: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.keep(both)) + torch.tanh(self.add(both))


class TransferCell(nn.Module):
    """A layer's latents of source and target, N x L each -> both, after three exchanges."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.source, self.target = (
            nn.ModuleList(Gate(latent) for _ in range(_STEPS)) for _ in range(2)
        )

    def forward(
        self, source: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        for ours, theirs in zip(self.source, self.target, strict=True):
            both = torch.cat([source, target], 1)
            source, target = ours(both, source), theirs(both, target)
        return source, target


class FaceTransfer(nn.Module):
    """The face transfer module: latents of source and target, N x C x L each -> of the swap.

    The first `KEPT` are the target's. Of each other layer a cell makes two, which are mixed by a
    share that is learned for every number.
    """

    def __init__(self, count: int, latent: int) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.zeros(1, count - KEPT, latent))
        self.cells = nn.ModuleList(TransferCell(latent) for _ in range(count - KEPT))

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        made = [
            cell(source[:, KEPT + number], target[:, KEPT + number])
            for number, cell in enumerate(self.cells)
        ]
        ours, theirs = (torch.stack([pair[k] for pair in made], 1) for k in range(2))
        share = torch.sigmoid(self.share)
        return torch.cat([target[:, :KEPT], share * ours + (1 - share) * theirs], 1)


class Injection(nn.Module):
    """The source's latent scales and shifts the target's, which is normalized: N x L twice ->
    N x L."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.read = nn.Linear(latent, latent)
        self.scale = nn.Linear(latent, latent)
        self.shift = nn.Linear(latent, latent)
        self.norm = nn.BatchNorm1d(latent, affine=False)
        self.out = nn.Linear(latent, latent)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        seen = functional.relu(self.read(source))
        made = self.norm(target) * (1 + self.scale(seen)) + self.shift(seen)
        return torch.as_tensor(self.out(made))


class InjectionTransfer(nn.Module):
    """Identity injection: two in a row for each layer, as a residual on the target's latent."""

    def __init__(self, count: int, latent: int) -> None:
        super().__init__()
        self.cells = nn.ModuleList(
            nn.ModuleList(Injection(latent) for _ in range(2)) for _ in range(count - KEPT)
        )

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        made = [target[:, number] for number in range(KEPT)]
        for number, cell in enumerate(self.cells, KEPT):
            x = own = target[:, number]
            for injection in cell.children():
                x = injection(source[:, number], x)
            made.append(own + x)
        return torch.stack(made, 1)


class Replacement(nn.Module):
    """Latent code replacement: the source's latents, but for the first `KEPT`."""

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.cat([target[:, :KEPT], source[:, KEPT:]], 1)


def transfer_of(kind: Transfer, count: int, latent: int) -> nn.Module:
    """The transfer of that name, for so many latents of so many numbers."""
    if kind == "lcr":
        return Replacement()
    return (FaceTransfer if kind == "ftm" else InjectionTransfer)(count, latent)
