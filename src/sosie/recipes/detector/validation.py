"""How good a detector is on the validation people's pictures: recall at a rate of false boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.analysis.detector import Candidates, merged, overlaps, read_cells
from sosie.recipes.detector.canvas import FACE, Canvas, found
from sosie.recipes.detector.scenes import Scenes

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
