"""What the landmark network is asked for. All lengths are in sizes of the face."""

from __future__ import annotations

import torch
from torch.nn import functional

from sosie.geometry import mesh
from sosie.recipes.landmarks.measures import GAZE, LIDS, LIPS
from sosie.recipes.landmarks.network import Answer

# Lids, irises and lips move the most and are watched the most; the outline's place along the face
# is a matter of taste.
_POINT_WEIGHTS = (
    (mesh.RIGHT_EYE + mesh.LEFT_EYE, 3.0),
    (mesh.RIGHT_IRIS + mesh.LEFT_IRIS, 3.0),
    (mesh.INNER_LIPS + mesh.OUTER_LIPS, 3.0),
    (mesh.RIGHT_BROW + mesh.LEFT_BROW, 1.5),
    (mesh.NOSE, 1.5),
)
# Pairs whose vector must be right: how far lids and lips are open, where the eyes look, and how
# wide eyes and mouth are.
_OPENINGS = (*LIDS, *LIPS, *GAZE, (33, 133), (362, 263), (61, 291), (0, 17))
# Below this error (in face sizes) a distance counts by its square, above it by itself.
_KNEE, _FINE_KNEE = 0.004, 0.002
_DEPTH_SHARE = 0.3


def landmark_losses(
    answer: Answer,
    points: torch.Tensor,
    expression: torch.Tensor,
    presence: torch.Tensor,
    readable: torch.Tensor,
    progress: float,
) -> dict[str, torch.Tensor]:
    """Weighted terms.

    points: N x 478 x 3, in the network's unit. expression: N x 52, and presence: N, both 0..1 and
    NaN where unknown. readable: N, 1 where points and expression are to be learned, else 0.
    progress: 0..1; the longer the training, the less is asked of the guesses.
    """
    size = (points[..., :2].amax(1) - points[..., :2].amin(1)).amax(1).clamp_min(1e-3)
    unit = 1 / size[:, None, None]
    share = readable / readable.sum().clamp_min(1)
    weights = point_weights(points.device)
    a, b = zip(*_OPENINGS, strict=True)

    def openings(shape: torch.Tensor) -> torch.Tensor:
        return shape[:, list(a), :2] - shape[:, list(b), :2]

    def apart(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Weighted mean distance of two shapes, N."""
        error = (one - other) * unit
        flat = _length(error[..., :2], _KNEE)
        deep = functional.smooth_l1_loss(
            error[..., 2], 0 * error[..., 2], reduction="none", beta=_KNEE
        )
        return ((flat + _DEPTH_SHARE * deep) * weights).sum(1)

    opened = _length((openings(answer.points) - openings(points)) * unit, _FINE_KNEE).mean(1)
    shaped = _length(_shape(answer.points) - _shape(points), _KNEE)
    return {
        "points": 4 * (apart(answer.points, points) * share).sum(),
        "guesses": (1 - 0.8 * progress)
        * torch.stack([(apart(guess, points) * share).sum() for guess in answer.guesses]).mean(),
        "openings": 2 * (opened * share).sum(),
        "shape": ((shaped * weights).sum(1) * share).sum(),
        "expression": 1.2 * _expression(answer.expression, expression, readable),
        "presence": 0.04 * _presence(answer.presence, presence),
    }


def point_weights(device: torch.device) -> torch.Tensor:
    """How much each of the points counts: 478, sum 1."""
    weights = torch.ones(mesh.POINTS, device=device)
    for points, weight in _POINT_WEIGHTS:
        weights[list(points)] = weight
    return weights / weights.sum()


def _length(vectors: torch.Tensor, knee: float) -> torch.Tensor:
    """Length of the last axis' vectors, smooth at 0."""
    return ((vectors**2).sum(-1) + knee**2).sqrt() - knee


def _shape(points: torch.Tensor) -> torch.Tensor:
    """The points in the image without place and size: a third from their center in the root mean
    square, so that a face is about one unit large."""
    flat = points[..., :2] - points[..., :2].mean(1, keepdim=True)
    size = (flat**2).sum(-1).mean(1).clamp_min(1e-6).sqrt()
    return flat / (3 * size[:, None, None])


def _expression(
    logits: torch.Tensor, weights: torch.Tensor, readable: torch.Tensor
) -> torch.Tensor:
    known = (readable[:, None] > 0) & ~weights.isnan()
    error = functional.smooth_l1_loss(
        logits.sigmoid(), weights.nan_to_num(), reduction="none", beta=0.05
    )
    return (error * known).sum() / known.sum().clamp_min(1)


def _presence(logits: torch.Tensor, presence: torch.Tensor) -> torch.Tensor:
    known = ~presence.isnan()
    error = functional.binary_cross_entropy_with_logits(
        logits, presence.nan_to_num(), reduction="none"
    )
    return (error * known).sum() / known.sum().clamp_min(1)
