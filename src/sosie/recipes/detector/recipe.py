"""The recipe of the detector: `sosie train detector`, and the figures that choose its snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.analysis.detector import OUTPUTS, Candidates, merged, overlaps, read_cells
from sosie.nn.blocks import fast_precision
from sosie.recipes.augmentation import degraded
from sosie.recipes.card import FACES
from sosie.recipes.detector.canvas import FACE, Canvas, found
from sosie.recipes.detector.losses import detector_losses
from sosie.recipes.detector.network import DetectorNetwork
from sosie.recipes.detector.pictures import PictureSet, open_hard_negatives, open_pictures
from sosie.recipes.detector.scenes import Scenes
from sosie.training.export import to_onnx, unmerged
from sosie.training.recipe import PlainRecipe, Plan

MAX_FALSE_BOXES = 0.01
"""False boxes a picture without faces at which recall is stated."""

_LOWEST_SCORE = 0.05
_PICTURES, _FACELESS, _BATCH = 400, 800, 16
_MIN_PX, _MIN_PX_SCENES = 32.0, 20.0


def threshold(scores: Sequence[float], pictures: int) -> float:
    """The score above which at most MAX_FALSE_BOXES of `pictures` without faces have a box.

    scores: of all boxes found in them.
    """
    allowed = int(MAX_FALSE_BOXES * pictures)
    ranked = sorted(scores, reverse=True)
    return ranked[allowed] if len(ranked) > allowed else _LOWEST_SCORE


def validation_figures(network: nn.Module, scenes: Scenes) -> dict[str, float]:
    """Recall of upright and turned faces of 32 px and more in whole pictures, and of those of
    20 px and more in made-up scenes; the score at which that was; and their mean as `score`."""
    false = [
        float(score)
        for _, answer in _answers(network, scenes.covered, _FACELESS)
        for score in answer.scores
    ]
    least = threshold(false, _FACELESS)
    figures = {"min_score": least}
    sets: dict[str, tuple[Callable[[np.random.Generator], Canvas], float]] = {
        "upright": (lambda rng: scenes.placed(rng, turned=False), _MIN_PX),
        "turned": (lambda rng: scenes.placed(rng, turned=True), _MIN_PX),
        "scenes": (scenes.scene, _MIN_PX_SCENES),
    }
    for name, (make, min_px) in sets.items():
        hits, total, off = 0, 0, 0.0
        for canvas, answer in _answers(network, make, _PICTURES):
            labels, kinds = canvas.labels()
            size = (labels.boxes[:, 2:] - labels.boxes[:, :2]).max(1, initial=0)
            own = labels.boxes[(kinds == FACE) & (size >= min_px)]
            seen = found(own, answer.boxes[answer.scores > least])
            hits, total = hits + int(seen.sum()), total + len(own)
            off += _misses(own, answer.boxes)
        figures[name] = hits / max(total, 1)
        figures[f"{name}_overlap"] = 1 - off / max(total, 1)
    figures["score"] = float(np.mean([figures[name] for name in sets]))
    return figures


def _misses(own: NDArray[np.float32], boxes: NDArray[np.float32]) -> float:
    """Sum over faces of one minus the best overlap."""
    if not len(own) or not len(boxes):
        return float(len(own))
    return float((1 - overlaps(own, boxes).max(1)).sum())


def _answers(
    network: nn.Module, make: Callable[[np.random.Generator], Canvas], count: int
) -> Iterator[tuple[Canvas, Candidates]]:
    """Canvases and what the network sees in them; the same canvases each time."""
    device = next(network.parameters()).device
    for start in range(0, count, _BATCH):
        rngs = [np.random.default_rng((7, row)) for row in range(start, min(start + _BATCH, count))]
        canvases = [make(rng) for rng in rngs]
        pixels = torch.from_numpy(np.stack([canvas.pixels for canvas in canvases])).to(device)
        grids = [grid.float().cpu().numpy() for grid in network(pixels)]
        for row, canvas in enumerate(canvases):
            cells = [grid[row] for grid in grids]
            yield canvas, merged(read_cells(cells, _LOWEST_SCORE))


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
        hard_negatives = open_hard_negatives(self.materials)
        return Scenes(self._pictures, validation=False, side=SIDE_PX, hard_negatives=hard_negatives)

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
