"""Losses that several methods share, each with the paper and the equation that it is from.

All return a single float32 number, unweighted. Weights belong to the recipes. Logits are one map or
several, of any shape: a mean is taken of each, and of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch.nn import functional

_EYE_SPREAD = 0.02
"""Deviation of a point's spot in a heat-map, as a share of the picture's side."""


def identity_loss(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """1 - the cosine of two embeddings, N x D each (Li et al. 2020, "FaceShifter", section 3.1;
    Chen et al. 2020, "SimSwap", section 3.4)."""
    return (1 - torch.nn.functional.cosine_similarity(found.float(), wanted.float())).mean()


def identity_consistency_loss(
    found: Sequence[torch.Tensor],
    target: Sequence[torch.Tensor],
    source: Sequence[torch.Tensor],
    scale: float = 1.2,
) -> torch.Tensor:
    """Layer by layer an identity network is to see the result no further from the target than the
    source is, up to a margin (Rosberg et al. 2023, "FaceDancer", section 3.3: interpreted feature
    similarity regularization).

    found, target, source: the same layers' values, N x ... each. scale: the margin as a share of
    the distance from target to source.
    """
    terms = []
    for f, t, s in zip(found, target, source, strict=True):
        far = _cosine_distance(f, t)
        allowed = scale * _cosine_distance(s, t).detach()
        terms.append(torch.relu(far - allowed).mean())
    return torch.stack(terms).mean()


def attribute_loss(found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> torch.Tensor:
    """Half the squared distance of attribute maps, a mean of each map and summed over them
    (FaceShifter, section 3.1, whose sums over a map the public code and GHOST replace by means)."""
    terms = [(f.float() - w.float()).square().mean() for f, w in zip(found, wanted, strict=True)]
    return 0.5 * torch.stack(terms).sum()


def weak_feature_matching_loss(
    found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor], first: int = 0
) -> torch.Tensor:
    """Mean absolute distance of a discriminator's features of the result from those of the target,
    of its last layers alone (SimSwap, section 3.3): the first ones would hold texture, and with it
    the target's identity.

    first: position of the first layer that counts.
    """
    pairs = zip(found[first:], wanted[first:], strict=True)
    return torch.stack([(f.float() - w.float()).abs().mean() for f, w in pairs]).mean()


def reconstruction_loss(
    found: torch.Tensor, wanted: torch.Tensor, same: torch.Tensor, power: int = 1
) -> torch.Tensor:
    """Distance of pictures, counted where source and target show one person (SimSwap, section
    3.4; FaceShifter, section 3.1).

    found, wanted: N x 3 x H x W. same: N, 1 where the pair shows one person (be it in one photo or
    in two), else 0. power: 1 for the absolute distance, 2 for half the squared. The mean is over
    the whole batch, so that the share of such pairs weighs as it does in the published steps.
    """
    apart = (found.float() - wanted.float()).abs()
    each = apart.mean((1, 2, 3)) if power == 1 else 0.5 * apart.square().mean((1, 2, 3))
    return (each * same.float()).mean()


def cycle_loss(found: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The result, swapped back with the target's identity, is to be the target: mean absolute
    distance (Zhu et al. 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent
    Adversarial Networks", equation 2; FaceDancer and HifiFace use it)."""
    return (found.float() - target.float()).abs().mean()


def eye_heat_maps(points: torch.Tensor, size_px: int, spread: float = _EYE_SPREAD) -> torch.Tensor:
    """Gaussian spots at points: N x P x 2 in pixels, x first -> N x P x S x S, 1 at the point."""
    steps = torch.arange(size_px, device=points.device, dtype=torch.float32)
    width = 2 * (spread * size_px) ** 2
    x = torch.exp(-(steps - points[..., :1]).square() / width)
    y = torch.exp(-(steps - points[..., 1:]).square() / width)
    return y[..., :, None] * x[..., None, :]


def eye_loss(found: torch.Tensor, wanted: torch.Tensor, size_px: int) -> torch.Tensor:
    """Squared distance of the heat-maps of eye points (Groshev et al. 2022, "GHOST"):
    the result looks where the target looks.

    found, wanted: N x P x 2, pixels, of a landmark network.
    """
    apart = eye_heat_maps(found, size_px) - eye_heat_maps(wanted.detach(), size_px)
    return apart.square().sum((2, 3)).mean()


def occlusion_losses(
    found: torch.Tensor,
    first_stage: torch.Tensor,
    target: torch.Tensor,
    same: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """What FaceShifter's second stage is asked for beside the identity (section 3.2).

    found: its result. first_stage: what it refines. target: the picture with what hides the face.
    All N x 3 x H x W. same: as of `reconstruction_loss`. change: mean absolute distance from the
    first stage; reconstruction: from the target, where the pair shows one person.
    """
    return {
        "change": (found.float() - first_stage.float()).abs().mean(),
        "reconstruction": reconstruction_loss(found, target, same, power=2),
    }


def _cosine_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return 1 - torch.nn.functional.cosine_similarity(a.float().flatten(1), b.float().flatten(1))


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of each latent number from the unit Gaussian, in nats, a mean
    over the batch: L (Kingma and Welling 2014, "Auto-Encoding Variational Bayes",
    appendix B). mean, log_variance: N x L."""
    each = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
    return each.float().mean(0)


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


def path_length_loss(
    pictures: torch.Tensor, latents: torch.Tensor, mean: torch.Tensor, pace: float = 0.01
) -> tuple[torch.Tensor, torch.Tensor]:
    """How unevenly a generator's pictures change with its latents (Karras et al. 2020, "Analyzing
    and Improving the Image Quality of StyleGAN", section 3.2), and the mean length afterwards.

    pictures: N x 3 x H x W, made of `latents`, N x C x L, which need gradients. mean: of the
    lengths so far, one number, of which a share `pace` is renewed; no gradients flow to it.
    """
    places = pictures.shape[-2] * pictures.shape[-1]
    drawn = torch.randn_like(pictures) / places**0.5
    (gradient,) = torch.autograd.grad((pictures * drawn).sum(), latents, create_graph=True)
    lengths = gradient.float().square().sum(2).mean(1).sqrt()
    renewed = mean + pace * (lengths.detach().mean() - mean)
    return (lengths - renewed).square().mean(), renewed


def _pairs(
    real: Sequence[torch.Tensor], fake: Sequence[torch.Tensor]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(real, fake, strict=True))


def _mean(values: torch.Tensor) -> torch.Tensor:
    return values.float().mean()
