"""The recipe of the parser: what each pixel of a square shows of a face and before it."""

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

from sosie.analysis.parser import SIDE_PX
from sosie.geometry.head_pose import region_of
from sosie.nn.blocks import lay_channels_last
from sosie.recipes.card import FACES
from sosie.recipes.face_cache import open_faces
from sosie.recipes.occlusion.occluder_library import Library, open_library
from sosie.recipes.parser import samples
from sosie.recipes.parser.labels import PLANES, LabeledFaces, open_labeled
from sosie.recipes.parser.losses import TRUTH, overlap, parser_losses
from sosie.recipes.parser.network import CLASSES, ExportedParser, ParserNetwork
from sosie.training.export import to_onnx
from sosie.training.precision import fast_precision
from sosie.training.recipe import PlainRecipe, Plan
from sosie.training.unfuse import unmerged

_SPRITES = 1500
# A face of whose crop this share is a hat, or hair, can lend it.
_LENT = {"hair": 0.06, "hat": 0.03}
# Who wears spectacles or a hat, or has hair over the face, is shown so often more.
_OFTENER = {"spectacles": (0.008, 4.0), "hat": (0.02, 3.0)}
# Small and alike, these are shown less; photos that people have labeled, more.
_GROUPS = {"youtube": 0.5, "lfw": 0.7, "celeba": 1.0, "hires": 2.0, "celebamask": 4.0}
_VALIDATION_FACES = 192
# Of the samples this share, the first, is shown at this side: that takes less than half of the time
# and teaches nearly as much; rims and strands are learned at the end.
_SMALL_SHARE, _SMALL_PX = 0.6, 128
_BATCH = 16


