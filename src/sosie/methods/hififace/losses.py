"""HifiFace's 3D shape-aware losses and its masks', of torch values.

Source: Wang et al. 2021, "HifiFace", sections 3.1 and 3.3: the shape of the source, with expression
and pose of the target, gives the landmarks that the result is to have; and the masks of the fusion
are to be the target's face.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from sosie.geometry.morphable_model import face_shape
from sosie.methods.hififace.shape import MODES


class Seen(NamedTuple):
    """A face's mesh, parted. shape, expression: N x K. rotation: N x 3 x 3, scale: N x 1 x 1 and
    middle: N x 1 x 3 of the way back to the picture. points: N x 478 x 3, pixels of it."""

    shape: torch.Tensor
    expression: torch.Tensor
    rotation: torch.Tensor
    scale: torch.Tensor
    middle: torch.Tensor
    points: torch.Tensor


class MeshModel(nn.Module):
    """The mesh's statistical model in torch: as `shape` computes it, with gradients."""

    mean: torch.Tensor
    weights: torch.Tensor
    basis: torch.Tensor
    expressive: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        model = face_shape()
        for name, values in (
            ("mean", model.mean),
            ("weights", model.stability),
            ("basis", model.basis),
            ("expressive", model.expressive),
        ):
            self.register_buffer(name, torch.from_numpy(values).float(), persistent=False)

    def forward(self, points: torch.Tensor) -> Seen:
        """points: N x 478 x 3, pixels, of upright faces. The pose is taken as it is, without
        gradients: what is to move is the face."""
        # Eight bits of mantissa would be a change of shape.
        with torch.autocast(points.device.type, enabled=False):
            return self._parted(points.float())

    def _parted(self, points: torch.Tensor) -> Seen:
        middle = torch.einsum("p,npc->nc", self.weights, points)[:, None]
        about = points - middle
        center = self.weights @ self.mean
        with torch.no_grad():
            rotation, scale = self._pose(about, self.mean - center)
        canonical = (about @ rotation.transpose(1, 2)) / scale + center
        both = (canonical - self.mean).flatten(1) @ self.basis.T
        expression = both @ self.expressive.T
        return Seen(both - expression, expression, rotation, scale, middle, points)

    def fused(self, shape: torch.Tensor, target: Seen) -> torch.Tensor:
        """The mesh of a shape (N x MODES) with expression and pose of the target: N x 478 x 3,
        pixels of the target's picture."""
        padded = functional.pad(shape, (0, self.basis.shape[0] - MODES))
        moved = ((padded + target.expression) @ self.basis).reshape(len(shape), -1, 3)
        canonical = self.mean + moved - self.weights @ self.mean
        fused: torch.Tensor = canonical @ target.rotation * target.scale + target.middle
        return fused

    def _pose(self, about: torch.Tensor, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Canonical -> picture: rotation (N x 3 x 3, rows are axes) and scale, as in
        `morphable_model.canonicalize`."""
        spread = (about * self.weights[:, None]).transpose(1, 2) @ mean
        u, s, vt = torch.linalg.svd(spread.float())
        sign = torch.ones_like(s)
        sign[:, 2] = torch.sign(torch.linalg.det(u @ vt))
        rotation = (u * sign[:, None]) @ vt
        power = torch.einsum("p,npc->n", self.weights, about.square()).clamp_min(1e-12)
        scale = power / (s * sign).sum(1).clamp_min(1e-12)
        return rotation.transpose(1, 2), scale[:, None, None]


def target_vector(target: Seen) -> torch.Tensor:
    """Expression and pose, as `shape.target_numbers` tells them: N x TARGET_NUMBERS."""
    return torch.cat([target.expression[:, :MODES], target.rotation[:, :2].flatten(1)], 1)


def shape_loss(found: torch.Tensor, wanted: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Mean absolute distance of landmarks (N x 478 x 3, of which x and y count), in canonical units
    of the wanted face, about half a face's width each."""
    return ((found - wanted)[..., :2].abs() / scale).mean()


def mask_loss(mask: torch.Tensor, low: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
    """Mean absolute distance of the fusion's masks (N x 1 x S x S and a quarter of that) from where
    the target's face is (N x 1 x S x S, 0..1)."""
    wide = functional.interpolate(low.float(), size=face.shape[-2:], mode="bilinear")
    return (mask.float() - face).abs().mean() + (wide - face).abs().mean()
