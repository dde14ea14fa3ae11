"""LPIPS: distance of two pictures in the features of a classification network.

Zhang, Isola, Efros, Shechtman and Wang 2018, "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", eq. 1: features of several layers, scaled to unit length over channels,
subtracted, squared, weighted a channel, averaged over places and summed over layers.
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
    deviation; SqueezeNet's file then has the names of its Caffe model.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, architecture: Architecture, *, caffe: bool = False) -> None:
        super().__init__()
        build, self.taps = _BACKBONES[architecture]
        self.features = build()
        self.caffe = caffe
        mean, deviation = (
            (_CAFFE_MEAN_BGR, (1.0,) * 3) if caffe else (_IMAGENET_MEAN, _IMAGENET_STD)
        )
        for name, values in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        widths = self._widths()
        self.weights = nn.ParameterList(nn.Parameter(torch.ones(width)) for width in widths)
        self.requires_grad_(False).eval()

    def load(self, backbone: Mapping[str, Tensor], linear: Mapping[str, Tensor]) -> None:
        """Take published weights. backbone: torchvision's names (`features.0.weight`), of which
        those of a classifier are left out, or Caffe's; linear: `lin0.model.1.weight` and on, each
        1 x C x 1 x 1.

        Raises InputError where they are not those of this network.
        """
        self.load_backbone(backbone)
        try:
            if len(linear) != len(self.weights):
                raise ValueError(f"{len(linear)} linear weights for {len(self.weights)} layers")
            for number, weight in enumerate(self.weights):
                weight.copy_(linear[f"lin{number}.model.1.weight"].reshape(weight.shape))
        except (KeyError, RuntimeError, ValueError) as error:
            raise InputError(f"These are not the weights of this LPIPS network: {error}") from error

    def load_backbone(self, backbone: Mapping[str, Tensor]) -> None:
        """Take the features' weights alone, as `load` does."""
        named = _torchvision_names(backbone) if self.caffe else backbone
        own = {
            name.removeprefix("features."): value
            for name, value in named.items()
            if name.startswith("features.")
        }
        try:
            self.features.load_state_dict(own)
        except RuntimeError as error:
            raise InputError(f"These are not the weights of this LPIPS network: {error}") from error

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Features of unit length over channels, a layer each.

        pictures: float32, N x 3 x H x W, RGB 0..1; sides of at least 64.
        """
        x, found = self._scaled(pictures), []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.taps:
                whole = x.float()
                # Unlike a root of squares, it has a gradient where all channels are 0.
                norm = torch.linalg.vector_norm(whole, dim=1, keepdim=True)
                found.append(whole / (norm + _TINY))
        return found

    def distances(self, pictures: Tensor, answers: Tensor) -> Tensor:
        """The distance of each picture from its answer, N; gradients flow to the pictures alone.

        pictures, answers: float32, N x 3 x H x W, RGB 0..1.
        """
        ours = self(pictures)
        with torch.no_grad():
            theirs = self(answers)
        terms = [
            _weighted(a, b, w).mean((1, 2))
            for a, b, w in zip(ours, theirs, self.weights, strict=True)
        ]
        return torch.stack(terms).sum(0)

    def distance(self, one: Tensor, other: Tensor) -> Distance:
        """The distance of two pictures: float32, 3 x H x W, RGB 0..1."""
        size = one.shape[1:]
        with torch.inference_mode():
            total, places = 0.0, torch.zeros(size)
            for found, weight in zip(self(torch.stack([one, other])), self.weights, strict=True):
                apart = _weighted(found[:1], found[1:], weight)
                total += float(apart.mean())
                wide = functional.interpolate(apart[None], size=size, mode="bilinear")
                places += wide[0, 0]
        return Distance(total, places)

    def _scaled(self, pictures: Tensor) -> Tensor:
        return ((pictures.flip(1) * 255 if self.caffe else pictures) - self.mean) / self.deviation

    def _widths(self) -> list[int]:
        """Channels of each layer that features are taken from."""
        x, widths = torch.zeros(1, 3, 64, 64), []
        with torch.inference_mode():
            for number, layer in enumerate(self.features):
                x = layer(x)
                if number in self.taps:
                    widths.append(x.shape[1])
        return widths


def _weighted(one: Tensor, other: Tensor, weight: Tensor) -> Tensor:
    """A layer's share of the distance at each place: N x C x H x W twice -> N x H x W."""
    return ((one - other).square() * weight[:, None, None]).sum(1)


def _torchvision_names(backbone: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """SqueezeNet's weights by torchvision's names, from those of its Caffe model."""
    places = {"conv1": 0, "fire2": 3, "fire3": 4, "fire4": 6, "fire5": 7}
    places |= {"fire6": 9, "fire7": 10, "fire8": 11, "fire9": 12}
    renamed = {}
    for name, value in backbone.items():
        unit, _, rest = name.partition(".")
        if unit in places:
            renamed[f"features.{places[unit]}.{rest.replace('squeeze1x1', 'squeeze')}"] = value
    return renamed
