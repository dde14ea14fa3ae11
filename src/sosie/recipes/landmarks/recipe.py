"""The recipe of the landmark network: 478 points, presence and expression of one face."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.analysis.landmarker import EXPRESSIONS, SIDE_PX, Readings, square_matrix
from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.geometry.head_pose import MIRROR, region_of
from sosie.nn.blocks import fast_precision, lay_channels_last, to_input
from sosie.recipes.card import FACES
from sosie.recipes.detector.pictures import HardNegatives, open_hard_negatives
from sosie.recipes.face_cache import FaceSet, open_faces
from sosie.recipes.landmarks import samples
from sosie.recipes.landmarks.losses import landmark_losses
from sosie.recipes.landmarks.measures import validate
from sosie.recipes.landmarks.network import LandmarkNetwork, PixelLandmarks, from_pixels
from sosie.recipes.teachers import mirrored_names
from sosie.training.data_loader import Shuffled
from sosie.training.export import to_onnx, unmerged, weights_of
from sosie.training.recipe import PlainRecipe, Plan

_DIRECTIONS = 64
# Faces whose labels in the picture and in its mirror image are further apart, in eye distances, are
# not learned from: one of the two is wrong.
_MAX_DISAGREEMENT = 0.08
_MAX_SHAPES = 12_000
_VALIDATION_FACES = 600


class LandmarkRecipe(PlainRecipe):
    """Distils the landmark teacher into a small network that reads a square in one pass."""

    name: ClassVar[str] = "landmarks"
    summary: ClassVar[str] = (
        "Reads a face: 478 points with depth, its presence, 52 expression weights."
    )
    origins: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(FACES, "faces to be read, and what the detector takes for faces"),
        "scikit-image": "pictures without faces",
        "yunet": "found the faces",
        "face_landmarker": "gave points and expression weights",
    }
    plan: ClassVar[Plan] = Plan(samples=600_000, batch=64, lr=2e-3)

    def prepare(self) -> None:
        faces = self._faces
        if faces.expression_names != EXPRESSIONS:
            raise InputError(
                "The teacher's expression weights are not those of sosie.analysis.landmarker: "
                "use the face_landmarker.task that the project names."
            )
        _ = self._hard_negatives

    def network(self) -> nn.Module:
        mean, basis = _principal_shapes(
            self._faces.landmarks[self._rows[:_MAX_SHAPES]], np.random.default_rng(0)
        )
        network = LandmarkNetwork(torch.from_numpy(mean), torch.from_numpy(basis))
        lay_channels_last(network)
        return network

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        face = self._face(self._order[index])
        other = self._face(int(self._rows[rng.integers(len(self._rows))]))
        if rng.random() < 0.5:
            face = face.mirrored(self._expression_mirror)
        hard_negative = self._hard_negatives.place(int(rng.integers(len(self._hard_negatives))))
        return samples.make_sample(face, other, rng, hard_negative)

    def losses(
        self, network: nn.Module, batch: dict[str, torch.Tensor], progress: float
    ) -> dict[str, torch.Tensor]:
        pixels = to_input(batch["pixels"])
        with fast_precision(pixels.device):
            answer = network(pixels)
        return landmark_losses(
            answer,
            from_pixels(batch["points"]),
            batch["expression"],
            batch["presence"],
            batch["readable"],
            progress,
        )

    def validate(self, network: nn.Module) -> dict[str, float]:
        reader = PixelLandmarks(cast(LandmarkNetwork, network))
        device = next(network.parameters()).device

        def read(squares: NDArray[np.uint8]) -> Readings:
            points, presence, expression = reader(torch.from_numpy(squares).to(device))
            found = (points, presence.sigmoid(), expression)
            return Readings(*(value.cpu().numpy() for value in found))

        return validate(read, [self._face(int(row)) for row in self._validation_rows])

    def export(self, network: nn.Module, file: Path) -> None:
        to_onnx(
            PixelLandmarks(cast(LandmarkNetwork, network)),
            torch.zeros(1, SIDE_PX, SIDE_PX, 3, dtype=torch.uint8),
            file,
            outputs=("points", "presence", "expression"),
            storage="int8",
        )

    def weights_from(self, file: Path) -> dict[str, torch.Tensor]:
        network = PixelLandmarks(cast(LandmarkNetwork, self.network()))
        own = network.state_dict()
        stored = {name: value for name, value in weights_of(file).items() if name in own}
        network.load_state_dict(stored, strict=False)
        seen = [self.sample(k, np.random.default_rng((1, k)))["pixels"] for k in range(32)]
        found = unmerged(network, file, torch.from_numpy(np.stack(seen)))
        return {name.removeprefix("network."): value for name, value in found.items()}

    @cached_property
    def _faces(self) -> FaceSet:
        return open_faces(self.materials)

    @cached_property
    def _hard_negatives(self) -> HardNegatives:
        return open_hard_negatives(self.materials)

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        """The rows of the cache that are learned from."""
        faces = self._faces
        return np.flatnonzero(faces.train & (faces.agreement < _MAX_DISAGREEMENT))

    @cached_property
    def _order(self) -> Shuffled:
        return Shuffled(self._rows)

    @cached_property
    def _validation_rows(self) -> NDArray[np.intp]:
        """A fixed choice of the validation people's faces."""
        rows = np.flatnonzero(self._faces.validation)
        return np.random.default_rng(0).permutation(rows)[:_VALIDATION_FACES]

    @cached_property
    def _expression_mirror(self) -> NDArray[np.intp]:
        return mirrored_names(EXPRESSIONS)

    def _face(self, row: int) -> samples.LabeledFace:
        faces = self._faces
        return samples.LabeledFace(faces.crops[row], faces.landmarks[row], faces.expression[row])


def _principal_shapes(
    landmarks: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean (478 x 3) and _DIRECTIONS principal directions (K x 1434) of the meshes (N x 478 x 3) in
    squares as training lays them, in the network's unit; each as long as its standard deviation.
    """
    shapes = np.empty((len(landmarks), landmarks[0].size))
    for shape, points in zip(shapes, landmarks, strict=True):
        if rng.random() < 0.5:
            points = points[MIRROR] * (-1, 1, 1)
        matrix = square_matrix(samples.laid(region_of(points), rng)[0])
        moved = torch.from_numpy(alignment.transform_points(points, matrix))
        shape[:] = from_pixels(moved).numpy().ravel()
    mean = shapes.mean(0)
    spread, directions = np.linalg.eigh(np.cov(shapes.T))
    chosen = np.argsort(-spread)[:_DIRECTIONS]
    basis = directions[:, chosen].T * np.sqrt(spread[chosen])[:, None]
    return mean.reshape(-1, 3).astype(np.float32), basis.astype(np.float32)
