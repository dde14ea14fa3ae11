"""The recipe of the network `expression`: frames and photos of the training people, whose
expression was lost on the way onto another frame, or onto another face.

Where both are of one person in one video the other frame is the answer. Across people nobody knows
it: the target's expression is asked for, and the face that was there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.analysis import landmarker
from sosie.analysis.analyzer import make_face
from sosie.blending.pixel_math import mixed
from sosie.geometry import alignment, head_pose
from sosie.methods.base import Source
from sosie.methods.graft import alter, samples
from sosie.methods.graft.retarget import retarget
from sosie.methods.graft.samples import CachedFace
from sosie.methods.graft.source_texture import prepare_photo
from sosie.methods.graft.store import SwapFaces, open_swap_faces
from sosie.methods.graft.view import as_unit, draft
from sosie.nn.blocks import fast_precision, lay_channels_last
from sosie.recipes.card import FACES
from sosie.recipes.likeness import Judges, aligned_matrix, described, identified
from sosie.reenactment.expression.losses import Made, expression_losses, read
from sosie.reenactment.expression.network import ExportedExpression, ExpressionNetwork, applied
from sosie.reenactment.expression.view import CHANNELS, SIDE_PX, shown_to_network
from sosie.training.data_loader import Shuffled
from sosie.training.export import to_onnx, unmerged, weights_of
from sosie.training.recipe import Phase, Plan, Recipe

# Group whose pictures of one person are frames of one video, in one light.
_FRAMES = "youtube"
_SHARP = ("celeba", "hires")
# Share of the samples with a known answer; of all, how many lack some of the target's expression,
# and how much of it at most; how many are misread.
_KNOWN, _LACKING, _MOST_LACK, _MISREAD = 0.35, 0.6, 0.7, 0.5
_VALIDATION, _BATCH = 96, 16
# What lost likeness (a cosine) weighs against the share of the distance that is left.
_OF_LIKENESS = 8.0

Tensors = dict[str, torch.Tensor]


class ExpressionRecipe(Recipe):
    """Learns to give a swapped face the target's expression, and to leave it whose it is."""

    name: ClassVar[str] = "expression"
    summary: ClassVar[str] = "Gives a swapped face the expression of its target."
    origins: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(FACES, "faces and frames of the training people"),
        "yunet": "found the faces",
        "face_landmarker": "gave the landmarks of the faces",
        "sosie_landmarks": "reads the expressions",
        "sosie": "that a face stays whose it is",
        "dlib": "that a face stays whose it is",
        "squeezenet": "perceptual distance from the known answer",
        "lpips": "weights of that distance",
    }
    plan: ClassVar[Plan] = Plan(
        samples=16_000,
        batch=8,
        lr=1e-3,
        weight_decay=0.01,
        warmup=0.02,
        ema=0.99,
        validate_every=1_500,
    )

    def prepare(self) -> None:
        _ = self._order, self._rows_of

    def network(self) -> nn.Module:
        network = ExpressionNetwork()
        lay_channels_last(network)
        return network

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        target = self._order[index]
        known = rng.random() < _KNOWN
        if known:
            target = int(rng.choice(self._frames))
            source = int(rng.choice(self._others_of(target)))
        else:
            source = target
            while self._faces.people[source] == self._faces.people[target]:
                source = int(rng.choice(self._sources))
        return make_sample(self._face(source), self._face(target), known, rng)

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("", self._losses),)

    def _losses(self, network: nn.Module, batch: Tensors, progress: float) -> Tensors:
        del progress
        made = self._made(network, batch)
        return expression_losses(made, batch, self._judges.to(made.result.device))

    def _made(self, network: nn.Module, batch: Tensors) -> Made:
        judges = self._judges.to(batch["shown"].device)
        given = batch["shown"].permute(0, 3, 1, 2).float() / 255
        target = batch["target"].permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            has, wanted = (
                read(pictures, batch["looked"], judges.landmarks)[2]
                for pictures in (given[:, :3], target)
            )
        with fast_precision(given.device):
            flow = network(batch["shown"], has, wanted)
        result = applied(batch["shown"], flow)
        return Made(given[:, :3], given[:, 3:4], target, result, flow.float(), has, wanted)

    def validate(self, network: nn.Module) -> dict[str, float]:
        device = next(network.parameters()).device
        judges = self._judges.to(device)
        before, after, same, same_by_dlib = [], [], [], []
        for batch in self._validation:
            there = {name: value.to(device) for name, value in batch.items()}
            made = self._made(network, there)
            found = read(made.result, there["looked"], judges.landmarks)[2]
            before.append((made.has - made.wanted).norm(dim=1))
            after.append((found - made.wanted).norm(dim=1))
            ours, given = (
                identified(pictures, there["aligned"], judges.identity)
                for pictures in (made.result, made.given)
            )
            same.append((ours * given).sum(1))
            ours, given = (
                described(pictures, there["aligned"], judges.dlib)
                for pictures in (made.result, made.given)
            )
            same_by_dlib.append((ours * given).sum(1))
        left = float(torch.cat(after).mean() / torch.cat(before).mean())
        figures = {
            "distance left": left,
            "likeness kept": float(torch.cat(same).mean()),
            "likeness kept, by dlib": float(torch.cat(same_by_dlib).mean()),
        }
        figures["score"] = -left - _OF_LIKENESS * (1 - figures["likeness kept"])
        return figures

    def export(self, network: nn.Module, file: Path) -> None:
        none = torch.zeros(1, 52)
        inputs = {
            "shown": torch.zeros(1, SIDE_PX, SIDE_PX, len(CHANNELS), dtype=torch.uint8),
            "has": none,
            "wanted": none,
        }
        to_onnx(ExportedExpression(network), inputs, file, outputs=("flow",))

    def weights_from(self, file: Path) -> Tensors:
        network = ExportedExpression(self.network())
        own = network.state_dict()
        stored = {name: value for name, value in weights_of(file).items() if name in own}
        network.load_state_dict(stored, strict=False)
        made = [self.sample(k, np.random.default_rng((1, k)))["shown"] for k in range(_BATCH)]
        shown = torch.from_numpy(np.stack(made))
        told = torch.rand(2, len(made), 52, generator=torch.Generator().manual_seed(0))
        found = unmerged(network, file, shown, *told)
        return {name.removeprefix("network."): value for name, value in found.items()}

    @cached_property
    def _faces(self) -> SwapFaces:
        return open_swap_faces(self.materials)

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        return np.flatnonzero(~self._faces.validation)

    @cached_property
    def _order(self) -> Shuffled:
        return Shuffled(self._rows)

    @cached_property
    def _sources(self) -> NDArray[np.intp]:
        return self._rows[np.isin(self._faces.groups[self._rows], _SHARP)]

    @cached_property
    def _rows_of(self) -> dict[str, NDArray[np.intp]]:
        """The frames of each person who has more than one."""
        rows = self._rows[self._faces.groups[self._rows] == _FRAMES]
        people = self._faces.people[rows]
        found = {str(name): rows[people == name] for name in np.unique(people)}
        return {name: own for name, own in found.items() if len(own) > 1}

    @cached_property
    def _frames(self) -> NDArray[np.intp]:
        return np.concatenate(list(self._rows_of.values()))

    def _others_of(self, row: int) -> NDArray[np.intp]:
        own = self._rows_of[str(self._faces.people[row])]
        return np.asarray(own[own != row])

    @cached_property
    def _judges(self) -> Judges:
        return Judges.opened(self.materials.teachers)

    @cached_property
    def _validation(self) -> list[Tensors]:
        """Batches across validation people, with no expression taken away: what a swap lacks."""
        rng = np.random.default_rng(5)
        held = np.flatnonzero(self._faces.validation)
        sharp = held[np.isin(self._faces.groups[held], _SHARP)]
        made: list[dict[str, NDArray[Any]]] = []
        while len(made) < _VALIDATION:
            source, target = int(rng.choice(sharp)), int(rng.choice(held))
            if self._faces.people[source] != self._faces.people[target]:
                made.append(make_sample(self._face(source), self._face(target), False, None))
        parts = [made[start : start + _BATCH] for start in range(0, len(made), _BATCH)]
        return [
            {key: torch.from_numpy(np.stack([one[key] for one in part])) for key in part[0]}
            for part in parts
        ]

    def _face(self, row: int) -> CachedFace:
        faces = self._faces
        return CachedFace(np.asarray(faces.crops[row]), faces.landmarks[row], faces.views[row])


