"""The recipe of HifiFace (Wang et al. 2021): the form of its re-implementation by xuehy, and a
small one.

The 3D face model of the paper is closed (it needs a registration), so Sosie's own face mesh and its
statistical model take its place; the identity is Sosie's own; the face's mask is by Sosie's parser;
and the perceptual distance is LPIPS on SqueezeNet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.analysis.embedder import NUMBERS
from sosie.errors import UsageError
from sosie.methods.hififace.losses import (
    MeshModel,
    Seen,
    mask_loss,
    shape_loss,
    target_vector,
)
from sosie.methods.hififace.network import Form, Fused, Generator, XuehyFusion, quarter
from sosie.methods.hififace.shape import MODES, TARGET_NUMBERS
from sosie.nn.blocks import fast_precision
from sosie.nn.residual import ResidualDiscriminator
from sosie.recipes.swapper.face_regions import FaceRegions
from sosie.recipes.swapper.gan_recipe import GanRecipe
from sosie.recipes.swapper.plan import SwapPlan, small
from sosie.recipes.swapper.recipe import Batch
from sosie.training.losses import generator_loss
from sosie.training.recipe import Materials, Plan, require

VECTOR = MODES + TARGET_NUMBERS + NUMBERS
"""Numbers that the generator is told: the source's shape, the target's expression and pose, the
source's identity."""
_BOTTOM_PX = 8


@dataclass(frozen=True)
class HifiFacePlan(SwapPlan):
    """shape: weight of the landmarks' distance from those that the source's shape would have.
    masks: of the fusion's masks from the target's face."""

    shape: float = 0.5
    masks: float = 100.0

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("shape", "masks"), least=0)


_PUBLISHED = HifiFacePlan(
    samples=4_800_000,
    lr=1e-4,
    size_px=256,
    width=64,
    critic=64,
    same=0.5,
    identity=5.0,
    reconstruction=20.0,
    penalty=1.0,
    cycle=1.0,
    perceptual=5.0,
)
_SMALL = HifiFacePlan(
    **{
        **asdict(small(_PUBLISHED, width=16, critic=8, same=0.3, cycle=0.0, perceptual=0.0)),
        "shape": 4.0,
        "masks": 5.0,
        "identity": 8.0,
        "reconstruction": 15.0,
    }
)


class Learner(nn.Module):
    """The generator and its discriminator."""

    def __init__(self, size_px: int, width: int, critic: int) -> None:
        super().__init__()
        halvings = (size_px // _BOTTOM_PX).bit_length() - 1
        self.generator = Generator(XuehyFusion, Form(width, halvings, VECTOR))
        self.judges = ResidualDiscriminator(size_px, critic)


class HifiFaceRecipe(GanRecipe):
    """Shape-aware identity, mask, reconstruction, cycle, perceptual and adversarial losses (section
    3.3). A pair of one person is one photo twice."""

    name: ClassVar[str] = "hififace"
    method: ClassVar[str] = "hififace"
    summary: ClassVar[str] = "HifiFace: puts the source's shape and identity into a target."
    paper: ClassVar[str] = (
        "Wang et al. 2021, HifiFace: 3D Shape and Semantic Prior Guided High Fidelity Face Swapping"
    )
    template: ClassVar[str] = "mtcnn_512"
    same_photo: ClassVar[bool] = True
    betas = (0.0, 0.999)
    real = "target"
    told_apart = "nonsaturating"
    # The network is bound to its size.
    ignores = GanRecipe.ignores | {"feature", "attribute", "depth", "half_until"}
    origins: ClassVar[Mapping[str, str]] = {
        **GanRecipe.origins,
        "sosie_landmarks": "the shape of faces, in place of a closed 3D face model",
        "sosie_parser": "where the target's face is",
    }
    plan: ClassVar[SwapPlan] = _PUBLISHED
    presets: ClassVar[Mapping[str, SwapPlan]] = {"256": _PUBLISHED, "small": _SMALL}

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self._own = cast(HifiFacePlan, self.settings)
        self._regions = FaceRegions(self.template, self.settings.size_px)

    @classmethod
    def require_size(cls, size_px: int) -> None:
        if size_px < 8 * _BOTTOM_PX or size_px & (size_px - 1):
            raise UsageError(f"size_px must be a power of two from 64 on, not {size_px}.")

    def learner(self) -> Learner:
        plan = self.settings
        return Learner(plan.size_px, plan.width, plan.critic)

    def beside(self, row: int, face: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """face: uint8, S x S, 255 where the target's face is."""
        return {"face": self._regions.read(row, face)[..., 0]}

    def describe(self, pictures: torch.Tensor) -> torch.Tensor:
        """Shape and identity: N x (MODES + 512)."""
        return torch.cat([self._seen(pictures).shape[:, :MODES], self.embed(pictures)], 1)

    def swapped(self, network: nn.Module, target: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        return self._made(network, target, who, self._seen(target))[0]

    def generate(
        self, network: nn.Module, batch: Batch, progress: float
    ) -> dict[str, torch.Tensor]:
        plan, target = self._own, self.pictures(batch, "target", progress)
        with torch.no_grad():
            who = self.describe(self.pictures(batch, "source", progress))
            seen = self._seen(target)
            wished = self._mesh.fused(who[:, :MODES], seen)
        with fast_precision(target.device):
            made, low, mask, low_mask = self._made(network, target, who, seen)
            logits = self.logits(network, made)
        batch["made"] = made.detach()
        same, face = batch["same"], batch["face"][:, None].float() / 255
        found = self._further.mesh(made.float())
        return {
            "identity": self.identity_term(made, who[:, MODES:]),
            "shape": plan.shape * shape_loss(found, wished, seen.scale),
            "masks": plan.masks * mask_loss(mask, low_mask, face),
            "reconstruction": self.reconstruction_term(made, target, same)
            + self.reconstruction_term(low, quarter(target), same),
            "adversarial": plan.adversarial * generator_loss("nonsaturating", logits),
            **self.further_terms(network, batch, made, target, progress),
        }

    def logits(self, network: nn.Module, pictures: torch.Tensor) -> list[torch.Tensor]:
        return [cast(Learner, network).judges(pictures)]

    def exported(self, network: nn.Module) -> nn.Module:
        return _OfVector(cast(Learner, network).generator)

    def told(self, count: int) -> dict[str, NDArray[np.float32]]:
        """The vector, in place of an identity."""
        vector = np.random.default_rng(1).normal(0, 0.3, (count, VECTOR))
        return {"vector": vector.astype(np.float32)}

    def _made(
        self, network: nn.Module, target: torch.Tensor, who: torch.Tensor, seen: Seen
    ) -> Fused:
        vector = torch.cat([who[:, :MODES], target_vector(seen), who[:, MODES:]], 1)
        made: Fused = cast(Learner, network).generator(target, vector)
        return made

    def _seen(self, pictures: torch.Tensor) -> Seen:
        """The mesh of faces of the generator's range, parted, in pixels of the landmark network's
        square."""
        seen: Seen = self._mesh.to(pictures.device)(self._further.mesh(self._unit(pictures)))
        return seen

    @cached_property
    def _mesh(self) -> MeshModel:
        return MeshModel()


class _OfVector(nn.Module):
    """The generator's picture alone, as it is exported: target and vector -> picture."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, target: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.generator(target, vector)[0]
        return made
