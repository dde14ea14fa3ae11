"""`onnx`: published networks that restore faces, which users have on disk as ONNX files.

GFPGAN, GPEN, RestoreFormer++ and CodeFormer are called alike: RGB in -1..1 in, an aligned face of
512 px (`ffhq`), and the same out. CodeFormer takes its fidelity besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sosie.errors import InputError, UsageError, nearest
from sosie.geometry.alignment import TEMPLATES
from sosie.models.session import Session, create_session
from sosie.options import SwapOptions
from sosie.processors.base import Card, Request
from sosie.types import Crop, SwappedCrop

_TEMPLATE = "ffhq"
# What networks of the usual alignment see is at least so large; smaller ones differ in theirs.
_USUAL_PX = 512
_FIDELITY = "weight"
"""What CodeFormer calls its second input."""


class Restoration:
    """A restoration network at work on swapped faces.

    weight: 0..1, how much of what it makes is taken. fidelity: 0..1, for CodeFormer: 0 invents
    most, 1 keeps most. Raises UsageError where the alignment has to be named, InputError where the
    file is no such network, UnavailableError where the provider does not start.
    """

    def __init__(
        self,
        file: Path,
        options: SwapOptions,
        template: str | None = None,
        weight: float = 0.8,
        fidelity: float = 0.5,
    ) -> None:
        self._file = file
        self._session = create_session(file, options.provider, options.threads)
        self.providers = {file.name: self._session.provider}
        self._picture, size_px = _input(file, self._session)
        self._weight, self._fidelity = np.float32(weight), fidelity
        if template is None and size_px < _USUAL_PX:
            raise UsageError(
                f"{file} sees faces of {size_px} px, which not all networks align alike: name the "
                f"template, as in onnx:{file.name},template=arcface_128 (GPEN) or template=ffhq."
            )
        self.card = Card(
            name="onnx",
            summary=f"a published restoration network: {file.name}",
            license="as its publisher states; the file does not say",
            stage="face",
            template=template or _TEMPLATE,
            size_px=size_px,
        )

    def process(self, crops: Sequence[Crop], faces: Sequence[SwappedCrop]) -> list[SwappedCrop]:
        """One run a face: most published files take no more at once."""
        return [self._restored(face) for _, face in zip(crops, faces, strict=True)]

    def _restored(self, face: SwappedCrop) -> SwappedCrop:
        values = np.ascontiguousarray((face.pixels * 2 - 1).transpose(2, 0, 1)[None], np.float32)
        given = {self._picture: values}
        if _FIDELITY in self._session.inputs:
            shape = [1] * len(self._session.inputs[_FIDELITY])
            given[_FIDELITY] = np.full(shape, self._fidelity, np.float32)
        results = self._session.run(given).values()
        made = next((one for one in results if one.shape == values.shape), None)
        if made is None:
            raise InputError(
                f"{self._file} gives no picture of {values.shape[-1]} px: it is no network that "
                f"restores faces."
            )
        restored = np.clip((made[0].transpose(1, 2, 0) + 1) / 2, 0, 1)
        pixels = face.pixels + (restored - face.pixels) * self._weight
        return replace(face, pixels=np.asarray(pixels, np.float32))


def _input(file: Path, session: Session) -> tuple[str, int]:
    """The name of the input for the picture, and the side of that."""
    pictures = {
        name: shape
        for name, shape in session.inputs.items()
        if len(shape) == 4 and shape[1] == 3 and shape[2] is not None and shape[2] == shape[3]
    }
    others = set(session.inputs) - set(pictures) - {_FIDELITY}
    if len(pictures) != 1 or others:
        raise InputError(
            f"{file} is no network that restores faces: its inputs are "
            f"{', '.join(session.inputs)} instead of one picture of a fixed size; export it with "
            f"1 x 3 x 512 x 512."
        )
    name, shape = next(iter(pictures.items()))
    assert shape[2] is not None
    return name, shape[2]


def _create(request: Request, options: SwapOptions) -> Restoration:
    request.require("template", "weight", "fidelity")
    if request.value is None:
        raise UsageError("The processor onnx needs a network: write onnx:FILE.onnx.")
    template = request.settings.get("template")
    if template is not None and template not in TEMPLATES:
        raise UsageError(f"Unknown template {template!r}: {nearest(template, TEMPLATES)}.")
    weight = request.number("weight", 0.8, 0, 1)
    fidelity = request.number("fidelity", 0.5, 0, 1)
    return Restoration(Path(request.value), options, template, weight, fidelity)


PROCESSOR = _create
