"""The terms of a variational autoencoder's bound. All return a single float32 number."""

from __future__ import annotations

import math

import torch


def laplace_term(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean absolute distance of pictures, N x 3 x H x W. Over the spread b of a Laplace
    distribution it is, but for a constant, the negative log likelihood of a number of a picture
    (Kingma and Welling 2014, "Auto-Encoding Variational Bayes", equation 7, whose likelihood is
    free to choose)."""
    return (made.float() - wanted.float()).abs().mean()


def with_free_bits(each: torch.Tensor, free: float) -> torch.Tensor:
    """The sum of divergences (L, nats), of which each counts as `free` where it is less: no latent
    number is pressed to carry nothing (Kingma et al. 2016, "Improved Variational Inference with
    Inverse Autoregressive Flow", equation 15)."""
    return each.clamp_min(free).sum()


def bound(error: float, nats: float, numbers: int, spread: float) -> float:
    """The evidence lower bound a number of the picture, in nats: the larger, the better.

    error: mean absolute distance, of 0..1. nats: divergence of a picture's latent. numbers: in a
    picture (3 x S x S). spread: of the Laplace distribution.
    """
    return -error / spread - math.log(2 * spread) - nats / numbers
