"""The stages of an FSGAN swap, in the published order, on arrays.

Pictures are RGB, 3 x S x S, -1..1; masks S x S. The networks are run by `Networks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError
from sosie.methods.fsgan.files import STAGES, stage_file
from sosie.methods.fsgan.heat_maps import heat_maps
from sosie.methods.fsgan.soft_mask import soft_erosion
from sosie.models.session import Session, create_session
from sosie.types import FloatArray

FACE = 1
"""The face's class in the segmentation."""

_CHANNELS = {"reenactment": 101, "inpainting": 4, "blending": 7}
_MOST_PX = 1024


class Networks:
    """The four networks, or those of some `wanted` stages, the reenactment among them, from the
    ONNX files in a folder. size_px: side of their pictures.

    Raises InputError where one is not there, is another network, or of another size than the rest.
    """

    def __init__(
        self,
        folder: Path,
        provider: str,
        threads: int | None,
        wanted: Sequence[str] = STAGES,
    ) -> None:
        if not folder.is_dir():
            raise InputError(
                f"{folder} is no folder: name the one that holds the networks of fsgan."
            )
        files = {stage: stage_file(folder, stage, ".onnx") for stage in wanted}
        self.sessions = {
            stage: create_session(file, provider, threads) for stage, file in files.items()
        }
        sizes = {stage: self._size_px(stage, file) for stage, file in files.items()}
        self.size_px = sizes["reenactment"]
        for stage, size_px in sizes.items():
            if size_px != self.size_px:
                raise InputError(
                    f"{files[stage]} is of {size_px} px and the reenactment of {self.size_px}: "
                    f"the networks have to be of one size."
                )

    def _size_px(self, stage: str, file: Path) -> int:
        inputs = self.sessions[stage].inputs
        side = next(iter(inputs.values()))[-1] if inputs else None
        if side is not None and 16 <= side <= _MOST_PX:
            if stage == "segmentation":
                wanted = {"picture": (3, side, side)}
            else:
                channels = _CHANNELS[stage]
                wanted = {
                    name: (channels, px, px) for name, px in (("full", side), ("half", side // 2))
                }
            if {name: tuple(shape[1:]) for name, shape in inputs.items()} == wanted:
                return side
        raise InputError(
            f"{file} is no {stage} of FSGAN: make one with `sosie train fsgan_{stage}`, or import "
            f"a published one with `sosie weights import fsgan`."
        )

    def reenact(self, views: Sequence[FloatArray], points: FloatArray) -> list[FloatArray]:
        """Each view moved as the target's 98 points (pixels of the crop) say."""
        size = self.size_px
        full, half = (heat_maps(points, size, px) for px in (size, size // 2))
        return [
            self._made("reenactment", _join(view, full), _join(halved(view), half))
            for view in views
        ]

    def face(self, picture: FloatArray) -> NDArray[np.bool_]:
        """Where a picture shows face."""
        scores = _only(self.sessions["segmentation"], {"picture": picture[None]})
        return np.asarray(scores[0].argmax(0) == FACE)

    def complete(self, face: FloatArray, mask: NDArray[np.bool_]) -> FloatArray:
        """A face, -1 around it, completed to a mask."""
        full = _join(face, mask[None].astype(np.float32))
        return self._made("inpainting", full, halved(full))

    def blend(self, laid: FloatArray, target: FloatArray, mask: NDArray[np.bool_]) -> FloatArray:
        """A face that is laid onto a target where the mask says, blended into it."""
        full = _join(laid, target, mask[None].astype(np.float32))
        return self._made("blending", full, halved(full))

    def _made(self, stage: str, full: FloatArray, half: FloatArray) -> FloatArray:
        made = _only(self.sessions[stage], {"full": full[None], "half": half[None]})[0]
        if made.shape != (3, self.size_px, self.size_px):
            raise InputError(f"The {stage} of FSGAN gives no picture: its file is damaged.")
        return np.asarray(np.clip(made, -1, 1), np.float32)


@dataclass(frozen=True)
class Swap:
    """All that a swap makes on its way, in order: the target's crop, the mix of the reenacted
    views, both masks, the completed face, that laid onto the target, what the blending makes of
    it, and how much of that shows."""

    crop: FloatArray
    reenacted: FloatArray
    source_mask: NDArray[np.bool_]
    target_mask: NDArray[np.bool_]
    completed: FloatArray
    transfer: FloatArray
    soft_mask: FloatArray
    blend: FloatArray

    @property
    def result(self) -> FloatArray:
        """The swap, before it is laid into the frame."""
        return self.crop + self.soft_mask * (self.blend - self.crop)


def swap(
    networks: Networks,
    target: FloatArray,
    points: FloatArray,
    views: Sequence[FloatArray],
    weights: Sequence[float],
) -> Swap:
    """Put the face of some views of a source (with weights that add up to 1) into a target, whose
    98 points are given in pixels of the crop."""
    moved = networks.reenact(views, points)
    mix = np.sum([np.float32(w) * one for w, one in zip(weights, moved, strict=True)], axis=0)
    mix = np.asarray(mix, np.float32)
    own, of_target = networks.face(mix), networks.face(target)
    soft, hard = soft_erosion(of_target)
    completed = networks.complete(np.where(own, mix, np.float32(-1)), hard)
    transfer = np.where(hard, completed, target)
    blend = networks.blend(transfer, target, hard)
    return Swap(target, mix, own, of_target, completed, transfer, soft, blend)


def halved(picture: FloatArray) -> FloatArray:
    """C x S x S at half of the size, as the networks' pyramids have it: means over 3 x 3 pixels in
    steps of two, of those that lie within."""
    channels, height, width = picture.shape
    planes = np.ascontiguousarray(picture.transpose(1, 2, 0), np.float32)
    count = cv2.boxFilter(
        np.ones((height, width), np.float32), -1, (3, 3), None, (-1, -1), False,
        cv2.BORDER_CONSTANT,
    )  # fmt: skip
    sums = cv2.boxFilter(planes, -1, (3, 3), None, (-1, -1), False, cv2.BORDER_CONSTANT)
    means = sums.reshape(height, width, channels) / count[..., None]
    return np.ascontiguousarray(means[::2, ::2].transpose(2, 0, 1), np.float32)


def _join(*parts: FloatArray) -> FloatArray:
    return np.ascontiguousarray(np.concatenate(parts), np.float32)


def _only(session: Session, inputs: dict[str, FloatArray]) -> FloatArray:
    return np.asarray(next(iter(session.run(inputs).values())), np.float32)
