"""The recipe of the network `swap`: pairs, altered selves and crosses of the training people."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.geometry import head_pose
from sosie.methods.graft import samples
from sosie.methods.graft.losses import (
    corrected,
    graft_losses,
    judge_losses,
    light_difference,
    misread,
    seam,
)
from sosie.methods.graft.network import ExportedGraft, GraftLearner
from sosie.methods.graft.samples import CROSS, PAIR, SELF, CachedFace
from sosie.methods.graft.store import SwapFaces, open_swap_faces
from sosie.methods.graft.view import CHANNELS, SIDE_PX
from sosie.nn.blocks import lay_channels_last
from sosie.recipes.card import FACES
from sosie.recipes.face_cache import open_faces
from sosie.recipes.identity.teachers import IDENTITY_FILE
from sosie.recipes.likeness import Judges, aligned_matrix, describe_all, identified
from sosie.recipes.occluders.library import Library, open_library
from sosie.recipes.teachers import teacher_file
from sosie.recipes.teachers_onnx import OnnxModule
from sosie.training.data_loader import Shuffled
from sosie.training.export import to_onnx, unmerged
from sosie.training.recipe import Phase, Plan, Recipe

# Shares of the samples by kind; of the sources of a cross, those from the sharper groups.
_SHARES = {PAIR: 0.50, SELF: 0.15, CROSS: 0.35}
_SHARP = ("celeba", "hires")
# How often a group's faces come up as targets: LFW has the most, and the smallest.
_REPEATS = {"celeba": 3, "hires": 4, "youtube": 2, "lfw": 1}
_FEW = 4
_SPRITES = 4000
_VALIDATION = {CROSS: 64, PAIR: 32}
_BATCH = 16
# Share of the plan's rate by which the judge of swaps and photos learns.
_JUDGE_RATE = 0.5
# How much of a score is likeness, and how much is lost for light that differs (in 0..1), a seam,
# another expression and, where the answer is known, a perceptual distance and a color that differs.
_OF_LIKENESS, _OF_LIGHT, _OF_SEAM, _OF_EXPRESSION = 2.0, 2.0, 1.0, 0.5
_OF_PERCEPTUAL, _OF_COLOR = 3.0, 4.0

Tensors = dict[str, torch.Tensor]


class SwapRecipe(Recipe):
    """Learns to correct a face that geometry has carried over."""

    name: ClassVar[str] = "swap"
    summary: ClassVar[str] = "Corrects light and gaps of a face that was carried onto another."
    origins: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(FACES, "faces of the training people"),
        "yunet": "found the faces",
        "face_landmarker": "gave the landmarks of the faces",
        "dlib": "likeness of the swaps to their sources",
        "mobileface": "chose the best snapshot by likeness",
        "squeezenet": "perceptual distance from the known answer",
        "lpips": "weights of that distance",
    }
    plan: ClassVar[Plan] = Plan(
        samples=200_000,
        batch=8,
        lr=1e-3,
        weight_decay=0.01,
        warmup=0.01,
        ema=0.998,
        validate_every=5_000,
    )

    def prepare(self) -> None:
        # Before the loop starts processes, which then have it too.
        _ = self._turns, self._library, self._dlib

    def network(self) -> nn.Module:
        learner = GraftLearner()
        lay_channels_last(learner)
        return learner

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        target = self._order[index]
        kind = int(rng.choice(list(_SHARES), p=list(_SHARES.values())))
        others = self._rows_of[str(self._faces.people[target])]
        if kind == PAIR and len(others) < 2:
            kind = SELF
        source = target
        if kind == PAIR:
            source = self._another(others[others != target], target, rng)
        while kind == CROSS and self._faces.people[source] == self._faces.people[target]:
            source = int(rng.choice(self._sources))
        made = samples.make_sample(kind, self._face(source), self._face(target), self._library, rng)
        return made | self._identities(source, target)

    def _another(self, rows: NDArray[np.intp], target: int, rng: np.random.Generator) -> int:
        """One of a person's other photos: every other time that of a few whose head is turned most
        differently, since most photos are alike."""
        few = rng.choice(rows, _FEW if rng.random() < 0.5 else 1)
        apart = np.abs(self._turns[few] - self._turns[target]).sum(1)
        return int(few[np.argmax(apart)])

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("", self._graft, ("generator",)),
            Phase("judge", self._judge, ("judge",), rate=_JUDGE_RATE, betas=(0.5, 0.99)),
        )

    def _graft(self, network: nn.Module, batch: Tensors, progress: float) -> Tensors:
        del progress
        learner = cast(GraftLearner, network)
        made = corrected(learner.generator, batch)
        # The judge, whose turn is next, sees what has just been made.
        batch["made"] = made.joined.detach()
        judges = self._judges.to(made.target.device)
        return graft_losses(made, batch, judges, learner.judge)

    def _judge(self, network: nn.Module, batch: Tensors, progress: float) -> Tensors:
        del progress
        target = batch["target"].permute(0, 3, 1, 2).float() / 255
        return judge_losses(batch["made"], target, cast(GraftLearner, network).judge)

    def validate(self, network: nn.Module) -> dict[str, float]:
        device = next(network.parameters()).device
        judges = self._judges.to(device)
        found: dict[str, list[torch.Tensor]] = {
            key: []
            for key in ("likeness", "light", "seam", "expression", "places", "perceptual", "color")
        }
        for batch in self._validation:
            there = {name: value.to(device) for name, value in batch.items()}
            made = corrected(cast(GraftLearner, network).generator, there)
            if bool(made.cross.all()):
                found["light"].append(light_difference(made))
                found["seam"].append(seam(made))
                ours = identified(made.joined, made.aligned, self._mobile.to(device), False)
                found["likeness"].append((ours * there["source"]).sum(1))
                expression, places = misread(made, there, judges.landmarks)
                found["expression"].append(expression)
                found["places"].append(places)
            else:
                area = made.face.mean((1, 2, 3)).clamp_min(0.01)
                joined = made.joined.clamp(0, 1)
                found["color"].append((joined - made.target).abs().mean((1, 2, 3)) / area)
                found["perceptual"].append(judges.perceptual(joined, made.target))
        figures = {name: float(torch.cat(values).mean()) for name, values in found.items()}
        figures["score"] = (
            _OF_LIKENESS * figures["likeness"]
            - _OF_LIGHT * figures["light"]
            - _OF_SEAM * figures["seam"]
            - _OF_EXPRESSION * figures["expression"]
            - _OF_PERCEPTUAL * figures["perceptual"]
            - _OF_COLOR * figures["color"]
        )
        return figures

    def export(self, network: nn.Module, file: Path) -> None:
        to_onnx(
            ExportedGraft(cast(GraftLearner, network).generator),
            torch.zeros(1, SIDE_PX, SIDE_PX, len(CHANNELS), dtype=torch.uint8),
            file,
            outputs=("light", "detail"),
        )

    def weights_from(self, file: Path) -> Tensors:
        generator = cast(GraftLearner, self.network()).generator
        seen = [self.sample(k, np.random.default_rng((1, k)))["shown"] for k in range(_BATCH)]
        found = unmerged(generator, file, torch.from_numpy(np.stack(seen)))
        return {f"generator.{name}": value for name, value in found.items()}

    @cached_property
    def _faces(self) -> SwapFaces:
        return open_swap_faces(self.materials)

    @cached_property
    def _library(self) -> Library:
        return open_library(self.materials, open_faces(self.materials), _SPRITES)

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        return np.flatnonzero(~self._faces.validation)

    @cached_property
    def _order(self) -> Shuffled:
        repeats = [_REPEATS[str(group)] for group in self._faces.groups[self._rows]]
        return Shuffled(np.repeat(self._rows, repeats))

    @cached_property
    def _turns(self) -> NDArray[np.float64]:
        """Yaw and pitch of each face in degrees, N x 2."""
        poses = [head_pose.head_pose(points) for points in self._faces.landmarks]
        return np.array([(pose.yaw, pose.pitch) for pose in poses])

    @cached_property
    def _sources(self) -> NDArray[np.intp]:
        return self._rows[np.isin(self._faces.groups[self._rows], _SHARP)]

    @cached_property
    def _rows_of(self) -> dict[str, NDArray[np.intp]]:
        return _by_person(self._faces.people, self._rows)

    @cached_property
    def _anchors(self) -> dict[str, NDArray[np.float32]]:
        """The mean identity of each training person, of unit length."""
        means = {who: self._faces.identity[rows].mean(0) for who, rows in self._rows_of.items()}
        return {who: np.asarray(m / np.linalg.norm(m), np.float32) for who, m in means.items()}

    @cached_property
    def _judges(self) -> Judges:
        return Judges.opened(self.materials.teachers)

    @cached_property
    def _mobile(self) -> OnnxModule:
        """An identity network that is no loss, for validation alone."""
        file = teacher_file(self.materials.teachers, IDENTITY_FILE)
        return OnnxModule(file, ("fc5_bn",)).requires_grad_(False).eval()

    @cached_property
    def _dlib(self) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
        """Of each person among the sources the mean of dlib's numbers, less the mean of all; and
        that mean, which tells nobody from anybody."""
        faces, rows = self._faces, self._sources
        numbers = describe_all(
            [faces.crops[row] for row in rows], list(faces.landmarks[rows]), self._judges.dlib
        )
        middle = numbers.mean(0)
        places = _by_person(faces.people[rows], np.arange(len(rows)))
        return {who: numbers[at].mean(0) - middle for who, at in places.items()}, middle

    @cached_property
    def _validation(self) -> list[dict[str, torch.Tensor]]:
        """Batches of one kind each: crosses with their sources' `dlib` numbers, and pairs."""
        rng = np.random.default_rng(5)
        held = np.flatnonzero(self._faces.validation)
        sharp = held[np.isin(self._faces.groups[held], _SHARP)]
        by_person = _by_person(self._faces.people, held)
        batches: list[dict[str, torch.Tensor]] = []
        for kind, count in _VALIDATION.items():
            rows: list[tuple[int, int]] = []
            while len(rows) < count:
                source, target = int(rng.choice(sharp)), int(rng.choice(held))
                who, whom = self._faces.people[source], self._faces.people[target]
                if kind == PAIR:
                    target = int(rng.choice(by_person[str(who)]))
                if source != target and (kind == PAIR or who != whom):
                    rows.append((source, target))
            parts = [rows[start : start + _BATCH] for start in range(0, count, _BATCH)]
            batches += [self._plain_batch(kind, part) for part in parts]
        return batches

    def _plain_batch(self, kind: int, rows: list[tuple[int, int]]) -> dict[str, torch.Tensor]:
        made = [samples.plain_sample(kind, self._face(s), self._face(t)) for s, t in rows]
        batch = {k: torch.from_numpy(np.stack([one[k] for one in made])) for k in made[0]}
        if kind == CROSS:
            pictures = torch.from_numpy(np.stack([self._face(s).crop for s, _ in rows]))
            aligned = np.stack([aligned_matrix(self._faces.landmarks[s]) for s, _ in rows])
            shown = pictures.permute(0, 3, 1, 2).float() / 255
            batch["source"] = identified(shown, torch.from_numpy(aligned), self._mobile, False)
        return batch

    def _identities(self, source: int, target: int) -> dict[str, NDArray[Any]]:
        who, whom = (str(self._faces.people[row]) for row in (source, target))
        by_dlib, middle = self._dlib
        return {
            "source_identity": self._anchors[who],
            "target_identity": self._anchors[whom],
            # Only sources of crosses are asked for.
            "source_dlib": by_dlib.get(who, np.zeros_like(middle)),
            "dlib_mean": middle,
        }

    def _face(self, row: int) -> CachedFace:
        faces = self._faces
        return CachedFace(np.asarray(faces.crops[row]), faces.landmarks[row], faces.views[row])


def _by_person(people: NDArray[np.str_], rows: NDArray[np.intp]) -> dict[str, NDArray[np.intp]]:
    """The rows of each person, of those given."""
    order = rows[np.argsort(people[rows], kind="stable")]
    names, starts = np.unique(people[order], return_index=True)
    parts = np.split(order, starts[1:])
    return {str(name): part for name, part in zip(names, parts, strict=True)}
