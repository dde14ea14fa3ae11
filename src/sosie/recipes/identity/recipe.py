"""The recipe of the identity network: 512 numbers that tell people apart."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.analysis.embedder import SIDE_PX
from sosie.nn.blocks import fast_precision, lay_channels_last, to_input
from sosie.recipes.face_cache import FaceSet, open_faces
from sosie.recipes.identity import samples
from sosie.recipes.identity.losses import IdentityLearner, identity_losses
from sosie.recipes.identity.measures import verification
from sosie.recipes.identity.network import IdentityNetwork, PixelIdentity, weights_in
from sosie.recipes.identity.teachers import Answers, IdentityTeachers, open_answers, unit
from sosie.training.data_loader import Shuffled
from sosie.training.export import to_onnx
from sosie.training.recipe import PlainRecipe, Plan

# Faces that the landmark teacher reads differently in the mirror may be aligned badly.
_MAX_DISAGREEMENT = 0.12
_VALIDATION_DRAWS = 4
_BATCH = 64
# Among how many faces another is looked for whose head is turned alike, for a morph of both.
_CANDIDATES = 12
# Faces from which a weight file's batch norms get statistics again.
_FACES_TO_START = 256


class IdentityRecipe(PlainRecipe):
    """Distils two teachers into one small network, and has it tell the labeled people apart."""

    name: ClassVar[str] = "identity"
    summary: ClassVar[str] = "Describes an aligned face by 512 numbers that tell people apart."
    origins: ClassVar[Mapping[str, str]] = {
        "lfw": "faces of the training people",
        "celeba": "faces of the training people",
        "youtube": "faces of the training people",
        "ffhq": "faces",
        "stylegan2": "faces",
        "portraits": "faces",
        "mobileface": "numbers and stages that the network learns to compute",
        "dlib": "numbers that the network learns to compute",
        "face_landmarker": "alignment of the faces",
        "yunet": "finding the faces",
    }
    plan: ClassVar[Plan] = Plan(
        samples=400_000, batch=64, lr=2e-3, weight_decay=0.05, validate_every=25_000
    )

    def prepare(self) -> None:
        self._answers  # noqa: B018 - asks the teachers, unless they were asked before

    def network(self) -> nn.Module:
        targets, labels = self._targets, self._labels
        prototypes = torch.zeros(labels.max() + 1, targets.shape[1])
        rows = self._rows[labels[self._rows] != samples.NOBODY]
        prototypes.index_add_(0, torch.from_numpy(labels[rows]), torch.from_numpy(targets[rows]))
        learner = IdentityLearner(IdentityNetwork(), unit(prototypes))
        lay_channels_last(learner)
        return learner

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        rows, faces = self._rows, self._faces
        row = self._order[index]
        other = self._turned_alike(row, rows[rng.integers(len(rows), size=_CANDIDATES)])
        return samples.make_sample(
            faces.crops[row],
            faces.landmarks[row],
            int(self._labels[row]),
            (faces.crops[other], faces.landmarks[other]),
            rng,
        )

    def losses(
        self, network: nn.Module, batch: dict[str, torch.Tensor], progress: float
    ) -> dict[str, torch.Tensor]:
        learner, faces = cast(IdentityLearner, network), batch["face"]
        teachers = self._teachers.to(faces.device)
        with fast_precision(faces.device):
            first, second, stages = teachers.answers(faces, batch["chip"])
            numbers, guesses = learner(to_input(faces))
        return identity_losses(
            learner,
            numbers.float(),
            [guess.float() for guess in guesses],
            teachers.joined(first.float(), second.float()),
            [stage.float() for stage in stages],
            batch["person"],
            progress,
        )

    def validate(self, network: nn.Module) -> dict[str, float]:
        embed = cast(IdentityLearner, network).network
        device = next(embed.parameters()).device
        rows, found = self._validation_rows, []
        for start in range(0, len(rows), _BATCH):
            faces = [self._aligned(int(row)) for row in rows[start : start + _BATCH]]
            pixels = torch.from_numpy(np.stack(faces)).to(device)
            with fast_precision(device):
                both = embed(to_input(pixels)) + embed(to_input(pixels.flip(2)))
            found.append(unit(both.float()).cpu().numpy())
        numbers, people = np.concatenate(found), self._faces.people[rows]
        targets = self._targets[rows]
        agreement = (numbers[:, : targets.shape[1]] * targets).sum(1).mean()
        figures = verification(numbers, people, _VALIDATION_DRAWS)
        return {
            "score": figures.distance,
            "agreement": float(agreement),
            "accuracy": figures.accuracy,
            "true_accepts": figures.true_accepts,
        }

    def export(self, network: nn.Module, file: Path) -> None:
        to_onnx(
            PixelIdentity(cast(IdentityLearner, network).network),
            torch.zeros(1, SIDE_PX, SIDE_PX, 3, dtype=torch.uint8),
            file,
            outputs=("identity",),
            storage="int8",
        )

    def weights_from(self, file: Path) -> dict[str, torch.Tensor]:
        rows = self._rows[:: max(1, len(self._rows) // _FACES_TO_START)][:_FACES_TO_START]
        pixels = torch.from_numpy(np.stack([self._aligned(int(row)) for row in rows]))
        found = weights_in(IdentityNetwork(), file, pixels)
        return {f"network.{name}": value for name, value in found.items()}

    @cached_property
    def _faces(self) -> FaceSet:
        return open_faces(self.materials)

    @cached_property
    def _answers(self) -> Answers:
        return open_answers(self.materials, self._faces)

    @cached_property
    def _teachers(self) -> IdentityTeachers:
        mean = self._answers.dlib_mean(self._faces.train)
        return IdentityTeachers(self.materials.teachers, mean)

    @cached_property
    def _targets(self) -> NDArray[np.float32]:
        """What the teachers say of each face undisturbed, N x 384."""
        return self._answers.joined(self._teachers)

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        """The rows of the cache that are learned from."""
        faces = self._faces
        return np.flatnonzero(faces.train & (faces.agreement < _MAX_DISAGREEMENT))

    @cached_property
    def _order(self) -> Shuffled:
        return Shuffled(self._rows)

    @cached_property
    def _labels(self) -> NDArray[np.int64]:
        """For each face the number of its person, where several pictures are learned from."""
        people = self._faces.people
        names, counts = np.unique(people[self._rows], return_counts=True)
        numbers = {name: number for number, name in enumerate(names[counts > 1])}
        return np.array([numbers.get(name, samples.NOBODY) for name in people], np.int64)

    @cached_property
    def _validation_rows(self) -> NDArray[np.intp]:
        """The validation people's faces, of those groups whose people have several."""
        faces = self._faces
        return np.flatnonzero(faces.validation & np.isin(faces.groups, ("lfw", "celeba")))

    def _turned_alike(self, row: int, others: NDArray[np.intp]) -> int:
        """The one of some other faces whose head is turned most like a face's."""
        turned = self._faces.rotation[:, :, 2]
        return int(others[np.argmax(turned[others] @ turned[row])])

    def _aligned(self, row: int) -> samples.Pixels:
        return samples.aligned(self._faces.crops[row], self._faces.landmarks[row])[0]
