"""A DFM at work: a crop of the target in, the person of the weights and two masks out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sosie.errors import InputError, UsageError
from sosie.geometry.face_types import FACE_TYPES, template_of
from sosie.methods.base import Card, Source
from sosie.methods.imported import card_in, shape_text
from sosie.methods.learned_mask import merged
from sosie.models.session import Session
from sosie.options import SwapOptions
from sosie.types import Crop, FloatArray, Pixels, SwappedCrop

_FACE, _MORPH = "in_face", "morph_value"
_TARGET_MASK, _RESULT, _SOURCE_MASK = "out_face_mask", "out_celeb_face", "out_celeb_face_mask"
_LEAST_PX, _MOST_PX = 16, 1024


class DfmSwapper:
    """A DFM at work. Of the options it uses `face_type`, `morph`, `learned_mask`, `provider` and
    `threads`.

    Raises InputError where the file is no DFM, UsageError where nobody says which crop it takes.
    """

    def __init__(self, file: Path, session: Session, options: SwapOptions) -> None:
        """file: the DFM; session: the same, opened."""
        self._file, self._session, self._options = file, session, options
        self._names = _names(file, session)
        self.size_px = _size_px(file, session.inputs[self._names[_FACE]])
        self._check_outputs()
        self.providers = {file.name: session.provider}
        told = card_in(session)
        face_type = options.face_type or told.get("face_type")
        if not isinstance(face_type, str) or face_type not in FACE_TYPES:
            raise UsageError(
                f"{file} does not say which crop of a face it takes, and another gives a face in "
                f"the wrong place: add --face-type whole (which is usual), or "
                f"{', '.join(name for name in FACE_TYPES if name != 'whole')}, as its maker "
                f"says."
            )
        self.card = Card(
            name="dfm",
            summary=f"a model of one person: {file.name}",
            license=str(told.get("license", "as its maker states; the file does not say")),
            paper="DeepFaceLab: Integrated, flexible and extensible face-swapping framework "
            "(Perov et al. 2020)",
            template=template_of(face_type),
            size_px=self.size_px,
            drafts=0,
        )

    def prepare(self, sources: Sequence[Source]) -> int:
        """Who is put in is in the weights: the photos say nothing, only how many they are."""
        return len(sources)

    def choose(self, prepared: int, crop: Crop, before: int | None = None) -> int:
        """No photo suits a crop better than another: the one before, or the first."""
        del prepared, crop
        return before or 0

    def swap(self, prepared: int, crops: Sequence[Crop]) -> list[SwappedCrop]:
        """One run a crop: not every file takes several at once."""
        del prepared
        return [self._swap(crop) for crop in crops]

    def _swap(self, crop: Crop) -> SwappedCrop:
        given = {self._names[_FACE]: as_bgr(crop.pixels)}
        if _MORPH in self._names:
            given[self._names[_MORPH]] = np.full(1, self._options.morph, np.float32)
        made = self._session.run(given)
        face = self._picture(made, _RESULT, 3)[..., ::-1]
        ours, theirs = (self._picture(made, k, 1)[..., 0] for k in (_TARGET_MASK, _SOURCE_MASK))
        mask = merged(ours, theirs, self._options.learned_mask)
        return SwappedCrop(np.ascontiguousarray(face), mask, np.zeros_like(mask))

    def _picture(self, made: dict[str, Any], name: str, channels: int) -> FloatArray:
        """An output by its name: size x size x channels, 0..1."""
        values = made[self._names[name]]
        wanted = (1, self.size_px, self.size_px, channels)
        if values.shape != wanted:
            raise InputError(
                f"{self._file} gives {shape_text(values.shape)} numbers as {name} instead of "
                f"{shape_text(wanted)}: it is no DFM."
            )
        return np.asarray(np.clip(values[0], 0, 1), np.float32)

    def _check_outputs(self) -> None:
        """Raises InputError where the file says that an output is of another shape."""
        for name, channels in ((_TARGET_MASK, 1), (_RESULT, 3), (_SOURCE_MASK, 1)):
            shape = self._session.outputs[self._names[name]]
            wanted = (self.size_px, self.size_px, channels)
            if shape and (len(shape) != 4 or not _fits(shape[1:], wanted)):
                raise InputError(
                    f"{self._file} gives {name} as {shape_text(shape)} instead of any x "
                    f"{shape_text(wanted)}: it is no DFM."
                )


def as_bgr(pixels: Pixels) -> FloatArray:
    """RGB uint8 or uint16, h x w x 3 -> BGR, 1 x h x w x 3, 0..1."""
    unit = pixels[..., ::-1].astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return np.ascontiguousarray(unit[None])


def _names(file: Path, session: Session) -> dict[str, str]:
    """What the format calls inputs and outputs -> what the file does: TensorFlow numbers them."""
    found = {name.partition(":")[0]: name for name in (*session.inputs, *session.outputs)}
    takes = {name.partition(":")[0] for name in session.inputs}
    gives = {name.partition(":")[0] for name in session.outputs}
    if takes - {_MORPH} != {_FACE} or gives != {_TARGET_MASK, _RESULT, _SOURCE_MASK}:
        raise InputError(
            f"{file} is no DFM: it takes {', '.join(session.inputs) or 'nothing'} and gives "
            f"{', '.join(session.outputs)}, instead of {_FACE} (and {_MORPH}), and {_TARGET_MASK}, "
            f"{_RESULT} and {_SOURCE_MASK}; a swapper of another kind runs with --method onnx."
        )
    if len(found) != len(session.inputs) + len(session.outputs):
        raise InputError(f"{file} has two inputs or outputs of one name: it is no DFM.")
    morph = session.inputs.get(found.get(_MORPH, ""))
    if morph is not None and not _fits(morph, (1,)):
        raise InputError(
            f"{file} takes {_MORPH} as {shape_text(morph)} instead of 1: it is no DFM."
        )
    return found


def _size_px(file: Path, shape: tuple[int | None, ...]) -> int:
    """The side of the picture that a file takes, which is told by its shape."""
    side = shape[1] if len(shape) == 4 else None
    if side is None or shape[0] not in (None, 1) or shape[2:] != (side, 3):
        raise InputError(
            f"{file} takes pictures of {shape_text(shape)} instead of any x R x R x 3 for some R: "
            f"it is no DFM."
        )
    if not _LEAST_PX <= side <= _MOST_PX:
        raise InputError(
            f"{file} takes pictures of {side} px: no DFM takes fewer than {_LEAST_PX} or more than "
            f"{_MOST_PX}."
        )
    return side


def _fits(shape: Sequence[int | None], wanted: Sequence[int]) -> bool:
    """Whether a shape, some sizes of which may be free, can be another."""
    same_length = len(shape) == len(wanted)
    return same_length and all(a in (None, b) for a, b in zip(shape, wanted, strict=True))
