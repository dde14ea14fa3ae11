"""A trained space of faces at run time: pictures to latent numbers, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sosie import foreign
from sosie.analysis.analyzer import to_8_bit
from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.models.session import Session
from sosie.types import FloatArray, Pixels

_NUMBERS = {str: [float]}
_FORM = {
    "method": str,
    "template": str,
    "size_px": int,
    "latent": int,
    "people": _NUMBERS,
    "directions": _NUMBERS,
    "paper": str,
    "license": str,
}
_AT_ONCE = 32


@dataclass(frozen=True)
class LatentCard:
    """What is to be known of the file. template, size_px: of the crops. latent: how many numbers a
    face becomes. people: name -> the mean latent of their photos. directions: attribute -> how a
    latent changes with it, for one standard deviation of what the photos have."""

    method: str
    template: str
    size_px: int
    latent: int
    people: dict[str, list[float]]
    directions: dict[str, list[float]]
    paper: str
    license: str


def read_card(file: Path, session: Session, text: str) -> LatentCard:
    """The card in the metadata of a file, `text`, where it fits the network.

    Raises InputError where it is damaged, or of another file.
    """
    try:
        told = json.loads(text)
        foreign.check(told, _FORM)
        card = LatentCard(**{key: told[key] for key in _FORM})
        vectors = [*card.people.values(), *card.directions.values()]
        fits = (
            card.template in alignment.TEMPLATES
            and all(len(vector) == card.latent for vector in vectors)
            and session.inputs["target"][2:] == (card.size_px, card.size_px)
            and session.inputs["shift"][1:] == (card.latent,)
            and session.inputs["keep"][1:] == (1,)
            and card.people
        )
        if not fits:
            raise ValueError("its parts do not fit")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{file} is no trained space of faces, or it is damaged: train one with `sosie train "
            f"vae`."
        ) from error
    return card


class LatentSpace:
    """A trained encoder and decoder. Raises InputError where the file is damaged."""

    def __init__(self, file: Path, session: Session, text: str) -> None:
        """file: the ONNX file; session: the same, opened; text: the card in it."""
        self.card = read_card(file, session, text)
        self.file = file
        self._session = session

    @property
    def people(self) -> Mapping[str, FloatArray]:
        """The mean latent of each person whom it learned, L each."""
        return {name: np.array(mean, np.float32) for name, mean in self.card.people.items()}

    @property
    def directions(self) -> Mapping[str, FloatArray]:
        """How a latent changes with an attribute, L each."""
        return {name: np.array(one, np.float32) for name, one in self.card.directions.items()}

    def crop(self, pixels: Pixels, points5: FloatArray) -> FloatArray:
        """A face as the encoder sees it: float32, S x S x 3, 0..1. points5: as of `Face`."""
        side = self.card.size_px
        matrix = alignment.align_matrix(points5, self.card.template, side)
        return np.asarray(alignment.crop(to_8_bit(pixels), matrix, side), np.float32) / 255

    def features(self, pixels: Pixels, points5: FloatArray) -> FloatArray:
        """What tells one face from another here: its latent, L, of length 1."""
        latent = self.encode(self.crop(pixels, points5)[None])[0]
        return np.asarray(latent / max(float(np.linalg.norm(latent)), 1e-6), np.float32)

    def encode(self, crops: FloatArray) -> FloatArray:
        """float32, N x S x S x 3, 0..1 -> latents, N x L."""
        count = len(crops)
        return self._run(crops, np.zeros((count, 1)), np.zeros((count, self.card.latent)))[1]

    def decode(self, latents: FloatArray) -> FloatArray:
        """Latents, N x L -> pictures, float32, N x S x S x 3, 0..1."""
        side = self.card.size_px
        empty = np.zeros((len(latents), side, side, 3), np.float32)
        return self._run(empty, np.zeros((len(latents), 1)), latents)[0]

    def moved(self, crops: FloatArray, shift: FloatArray) -> FloatArray:
        """Pictures of the crops' latents, each moved by `shift` (L)."""
        count = len(crops)
        return self._run(crops, np.ones((count, 1)), np.tile(shift, (count, 1)))[0]

    def _run(self, crops: Any, keep: Any, shift: Any) -> tuple[FloatArray, FloatArray]:
        """In parts, so that memory does not grow with how many they are."""
        pictures, latents = [], []
        for start in range(0, len(crops), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            target = np.ascontiguousarray(crops[part].transpose(0, 3, 1, 2), np.float32)
            inputs = {
                "target": target,
                "keep": np.asarray(keep[part], np.float32),
                "shift": np.asarray(shift[part], np.float32),
            }
            found = self._session.run(inputs)
            pictures.append(np.clip(found["swapped"].transpose(0, 2, 3, 1), 0, 1))
            latents.append(found["latent"])
        side, numbers = self.card.size_px, self.card.latent
        if not pictures:
            return np.zeros((0, side, side, 3), np.float32), np.zeros((0, numbers), np.float32)
        return (
            np.concatenate(pictures).astype(np.float32),
            np.concatenate(latents).astype(np.float32),
        )
