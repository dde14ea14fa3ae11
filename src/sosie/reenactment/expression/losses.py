"""What the expression network is asked for: the target's expression on the face that was given.

Pictures are N x 3 x H x W, float32, 0..1. All terms are means over the samples that they apply to.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own documents call it F
from torch import nn

from sosie.analysis.landmarker import SIDE_PX as LANDMARKS_PX
from sosie.nn.blocks import fast_precision
from sosie.recipes.likeness import (
    Judges,
    aligned_faces,
    described,
    identified,
    jittered,
)

# Weights of the terms: the known answer; the expression, and where the points are to be; that it is
# the face that was given, by two networks and to the pixel; its grain; a motion without steps.
_COLOR, _PERCEPTUAL, _EXPRESSION, _PLACES = 4.0, 3.0, 3.0, 0.3
_SAME, _SAME_BY_DLIB, _NEAR, _GRAIN, _STEPS = 16.0, 6.0, 2.0, 8.0, 0.2
_GRAIN_PX = 12


@dataclass(frozen=True)
class Made:
    """A batch, and what the network made of it.

    given: the face that was shown, in its surroundings; face: N x 1 x H x W, where it is; target;
    result. flow: N x 2 x h x w. has, wanted: N x 52, the expressions of given and target.
    """

    given: torch.Tensor
    face: torch.Tensor
    target: torch.Tensor
    result: torch.Tensor
    flow: torch.Tensor
    has: torch.Tensor
    wanted: torch.Tensor


def read(
    pictures: torch.Tensor, looked: torch.Tensor, landmarks: nn.Module
) -> tuple[torch.Tensor, ...]:
    """Points, presence and expression that the landmark network reads. looked: N x 2 x 3, from its
    square to the picture."""
    squares = aligned_faces(pictures, looked, LANDMARKS_PX, halve=False)
    answer: tuple[torch.Tensor, ...] = landmarks(squares.clamp(0, 1).permute(0, 2, 3, 1) * 255)
    return answer


def expression_losses(
    made: Made, batch: dict[str, torch.Tensor], judges: Judges
) -> dict[str, torch.Tensor]:
    """The weighted terms."""
    known = batch["known"]
    area = made.face.mean().clamp_min(0.01)
    # Read a little askew: what is read from one place alone, no other network reads.
    looked = jittered(batch["looked"])
    points, _, ours = read(made.result, looked, judges.landmarks)
    with torch.no_grad():
        there, _, wanted = read(made.target, looked, judges.landmarks)
    apart = (points - there - batch["moved"])[..., :2].square().sum(2).add(1e-2).sqrt().mean(1)
    distance = (ours - wanted).square().sum(1).add(1e-4).sqrt()
    terms = {"expression": _EXPRESSION * distance.mean(), "places": _PLACES * apart.mean()}
    # Where the answer is known, so is whose face it is.
    answer = torch.where(known[:, None, None, None], made.target, made.given)
    matrices = jittered(batch["aligned"])
    with torch.no_grad():
        faces = identified(answer, matrices, judges.identity)
        by_dlib = described(answer, matrices, judges.dlib)
    ours = identified(made.result, matrices, judges.identity)
    terms["same"] = _SAME * (1 - (ours * faces).sum(1)).mean()
    ours = described(made.result, matrices, judges.dlib)
    terms["same_by_dlib"] = _SAME_BY_DLIB * (1 - (ours * by_dlib).sum(1)).mean()
    off = (made.result - answer).abs().mean((1, 2, 3)) / area
    weight = torch.where(known, _COLOR, _NEAR)
    terms["color"] = (weight * off).mean()
    apart = (_grain(made.result) - _grain(answer)).abs()
    terms["grain"] = _GRAIN * apart.mean() / area
    flow = made.flow
    across, down = flow[..., 1:] - flow[..., :-1], flow[..., 1:, :] - flow[..., :-1, :]
    terms["steps"] = _STEPS * (across.square().mean() + down.square().mean())
    if bool(known.any()):
        halves = [F.avg_pool2d(picture[known], 2) for picture in (made.result, made.target)]
        with fast_precision(made.result.device):
            far = judges.perceptual(halves[0].clamp(0, 1), halves[1])
        terms["perceptual"] = _PERCEPTUAL * known.float().mean() * far.float().mean()
    return terms


def _grain(pictures: torch.Tensor) -> torch.Tensor:
    """Mean size of what is finer than 5 px, in squares of _GRAIN_PX."""
    fine = pictures - F.avg_pool2d(pictures, 5, 1, 2, count_include_pad=False)
    return F.avg_pool2d(fine.abs(), _GRAIN_PX)
