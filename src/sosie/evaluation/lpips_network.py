"""LPIPS: distance of two pictures in the features of a classification network.

Zhang, Isola, Efros, Shechtman and Wang 2018, "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", eq. 1: features of several layers, scaled to unit length over channels,
subtracted, squared, weighted a channel, averaged over places and summed over layers. Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sosie.errors import InputError

Architecture = Literal["alex", "vgg", "squeeze"]

# Values 0..1 by mean and deviation; the paper's scaling of -1..1 is the same for ImageNet's.
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
_TINY = 1e-10


class _Fire(nn.Module):
    """SqueezeNet's unit (Iandola et al. 2016): 1 x 1 to few channels, 1 x 1 and 3 x 3 back."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.squeeze(x))
        return functional.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))


def _alex() -> nn.Sequential:
    """The convolutions of AlexNet, one tower (Krizhevsky 2014)."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    )


def _vgg() -> nn.Sequential:
    """The convolutions of VGG-16 (Simonyan and Zisserman 2015, configuration D)."""
    layers: list[nn.Module] = []
    channels = 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers[:-1])


def _squeeze() -> nn.Sequential:
    """The convolutions of SqueezeNet 1.1."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)),
        *(_Fire(64, 16, 64), _Fire(128, 16, 64), nn.MaxPool2d(3, 2, ceil_mode=True)),
        *(_Fire(128, 32, 128), _Fire(256, 32, 128), nn.MaxPool2d(3, 2, ceil_mode=True)),
        *(_Fire(256, 48, 192), _Fire(384, 48, 192), _Fire(384, 64, 256), _Fire(512, 64, 256)),
    )


# The network, and after which of its layers features are taken.
_BACKBONES: dict[Architecture, tuple[Callable[[], nn.Sequential], tuple[int, ...]]] = {
    "alex": (_alex, (1, 4, 7, 9, 11)),
    "vgg": (_vgg, (3, 8, 15, 22, 29)),
    "squeeze": (_squeeze, (1, 4, 7, 9, 10, 11, 12)),
}


@dataclass(frozen=True)
class Distance:
    """total: the paper's distance of two pictures. places: its share at each place: float32, H x W
    of the pictures; their mean is nearly the total."""

    total: float
    places: Tensor


class Lpips(nn.Module):
    """A backbone with its linear weights.

    caffe: whether the backbone takes BGR 0..255 less a mean, and not RGB by ImageNet's mean and
    deviation.
    """

    def __init__(self, architecture: Architecture, *, caffe: bool = False) -> None:
        super().__init__()
        build, self.taps = _BACKBONES[architecture]
        self.features = build()
        self.caffe = caffe
        widths = self._widths()
        self.weights = nn.ParameterList(nn.Parameter(torch.ones(width)) for width in widths)
        self.requires_grad_(False).eval()

    def load(self, backbone: Mapping[str, Tensor], linear: Mapping[str, Tensor]) -> None:
        """Take published weights. backbone: torchvision's names (`features.0.weight`), of which
        those of a classifier are left out; linear: `lin0.model.1.weight` and on, 1 x C x 1 x 1.

        Raises InputError where they are not those of this network.
        """
        own = {
            name.removeprefix("features."): value
            for name, value in backbone.items()
            if name.startswith("features.")
        }
        try:
            self.features.load_state_dict(own)
            if len(linear) != len(self.weights):
                raise ValueError(f"{len(linear)} linear weights for {len(self.weights)} layers")
            for number, weight in enumerate(self.weights):
                weight.copy_(linear[f"lin{number}.model.1.weight"].reshape(weight.shape))
        except (KeyError, RuntimeError, ValueError) as error:
            raise InputError(f"These are not the weights of this LPIPS network: {error}") from error

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Features of unit length over channels, a layer each.

        pictures: float32, N x 3 x H x W, RGB 0..1; sides of at least 64.
        """
        x, found = self._scaled(pictures), []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.taps:
                norm = x.square().sum(1, keepdim=True).sqrt()
                found.append(x / (norm + _TINY))
        return found

    def distance(self, one: Tensor, other: Tensor) -> Distance:
        """The distance of two pictures: float32, 3 x H x W, RGB 0..1."""
        size = one.shape[1:]
        with torch.inference_mode():
            total, places = 0.0, torch.zeros(size)
            for found, weight in zip(self(torch.stack([one, other])), self.weights, strict=True):
                apart = ((found[0] - found[1]).square() * weight[:, None, None]).sum(0)
                total += float(apart.mean())
                wide = functional.interpolate(apart[None, None], size=size, mode="bilinear")
                places += wide[0, 0]
        return Distance(total, places)

    def _scaled(self, pictures: Tensor) -> Tensor:
        if self.caffe:
            mean = torch.tensor(_CAFFE_MEAN_BGR)[:, None, None]
            return pictures.flip(1) * 255 - mean
        mean, std = (torch.tensor(v)[:, None, None] for v in (_IMAGENET_MEAN, _IMAGENET_STD))
        return (pictures - mean) / std

    def _widths(self) -> list[int]:
        """Channels of each layer that features are taken from."""
        x, widths = torch.zeros(1, 3, 64, 64), []
        with torch.inference_mode():
            for number, layer in enumerate(self.features):
                x = layer(x)
                if number in self.taps:
                    widths.append(x.shape[1])
        return widths
