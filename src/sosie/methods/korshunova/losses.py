"""The losses of Korshunova et al. 2017, section 3.2. All return a single float32 number.

The paper's features are those of VGG-19; here they are of SqueezeNet 1.1, and of unit length over
channels, so that the distance of two places is one less their cosine in the content loss too.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def content_loss(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """How far the content is from the target's: features N x C x H x W of unit length (equation 2;
    half the squared distance of unit vectors is one less their cosine)."""
    return (1 - (made * wanted).sum(1)).mean()


def style_loss(made: torch.Tensor, styles: torch.Tensor) -> torch.Tensor:
    """How far each place is from the most alike of what the person's photos show at that place
    (equations 3 to 5: nearest patches of 1 x 1, searched where they are).

    made: features N x C x H x W of unit length. styles: N x K x C x H x W, those of the K photos
    whose landmarks are nearest.
    """
    alike = (made[:, None] * styles).sum(2)
    return (1 - alike.amax(1)).mean()


def light_loss(made: torch.Tensor, target: torch.Tensor, places: int = 8) -> torch.Tensor:
    """How far the light is from the target's: squared distance of the gray levels of `places` x
    `places` parts of the picture, less their mean.

    The paper compares features of a network that was taught to tell lamps apart on a set that is
    not to be had (equation 6); this holds the light's direction as far as coarse shade shows it.
    made, target: N x 3 x H x W, 0..1.
    """
    shades = []
    for pictures in (made, target):
        gray = functional.adaptive_avg_pool2d(pictures.float().mean(1, keepdim=True), places)
        shades.append(gray - gray.mean((2, 3), keepdim=True))
    return (shades[0] - shades[1]).square().mean()


def variation_loss(made: torch.Tensor) -> torch.Tensor:
    """Total variation: the squared difference of pixels side by side (equation 7). made: N x 3 x H
    x W."""
    down = made[:, :, 1:].float() - made[:, :, :-1].float()
    across = made[..., 1:].float() - made[..., :-1].float()
    return down.square().mean() + across.square().mean()
