"""Published ONNX swappers at work: crops in, crops out, by what their interface says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError, UsageError
from sosie.geometry import alignment
from sosie.methods.base import Card, Source, nearest_pose
from sosie.methods.onnx.interfaces import (
    INTERFACES,
    Scale,
    View,
    by_hash,
    by_name,
)
from sosie.models.onnx_matrix import last_matrix
from sosie.models.session import Session, create_session
from sosie.options import SwapOptions
from sosie.types import Crop, FloatArray, Pixels, Pose, SwappedCrop

NO_CONVERTER = "none"
"""What `--converter` is given where the encoder is the swapper's own."""

_CARD = "sosie.card"
_NEEDS_MAP = ("inswapper_reswapper_128",)
_TARGET = ("target",)
_SOURCE = ("source", "identity")
_EMBEDDING = 512
# Towards the crop's edge the swapped face gives way to the target over this share of its side.
_EDGE = 0.06


@dataclass(frozen=True)
class Prepared:
    """One source photo. identity: what the swapper takes for it, with a batch axis of one."""

    identity: FloatArray
    pose: Pose


class OnnxSwapper:
    """The method `onnx`. Of the options it uses `model`, `interface`, `encoder`, `converter`,
    `provider` and `threads`.

    Raises UsageError where one of them is missing or unknown, InputError where a file is not what
    its interface says, UnavailableError where the provider does not start.
    """

    def __init__(self, options: SwapOptions) -> None:
        if options.model is None:
            raise UsageError("The method onnx needs a swapper: add --model FILE.onnx.")
        self._model = Path(options.model)
        self._options = options
        self.providers: dict[str, str] = {}
        self._session = self._open(self._model)
        name = _interface_name(self._model, self._session, options.interface)
        self._interface = by_name(name)
        self._inputs = _checked_inputs(self._model, self._session, self._interface.target, name)
        self._converter: Session | None = None
        self._encoder: Session | None = None
        self._map: FloatArray | None = None
        if self._interface.picture:
            _refuse(name, encoder=options.encoder, converter=options.converter)
        else:
            self._open_identity(name)
        self.card = Card(
            name="onnx",
            summary=f"a published swapper as an ONNX file: {name}",
            license=self._interface.license,
            paper=f"of {name}: see the method's README",
            template=self._interface.target.template,
            size_px=self._interface.target.size_px,
            drafts=0,
        )

    def prepare(self, sources: Sequence[Source]) -> tuple[Prepared, ...]:
        """The identity in each source photo: a picture of it, or the encoder's embedding."""
        return tuple(Prepared(self._identity(source), source.face.pose) for source in sources)

    def choose(self, prepared: Sequence[Prepared], crop: Crop, before: int | None = None) -> int:
        """Which source photo is nearest to the target's head pose."""
        return nearest_pose([one.pose for one in prepared], crop.face.pose, before)

    def swap(self, prepared: Sequence[Prepared], crops: Sequence[Crop]) -> list[SwappedCrop]:
        """One run a crop: most published files take no more at once."""
        chosen = [self.choose(prepared, c) if c.source is None else c.source for c in crops]
        return [self._swap(prepared[k].identity, c) for k, c in zip(chosen, crops, strict=True)]

    def _swap(self, identity: FloatArray, crop: Crop) -> SwappedCrop:
        target, source = self._inputs
        view = self._interface.target
        results = self._session.run({target: _values(crop.pixels, view.scale), source: identity})
        picture, *others = results.values()
        if picture.shape != (1, 3, view.size_px, view.size_px):
            raise InputError(
                f"{self._model} gives {_text(picture.shape)} numbers instead of a picture of "
                f"{view.size_px} px: name its interface with --interface."
            )
        mask = _soft_edge(view.size_px)
        # Some swappers say themselves where their face is.
        if others and others[0].shape[-2:] == mask.shape and others[0].size == mask.size:
            mask = mask * np.clip(others[0].reshape(mask.shape), 0, 1)
        pixels = _pixels(picture[0], self._interface.output)
        return SwappedCrop(pixels, np.asarray(mask, np.float32), np.zeros_like(mask, np.float32))

    def _identity(self, source: Source) -> FloatArray:
        view = self._interface.source
        if self._encoder is None:
            return _seen(source, view)
        if self._interface.own_encoder is not None and self._converter is None:
            view = self._interface.own_encoder
        embedding = _only(self._encoder, _seen(source, view))
        if self._converter is not None:
            embedding = _only(self._converter, embedding)
        if embedding.shape != (1, _EMBEDDING):
            raise InputError(
                f"The encoder {self._options.encoder} gives {_text(embedding.shape)} numbers "
                f"instead of 1 x {_EMBEDDING}: name the one that the swapper was made with."
            )
        if self._map is not None:
            embedding = embedding @ self._map
        if self._interface.unit:
            embedding = embedding / max(float(np.linalg.norm(embedding)), 1e-12)
        return np.asarray(embedding, np.float32)

    def _open_identity(self, name: str) -> None:
        """The encoder, and the converter and the map where the interface has one."""
        options, needs = self._options, self._interface.own_encoder is not None
        if options.encoder is None:
            raise UsageError(
                f"{name} takes the embedding of a face encoder, which is not in its file: add "
                f"--encoder FILE.onnx (arcface w600k_r50, or the swapper's own)."
            )
        self._encoder = self._open(Path(options.encoder))
        if not needs:
            _refuse(name, converter=options.converter)
        elif options.converter is None:
            raise UsageError(
                f"{name} was trained with an encoder of its own: add --converter FILE.onnx for "
                f"embeddings of arcface, or --converter {NO_CONVERTER} where --encoder is its own."
            )
        elif options.converter != NO_CONVERTER:
            self._converter = self._open(Path(options.converter))
        if self._interface.mapped:
            self._map = last_matrix(self._model)
            if self._map.shape != (_EMBEDDING, _EMBEDDING):
                raise InputError(
                    f"{self._model} has no embedding map of 512 x 512, so it is no {name}: name "
                    f"its interface with --interface."
                )

    def _open(self, file: Path) -> Session:
        session = create_session(file, self._options.provider, self._options.threads)
        self.providers[file.name] = session.provider
        return session