class ParserRecipe(PlainRecipe):
    """Learns from what two teachers and people say of photos, and from composites."""

    name: ClassVar[str] = "parser"
    summary: ClassVar[str] = (
        "Tells of each pixel of a face's square how much of it is skin, hair, spectacles, a hat, "
        "something else before the face, or beyond it."
    )
    origins: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(FACES, "faces, hair, hats and pieces of photos to hide them with"),
        "celebamask": "faces and labels of their parts",
        "yunet": "found the faces",
        "face_landmarker": "gave the outlines of the faces",
        "bisenet": "gave labels of the faces' parts",
        "hair": "gave the share of hair at the edge of hair",
    }
    plan: ClassVar[Plan] = Plan(
        samples=220_000, batch=32, lr=2e-3, weight_decay=0.02, ema=0.998, validate_every=20_000
    )

    def prepare(self) -> None:
        _ = self._faces, self._library, self._donors

    def network(self) -> nn.Module:
        network = ParserNetwork()
        lay_channels_last(network)
        return network

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        row = int(np.searchsorted(self._chances, rng.random()))
        face = self._face(int(self._rows[row]))
        sample = samples.make_sample(face, self._library, self._donors, rng)
        plan = self.chosen
        small = index // plan.batch < _SMALL_SHARE * plan.samples / plan.batch
        return samples.reduced(sample, _SMALL_PX) if small else sample

    def losses(
        self, network: nn.Module, batch: dict[str, torch.Tensor], progress: float
    ) -> dict[str, torch.Tensor]:
        del progress
        pixels = batch["pixels"]
        with fast_precision(pixels.device):
            logits = network(pixels)
        shares = (batch[name].float() / 255 for name in ("truth", "glass", "near"))
        return parser_losses(logits.float(), *shares)

    def validate(self, network: nn.Module) -> dict[str, float]:
        kept = self._validation
        bare, behind = _answers(network, kept.bare), _answers(network, kept.covered)
        figures = {
            "spectacles": _told(bare, kept.bare_truth, ("frame", "lens", "frame/lens")),
            "hair": _told(bare, kept.bare_truth, ("hair",)),
            "frames": _told(behind, kept.covered_truth, ("frame",)),
            "seen": float(
                overlap(
                    (behind[:, 0] > 127) & (kept.face > 127),
                    (kept.covered_truth[:, 0] > 127) & (kept.face > 127),
                ).mean()
            ),
        }
        return {**figures, "score": float(np.mean(list(figures.values())))}

    def export(self, network: nn.Module, file: Path) -> None:
        to_onnx(
            ExportedParser(network),
            torch.zeros(1, SIDE_PX, SIDE_PX, 3, dtype=torch.uint8),
            file,
            outputs=("parts",),
            storage="int8",
        )

    def weights_from(self, file: Path) -> dict[str, torch.Tensor]:
        seen = [self.sample(k, np.random.default_rng((1, k)))["pixels"] for k in range(32)]
        return unmerged(self.network(), file, torch.from_numpy(np.stack(seen)))

    @cached_property
    def _faces(self) -> LabeledFaces:
        return open_labeled(self.materials)

    @cached_property
    def _library(self) -> Library:
        return open_library(self.materials, open_faces(self.materials), _SPRITES)

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        """The rows of the labeled faces that are learned from."""
        return np.flatnonzero(self._faces.train)

    @cached_property
    def _areas(self) -> NDArray[np.float64]:
        """The share of each crop that is each of PLANES: N x 4."""
        planes = self._faces.planes
        means = [planes[row][::4, ::4].mean((0, 1)) for row in range(len(planes))]
        return np.asarray(np.stack(means) / 255)

    @cached_property
    def _chances(self) -> NDArray[np.float64]:
        """The chance of each of `_rows` to be shown, summed up."""
        faces = self._faces
        chances = np.array([_GROUPS[str(group)] for group in faces.groups])
        for part, (least, factor) in _OFTENER.items():
            chances[self._areas[:, PLANES.index(part)] > least] *= factor
        sums = np.cumsum(chances[self._rows])
        return np.asarray(sums / sums[-1] * (1 - 1e-12))

    @cached_property
    def _donors(self) -> samples.Donors:
        faces = self._faces
        rows = {
            part: np.flatnonzero(faces.train & (self._areas[:, PLANES.index(part)] > least))
            for part, least in _LENT.items()
        }
        return samples.Donors((faces.crops, faces.planes, faces.landmarks), rows)

    def _face(self, row: int) -> samples.KnownFace:
        faces = self._faces
        return samples.KnownFace(
            np.array(faces.crops[row]), np.array(faces.planes[row]), faces.landmarks[row]
        )

    @cached_property
    def _validation(self) -> _Validation:
        faces = self._faces
        rows = np.flatnonzero(faces.validation)
        # Those who wear spectacles first, people's labels before a teacher's.
        worn = self._areas[rows, PLANES.index("spectacles")] > _OFTENER["spectacles"][0]
        order = np.lexsort((faces.groups[rows] != "celebamask", ~worn))
        half = rows[order][: _VALIDATION_FACES // 2]
        others = rows[order][_VALIDATION_FACES // 2 :]
        others = np.random.default_rng(7).permutation(others)[: _VALIDATION_FACES // 2]
        kept: dict[str, list[NDArray[np.uint8]]] = {
            key: [] for key in ("bare", "bare_truth", "covered", "covered_truth", "face")
        }
        for row in np.concatenate([half, others]):
            rng = np.random.default_rng((3, int(row)))
            face = self._face(int(row))
            scene = samples.cut(face, region_of(face.landmarks))
            kept["bare"].append(scene.pixels)
            kept["bare_truth"].append(scene.truth.copy())
            for _ in range(int(rng.integers(1, 3))):
                samples.add_something(scene, face.crop, self._library, self._donors, rng)
            kept["covered"].append(scene.pixels)
            kept["covered_truth"].append(scene.truth)
            kept["face"].append(scene.face)
        return _Validation(**{key: np.stack(values) for key, values in kept.items()})


@dataclass(frozen=True)
class _Validation:
    """bare, covered: pixels, uint8, N x SIDE_PX x SIDE_PX x 3. bare_truth, covered_truth: uint8,
    N x len(TRUTH) x SIDE_PX x SIDE_PX. face: the surface, uint8, N x SIDE_PX x SIDE_PX."""

    bare: NDArray[np.uint8]
    bare_truth: NDArray[np.uint8]
    covered: NDArray[np.uint8]
    covered_truth: NDArray[np.uint8]
    face: NDArray[np.uint8]


def _answers(network: nn.Module, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The network's shares of CLASSES, uint8, N x 7 x SIDE_PX x SIDE_PX."""
    device = next(network.parameters()).device
    found = []
    for start in range(0, len(pixels), _BATCH):
        shown = torch.from_numpy(pixels[start : start + _BATCH]).to(device)
        shares = torch.softmax(network(shown)[:, : len(CLASSES)].float(), 1)
        found.append((shares * 255).round().to(torch.uint8).cpu().numpy())
    return np.concatenate(found)


def _told(found: NDArray[np.uint8], truth: NDArray[np.uint8], names: tuple[str, ...]) -> float:
    """Intersection over union of some classes together, over all pixels of the pictures."""
    own = [CLASSES.index(name) for name in names if name in CLASSES]
    wanted = truth[:, [TRUTH.index(name) for name in names]].sum(1, dtype=np.uint16) > 127
    seen = found[:, own].sum(1, dtype=np.uint16) > 127
    return float((seen & wanted).sum() / max(int((seen | wanted).sum()), 1))
