"""The recipe of FSGAN's segmentation: background, face and hair, by the labels of Sosie's parser.

The published network learned the hand-drawn labels of CelebAMask-HQ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from sosie.errors import UsageError
from sosie.geometry.face_types import BOX
from sosie.methods.fsgan.network import SegmentationNetwork
from sosie.methods.fsgan.recipe import PAPER, FsganPlan, as_pictures
from sosie.methods.fsgan.samples import FACE, Faces, open_faces
from sosie.nn.blocks import fast_precision, lay_channels_last
from sosie.recipes.swapper.model_file import LICENSE, SwapperCard, export_checked
from sosie.training.log import grid
from sosie.training.recipe import Materials, Phase, Plan, Recipe

Batch = dict[str, torch.Tensor]

_VALIDATED, _PREVIEWED = 64, 6
_TURN_DEG, _LARGER, _JITTER, _BLUR_PX = 30.0, 1.3, 0.5, 1.5
_COLORS = np.array([[0, 0, 0], [230, 180, 150], [90, 60, 160]], np.uint8)
"""Of the labels, in a preview."""

_PUBLISHED = FsganPlan(
    samples=115_200_000,
    batch=48,
    lr=1e-4,
    validate_every=960_000,
    width=64,
    half_until=0.0,
)


class SegmentationRecipe(Recipe):
    """Cross-entropy on turned, cut, blurred pictures in other colors."""

    name: ClassVar[str] = "fsgan_segmentation"
    summary: ClassVar[str] = "FSGAN: tells background, face and hair apart."
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces that are segmented",
        "sosie_landmarks": "where each face is",
        "sosie_parser": "what of each picture is face and hair",
    }
    plan: ClassVar[FsganPlan] = _PUBLISHED
    presets: ClassVar[Mapping[str, FsganPlan]] = {
        "published": _PUBLISHED,
        "small": replace(
            _PUBLISHED,
            samples=16_000,
            batch=16,
            lr=1e-3,
            ema=0.99,
            validate_every=3_200,
            size_px=64,
            width=8,
        ),
    }
    keeps_snapshot: ClassVar[bool] = True
    license: ClassVar[str] = LICENSE

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self._settings = cast(FsganPlan, self.chosen)
        self._faces: Faces | None = None

    @classmethod
    def plan_with(cls, plan: Plan, settings: Mapping[str, str]) -> Plan:
        weights = ("pixel", "identity", "attribute", "adversarial")
        for name in ("warmup", "most", "flat", "critic", "half_until", "finetune", *weights):
            if name in settings:
                raise UsageError(f"{cls.name} has no use for {name}: leave it out.")
        return super().plan_with(plan, settings)

    def prepare(self) -> None:
        self._split()

    def network(self) -> nn.Module:
        network = SegmentationNetwork(self._settings.width)
        lay_channels_last(network)
        return network

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """face: uint8, S x S x 3. labels: int64, S x S."""
        faces, row = self._open(), int(rng.choice(self._split()[0]))
        face, labels = altered(faces.people.faces[row], faces.labels[row], rng)
        return {"face": face, "labels": labels.astype(np.int64)}

    def phases(self) -> tuple[Phase, ...]:
        betas, pace = (0.5, 0.999), self._settings.pace
        return (Phase("", self._losses, betas=betas, decoupled=False, pace=pace),)

    def _losses(self, network: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:  # noqa: ARG002
        pictures = as_pictures(batch["face"])
        with fast_precision(pictures.device):
            scores = network(pictures)
        return {"labels": functional.cross_entropy(scores.float(), batch["labels"])}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """face: intersection over union of the face, on people who were held out."""
        faces, rows = self._open(), self._split()[1][:_VALIDATED]
        found = self._labels(network, rows) == FACE
        told = faces.labels[rows] == FACE
        union = int((found | told).sum())
        share = float((found & told).sum()) / max(union, 1)
        return {"score": share, "face": share}

    def preview(self, network: nn.Module) -> NDArray[np.uint8]:
        """Rows of a face, what it was labeled, and what is found."""
        faces, rows = self._open(), self._split()[1][:_PREVIEWED]
        found = self._labels(network, rows)
        return grid(
            [
                [faces.people.faces[row], _COLORS[faces.labels[row]], _COLORS[found[k]]]
                for k, row in enumerate(rows)
            ]
        )

    def _labels(self, network: nn.Module, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        device = next(network.parameters()).device
        crops = torch.from_numpy(np.array(self._open().people.faces[rows])).to(device)
        found: NDArray[np.intp] = network(as_pictures(crops)).argmax(1).cpu().numpy()
        return found

    def export(self, network: nn.Module, file: Path) -> None:
        """The network as `sosie swap --method fsgan` runs it."""
        side = self._settings.size_px
        picture = np.random.default_rng(0).uniform(-1, 1, (2, 3, side, side)).astype(np.float32)
        told = asdict(SwapperCard("fsgan", BOX, side, -1.0, PAPER)) | {"stage": "segmentation"}
        export_checked(network, {"picture": picture}, ("scores",), told, file)

    def weights_of_published(
        self, name: str, weights: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        if name != "fsgan_segmentation_unet_v2":
            return super().weights_of_published(name, weights)
        return dict(weights)

    def _open(self) -> Faces:
        if self._faces is None:
            materials = self.materials
            self._faces = open_faces(
                materials.data, materials.cache, self._settings.size_px, materials.workers
            )
        return self._faces

    def _split(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return self._open().people.split()


def altered(
    face: NDArray[np.uint8], labels: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A face (S x S x 3) and its labels, turned, nearer, mirrored, in other colors and blurred."""
    side = len(face)
    middle = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D(
        (middle, middle), float(rng.uniform(-_TURN_DEG, _TURN_DEG)), float(rng.uniform(1, _LARGER))
    )
    if rng.random() < 0.5:
        matrix[0] = (0, 0, side - 1) - matrix[0]
    size = (side, side)
    face_ = cv2.warpAffine(face, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    labels_ = cv2.warpAffine(labels, matrix, size, flags=cv2.INTER_NEAREST)
    values = face_.astype(np.float32) * rng.uniform(1 - _JITTER, 1 + _JITTER)
    gray = values.mean(2, keepdims=True)
    values = gray + (values - gray) * np.float32(rng.uniform(1 - _JITTER, 1 + _JITTER))
    contrast = np.float32(rng.uniform(1 - _JITTER, 1 + _JITTER))
    values = gray.mean() + (values - gray.mean()) * contrast
    blur = float(rng.uniform(0, _BLUR_PX)) * side / 256
    if rng.random() < 0.5 and blur > 0.1:
        values = cv2.GaussianBlur(values, (0, 0), blur)
    return np.asarray(np.clip(values, 0, 255), np.uint8), np.asarray(labels_, np.uint8)
