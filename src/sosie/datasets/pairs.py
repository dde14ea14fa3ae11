"""Pairs of a source and a target: who is given whose face, and how often it is one's own."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Pair:
    """Rows of a source and a target. same: they show one person. self_made: they are one photo,
    where the method wants two and the person has no other: `other_self` makes another of it."""

    source: int
    target: int
    same: bool
    self_made: bool


class Pairs:
    """Draws pairs with a share `same` that show one person.

    people: name of the person in each row. rows: those to draw from. same: SimSwap 0.5, GHOST 0.2,
    FaceShifter 0.2 (its paper; public code of it has 0.8). same_photo: such a pair is one photo
    twice (FaceShifter) and not two photos of one person (SimSwap, GHOST).
    Raises InputError where there is nobody to swap with and `same` is below 1.
    """

    def __init__(
        self,
        people: NDArray[np.str_],
        rows: NDArray[np.intp],
        same: float,
        same_photo: bool = False,
    ) -> None:
        self._rows, self._same, self._same_photo = rows, same, same_photo
        _, self._person = np.unique(people, return_inverse=True)
        order = rows[np.argsort(self._person[rows], kind="stable")]
        starts = np.flatnonzero(np.diff(self._person[order], prepend=-1))
        groups = np.split(order, starts[1:])
        self._of = {int(self._person[group[0]]): group for group in groups if len(group)}
        if same < 1 and len(self._of) < 2:
            raise InputError(
                f"All {len(rows)} faces are of one person, and to learn swapping takes at least "
                f"two: add a folder with somebody else, or fine-tune a trained network with "
                f"--finetune."
            )

    def draw(self, rng: np.random.Generator) -> Pair:
        """A pair. Every face is as often the target as any other."""
        target = int(rng.choice(self._rows))
        own = self._of[int(self._person[target])]
        if rng.random() < self._same:
            others = own[own != target]
            if self._same_photo or not len(others):
                return Pair(target, target, True, not self._same_photo)
            return Pair(int(rng.choice(others)), target, True, False)
        while True:
            source = int(rng.choice(self._rows))
            if self._person[source] != self._person[target]:
                return Pair(source, target, False, False)


def other_self(face: Pixels, rng: np.random.Generator) -> Pixels:
    """Another photo of the person in an aligned face, as far as one photo can be made into it:
    mirrored, turned a little, nearer or further, bent, in another light.

    RGB uint8, S x S x 3. What a network must not copy (place, light) differs, the person stays.
    """
    side = face.shape[0]
    angle, scale = rng.normal(0, 5), float(np.exp(rng.normal(0, 0.06)))
    center = ((side - 1) / 2, (side - 1) / 2)
    matrix = np.asarray(cv2.getRotationMatrix2D(center, float(angle), scale), np.float64)
    matrix[:, 2] += rng.normal(0, 0.02 * side, 2)
    if rng.random() < 0.5:
        face = np.ascontiguousarray(face[:, ::-1])
    turned = cv2.warpAffine(face, matrix, (side, side), borderMode=cv2.BORDER_REFLECT)
    coarse = rng.normal(0, 0.012 * side, (4, 4, 2)).astype(np.float32)
    field = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    bent = cv2.remap(
        turned, x + field[..., 0], y + field[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT
    )
    return relit(np.asarray(bent, np.uint8), rng)


def relit(face: Pixels, rng: np.random.Generator, amount: float = 0.2) -> Pixels:
    """The face in another light: brightness, contrast and the three colors by up to `amount`."""
    gain = 1 + rng.uniform(-amount, amount) + rng.uniform(-amount, amount, 3) / 4
    values = face.astype(np.float32)
    middle = values.mean()
    contrast = 1 + rng.uniform(-amount, amount)
    changed = ((values - middle) * contrast + middle) * gain.astype(np.float32)
    return np.asarray(np.clip(np.rint(changed), 0, 255), np.uint8)


def occluded(face: Pixels, other: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """A thing put in front of an aligned face, as HEAR learns from (Li et al. 2020, "FaceShifter",
    section 3.2): the picture, and the mask of the thing, uint8, S x S, 255 where it is.

    other: any other picture of the size, whose middle lends texture. The thing is a blob, a bar (a
    hand, an arm, a microphone) or two thin lines (glasses, strands), of texture or of one color.
    """
    side = face.shape[0]
    mask = np.zeros((side, side), np.uint8)
    place = rng.integers(side // 8, side - side // 8, 2)
    kind = rng.random()
    if kind < 0.4:
        axes = rng.uniform(0.06, 0.22, 2) * side
        angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        reach = rng.uniform(0.7, 1.2, 16)[:, None]
        blob = place + np.column_stack([np.cos(angles), np.sin(angles)]) * axes * reach
        cv2.fillPoly(mask, [np.rint(blob).astype(np.int32)], (255,))
    else:
        edge = rng.integers(0, side, 2)
        edge[rng.integers(2)] = side - 1 if rng.random() < 0.5 else 0
        widths = [rng.uniform(0.06, 0.16)] if kind < 0.75 else [0.025, 0.025]
        for width in widths:
            shift = rng.integers(-side // 10, side // 10 + 1, 2) if len(widths) > 1 else 0
            ends = [tuple(int(v) for v in point + shift) for point in (place, edge)]
            cv2.line(mask, ends[0], ends[1], (255,), max(1, round(width * side)), cv2.LINE_AA)
    if rng.random() < 0.5:
        skin = face[side // 2, side // 2].astype(np.float32)
        color = skin * rng.uniform(0.5, 1.3) if rng.random() < 0.5 else rng.uniform(0, 255, 3)
        filling = np.clip(color + rng.normal(0, 6, face.shape), 0, 255).astype(np.uint8)
    else:
        filling = np.roll(other, tuple(rng.integers(0, side, 2)), (0, 1))
    share = mask[..., None].astype(np.float32) / 255
    mixed = face * (1 - share) + filling * share
    return np.asarray(np.rint(mixed), np.uint8), mask
