"""The recipe of BlendFace: an identity encoder that looks at the inner face alone.

An encoder that was trained on photos also knows people by hair, color and the shape of the head,
which a swap is to leave as they are. Shown other heads with a person's inner face, and told that
it is that person, it unlearns them (Shiohara et al. 2023, "BlendFace", section 3). Published:
ArcFace iResNet-100 on MS1MV3, with the margin loss. Here: Sosie's own encoder goes on learning,
with the margin loss where people are known, and so that it says of a blended face what it said of
the source before it was blended; few people are no ground to tell all others by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from sosie.analysis.embedder import NUMBERS, SIDE_PX, TEMPLATE
from sosie.datasets.people import People, open_people
from sosie.errors import InputError
from sosie.methods.blendswap.blending import blended, nearest_in_shape
from sosie.models.cards import read_embedded
from sosie.nn.blocks import fast_precision, lay_channels_last, to_input
from sosie.recipes.identity.losses import margin_loss
from sosie.recipes.identity.network import (
    FrozenIdentity,
    IdentityNetwork,
    PixelIdentity,
    weights_in,
)
from sosie.recipes.identity.samples import NOBODY
from sosie.recipes.swapper.extra_losses import FurtherLosses
from sosie.recipes.swapper.model_file import LICENSE
from sosie.training.export import to_onnx
from sosie.training.recipe import PlainRecipe, Plan, require

NAME = "blendface"
_CANDIDATES = 16
"""Among so many faces of others the head is looked for."""
_VALIDATED, _AT_ONCE, _TO_START = 128, 32, 256


@dataclass(frozen=True)
class BlendFacePlan(Plan):
    """blended: share of the samples that are blended. people: weight of the margin loss. kept: of
    the distance from what the encoder said of the source before."""

    samples: int = 400_000
    batch: int = 64
    lr: float = 5e-4
    weight_decay: float = 5e-4
    validate_every: int = 20_000
    blended: float = 0.5
    people: float = 0.05
    kept: float = 10.0

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("people", "kept"), least=0)
        require(self, ("blended",), least=0, most=1)
        require(self, ("batch",), least=2)


_PUBLISHED = BlendFacePlan()


class Learner(nn.Module):
    """The encoder, and the mean numbers of each person that it is to tell apart."""

    def __init__(self, network: IdentityNetwork, people: torch.Tensor) -> None:
        super().__init__()
        self.network = network
        self.people = nn.Parameter(people)


class BlendFaceRecipe(PlainRecipe):
    """Blended pseudo-positives: whose inner face it is, whatever the head."""

    name: ClassVar[str] = NAME
    summary: ClassVar[str] = "BlendFace: tells people by their inner face, not by hair and color."
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces that are blended with one another",
        "sosie": "the encoder that goes on learning, and what it said of faces before",
        "sosie_landmarks": "where the inner face is, and whose head is turned alike",
    }
    plan: ClassVar[Plan] = _PUBLISHED
    presets: ClassVar[Mapping[str, Plan]] = {
        "112": _PUBLISHED,
        "small": replace(_PUBLISHED, samples=40_000, batch=32, ema=0.998, validate_every=4_000),
    }
    keeps_snapshot: ClassVar[bool] = True
    license: ClassVar[str] = LICENSE

    def prepare(self) -> None:
        self._points  # noqa: B018 - cuts the faces out, and reads their landmarks
        train, validation = self._rows
        for rows in (train, validation):
            if len(np.unique(self._people.people[rows])) < 2:
                raise InputError(
                    f"All faces in {self.materials.data} are of one person, and blending takes two "
                    f"at least: add others."
                )

    def network(self) -> nn.Module:
        network = IdentityNetwork()
        rows = self._rows[0]
        some = rows[:: max(1, len(rows) // _TO_START)][:_TO_START]
        pixels = torch.from_numpy(np.array(self._people.faces[some]))
        network.load_state_dict(weights_in(network, read_embedded("identity"), pixels))
        learner = Learner(network, self._prototypes)
        lay_channels_last(learner)
        return learner

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """source, face: uint8, 112 x 112 x 3: a face, and the same or what it was blended into.
        person: int64, the number of whom it shows, or NOBODY."""
        row = int(rng.choice(self._rows[0]))
        source = np.array(self._people.faces[row])
        face = source
        if rng.random() < cast(BlendFacePlan, self.chosen).blended:
            face = self._blended(row, self._rows[0], rng)
        if rng.random() < 0.5:
            source, face = source[:, ::-1].copy(), face[:, ::-1].copy()
        person = np.array(self._labels[row], np.int64)
        return {"source": source, "face": face, "person": person}

    def losses(
        self,
        network: nn.Module,
        batch: dict[str, torch.Tensor],
        progress: float,  # noqa: ARG002 - the contract
    ) -> dict[str, torch.Tensor]:
        learner, plan = cast(Learner, network), cast(BlendFacePlan, self.chosen)
        with fast_precision(batch["face"].device):
            numbers = learner.network(to_input(batch["face"]))
        numbers = numbers.float()
        with torch.no_grad():
            before = self._teacher.to(numbers.device)(to_input(batch["source"])).float()
        kept = (1 - functional.cosine_similarity(numbers, before)).mean()
        return {
            "kept": plan.kept * kept,
            "people": plan.people * margin_loss(numbers, learner.people, batch["person"]),
        }

    def validate(self, network: nn.Module) -> dict[str, float]:
        """On other people, of blended faces. source: cosine to whose inner face it is; head: to
        whose head it is; apart: of the two themselves. score: the first less the second."""
        embed = cast(Learner, network).network
        device = next(embed.parameters()).device
        rng, rows = np.random.default_rng(0), self._rows[1]
        chosen = rng.choice(rows, min(_VALIDATED, 4 * len(rows)))
        found = []
        for part in np.split(chosen, range(_AT_ONCE, len(chosen), _AT_ONCE)):
            heads = [self._head(int(row), rows, rng) for row in part]
            mixed = [
                self._blended_with(int(row), head, rng)
                for row, head in zip(part, heads, strict=True)
            ]
            faces = [self._people.faces[part], self._people.faces[heads], np.stack(mixed)]
            source, head, blend = (
                embed(to_input(torch.from_numpy(np.array(x)).to(device))).float() for x in faces
            )
            pairs = ((blend, source), (blend, head), (source, head))
            found.append(torch.stack([(a * b).sum(1) for a, b in pairs]))
        of_source, of_head, apart = torch.cat(found, 1).mean(1).tolist()
        return {
            "score": of_source - of_head,
            "source": of_source,
            "head": of_head,
            "apart": apart,
        }

    def export(self, network: nn.Module, file: Path) -> None:
        to_onnx(
            PixelIdentity(cast(Learner, network).network),
            torch.zeros(1, SIDE_PX, SIDE_PX, 3, dtype=torch.uint8),
            file,
            outputs=("identity",),
        )

    def _blended(
        self, row: int, rows: NDArray[np.intp], rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        return self._blended_with(row, self._head(row, rows, rng), rng)

    def _blended_with(self, row: int, head: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        faces, points = self._people.faces, self._points
        return blended(faces[row], points[row], faces[head], points[head], rng)

    def _head(self, row: int, rows: NDArray[np.intp], rng: np.random.Generator) -> int:
        """A face of somebody else whose landmarks are near to a face's."""
        people = self._people.people
        others = rng.choice(rows, _CANDIDATES)
        others = others[people[others] != people[row]]
        if not len(others):
            others = rows[people[rows] != people[row]]
        return nearest_in_shape(self._points, row, others)

    @cached_property
    def _people(self) -> People:
        materials = self.materials
        return open_people(materials.data, materials.cache, TEMPLATE, SIDE_PX, materials.workers)

    @cached_property
    def _rows(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """To learn from, and to validate on."""
        return self._people.split()

    @cached_property
    def _labels(self) -> NDArray[np.int64]:
        """For each face the number of its person, where several pictures are learned from."""
        people = self._people.people
        names, counts = np.unique(people[self._rows[0]], return_counts=True)
        numbers = {name: number for number, name in enumerate(names[counts > 1])}
        return np.array([numbers.get(name, NOBODY) for name in people], np.int64)

    @cached_property
    @torch.no_grad()
    def _points(self) -> NDArray[np.float32]:
        """The landmarks of all faces, N x 478 x 2, pixels of the aligned face."""
        reader = FurtherLosses(TEMPLATE, self.materials.teachers)
        matrix = torch.from_numpy(reader.square(SIDE_PX)).float()
        found = []
        for part in self._parts(np.arange(len(self._people.faces))):
            seen = reader.points(part.permute(0, 3, 1, 2).float() / 255)
            found.append((seen - matrix[:, 2]) @ torch.linalg.inv(matrix[:, :2]).T)
        return np.asarray(torch.cat(found).numpy(), np.float32)

    @cached_property
    @torch.no_grad()
    def _prototypes(self) -> torch.Tensor:
        """The mean of what the encoder said of each known person's photos: P x 512."""
        rows = self._rows[0][self._labels[self._rows[0]] != NOBODY]
        sums = torch.zeros(max(1, int(self._labels.max()) + 1), NUMBERS)
        for part, own in zip(self._parts(rows), self._cut(rows), strict=True):
            labels = torch.from_numpy(self._labels[own])
            sums.index_add_(0, labels, self._teacher.cpu()(to_input(part)).float())
        return functional.normalize(sums, dim=1)

    def _parts(self, rows: NDArray[np.intp]) -> list[torch.Tensor]:
        faces = self._people.faces
        return [torch.from_numpy(np.array(faces[part])) for part in self._cut(rows)]

    def _cut(self, rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        return [p for p in np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE)) if len(p)]

    @cached_property
    def _teacher(self) -> FrozenIdentity:
        return FrozenIdentity(read_embedded("identity")).requires_grad_(False).eval()
