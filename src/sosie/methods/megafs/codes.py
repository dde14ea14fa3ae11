"""A face as MegaFS has it: latents and structure, the networks that make and draw them, and files
of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.methods.base import as_unit
from sosie.methods.megafs.files import part_file
from sosie.methods.parts import licenses_of
from sosie.models.session import Session, create_session
from sosie.types import FloatArray, Pixels

TEMPLATE = "ffhq"

_INPUTS = {
    "encoder": ("picture",),
    "transfer": ("source", "target"),
    "generator": ("structure", "latents"),
}
_STRUCTURE_PX, _MOST_LAYERS = 4, 18


@dataclass(frozen=True)
class Codes:
    """latents: float32, C x L, the coarsest layer's first. structure: float32, K x 4 x 4."""

    latents: FloatArray
    structure: FloatArray

    def moved(self, by: FloatArray) -> Codes:
        """With latents moved by L, or C x L, numbers."""
        return Codes(np.asarray(self.latents + by, np.float32), self.structure)


class Networks:
    """MegaFS's networks, or some `wanted` ones of them, from the ONNX files in a folder.

    size_px: side of the pictures that are made. count, latent: of the latents. Raises InputError
    where a file is not there, is another network, or does not fit the others.
    """

    def __init__(
        self,
        folder: Path,
        provider: str,
        threads: int | None,
        wanted: Sequence[str] = ("encoder", "transfer", "generator"),
    ) -> None:
        if not folder.is_dir():
            raise InputError(
                f"{folder} is no folder: name the one that holds the networks of megafs."
            )
        files = {part: part_file(folder, part, ".onnx") for part in wanted}
        self.sessions: Mapping[str, Session] = {
            part: create_session(file, provider, threads) for part, file in files.items()
        }
        for part, session in self.sessions.items():
            if tuple(session.inputs) != _INPUTS[part]:
                raise _wrong(files[part], part)
        shape = tuple(self.sessions["generator"].inputs["latents"])[1:]
        structure = tuple(self.sessions["generator"].inputs["structure"])[1:]
        fits = (
            len(shape) == 2 and None not in shape and shape[0] in range(2, _MOST_LAYERS + 1, 2)
        ) and structure[1:] == (_STRUCTURE_PX, _STRUCTURE_PX)
        if not fits:
            raise _wrong(files["generator"], "generator")
        self.count, self.latent = (int(side or 0) for side in shape)
        # Two layers, and so two latents, for each doubling.
        self.size_px = _STRUCTURE_PX * 2 ** (self.count // 2 - 1)
        if "transfer" in self.sessions:
            for seen in self.sessions["transfer"].inputs.values():
                if tuple(seen[1:]) != shape:
                    raise _unlike(files["transfer"], files["generator"])
        self.seen_px = self._seen_px(files["encoder"])
        probe = self.encode(np.zeros((self.seen_px, self.seen_px, 3), np.uint8))
        if (*probe.latents.shape, *probe.structure.shape) != (*shape, *structure):
            raise _unlike(files["encoder"], files["generator"])

    def _seen_px(self, file: Path) -> int:
        shape = self.sessions["encoder"].inputs["picture"]
        side = shape[-1] if len(shape) == 4 else None
        if tuple(shape[1:]) != (3, side, side) or side is None:
            raise _wrong(file, "encoder")
        return side

    def crop(self, pixels: Pixels, points5: FloatArray) -> Pixels:
        """A face of a photo as the generator makes them: size_px squared. points5: of `Face`."""
        matrix = alignment.align_matrix(points5, TEMPLATE, self.size_px)
        return alignment.crop(pixels, matrix, self.size_px)

    def encode(self, crop: Pixels) -> Codes:
        """A crop, RGB uint8 or uint16, of any size -> its codes."""
        unit = crop.astype(np.float32) / np.float32(np.iinfo(crop.dtype).max)
        if len(unit) != self.seen_px:
            way = cv2.INTER_AREA if len(unit) > self.seen_px else cv2.INTER_CUBIC
            side = (self.seen_px, self.seen_px)
            unit = np.asarray(cv2.resize(unit, side, interpolation=way), np.float32)
        values = np.ascontiguousarray((unit * 2 - 1).transpose(2, 0, 1)[None], np.float32)
        found = self.sessions["encoder"].run({"picture": values})
        return Codes(
            np.asarray(found["latents"][0], np.float32),
            np.asarray(found["structure"][0], np.float32),
        )

    def transfer(self, source: Codes, target: Codes) -> Codes:
        """The target with whose face it is from the source."""
        inputs = {"source": source.latents[None], "target": target.latents[None]}
        found = next(iter(self.sessions["transfer"].run(inputs).values()))
        return Codes(np.asarray(found[0], np.float32), target.structure)

    def draw(self, codes: Codes) -> FloatArray:
        """The picture of codes: RGB float32, size_px squared x 3, 0..1."""
        inputs = {"structure": codes.structure[None], "latents": codes.latents[None]}
        made = next(iter(self.sessions["generator"].run(inputs).values()))
        if made.shape != (1, 3, self.size_px, self.size_px):
            raise InputError("The generator gives no picture: its file is damaged; get it again.")
        return as_unit(made[0])

    @property
    def licenses(self) -> str:
        """What the files say of their licenses."""
        return licenses_of(self.sessions.values())


def _wrong(file: Path, part: str) -> InputError:
    return InputError(
        f"{file} is no {part} of MegaFS: make one with `sosie train`, or import a published one "
        f"with `sosie weights import megafs`."
    )


def _unlike(file: Path, other: Path) -> InputError:
    return InputError(
        f"{file} does not fit {other}: their latents have other numbers; keep networks there that "
        f"were made for one another."
    )
