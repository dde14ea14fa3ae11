"""The recipe of the visibility network: which pixels of a square show the face itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.analysis.landmarker import SIDE_PX
from sosie.analysis.topology import region_of
from sosie.nn.blocks import lay_channels_last
from sosie.training.analysis.visibility import samples
from sosie.training.analysis.visibility.labels import FaceLabels, open_labels
from sosie.training.analysis.visibility.losses import overlap, visibility_losses
from sosie.training.analysis.visibility.network import ExportedVisibility, VisibilityNetwork
from sosie.training.analysis.visibility.sprites import Library, open_library
from sosie.training.card import FACES
from sosie.training.export import to_onnx
from sosie.training.faces import FaceSet, open_faces
from sosie.training.precision import fast_precision
from sosie.training.recipe import PlainRecipe, Plan

FIRST_ROUND = "visibility-first.onnx"
"""In the cache folder: where this file lies, the labels are its sure answers (a second round)."""

# Faces that the landmark teacher reads differently in the mirror have no sure outline; those with
# more doubtful pixels than this teach little.
_MAX_DISAGREEMENT, _MAX_DOUBT = 0.06, 0.5
_SPRITES = 4000
# So many of the validation people's clearest faces, each once bare and once behind things.
_VALIDATION_FACES, _CLEAR = 256, 0.05
_BATCH = 32


class VisibilityRecipe(PlainRecipe):
    """Learns from composites: what was laid over a face is known to hide it."""

    name: ClassVar[str] = "visibility"
    summary: ClassVar[str] = "Tells which pixels show a face itself and not what is in front of it."
    origins: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(FACES, "faces, and pieces of photos to hide them with"),
        "yunet": "found the faces",
        "face_landmarker": "gave the outlines of the faces",
    }
    plan: ClassVar[Plan] = Plan(
        samples=280_000, batch=64, lr=3e-3, weight_decay=0.02, ema=0.998, validate_every=28_000
    )

    def prepare(self) -> None:
        _ = self._labels, self._library

    def network(self) -> nn.Module:
        network = VisibilityNetwork()
        lay_channels_last(network)
        return network

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        del index  # its random numbers choose the face
        return samples.make_sample(self._face(int(rng.choice(self._rows))), self._library, rng)

    def losses(
        self, network: nn.Module, batch: dict[str, torch.Tensor], progress: float
    ) -> dict[str, torch.Tensor]:
        del progress
        pixels = batch["pixels"]
        with fast_precision(pixels.device):
            logits = network(pixels)[:, 0]
        return visibility_losses(logits.float(), batch["target"] / 255, batch["weight"] / 255)

    def validate(self, network: nn.Module) -> dict[str, float]:
        kept = self._validation
        bare = _mean_overlap(network, kept.bare, kept.face)
        behind = _mean_overlap(network, kept.covered, kept.seen)
        return {"bare": bare, "behind": behind, "score": (bare + behind) / 2}

    def export(self, network: nn.Module, file: Path) -> None:
        to_onnx(
            ExportedVisibility(network),
            torch.zeros(1, SIDE_PX, SIDE_PX, 3, dtype=torch.uint8),
            file,
            outputs=("visible",),
        )

    @cached_property
    def _faces(self) -> FaceSet:
        return open_faces(self.materials)

    @cached_property
    def _labels(self) -> FaceLabels:
        first = self.materials.cache / FIRST_ROUND
        return open_labels(self.materials, self._faces, first if first.exists() else None)

    @cached_property
    def _library(self) -> Library:
        return open_library(self.materials, self._faces, _SPRITES)

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        """The rows of the cache that are learned from."""
        faces = self._faces
        readable = faces.agreement < _MAX_DISAGREEMENT
        return np.flatnonzero(faces.train & readable & (self._labels.doubt < _MAX_DOUBT))

    @cached_property
    def _validation(self) -> _Validation:
        faces, labels = self._faces, self._labels
        rows = np.flatnonzero(faces.validation & (faces.agreement < _MAX_DISAGREEMENT))
        rows = rows[np.argsort(labels.doubt[rows], kind="stable")][:_VALIDATION_FACES]
        rows = rows[labels.doubt[rows] < _CLEAR]
        scenes: dict[str, list[NDArray[np.uint8]]] = {
            key: [] for key in ("bare", "face", "covered", "seen")
        }
        for row in rows:
            rng = np.random.default_rng((3, int(row)))
            face = self._face(int(row))
            scene = samples.cut(face, region_of(face.landmarks))
            scenes["bare"].append(scene.pixels)
            scenes["face"].append(scene.target)
            for _ in range(int(rng.integers(1, 3))):
                samples.add_thing(scene, face.crop, self._library, rng)
            scenes["covered"].append(scene.pixels)
            scenes["seen"].append(scene.target)
        stacked = {key: np.stack(values) for key, values in scenes.items()}
        return _Validation(**stacked)

    def _face(self, row: int) -> samples.KnownFace:
        faces, labels = self._faces, self._labels
        return samples.KnownFace(
            faces.crops[row],
            faces.landmarks[row],
            labels.outlines[row],
            labels.visible[row],
            labels.trust[row],
        )


@dataclass(frozen=True)
class _Validation:
    """bare, covered: pixels, uint8, N x SIDE_PX x SIDE_PX x 3. face, seen: what is seen of the face
    there, uint8, N x SIDE_PX x SIDE_PX."""

    bare: NDArray[np.uint8]
    face: NDArray[np.uint8]
    covered: NDArray[np.uint8]
    seen: NDArray[np.uint8]


def _mean_overlap(
    network: nn.Module, pixels: NDArray[np.uint8], targets: NDArray[np.uint8]
) -> float:
    """Mean intersection over union of the network's answers and the targets."""
    device = next(network.parameters()).device
    found = []
    for start in range(0, len(pixels), _BATCH):
        shown = torch.from_numpy(pixels[start : start + _BATCH]).to(device)
        found.append((network(shown)[:, 0] > 0).cpu().numpy())
    return float(overlap(np.concatenate(found), targets > 127).mean())