def _interface_name(file: Path, session: Session, named: str | None) -> str:
    """How the file is to be called: by the user's word, its hash, or the card within it."""
    card = _card_in(session)
    if card.get("network") in _NEEDS_MAP and not card.get("embedding_map"):
        raise UsageError(
            f"{file} was imported without its embedding map, and takes no embedding without it: "
            f"import it again with --embedding-map."
        )
    if named is not None:
        return named
    with file.open("rb") as opened:
        known = by_hash(hashlib.file_digest(opened, "sha256").hexdigest())
    imported = card.get("network")
    found = known or imported
    if isinstance(found, str) and found in INTERFACES:
        return found
    what = f" is {imported}, which cannot be run as a swapper" if imported else " is not known"
    raise UsageError(
        f"{file}{what}: say with --interface how it is called ({', '.join(INTERFACES)})."
    )


def _card_in(session: Session) -> dict[str, Any]:
    """The card that `sosie weights import` wrote into the file, or nothing."""
    try:
        card = json.loads(session.metadata.get(_CARD, "{}"))
    except (ValueError, RecursionError):
        return {}
    return card if isinstance(card, dict) else {}


def _checked_inputs(file: Path, session: Session, view: View, name: str) -> tuple[str, str]:
    """The names of the inputs for target and source; they and the target's size must fit."""
    found = [next((n for n in names if n in session.inputs), "") for names in (_TARGET, _SOURCE)]
    if not all(found) or len(session.inputs) != 2:
        raise InputError(
            f"{file} is no {name}: its inputs are {', '.join(session.inputs)} instead of target "
            f"and source; name its interface with --interface."
        )
    shape = session.inputs[found[0]]
    wanted = (1, 3, view.size_px, view.size_px)
    free = len(shape) == 4 and all(a in (None, b) for a, b in zip(shape, wanted, strict=True))
    if not free:
        raise InputError(
            f"{file} is no {name}: it takes targets of {_text(shape)} instead of {_text(wanted)}; "
            f"name its interface with --interface."
        )
    return found[0], found[1]


def _refuse(name: str, **options: str | None) -> None:
    for option, value in options.items():
        if value is not None:
            raise UsageError(f"{name} needs no {option}: leave --{option} out.")


def _seen(source: Source, view: View) -> FloatArray:
    """What a network sees of a source photo: 1 x 3 x S x S."""
    matrix = alignment.align_matrix(source.face.points5, view.template, view.size_px)
    return _values(alignment.crop(source.pixels, matrix, view.size_px), view.scale)


def _values(pixels: Pixels, scale: Scale) -> FloatArray:
    """RGB uint8 or uint16, h x w x 3 -> 1 x 3 x h x w, scaled as the network wants it."""
    unit = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    values = (unit - np.asarray(scale.mean, np.float32)) / np.asarray(scale.deviation, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32)


def _pixels(values: NDArray[Any], scale: Scale) -> FloatArray:
    """3 x h x w as the network gives it -> RGB, h x w x 3, in 0..1."""
    unit = values.transpose(1, 2, 0) * np.asarray(scale.deviation) + np.asarray(scale.mean)
    return np.asarray(np.clip(unit, 0, 1), np.float32)


def _only(session: Session, values: FloatArray) -> FloatArray:
    """The first output of a network of one input."""
    if len(session.inputs) != 1:
        raise InputError(
            f"A network of one input was expected, not of {', '.join(session.inputs)}: name an "
            f"encoder, or a converter of embeddings."
        )
    result = next(iter(session.run({next(iter(session.inputs)): values}).values()))
    return np.asarray(result, np.float32)


def _soft_edge(size_px: int) -> FloatArray:
    """1 inside, falling smoothly to 0 at the crop's edge: float32, S x S."""
    from_edge = np.minimum(np.arange(size_px), np.arange(size_px)[::-1]) + 0.5
    rise = np.clip(from_edge / (_EDGE * size_px), 0, 1)
    rise = rise * rise * (3 - 2 * rise)
    return np.asarray(np.minimum.outer(rise, rise), np.float32)


def _text(shape: Sequence[int | None]) -> str:
    return " x ".join("any" if size is None else str(size) for size in shape)
