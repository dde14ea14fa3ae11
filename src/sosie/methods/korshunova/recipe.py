"""The recipe of Korshunova et al. 2017, "Fast Face-swap Using Convolutional Neural Networks".

The content is the target's faces, the style the source's. What the paper takes from VGG-19, that
SqueezeNet gives here, and the light loss is another: the weights of the losses are therefore this
recipe's own. Sizes, layers and the 16 nearest photos are the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.analysis.embedder import SIDE_PX
from sosie.analysis.embedder import TEMPLATE as EMBEDDED
from sosie.errors import UsageError
from sosie.geometry import alignment
from sosie.methods.korshunova.losses import content_loss, light_loss, style_loss, variation_loss
from sosie.methods.korshunova.network import PaintingNetwork
from sosie.models.cards import read_embedded
from sosie.nn.blocks import fast_precision, lay_channels_last
from sosie.recipes.identity.network import FrozenIdentity
from sosie.recipes.likeness import PictureFeatures
from sosie.recipes.own_faces import SOURCE, TARGET, TEMPLATE, OwnFaces, open_own
from sosie.recipes.swapper.extra_losses import FurtherLosses, cut
from sosie.recipes.swapper.model_file import LICENSE, SwapperCard, export_checked
from sosie.training.log import grid
from sosie.training.recipe import Materials, PlainRecipe, Plan, require

_PAPER = "Korshunova et al. 2017, Fast Face-swap Using Convolutional Neural Networks"
_NEAREST = 16
"""So many photos of the source lend each sample their style."""

_LEAST_FACES = 20
# Of more photos of the source these many, evenly taken, are kept as styles: their features take
# memory.
_MOST_STYLES = 512
_PREVIEWED, _VALIDATED, _AT_ONCE = 6, 64, 16
# Where among the layers of `PictureFeatures` (conv1, fire3, fire5, ...) each loss looks.
_STYLE_LAYERS, _CONTENT_LAYER = (1, 2), 2

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class PaintPlan(Plan):
    """size_px: side of the pictures, a power of two. width: channels that each branch adds. The
    rest are weights of the losses."""

    samples: int = 1_600_000
    batch: int = 16
    lr: float = 1e-3
    weight_decay: float = 0.0
    clip: float = 10.0
    validate_every: int = 20_000
    size_px: int = 128
    width: int = 32
    content: float = 1.0
    style: float = 8.0
    light: float = 10.0
    variation: float = 0.3

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("content", "style", "light", "variation"), least=0)
        require(self, ("width",), least=1)
        require(self, ("size_px",), least=64, most=512)
        if self.size_px & (self.size_px - 1):
            raise UsageError(f"size_px must be a power of two, not {self.size_px}.")


_PUBLISHED = PaintPlan()


class KorshunovaRecipe(PlainRecipe):
    """Content, style, light and variation losses; one network a person."""

    name: ClassVar[str] = "korshunova"
    summary: ClassVar[str] = "Fast face-swap: paints everybody as one person."
    origins: ClassVar[Mapping[str, str]] = {
        "given": "the source's photos as style, the target's as content",
        "squeezenet": "features of style and content, in place of VGG-19",
        "sosie_landmarks": "telling which photos are nearest",
        "sosie": "telling whether the right person is seen",
    }
    plan: ClassVar[Plan] = _PUBLISHED
    presets: ClassVar[Mapping[str, Plan]] = {
        "128": _PUBLISHED,
        "256": replace(_PUBLISHED, size_px=256),
        "small": replace(
            _PUBLISHED,
            samples=20_000,
            batch=8,
            lr=2e-3,
            ema=0.995,
            validate_every=2_000,
            size_px=64,
            width=8,
        ),
    }
    weight_file: ClassVar[str | None] = "snapshot"
    keeps_snapshot: ClassVar[bool] = True
    license: ClassVar[str] = LICENSE
    takes_two: ClassVar[bool] = True

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self._settings = cast(PaintPlan, self.chosen)
        # The features of the styles, where the network is.
        self._kept: tuple[torch.Tensor, ...] | None = None

    def prepare(self) -> None:
        if self.materials.pair is None:
            raise UsageError(
                f"{self.name} takes its style from one set and its content from another: name them "
                f"with --source and --target."
            )
        self._features  # noqa: B018 - refuses teachers that are not there
        self._styles  # noqa: B018 - cuts the faces out first, and refuses too few
        self._nearest  # noqa: B018

    def network(self) -> nn.Module:
        network = PaintingNetwork(self._settings.size_px, self._settings.width)
        lay_channels_last(network)
        return network

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """face: uint8, S x S x 3, the target's. nearest: which styles suit it, K."""
        return self._content(int(rng.choice(self._target_rows)))

    def _content(self, row: int) -> dict[str, NDArray[Any]]:
        face = self._own.pictures(np.array([row]), self._settings.size_px)[0]
        return {"face": face, "nearest": self._nearest[row]}

    def losses(
        self,
        network: nn.Module,
        batch: Batch,
        progress: float,  # noqa: ARG002 - the contract
    ) -> dict[str, torch.Tensor]:
        target = _unit(batch["face"])
        with fast_precision(target.device):
            made = network(target)
        return self._terms(made.float(), target, batch["nearest"])

    def _terms(
        self, made: torch.Tensor, target: torch.Tensor, nearest: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        plan, features = self._settings, self._features.to(made.device)
        # Beyond what a picture can hold the features have seen nothing.
        ours = features(made.clamp(0, 1))
        with torch.no_grad():
            theirs = features(target)
        if self._kept is None or self._kept[0].device != made.device:
            self._kept = tuple(layer.to(made.device) for layer in self._styles)
        styles = torch.stack(
            [
                style_loss(ours[layer], kept[nearest].float())
                for layer, kept in zip(_STYLE_LAYERS, self._kept, strict=True)
            ]
        )
        outside = (made - made.clamp(0, 1)).square().mean()
        return {
            "content": plan.content * content_loss(ours[_CONTENT_LAYER], theirs[_CONTENT_LAYER]),
            "style": plan.style * styles.mean(),
            "light": plan.light * light_loss(made, target),
            "variation": plan.variation * variation_loss(made),
            "outside": outside,
        }

    def validate(self, network: nn.Module) -> dict[str, float]:
        """On faces of the target that were held out. score: minus the sum of the losses.
        similarity: of the result to the source's mean identity (cosine); target: to the face that
        it was; before: of that face to the source."""
        device = next(network.parameters()).device
        rows = self._own.of(TARGET, self._own.held)[:_VALIDATED]
        totals, figures = [], []
        for start in range(0, len(rows), _AT_ONCE):
            batch = self._stacked(rows[start : start + _AT_ONCE], device)
            target = _unit(batch["face"])
            made = network(target)
            terms = self._terms(made, target, batch["nearest"])
            totals.append(torch.stack(list(terms.values())).sum() * len(target))
            who, was = self._embed(made), self._embed(target)
            source = self._source_identity.to(device)
            figures.append(torch.stack([who @ source, (who * was).sum(1), was @ source]))
        similarity, target_s, before = torch.cat(figures, 1).mean(1).tolist()
        return {
            "score": -float(torch.stack(totals).sum()) / len(rows),
            "similarity": similarity,
            "target": target_s,
            "before": before,
        }

    def preview(self, network: nn.Module) -> NDArray[np.uint8]:
        """Rows of a target that was held out, the result, and the source's nearest photo."""
        own, size_px = self._own, self._settings.size_px
        rows = own.of(TARGET, own.held)[:_PREVIEWED]
        batch = self._stacked(rows, next(network.parameters()).device)
        made = (network(_unit(batch["face"])).clamp(0, 1) * 255).round().byte()
        results = made.permute(0, 2, 3, 1).cpu().numpy()
        nearest = own.pictures(self._style_rows[self._nearest[rows][:, 0]], size_px)
        return grid(
            [list(one) for one in zip(own.pictures(rows, size_px), results, nearest, strict=True)]
        )

    def export(self, network: nn.Module, file: Path) -> None:
        """The network as `sosie swap --method korshunova --weights` runs it."""
        side = self._settings.size_px
        card = SwapperCard(self.name, TEMPLATE, side, 0.0, _PAPER)
        target = np.random.default_rng(0).uniform(0, 1, (2, 3, side, side)).astype(np.float32)
        export_checked(network, {"target": target}, ("swapped",), asdict(card), file)

    def _stacked(self, rows: NDArray[np.intp], device: torch.device) -> Batch:
        samples = [self._content(int(row)) for row in rows]
        return {
            key: torch.from_numpy(np.stack([one[key] for one in samples])).to(device)
            for key in samples[0]
        }

    def _embed(self, pictures: torch.Tensor) -> torch.Tensor:
        size = int(pictures.shape[-1])
        points = alignment.template_points(TEMPLATE, size)
        matrix = alignment.align_matrix(points, EMBEDDED, SIDE_PX)
        found: torch.Tensor = self._embedder.to(pictures.device)(
            cut(pictures.clamp(0, 1) * 2 - 1, matrix, SIDE_PX)
        )
        return found.float()

    @cached_property
    def _own(self) -> OwnFaces:
        return open_own(self.materials, self._settings.size_px, _LEAST_FACES)

    @cached_property
    def _target_rows(self) -> NDArray[np.intp]:
        """The target's faces that are learned from."""
        return self._own.of(TARGET, self._own.train)

    @cached_property
    def _style_rows(self) -> NDArray[np.intp]:
        """The source's photos that lend their style."""
        rows = self._own.of(SOURCE, self._own.train)
        return rows[np.unique(np.linspace(0, len(rows) - 1, _MOST_STYLES).round().astype(np.intp))]

    @cached_property
    @torch.no_grad()
    def _styles(self) -> tuple[torch.Tensor, ...]:
        """Their features at each layer of the style, in float16."""
        found = [
            [features[layer].half() for layer in _STYLE_LAYERS]
            for part in self._parts(self._style_rows)
            for features in [self._features(part)]
        ]
        return tuple(torch.cat(layer) for layer in zip(*found, strict=True))

    @cached_property
    @torch.no_grad()
    def _nearest(self) -> NDArray[np.int64]:
        """For each row of the target the styles whose landmarks are nearest: rows x K; of others
        zeros."""
        own = self._own
        rows = own.of(TARGET, own.every)
        reader = FurtherLosses(TEMPLATE, self.materials.teachers)
        styles, targets = (
            torch.cat([reader.points(part).flatten(1) for part in self._parts(some)])
            for some in (self._style_rows, rows)
        )
        count = min(_NEAREST, len(styles))
        found = np.zeros((len(own.people), count), np.int64)
        apart = torch.cdist(targets, styles)
        found[rows] = apart.topk(count, largest=False).indices.numpy()
        return found

    @cached_property
    @torch.no_grad()
    def _source_identity(self) -> torch.Tensor:
        """The source's mean identity, 512, of unit length."""
        mean = torch.cat([self._embed(part) for part in self._parts(self._style_rows)]).mean(0)
        return torch.nn.functional.normalize(mean, dim=0)

    def _parts(self, rows: NDArray[np.intp]) -> list[torch.Tensor]:
        """Pictures of rows, N x 3 x S x S, a few at a time."""
        return [
            _unit(torch.from_numpy(self._own.pictures(part, self._settings.size_px)))
            for part in np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE))
        ]

    @cached_property
    def _features(self) -> PictureFeatures:
        return PictureFeatures(self.materials.teachers).eval()

    @cached_property
    def _embedder(self) -> FrozenIdentity:
        return FrozenIdentity(read_embedded("identity")).requires_grad_(False).eval()


def _unit(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 N x S x S x 3 -> float32 N x 3 x S x S, 0..1."""
    return pixels.permute(0, 3, 1, 2).float() / 255
