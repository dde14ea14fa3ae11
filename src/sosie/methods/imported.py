"""Published swappers at work: crops in, crops out, by what their interface says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError, UsageError
from sosie.geometry import alignment
from sosie.methods.base import Card, Source, nearest_pose, soft_edge
from sosie.methods.interfaces import INTERFACES, Scale, View, by_hash, by_name
from sosie.models.onnx_matrix import last_matrix
from sosie.models.session import Session, create_session
from sosie.options import NO_CONVERTER, SwapOptions
from sosie.types import Crop, FloatArray, Pixels, Pose, SwappedCrop

CARD = "sosie.card"
"""Under this key `sosie train` and `sosie weights import` write of a network what it is."""

_NEEDS_MAP = ("inswapper_reswapper_128",)
_TARGET = ("target",)
_SOURCE = ("source", "identity", "vector")
_EMBEDDING = 512
# What a 3D face model is read to: first the shape of the face; then expression, texture, pose and
# light.
_COEFFICIENTS, _SHAPE = 257, 80
# Towards the crop's edge the swapped face gives way to the target over this share of its side.
_EDGE = 0.06


@dataclass(frozen=True)
class Prepared:
    """One source photo. identity: what the swapper takes for it, with a batch axis of one. shape:
    1 x 80, of a 3D face model, where the swapper takes that too."""

    identity: FloatArray
    pose: Pose
    shape: FloatArray | None = None


class PublishedSwapper:
    """A published swapper at work. Of the options it uses `encoder`, `converter`, `face_model`,
    `provider` and `threads`.

    Raises UsageError where one of them is missing or of no use, InputError where a file is not what
    its interface says, UnavailableError where the provider does not start.
    """

    def __init__(
        self, method: str, file: Path, session: Session, network: str, options: SwapOptions
    ) -> None:
        """method: the name that `--method` was given. file: the swapper; session: the same, opened.
        network: the name of its interface."""
        self._model = file
        self._options = options
        self.providers = {file.name: session.provider}
        self._session = session
        self._interface = by_name(network)
        self._inputs = _checked_inputs(file, session, self._interface.target, network)
        self._converter: Session | None = None
        self._encoder: Session | None = None
        self._face_model: Session | None = None
        self._map: FloatArray | None = None
        if self._interface.picture:
            refuse(network, encoder=options.encoder, converter=options.converter)
        else:
            self._open_identity(network)
        self._open_face_model(network)
        self.card = Card(
            name=method,
            summary=f"a published swapper: {network}",
            license=self._interface.license,
            paper=f"of {network}: see the method's page",
            template=self._interface.target.template,
            size_px=self._interface.target.size_px,
            drafts=0,
        )

    def prepare(self, sources: Sequence[Source]) -> tuple[Prepared, ...]:
        """The identity in each source photo: a picture of it, or the encoder's embedding."""
        return tuple(
            Prepared(self._identity(one), one.face.pose, self._shape(one)) for one in sources
        )

    def choose(self, prepared: Sequence[Prepared], crop: Crop, before: int | None = None) -> int:
        """Which source photo is nearest to the target's head pose."""
        return nearest_pose([one.pose for one in prepared], crop.face.pose, before)

    def swap(self, prepared: Sequence[Prepared], crops: Sequence[Crop]) -> list[SwappedCrop]:
        """One run a crop: most published files take no more at once."""
        chosen = [self.choose(prepared, c) if c.source is None else c.source for c in crops]
        return [self._swap(prepared[k], c) for k, c in zip(chosen, crops, strict=True)]

    def _swap(self, prepared: Prepared, crop: Crop) -> SwappedCrop:
        target, source = self._inputs
        view = self._interface.target
        identity = self._with_shape(prepared, crop)
        results = self._session.run({target: _values(crop.pixels, view), source: identity})
        picture, *others = results.values()
        if picture.shape != (1, 3, view.size_px, view.size_px):
            raise InputError(
                f"{self._model} gives {shape_text(picture.shape)} numbers instead of a picture of "
                f"{view.size_px} px: name its interface with --interface."
            )
        mask = soft_edge(view.size_px, _EDGE)
        # Some swappers say themselves where their face is.
        if others and others[0].shape[-2:] == mask.shape and others[0].size == mask.size:
            mask = mask * np.clip(others[0].reshape(mask.shape), 0, 1)
        pixels = _pixels(picture[0], self._interface.output, view.bgr)
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
                f"The encoder {self._options.encoder} gives {shape_text(embedding.shape)} numbers "
                f"instead of 1 x {_EMBEDDING}: name the one that the swapper was made with."
            )
        if self._map is not None:
            embedding = embedding @ self._map
        if self._interface.unit:
            embedding = embedding / max(float(np.linalg.norm(embedding)), 1e-12)
        return np.asarray(embedding, np.float32)

    def _shape(self, source: Source) -> FloatArray | None:
        """The shape of the source's face, where the swapper takes one."""
        view = self._interface.face_model
        if view is None:
            return None
        matrix = alignment.align_matrix(source.face.points5, view.template, view.size_px)
        return self._coefficients(alignment.crop(source.pixels, matrix, view.size_px))[:, :_SHAPE]

    def _with_shape(self, prepared: Prepared, crop: Crop) -> FloatArray:
        """The identity, behind the source's shape and all else of the target's face where the
        swapper takes a face model."""
        if prepared.shape is None:
            return prepared.identity
        rest = self._coefficients(crop.pixels)[:, _SHAPE:]
        return np.concatenate([prepared.shape, rest, prepared.identity], axis=1)

    def _coefficients(self, pixels: Pixels) -> FloatArray:
        """The face model's coefficients of a whole crop, 1 x 257."""
        view, session = self._interface.face_model, self._face_model
        assert view is not None
        assert session is not None
        side = next(iter(session.inputs.values()))[-1]
        if side is not None and side != pixels.shape[0]:
            pixels = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_LINEAR)
        found = _only(session, _values(pixels, view))
        if found.shape != (1, _COEFFICIENTS):
            raise InputError(
                f"The face model {self._options.face_model} gives {shape_text(found.shape)} "
                f"numbers instead of 1 x {_COEFFICIENTS}: name a network of Deep3DFaceRecon."
            )
        return found

    def _open_face_model(self, name: str) -> None:
        """The network that reads the face model, where the interface has one."""
        file = self._options.face_model
        if self._interface.face_model is None:
            refuse(name, face_model=file)
        elif file is None:
            raise UsageError(
                f"{name} takes the shape of the face from a 3D face model, which is not in its "
                f"file: add --face-model FILE.onnx (a network of Deep3DFaceRecon)."
            )
        else:
            self._face_model = self._open(Path(file))

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
            refuse(name, converter=options.converter)
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


