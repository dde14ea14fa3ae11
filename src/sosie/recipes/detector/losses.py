"""Which cell answers for which face, and what its answer costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from sosie.analysis.detector import BOX_UNIT, POINT_UNIT, STRIDES
from sosie.recipes.detector.canvas import FACE, UNSURE

_SIZES = ((0.0, 64.0), (40.0, 136.0), (88.0, 288.0), (190.0, 1e6))
"""For each of STRIDES the longer sides of the boxes that its cells answer for, in pixels. Where two
ranges overlap both do."""

_TOLERANCE = 1.25
# Cells up to so far from a face's middle, as shares of its half sides, answer for it; up to the
# second they may, and so may all within an unsure one.
_CORE, _RIM, _UNSURE = 0.6, 0.8, 1.15
# The cells of one face together weigh as much as so many, at most.
_CELLS_A_FACE = 5.0
# What a cell in a face's core scores at least, however wrong its box is: a score is to tell faces
# from what is none first, and good boxes from bad ones, of faces that the edge cuts, second.
_FLOOR = 0.5
_MAX_LOG_SIZE = 4.0
_BOX_WEIGHT, _POINT_WEIGHT = 2.0, 6.0


@dataclass(frozen=True)
class Cells:
    """All cells of the grids: centers (A x 2), strides (A), and the sizes of the faces that they
    answer for, from `smallest` to `largest` (A); all in pixels."""

    centers: torch.Tensor
    strides: torch.Tensor
    smallest: torch.Tensor
    largest: torch.Tensor


@dataclass(frozen=True)
class Targets:
    """Who answers for what. face: B x A, the row of the face a cell answers for, or -1. weight:
    B x A, of a cell that does. silent: bool, B x A, cells whose score costs nothing."""

    face: torch.Tensor
    weight: torch.Tensor
    silent: torch.Tensor


def grid_cells(grids: Sequence[torch.Tensor]) -> Cells:
    """The cells of grids N x h x w x C, one for each of STRIDES, flattened one after the other."""
    columns: list[list[torch.Tensor]] = [[], [], [], []]
    for stride, grid, (low, high) in zip(STRIDES, grids, _SIZES, strict=True):
        height, width = grid.shape[1:3]
        y, x = torch.meshgrid(
            torch.arange(height, device=grid.device),
            torch.arange(width, device=grid.device),
            indexing="ij",
        )
        center = (torch.stack([x, y], -1).reshape(-1, 2).float() + 0.5) * stride - 0.5
        columns[0].append(center)
        for column, value in zip(columns[1:], (float(stride), low, high), strict=True):
            column.append(torch.full((len(center),), value, device=grid.device))
    return Cells(*map(torch.cat, columns))


def assign(cells: Cells, boxes: torch.Tensor, kinds: torch.Tensor) -> Targets:
    """Targets for boxes (B x M x 4, x0, y0, x1, y1) of kinds (B x M; 0 is no row; those come last).

    A face belongs to the cells of its middle, in the grids that suit its size (after Tian et al.
    2019, "FCOS", 3.2, with ellipses instead of boxes); where faces overlap, to the smaller one.
    """
    # Rows that no picture of the batch uses would cost as much as the others.
    rows = int((kinds > 0).sum(1).max())
    boxes, kinds = boxes[:, : max(rows, 1)], kinds[:, : max(rows, 1)]
    center, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    half = (size / 2).clamp(min=1)
    away_x = (cells.centers[None, :, None, 0] - center[:, None, :, 0]).abs_()
    away_y = (cells.centers[None, :, None, 1] - center[:, None, :, 1]).abs_()
    # However small a face is, the cell that its center lies in answers for it.
    nearest = torch.maximum(away_x, away_y) <= cells.strides[None, :, None] / 2
    away_x /= half[:, None, :, 0]
    away_y /= half[:, None, :, 1]
    distance = torch.hypot(away_x, away_y)
    longer = size.amax(-1)[:, None]
    low, high = cells.smallest[None, :, None], cells.largest[None, :, None]
    fits = (longer >= low) & (longer < high)
    nearly = (longer >= low / _TOLERANCE) & (longer < high * _TOLERANCE)
    face, unsure = (kinds == FACE)[:, None], (kinds == UNSURE)[:, None]
    core = (distance < _CORE) | nearest
    own = face & fits & core
    area = size.prod(-1)[:, None].expand_as(distance)
    smallest, row = torch.where(own, area, torch.inf).min(-1)
    taken = torch.isfinite(smallest)
    silent = (face & nearly & (distance < _RIM)) | (unsure & (distance < _UNSURE))
    row = torch.where(taken, row, torch.zeros_like(row))
    counts = torch.zeros_like(area[:, 0]).scatter_add_(1, row, taken.float())
    weight = (_CELLS_A_FACE / counts.clamp(min=_CELLS_A_FACE)).gather(1, row)
    return Targets(
        torch.where(taken, row, torch.full_like(row, -1)),
        weight * taken,
        silent.any(-1) & ~taken,
    )


def detector_losses(
    grids: Sequence[torch.Tensor],
    boxes: torch.Tensor,
    points5: torch.Tensor,
    kinds: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """Costs of score, box and points of a batch of answers (see `DetectorNetwork`), float32.

    boxes: B x M x 4. points5: B x M x 5 x 2. kinds: B x M, FACE, UNSURE or 0 for no row.
    """
    cells = grid_cells(grids)
    targets = assign(cells, boxes, kinds)
    answers = torch.cat([grid.reshape(len(grid), -1, grid.shape[3]) for grid in grids], 1)
    picture, cell = torch.nonzero(targets.face >= 0, as_tuple=True)
    face, weight = targets.face[picture, cell], targets.weight[picture, cell]
    own = answers[picture, cell]
    stride, middle = cells.strides[cell], cells.centers[cell]
    total = weight.sum().clamp(min=1)

    true_box = boxes[picture, face]
    overlap, distance = _overlap_and_distance(_boxes(own, middle, stride), true_box)
    # Zheng et al. 2020, "Distance-IoU loss", eq. 5 and 7.
    box = ((1 - overlap + distance) * weight).sum() / total

    found = middle[:, None] + own[:, 5:].reshape(-1, 5, 2) * (stride * POINT_UNIT)[:, None, None]
    side = (true_box[:, 2:] - true_box[:, :2]).prod(-1).sqrt().clamp(min=1)
    off = (found - points5[picture, face]) / side[:, None, None]
    points = functional.smooth_l1_loss(off, torch.zeros_like(off), beta=0.05, reduction="none")
    points = (points.mean((1, 2)) * weight).sum() / total

    aim = torch.zeros_like(answers[..., 0])
    aim[picture, cell] = _FLOOR + (1 - _FLOOR) * overlap.detach()
    logit = answers[..., 0]
    # Li et al. 2020, "Generalized focal loss", eq. 5, beta 2.
    each = functional.binary_cross_entropy_with_logits(logit, aim, reduction="none")
    each = each * (torch.sigmoid(logit) - aim).square()
    importance = torch.where(targets.face >= 0, targets.weight, (~targets.silent).float())
    score = (each * importance).sum() / total
    return {"score": score, "box": _BOX_WEIGHT * box, "points": _POINT_WEIGHT * points}


def _boxes(answers: torch.Tensor, middle: torch.Tensor, stride: torch.Tensor) -> torch.Tensor:
    center = middle + answers[:, 1:3] * stride[:, None]
    half = answers[:, 3:5].clamp(max=_MAX_LOG_SIZE).exp() * (stride * BOX_UNIT / 2)[:, None]
    return torch.cat([center - half, center + half], 1)


def _overlap_and_distance(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of boxes N x 4 each: intersection over union, and the squared distance of the centers over
    that of the corners of what holds both."""
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    inner = shared.prod(1)
    areas = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1)
    overlap = inner / (areas - inner).clamp(min=1e-6)
    outer = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    apart = (a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2
    return overlap, apart.square().sum(1) / outer.square().sum(1).clamp(min=1e-6)
