"""What the identity network is asked for: its teachers' numbers, likenesses and ways of seeing."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own documents call it F
from torch import nn

from sosie.analysis.embedder import NUMBERS
from sosie.recipes.identity.network import IdentityNetwork
from sosie.recipes.identity.samples import NOBODY
from sosie.recipes.identity.teachers import STAGE_CHANNELS

# Weights of the terms. The stages' share falls over the training to _STAGES_AT_END of this, the
# people's rises from nothing.
_VECTOR, _LIKENESS, _STAGES, _STAGES_AT_END, _PEOPLE = 6.0, 12.0, 0.6, 0.15, 0.05
# CosFace: the scale of the products and the margin by which the right one must be ahead.
_SCALE, _LEAD = 24.0, 0.1


class IdentityLearner(nn.Module):
    """The network with what it needs while it learns.

    prototypes: P x 384, the teachers' mean answer to each of the people that are told apart.
    """

    def __init__(self, network: IdentityNetwork, prototypes: torch.Tensor) -> None:
        super().__init__()
        self.network = network
        channels = [cast(nn.Conv2d, cast(nn.Sequential, stage[0])[0]).out_channels
                    for stage in map(_sequence, network.stages)]  # fmt: skip
        # One more stage of the teacher than the network has: the last is read from the last.
        self.readers = nn.ModuleList(
            nn.Conv2d(own, theirs, 1)
            for own, theirs in zip(channels, STAGE_CHANNELS[:-1], strict=True)
        )
        self.readers.append(nn.Conv2d(channels[-1], STAGE_CHANNELS[-1], 3, 2, 1))
        padded = F.pad(prototypes, (0, NUMBERS - prototypes.shape[1]))
        self.people = nn.Parameter(padded)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Pictures in -1..1 -> numbers, and guesses at the first teacher's stages."""
        numbers, stages = self.network.with_stages(x)
        readable = [*stages, stages[-1]]
        guesses = [reader(s) for reader, s in zip(self.readers, readable, strict=True)]
        return numbers, guesses


def identity_losses(
    learner: IdentityLearner,
    numbers: torch.Tensor,
    guesses: list[torch.Tensor],
    target: torch.Tensor,
    stages: list[torch.Tensor],
    person: torch.Tensor,
    progress: float,
) -> dict[str, torch.Tensor]:
    """The weighted terms, of float32 values.

    numbers: N x 512, guesses: of the learner. target: N x 384, unit length, and stages: of the
    teachers. person: int64, N, NOBODY or the row of a prototype. progress: 0..1.
    """
    padded = F.pad(target, (0, NUMBERS - target.shape[1]))
    terms = {
        "vector": _VECTOR * (1 - (numbers * padded).sum(1)).mean(),
        "likeness": _LIKENESS * _likeness(numbers, target),
        "people": _PEOPLE * progress * margin_loss(numbers, learner.people, person),
    }
    share = 1 + (_STAGES_AT_END - 1) * progress
    errors = [_relative_error(g, s) for g, s in zip(guesses, stages, strict=True)]
    return terms | {"stages": _STAGES * share * torch.stack(errors).mean()}


def _likeness(numbers: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """How far the products of any two faces are from the teachers' (relational distillation: Park
    et al. 2019)."""
    apart = numbers @ numbers.T - target @ target.T
    count = len(numbers)
    return apart.square().sum() / max(count * (count - 1), 1)


def margin_loss(numbers: torch.Tensor, people: torch.Tensor, person: torch.Tensor) -> torch.Tensor:
    """CosFace (Wang et al. 2018, eq. 4) over the faces that show a known person."""
    known = person != NOBODY
    if not bool(known.any()):
        return numbers.sum() * 0
    own = person[known]
    products = numbers[known] @ F.normalize(people, dim=1).T
    products = products - _LEAD * F.one_hot(own, len(people))
    return F.cross_entropy(_SCALE * products, own)


def _relative_error(guess: torch.Tensor, stage: torch.Tensor) -> torch.Tensor:
    """Mean squared error in shares of each channel's variance over the batch."""
    variance = stage.var((0, 2, 3), keepdim=True)
    return ((guess - stage).square() / (variance + 1e-4)).mean()


def _sequence(module: nn.Module) -> nn.Sequential:
    return cast(nn.Sequential, module)