def make_sample(
    source: CachedFace, target: CachedFace, known: bool, rng: np.random.Generator | None
) -> dict[str, NDArray[Any]]:
    """A source's face on a target as geometry makes it.

    known: whether both are one person in one light, so that the target is the answer. rng: None
    takes both as they are, with all of the target's expression that geometry brings.

    shown: uint8, SIDE_PX squared x CHANNELS. target: uint8, SIDE_PX squared x 3. known: bool.
    aligned, looked: float32, 2 x 3: from the identity and from the landmark network's crop to the
    square. moved: float32, 478 x 3: from the target's landmarks to those that the face is to have,
    in pixels of the landmark network's crop.
    """
    if rng is not None and rng.random() < 0.5:
        source, target = source.mirrored(), target.mirrored()
    there = samples.in_square(target, rng, SIDE_PX)
    landmarks, shape, lack = source.landmarks, 1.0, 0.0
    if rng is not None:
        shape = float(rng.uniform(0.7, 1))
        lack = float(rng.uniform(0, _MOST_LACK)) if rng.random() < _LACKING else 0.0
        if rng.random() < _MISREAD:
            landmarks = alter.misread(landmarks, rng)
    if known:
        shape = 0.0
    photo = prepare_photo(Source(source.crop, make_face(landmarks, 1.0), source.visible()))
    points = retarget(photo.landmarks, there.landmarks, there.landmarks, shape, lack)
    aim = points if not lack else retarget(photo.landmarks, there.landmarks, there.landmarks, shape)
    seen = samples.as_window(there.pixels, there.landmarks)
    made = draft(photo, seen, there.landmarks, points, there.visible, expression=lack)
    pixels = mixed(as_unit(there.pixels), made.base, made.shown)
    looks = landmarker.square_matrix(head_pose.region_of(there.landmarks))
    moved = alignment.transform_points(aim, looks)
    moved = moved - alignment.transform_points(there.landmarks, looks)
    return {
        "shown": shown_to_network(pixels, made.shown, made.own, points, np.eye(2, 3)),
        "target": there.pixels,
        "known": np.array(known),
        "aligned": aligned_matrix(there.landmarks),
        "looked": alignment.invert(looks).astype(np.float32),
        "moved": moved.astype(np.float32),
    }
