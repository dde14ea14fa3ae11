"""What a discriminator and the generator that it teaches are asked for, in the forms in use.

Logits are one map or several, of any shape: a mean is taken of each, and of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch.nn import functional

Form = Literal["hinge", "hinge_both", "lsgan", "nonsaturating"]


def discriminator_loss(
    form: Form, real: Sequence[torch.Tensor], fake: Sequence[torch.Tensor]
) -> torch.Tensor:
    """How badly real pictures and made ones are told apart.

    hinge, hinge_both: half of max(0, 1 - D(real)) + max(0, 1 + D(made)) (Lim and Ye 2017,
    "Geometric GAN"; half, as the published swappers have it). lsgan: Mao et al. 2017, "Least
    Squares Generative Adversarial Networks", equation 9. nonsaturating: Goodfellow et al. 2014,
    "Generative Adversarial Nets", equation 1, of logits.
    """
    if form == "lsgan":
        terms = [_mean((r - 1).square()) + _mean(f.square()) for r, f in _pairs(real, fake)]
    elif form == "nonsaturating":
        terms = [
            _mean(functional.softplus(-r)) + _mean(functional.softplus(f))
            for r, f in _pairs(real, fake)
        ]
        return torch.stack(terms).mean()
    else:
        terms = [_mean(torch.relu(1 - r)) + _mean(torch.relu(1 + f)) for r, f in _pairs(real, fake)]
    return 0.5 * torch.stack(terms).mean()


def generator_loss(form: Form, fake: Sequence[torch.Tensor]) -> torch.Tensor:
    """How badly made pictures are taken for real ones.

    hinge: -D(made). hinge_both: max(0, 1 - D(made)), as in GHOST and FaceShifter's public code.
    lsgan, nonsaturating: as of `discriminator_loss`; Goodfellow's in the form of his section 3,
    which does not saturate.
    """
    if form == "hinge":
        terms = [-_mean(f) for f in fake]
    elif form == "hinge_both":
        terms = [_mean(torch.relu(1 - f)) for f in fake]
    elif form == "lsgan":
        terms = [0.5 * _mean((f - 1).square()) for f in fake]
    else:
        terms = [_mean(functional.softplus(-f)) for f in fake]
    return torch.stack(terms).mean()


def gradient_penalty(pictures: torch.Tensor, logits: Sequence[torch.Tensor]) -> torch.Tensor:
    """R1: the squared gradient of the logits at real pictures (Mescheder et al. 2018, "Which
    Training Methods for GANs do actually Converge?", equation 9, without its factor of a half).

    pictures: N x 3 x H x W that need gradients, and of which `logits` were made. The logits are
    summed over each picture.
    """
    total = torch.stack([one.float().sum() for one in logits]).sum()
    (gradient,) = torch.autograd.grad(total, pictures, create_graph=True)
    return gradient.float().square().sum((1, 2, 3)).mean()


def _pairs(
    real: Sequence[torch.Tensor], fake: Sequence[torch.Tensor]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(real, fake, strict=True))


def _mean(values: torch.Tensor) -> torch.Tensor:
    return values.float().mean()
