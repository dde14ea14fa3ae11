"""Method `megafs` at work: source and target encoded, the identity moved, and a picture drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sosie.errors import UsageError
from sosie.methods.base import Card, Source, nearest_pose, soft_edge
from sosie.methods.imported import refuse
from sosie.methods.megafs.codes import TEMPLATE, Codes, Networks
from sosie.options import SwapOptions
from sosie.types import Crop, Pose, SwappedCrop

# Towards the crop's edge the swapped face gives way to the target over this share of its side.
_EDGE = 0.04

HOW = (
    "The method megafs has no weights of its own: train its three networks with `sosie train "
    "stylegan2`, `megafs_encoder` and `megafs_transfer`, or import published ones with `sosie "
    "weights import megafs FILE`, and name the folder that holds them with --weights."
)


@dataclass(frozen=True)
class Prepared:
    """One source photo."""

    codes: Codes
    pose: Pose


class MegafsSwapper:
    """The three networks at work. Of the options it uses `weights`, `provider` and `threads`.

    Raises UsageError where there are no weights, or options that belong to other methods;
    InputError where a file is not what it should be.
    """

    def __init__(self, options: SwapOptions) -> None:
        if options.weights is None:
            raise UsageError(HOW)
        refuse(
            "The method megafs",
            **{key: getattr(options, key) for key in ("encoder", "converter", "face_model")},
            interface=options.interface,
        )
        self._networks = Networks(Path(options.weights), options.provider, options.threads)
        self.providers: Mapping[str, str] = {
            f"megafs_{part}": session.provider for part, session in self._networks.sessions.items()
        }
        self.card = Card(
            name="megafs",
            summary="moves who it is between the latents of a generator of faces",
            license=self._networks.licenses,
            paper="Zhu et al. 2021, One Shot Face Swapping on Megapixels",
            template=TEMPLATE,
            size_px=self._networks.size_px,
            drafts=0,
        )

    def prepare(self, sources: Sequence[Source]) -> tuple[Prepared, ...]:
        """The codes of each source photo."""
        networks = self._networks
        return tuple(
            Prepared(networks.encode(networks.crop(one.pixels, one.face.points5)), one.face.pose)
            for one in sources
        )

    def choose(self, prepared: Sequence[Prepared], crop: Crop, before: int | None = None) -> int:
        """Which source photo is nearest to the target's head pose."""
        return nearest_pose([one.pose for one in prepared], crop.face.pose, before)

    def swap(self, prepared: Sequence[Prepared], crops: Sequence[Crop]) -> list[SwappedCrop]:
        """One run a crop: a picture of 1024 px takes gigabytes."""
        chosen = [self.choose(prepared, c) if c.source is None else c.source for c in crops]
        return [self._swap(prepared[k].codes, c) for k, c in zip(chosen, crops, strict=True)]

    def _swap(self, source: Codes, crop: Crop) -> SwappedCrop:
        networks = self._networks
        made = networks.draw(networks.transfer(source, networks.encode(crop.pixels)))
        mask = soft_edge(networks.size_px, _EDGE)
        return SwappedCrop(made, mask, np.zeros_like(mask))
