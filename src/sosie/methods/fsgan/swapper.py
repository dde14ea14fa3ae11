"""Method `fsgan` at work: a source reenacted as the target, segmented, completed and blended in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sosie.errors import UsageError
from sosie.geometry import alignment
from sosie.geometry.face_types import BOX, box_matrix
from sosie.geometry.head_pose import turned_deg
from sosie.methods.base import Card, Source, as_signed, as_unit, nearest_pose, soft_edge
from sosie.methods.fsgan import stages
from sosie.methods.fsgan.appearance import AppearanceMap
from sosie.methods.fsgan.heat_maps import points_98
from sosie.methods.imported import refuse
from sosie.methods.parts import licenses_of
from sosie.options import SwapOptions
from sosie.types import Crop, FloatArray, Pixels, SwappedCrop

# Towards the crop's edge the swapped face gives way to the target over this share of its side.
_EDGE = 0.04

_HOW = (
    "The method fsgan has no weights of its own: train its four networks with `sosie train "
    "fsgan_reenactment`, `fsgan_segmentation`, `fsgan_inpainting` and `fsgan_blending`, or import "
    "published ones with `sosie weights import fsgan FILE`, and name the folder that holds them "
    "with --weights."
)

SHOWN = (
    *("crop", "reenacted", "source_mask", "target_mask", "completed", "transfer"),
    *("blend", "soft_mask", "result"),
)
"""The stages that can be looked at, in order."""


@dataclass(frozen=True)
class Prepared:
    """The photos of one source, and the map of their poses."""

    sources: tuple[Source, ...]
    appearance: AppearanceMap


class FsganSwapper:
    """The four networks at work. Of the options it uses `weights`, `provider`, `threads` and
    `stages`.

    Raises UsageError where there are no weights, or options that belong to other methods;
    InputError where a file is not what it should be.
    """

    def __init__(self, options: SwapOptions) -> None:
        if options.weights is None:
            raise UsageError(_HOW)
        refuse(
            "The method fsgan",
            **{key: getattr(options, key) for key in ("encoder", "converter", "face_model")},
            interface=options.interface,
        )
        folder = Path(options.weights)
        self._shows = options.stages is not None
        self._networks = stages.Networks(folder, options.provider, options.threads)
        sessions = self._networks.sessions
        self.providers: Mapping[str, str] = {
            f"fsgan_{stage}": session.provider for stage, session in sessions.items()
        }
        self.card = Card(
            name="fsgan",
            summary="moves the source's face as the target's, completes it and blends it in",
            license=licenses_of(sessions.values()),
            paper="Nirkin et al. 2022, FSGANv2: Improved Subject Agnostic Face Swapping and "
            "Reenactment",
            template=BOX,
            size_px=self._networks.size_px,
            drafts=0,
            stages=SHOWN,
        )

    def prepare(self, sources: Sequence[Source]) -> Prepared:
        """The map of the photos' poses; each may be a frame of a video."""
        return Prepared(tuple(sources), AppearanceMap([one.face.pose for one in sources]))

    def choose(self, prepared: Prepared, crop: Crop, before: int | None = None) -> int:  # noqa: ARG002
        """Which photo is nearest to the target's pose: the swap mixes up to three about that, and
        so does not waver, whatever was chosen before."""
        return nearest_pose([one.face.pose for one in prepared.sources], crop.face.pose)

    def swap(self, prepared: Prepared, crops: Sequence[Crop]) -> list[SwappedCrop]:
        """All stages, a crop at a time. A crop that names another photo than `choose` would is made
        of that one alone.
        """
        return [self._swap(prepared, crop) for crop in crops]

    def _swap(self, prepared: Prepared, crop: Crop) -> SwappedCrop:
        pose = crop.face.pose
        mix = prepared.appearance.mix(pose)
        if crop.source is not None and crop.source != self.choose(prepared, crop):
            mix = [(crop.source, 1.0)]
        views = [
            as_signed(upright_view(prepared.sources[k], pose.roll, self._networks.size_px))
            for k, _ in mix
        ]
        made = stages.swap(
            self._networks,
            as_signed(crop.pixels),
            points_98(crop.landmarks),
            views,
            [weight for _, weight in mix],
        )
        mask = np.asarray(made.soft_mask * soft_edge(self._networks.size_px, _EDGE), np.float32)
        # The blending network has given the face the target's light.
        swapped = SwappedCrop(as_unit(made.blend), mask, np.ones_like(mask))
        if not self._shows:
            return swapped
        pictures = {name: _shown(getattr(made, name)) for name in SHOWN}
        return SwappedCrop(swapped.pixels, swapped.mask, swapped.own, pictures)


def upright_view(source: Source, roll_deg: float, size_px: int) -> Pixels:
    """The crop of a source photo that is first turned so that the head tilts like the target's."""
    turn = np.radians(turned_deg(source.face.pose.roll, roll_deg))
    cosine, sine = np.cos(turn), np.sin(turn)
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0]])
    turned = alignment.transform_points(source.face.landmarks, rotation)
    matrix = alignment.compose(box_matrix(turned, size_px), rotation)
    return alignment.crop(source.pixels, matrix, size_px)


def _shown(stage: FloatArray) -> Pixels:
    """A stage as a picture, S x S x 3, uint8."""
    unit = as_unit(stage) if stage.ndim == 3 else np.repeat(stage[..., None], 3, 2)
    return np.asarray(np.rint(unit * 255), np.uint8)
