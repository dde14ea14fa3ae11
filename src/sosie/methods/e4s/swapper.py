"""Method `e4s` at work: the source brought into the target's pose, both told apart into regions,
and a picture painted by a map of regions of both and by how each of them looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.analyzer import to_8_bit
from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.geometry.close_up import close_up
from sosie.geometry.head_pose import five_points
from sosie.methods.base import (
    Card,
    Source,
    as_signed,
    as_unit,
    grown_mask,
    nearest_pose,
    soft_edge,
)
from sosie.methods.e4s.regions import (
    REGIONS,
    RegionReader,
    changed,
    goes_beyond,
    meant,
    one_hot,
    recomposed,
    taken,
)
from sosie.methods.movers import mesh_mover
from sosie.methods.parts import licenses_of
from sosie.methods.weights import trained_file
from sosie.models.session import Session
from sosie.options import SwapOptions
from sosie.types import Crop, FloatArray, Pose, SwappedCrop

TEMPLATE = "ffhq"

INPUTS = ("source", "source_regions", "target", "target_regions", "regions", "taken")
OUTPUTS = ("swapped",)
"""Of the graph; see `network.SwapGraph`."""

_HOW = (
    "train some with `sosie train stylegan2` and `sosie train e4s`, or import published ones with "
    "`sosie weights import e4s FILE`, and name them with --weights, as RUN/snapshot.safetensors"
)

# Towards the crop's edge the swapped face gives way to the target over this share of its side; the
# mask of some regions is grown and softened by such a share.
_EDGE, _GROWN, _SOFT = 0.04, 0.012, 0.012
# What is kept of a photo around its face, as a share of its size: more than the crop shows. And how
# large the face is at most, as a share of the crop's side.
_AROUND, _LARGEST = 0.9, 0.8


@dataclass(frozen=True)
class Prepared:
    """One source photo. state: of the mover."""

    state: Any
    pose: Pose


class E4sSwapper:
    """Of the options it uses `weights`, `region`, `provider` and `threads`.

    Raises UsageError where there are no weights, or options that belong to other methods;
    InputError where a file is not what it should be.
    """

    def __init__(self, options: SwapOptions) -> None:
        self._file, self._session, _ = trained_file("e4s", _HOW, options)
        self._size_px, self._map_px = _sizes(self._file, self._session)
        self._reader = RegionReader(options.provider)
        self._mover = mesh_mover()
        self._choices = options.regions()
        self.providers: Mapping[str, str] = {
            "e4s": self._session.provider,
            "parser": self._reader.provider,
        }
        self.card = Card(
            name="e4s",
            summary="swaps the look and the shape of a face region by region",
            license=licenses_of([self._session]),
            paper="Liu et al. 2023, Fine-Grained Face Swapping via Regional GAN Inversion",
            template=TEMPLATE,
            size_px=self._size_px,
            drafts=0,
        )

    def prepare(self, sources: Sequence[Source]) -> tuple[Prepared, ...]:
        """Each photo, ready to be moved."""
        return tuple(
            Prepared(self._mover.start(near(one, _LARGEST * self._size_px)), one.face.pose)
            for one in sources
        )

    def choose(self, prepared: Sequence[Prepared], crop: Crop, before: int | None = None) -> int:
        """Which source photo is nearest to the target's head pose."""
        return nearest_pose([one.pose for one in prepared], crop.face.pose, before)

    def swap(self, prepared: Sequence[Prepared], crops: Sequence[Crop]) -> list[SwappedCrop]:
        """One run a crop: each layer is computed for every region."""
        chosen = [self.choose(prepared, c) if c.source is None else c.source for c in crops]
        return [self._swap(prepared[k], crop) for k, crop in zip(chosen, crops, strict=True)]

    def _swap(self, prepared: Prepared, crop: Crop) -> SwappedCrop:
        size, names = self._size_px, meant(self._choices)
        target, parts = self._reader.read(crop.pixels, crop.landmarks, self._map_px)
        photo, points = self._mover.move(
            prepared.state, to_8_bit(crop.pixels), crop.landmarks, parts
        )
        onto = alignment.align_matrix(five_points(points), TEMPLATE, size)
        moved = alignment.crop(photo, onto, size)
        source, _ = self._reader.read(moved, alignment.transform_points(points, onto), self._map_px)
        made = recomposed(names, source, target)
        inputs = {
            "source": as_signed(moved),
            "source_regions": one_hot(source),
            "target": as_signed(crop.pixels),
            "target_regions": one_hot(target),
            "regions": one_hot(made),
            "taken": taken(names, source, target),
        }
        answer = self._session.run({name: values[None] for name, values in inputs.items()})
        picture = answer[OUTPUTS[0]]
        if picture.shape != (1, 3, size, size):
            raise InputError(
                f"{self._file} gives {picture.shape} numbers instead of a picture of {size} px: it "
                f"is damaged; get it again."
            )
        pixels = as_unit(picture[0])
        mask = soft_edge(size, _EDGE)
        if "skin" not in names or goes_beyond(self._choices):
            mask = np.asarray(mask * soft_mask(changed(names, made, target), size), np.float32)
        if goes_beyond(self._choices):
            # Light that is moved onto hair would give it back the color that it had.
            return SwappedCrop(pixels, mask, np.ones_like(mask), bounded=False)
        return SwappedCrop(pixels, mask, np.zeros_like(mask))


def near(source: Source, most_px: float) -> Source:
    """What is around a source's face, reduced where the face is larger than `most_px`."""
    pixels, face, matrix = close_up(source.pixels, source.face, _AROUND, most_px)
    height, width = pixels.shape[:2]
    visible = alignment.warp(source.visible, matrix, width, height)
    return Source(pixels, face, np.asarray(visible.clip(0, 1), np.float32), source.parts)


def soft_mask(places: NDArray[np.bool_], size_px: int) -> FloatArray:
    """Some places of a map of regions, a little larger and softer: float32, size_px squared."""
    side = (size_px, size_px)
    large = cv2.resize(places.astype(np.float32), side, interpolation=cv2.INTER_LINEAR)
    return grown_mask(np.asarray(large, np.float32), _GROWN, _SOFT)


def _sizes(file: Path, session: Session) -> tuple[int, int]:
    """Sides of the pictures and of the maps of regions that a graph takes."""
    shapes = [session.inputs.get(name, ()) for name in INPUTS]
    size, side = (shapes[0][-1:] or (None,))[0], (shapes[-2][-1:] or (None,))[0]
    picture, regions = (3, size, size), (len(REGIONS), side, side)
    wanted = (picture, regions, picture, regions, regions, (len(REGIONS),))
    if size is None or side is None or tuple(shape[1:] for shape in shapes) != wanted:
        raise InputError(
            f"{file} is no network of e4s: make one with `sosie train e4s`, or import a published "
            f"one with `sosie weights import e4s`."
        )
    return size, side
