"""The Inception network that FID is defined by.

Inception v3 (Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision") as
released on 2015-12-05 for TensorFlow, with which Heusel et al. 2017 ("GANs Trained by a Two
Time-Scale Update Rule ...") define FID. It differs from torchvision's: means leave out the padding,
the last block takes a maximum, and pictures are enlarged as TensorFlow 1 did. Names of weights are
those of the published PyTorch conversion. Imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sosie.errors import InputError

SIDE_PX, NUMBERS = 299, 2048
"""Side of the pictures inside the network, and how many numbers describe one."""

Pool = Literal["mean", "max", "reduce"]
_Kernel = tuple[int, int]
# width, kernel, stride
_Conv = tuple[int, _Kernel, int]
_Step = tuple[_Conv, ...]

_ONE, _THREE, _FIVE, _WIDE, _HIGH = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)


class _Unit(nn.Module):
    """Convolution, batch normalization, ReLU; the kernel is centered unless it strides."""

    def __init__(self, channels: int, conv: _Conv, *, centered: bool = True) -> None:
        super().__init__()
        width, kernel, stride = conv
        padding = (kernel[0] // 2, kernel[1] // 2) if centered and stride == 1 else (0, 0)
        self.conv = nn.Conv2d(channels, width, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x)))


class _Mixed(nn.Module):
    """Branches side by side. branches: name -> its steps, which are numbered where there are
    several; convolutions of one step are side by side, `a` and `b`. The branch of the pool comes
    last, with the unit `branch_pool`, `pooled` wide, unless it reduces."""

    def __init__(
        self, channels: int, branches: Mapping[str, Sequence[_Step]], pool: Pool, pooled: int = 192
    ) -> None:
        super().__init__()
        self.pool = pool
        self.chains: list[list[list[str]]] = []
        for branch, steps in branches.items():
            width, chain = channels, []
            for number, convs in enumerate(steps, 1):
                name = f"{branch}_{number}" if len(steps) > 1 else branch
                names = [name] if len(convs) == 1 else [f"{name}a", f"{name}b"]
                for unit, conv in zip(names, convs, strict=True):
                    self.add_module(unit, _Unit(width, conv))
                chain.append(names)
                width = sum(conv[0] for conv in convs)
            self.chains.append(chain)
        if pool != "reduce":
            self.branch_pool = _Unit(channels, (pooled, _ONE, 1))

    def forward(self, x: Tensor) -> Tensor:
        found = [self._along(x, chain) for chain in self.chains]
        if self.pool == "reduce":
            found.append(functional.max_pool2d(x, 3, 2))
        elif self.pool == "max":
            found.append(self.branch_pool(functional.max_pool2d(x, 3, 1, 1)))
        else:
            mean = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
            found.append(self.branch_pool(mean))
        return torch.cat(found, 1)

    def _along(self, x: Tensor, chain: list[list[str]]) -> Tensor:
        for names in chain:
            x = torch.cat([self.get_submodule(name)(x) for name in names], 1)
        return x


def _steps(*convs: tuple[int, _Kernel], last: int = 1) -> list[_Step]:
    """One convolution after the other; the last one strides by so much."""
    strides = [1] * (len(convs) - 1) + [last]
    return [((*conv, stride),) for conv, stride in zip(convs, strides, strict=True)]


def _block_35(channels: int, pooled: int) -> _Mixed:
    branches = {
        "branch1x1": _steps((64, _ONE)),
        "branch5x5": _steps((48, _ONE), (64, _FIVE)),
        "branch3x3dbl": _steps((64, _ONE), (96, _THREE), (96, _THREE)),
    }
    return _Mixed(channels, branches, "mean", pooled)


def _to_17() -> _Mixed:
    branches = {
        "branch3x3": _steps((384, _THREE), last=2),
        "branch3x3dbl": _steps((64, _ONE), (96, _THREE), (96, _THREE), last=2),
    }
    return _Mixed(288, branches, "reduce")


def _block_17(narrow: int) -> _Mixed:
    bottleneck, wide, high = (narrow, _ONE), (narrow, _WIDE), (narrow, _HIGH)
    branches = {
        "branch1x1": _steps((192, _ONE)),
        "branch7x7": _steps(bottleneck, wide, (192, _HIGH)),
        "branch7x7dbl": _steps(bottleneck, high, wide, high, (192, _WIDE)),
    }
    return _Mixed(768, branches, "mean")


def _to_8() -> _Mixed:
    branches = {
        "branch3x3": _steps((192, _ONE), (320, _THREE), last=2),
        "branch7x7x3": _steps((192, _ONE), (192, _WIDE), (192, _HIGH), (192, _THREE), last=2),
    }
    return _Mixed(768, branches, "reduce")


def _block_8(channels: int, pool: Pool) -> _Mixed:
    both: _Step = (384, (1, 3), 1), (384, (3, 1), 1)
    branches = {
        "branch1x1": _steps((320, _ONE)),
        "branch3x3": [*_steps((384, _ONE)), both],
        "branch3x3dbl": [*_steps((448, _ONE), (384, _THREE)), both],
    }
    return _Mixed(channels, branches, pool)


class Inception(nn.Module):
    """Pictures -> the 2,048 numbers before the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Unit(3, (32, _THREE, 2))
        self.Conv2d_2a_3x3 = _Unit(32, (32, _THREE, 1), centered=False)
        self.Conv2d_2b_3x3 = _Unit(32, (64, _THREE, 1))
        self.Conv2d_3b_1x1 = _Unit(64, (80, _ONE, 1))
        self.Conv2d_4a_3x3 = _Unit(80, (192, _THREE, 1), centered=False)
        self.Mixed_5b = _block_35(192, 32)
        self.Mixed_5c = _block_35(256, 64)
        self.Mixed_5d = _block_35(288, 64)
        self.Mixed_6a = _to_17()
        for letter, narrow in zip("bcde", (128, 160, 160, 192), strict=True):
            self.add_module(f"Mixed_6{letter}", _block_17(narrow))
        self.Mixed_7a = _to_8()
        self.Mixed_7b = _block_8(1280, "mean")
        self.Mixed_7c = _block_8(2048, "max")
        self.requires_grad_(False).eval()

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take published weights; those of the classifier (`fc`) are left out.

        Raises InputError where they are not those of this network.
        """
        own = {name: value for name, value in weights.items() if not name.startswith("fc.")}
        for name, value in self.state_dict().items():
            # How many batches a normalization has seen does not matter, and is not published.
            if name.endswith("num_batches_tracked"):
                own.setdefault(name, value)
        try:
            self.load_state_dict(own)
        except RuntimeError as error:
            raise InputError(f"These are not the weights of FID's Inception: {error}") from error

    def forward(self, pictures: Tensor) -> Tensor:
        """N x NUMBERS. pictures: uint8, N x 3 x H x W, RGB."""
        x = (resize_as_tensorflow(pictures.float(), SIDE_PX) - 128) / 128
        for name, module in self.named_children():
            if name in {"Conv2d_3b_1x1", "Mixed_5b"}:
                x = functional.max_pool2d(x, 3, 2)
            x = module(x)
        return x.mean((2, 3))


def resize_as_tensorflow(pictures: Tensor, side_px: int) -> Tensor:
    """Bilinear, N x C x H x W -> N x C x side_px x side_px, with the top left corners of pixels
    matched, not their centers, and nothing filtered: what TensorFlow 1 did."""
    for axis in (2, 3):
        size = pictures.shape[axis]
        place = torch.arange(side_px) * (size / side_px)
        low = place.floor().long().clamp(max=size - 1)
        share = (place - low).reshape((-1, 1) if axis == 2 else (-1,))
        one = pictures.index_select(axis, low)
        other = pictures.index_select(axis, (low + 1).clamp(max=size - 1))
        pictures = one + (other - one) * share
    return pictures