def interface_name(file: Path, session: Session, named: str | None) -> str:
    """How the file is to be called: by the user's word, its hash, or the card within it."""
    card = card_in(session)
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


def card_in(session: Session) -> dict[str, Any]:
    """The card that Sosie wrote into the file, or nothing."""
    try:
        card = json.loads(session.metadata.get(CARD, "{}"))
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
            f"{file} is no {name}: it takes targets of {shape_text(shape)} instead of "
            f"{shape_text(wanted)}; name its interface with --interface."
        )
    return found[0], found[1]


def refuse(name: str, **options: str | None) -> None:
    """Raises UsageError where one of the options, by their names, was given to what needs none."""
    for option, value in options.items():
        if value is not None:
            words = option.replace("_", " ")
            flag = option.replace("_", "-")
            raise UsageError(f"{name} needs no {words}: leave --{flag} out.")


def _seen(source: Source, view: View) -> FloatArray:
    """What a network sees of a source photo: 1 x 3 x S x S."""
    matrix = alignment.align_matrix(source.face.points5, view.template, view.size_px)
    return _values(alignment.crop(source.pixels, matrix, view.size_px), view)


def _values(pixels: Pixels, view: View) -> FloatArray:
    """RGB uint8 or uint16, h x w x 3 -> 1 x 3 x h x w, scaled and ordered as the network wants."""
    unit = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    mean, deviation = (np.asarray(v, np.float32) for v in (view.scale.mean, view.scale.deviation))
    values = ((unit - mean) / deviation)[..., :: -1 if view.bgr else 1]
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32)


def _pixels(values: NDArray[Any], scale: Scale, bgr: bool) -> FloatArray:
    """3 x h x w as the network gives it -> RGB, h x w x 3, in 0..1."""
    ordered = values.transpose(1, 2, 0)[..., :: -1 if bgr else 1]
    unit = ordered * np.asarray(scale.deviation) + np.asarray(scale.mean)
    return np.ascontiguousarray(np.clip(unit, 0, 1), np.float32)


def _only(session: Session, values: FloatArray) -> FloatArray:
    """The first output of a network of one input."""
    if len(session.inputs) != 1:
        raise InputError(
            f"A network of one input was expected, not of {', '.join(session.inputs)}: name an "
            f"encoder, or a converter of embeddings."
        )
    result = next(iter(session.run({next(iter(session.inputs)): values}).values()))
    return np.asarray(result, np.float32)


def shape_text(shape: Sequence[int | None]) -> str:
    """Sizes as a message shows them, `any` for free ones."""
    return " x ".join("any" if size is None else str(size) for size in shape)
