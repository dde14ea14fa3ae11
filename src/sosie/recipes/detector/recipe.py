"""The recipe of the detector: `sosie train detector`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.analysis.detector import OUTPUTS
from sosie.recipes.card import FACES
from sosie.recipes.detector.canvas import Canvas
from sosie.recipes.detector.hard_negatives import open_mistaken
from sosie.recipes.detector.losses import detector_losses
from sosie.recipes.detector.network import DetectorNetwork
from sosie.recipes.detector.pictures import PictureSet, open_pictures
from sosie.recipes.detector.scenes import Scenes
from sosie.recipes.detector.textures import degraded
from sosie.recipes.detector.validation import validation_figures
from sosie.training.export import to_onnx
from sosie.training.precision import fast_precision
from sosie.training.recipe import PlainRecipe, Plan
from sosie.training.unfuse import unmerged

SIDE_PX = 320
"""Side of a training scene."""

MAX_FACES = 48


class DetectorRecipe(PlainRecipe):
    """Faces at any tilt, learnt from YuNet's labels in composed scenes."""

    name: ClassVar[str] = "detector"
    summary: ClassVar[str] = "Finds the faces of a frame, at any tilt: boxes, five points, scores."
    origins: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(FACES, "faces and what surrounds them"),
        "scikit-image": "pictures without faces",
        "yunet": "boxes and points of all faces",
    }
    plan: ClassVar[Plan] = Plan(
        samples=160_000, batch=8, lr=1.5e-3, weight_decay=0.02, clip=10.0, validate_every=40_000
    )

    @cached_property
    def _pictures(self) -> PictureSet:
        return open_pictures(self.materials)

    @cached_property
    def _scenes(self) -> Scenes:
        mistaken = open_mistaken(self.materials)
        return Scenes(self._pictures, validation=False, side=SIDE_PX, mistaken=mistaken)

    def prepare(self) -> None:
        _ = self._scenes

    def network(self) -> nn.Module:
        return DetectorNetwork()

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """pixels: uint8, SIDE_PX x SIDE_PX x 3. boxes: float32, MAX_FACES x 4. points5: MAX_FACES
        x 5 x 2. kinds: int64, MAX_FACES: `canvas.FACE`, UNSURE or 0."""
        del index
        canvas = self._scenes.scene(rng)
        return {"pixels": degraded(canvas.pixels, rng), **padded(canvas)}

    def losses(
        self, network: nn.Module, batch: dict[str, torch.Tensor], progress: float
    ) -> dict[str, torch.Tensor]:
        del progress
        pixels = batch["pixels"]
        with fast_precision(pixels.device):
            answers = network(pixels)
        grids = [grid.float() for grid in answers]
        return detector_losses(grids, batch["boxes"], batch["points5"], batch["kinds"])

    def validate(self, network: nn.Module) -> dict[str, float]:
        scenes = Scenes(self._pictures, validation=True, side=SIDE_PX)
        return validation_figures(network, scenes)

    def export(self, network: nn.Module, file: Path) -> None:
        example = torch.zeros(1, 384, 640, 3, dtype=torch.uint8)
        to_onnx(network, example, file, outputs=OUTPUTS, free_axes=(0, 1, 2), storage="int8")

    def weights_from(self, file: Path) -> dict[str, torch.Tensor]:
        samples = [self.sample(k, np.random.default_rng((11, k)))["pixels"] for k in range(32)]
        return unmerged(DetectorNetwork(), file, torch.from_numpy(np.stack(samples)))


def padded(canvas: Canvas) -> dict[str, NDArray[Any]]:
    """The labels of a canvas in arrays of MAX_FACES rows; of more faces the largest are taken."""
    labels, kinds = canvas.labels()
    size = (labels.boxes[:, 2:] - labels.boxes[:, :2]).max(1, initial=0)
    rows = np.argsort(-size, kind="stable")[:MAX_FACES]
    boxes = np.zeros((MAX_FACES, 4), np.float32)
    points = np.zeros((MAX_FACES, 5, 2), np.float32)
    kept = np.zeros(MAX_FACES, np.int64)
    boxes[: len(rows)], points[: len(rows)] = labels.boxes[rows], labels.points5[rows]
    kept[: len(rows)] = kinds[rows]
    return {"boxes": boxes, "points5": points, "kinds": kept}
