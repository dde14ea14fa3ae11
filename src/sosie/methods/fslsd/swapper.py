"""Method `fslsd` at work: source and target inverted, the structure moved, and a picture drawn into
the target's own features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sosie.errors import UsageError
from sosie.geometry import alignment
from sosie.methods.base import Card, Source, as_unit, nearest_pose, soft_edge
from sosie.methods.fslsd.codes import TEMPLATE, Codes, Networks
from sosie.methods.fslsd.trajectory import following
from sosie.methods.imported import refuse
from sosie.options import SwapOptions
from sosie.types import Crop, Pixels, Pose, SwappedCrop

# Towards the crop's edge the swapped face gives way to the target over this share of its side.
_EDGE = 0.04

_HOW = (
    "The method fslsd has no weights of its own: train its networks with `sosie train stylegan2`, "
    "`fslsd_inverter` and `fslsd`, or import published parts with `sosie weights import fslsd "
    "FILE` and train the inverter alone, and name the folder that holds them with --weights."
)


@dataclass(frozen=True)
class Prepared:
    """One source photo."""

    codes: Codes
    pose: Pose


class FslsdSwapper:
    """The networks at work. Of the options it uses `weights`, `provider`, `threads`,
    `code_trajectory` and `flow_trajectory`.

    Raises UsageError where there are no weights, or options that belong to other methods;
    InputError where a file is not what it should be.
    """

    def __init__(self, options: SwapOptions) -> None:
        if options.weights is None:
            raise UsageError(_HOW)
        refuse(
            "The method fslsd",
            **{key: getattr(options, key) for key in ("encoder", "converter", "face_model")},
            interface=options.interface,
        )
        self._code, self._flow = options.code_trajectory, options.flow_trajectory
        self._networks = Networks(Path(options.weights), options.provider, options.threads)
        self.providers: Mapping[str, str] = {
            f"fslsd_{part}": session.provider for part, session in self._networks.sessions.items()
        }
        self.card = Card(
            name="fslsd",
            summary="moves the source's face as the target's in the latents of a generator",
            license=self._networks.licenses,
            paper="Xu et al. 2022, High-resolution Face Swapping via Latent Semantics "
            "Disentanglement",
            template=TEMPLATE,
            size_px=self._networks.size_px,
            drafts=0,
            carries=self._code > 0 or self._flow > 0,
        )

    def prepare(self, sources: Sequence[Source]) -> tuple[Prepared, ...]:
        """The codes of each source photo."""
        return tuple(self._prepared(one) for one in sources)

    def choose(self, prepared: Sequence[Prepared], crop: Crop, before: int | None = None) -> int:
        """Which source photo is nearest to the target's head pose."""
        return nearest_pose([one.pose for one in prepared], crop.face.pose, before)

    def swap(self, prepared: Sequence[Prepared], crops: Sequence[Crop]) -> list[SwappedCrop]:
        """One run a crop: a picture of 1024 px takes gigabytes."""
        chosen = [self.choose(prepared, c) if c.source is None else c.source for c in crops]
        return [self._swap(prepared[k].codes, c) for k, c in zip(chosen, crops, strict=True)]

    def _prepared(self, source: Source) -> Prepared:
        pixels, matrix = self._networks.crop(source.pixels, source.face.points5)
        landmarks = alignment.transform_points(source.face.landmarks, matrix)
        return Prepared(self._networks.encode(pixels, landmarks), source.face.pose)

    def _swap(self, source: Codes, crop: Crop) -> SwappedCrop:
        networks, before = self._networks, crop.carried
        target = networks.encode(crop.pixels, crop.landmarks)
        drawn = networks.draw(
            source, target, crop.pixels, crop.landmarks, before.get("moved"), self._code
        )
        made, carried = as_unit(drawn.picture), {}
        if self._code:
            carried["moved"] = drawn.moved
        if self._flow:
            seen = _as_8_bits(crop.pixels)
            if "picture" in before:
                made = following(made, seen, before["picture"], before["target"], self._flow)
            carried |= {"picture": made, "target": seen}
        mask = soft_edge(networks.size_px, _EDGE)
        return SwappedCrop(made, mask, np.zeros_like(mask), carried=carried)


def _as_8_bits(pixels: Pixels) -> Pixels:
    """uint8 or uint16 -> uint8, which flow is found in."""
    return pixels if pixels.dtype == np.uint8 else np.asarray(pixels // 257, np.uint8)
