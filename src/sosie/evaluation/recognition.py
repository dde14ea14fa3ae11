"""Networks that judge faces: recognition networks that a user names, MediaPipe's landmarker for
pose and expression, and what Sosie's own identity network sees on the way to its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie import foreign
from sosie.analysis.embedder import SIDE_PX, TEMPLATE
from sosie.errors import InputError, UsageError
from sosie.evaluation.metric import OWN
from sosie.evaluation.weight_files import file_sha256
from sosie.geometry import alignment
from sosie.models.cards import read_embedded
from sosie.models.session import Session, create_session
from sosie.recipes.teachers import LandmarkTeacher
from sosie.types import Face, FloatArray

Picture = NDArray[np.uint8]

RANGES = {"-1..1": (-1.0, 1.0), "0..1": (0.0, 1.0), "0..255": (0.0, 255.0)}
"""The ranges of pixels that a network may take, by name."""

DEFAULT_RANGE = "-1..1"
"""That of ArcFace and most that follow it."""

_OPTION = ":range="
# Vectors of different pictures that are more alike than this are of a network that sees nothing.
_BLIND = 0.99
_BATCH = 32


class IdentityNetwork(Protocol):
    """Tells whose face it is."""

    @property
    def name(self) -> str:
        """Unique among those of one run."""

    def embed(self, faces: Sequence[tuple[Picture, Face]]) -> FloatArray:
        """float32, N x D, each of unit length. faces: RGB pictures, each with the face in it."""


@dataclass(frozen=True)
class OnnxEmbedder:
    """A recognition network in an ONNX file. It takes faces cut as Sosie's own: ArcFace's.

    channels_first: whether it takes N x 3 x 112 x 112 and not N x 112 x 112 x 3. batch: how many
    faces at once; None is any. low, high: the range of its pixels, which are RGB.
    """

    name: str
    session: Session
    channels_first: bool
    batch: int | None
    low: float
    high: float

    def embed(self, faces: Sequence[tuple[Picture, Face]]) -> FloatArray:
        """See `IdentityNetwork`. Raises InputError where the network does not give vectors."""
        vectors = []
        step = self.batch or _BATCH
        for start in range(0, len(faces), step):
            crops = [aligned(pixels, face) for pixels, face in faces[start : start + step]]
            vectors.append(self.look(np.stack(crops)))
        return np.concatenate(vectors) if vectors else np.zeros((0, 1), np.float32)

    def look(self, crops: Picture) -> FloatArray:
        """Of aligned faces, N x 112 x 112 x 3, no more than it takes at once: N x D, unit."""
        count = len(crops)
        # A network for exactly so many at once gets the last one again for those missing.
        missing = max((self.batch or 0) - count, 0)
        return self._run(np.concatenate([crops, np.repeat(crops[-1:], missing, 0)]))[:count]

    def _run(self, crops: Picture) -> FloatArray:
        values = crops.astype(np.float32) / 255 * (self.high - self.low) + self.low
        if self.channels_first:
            values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        found = self.session.run({next(iter(self.session.inputs)): values})
        vectors = _vectors(found, len(crops), self.name)
        norm = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(norm, 1e-6), np.float32)


def open_embedder(choice: str, threads: int | None = None) -> OnnxEmbedder:
    """The network that a user names as `FILE` or `FILE:range=0..255`.

    It must take aligned faces (ArcFace's template), RGB float32 of 112 x 112; the layout is read
    from its input. The range of its pixels is taken from the option, or from `FILE.json` beside it
    ({"range": "0..255", "name": "..."}), or is -1..1. Its name is the file's without the ending.
    Raises InputError where the file is not such a network, UsageError for an unknown range, or one
    with which the network tells no pictures apart.
    """
    text, _, option = choice.partition(_OPTION)
    path = Path(text)
    card = _sidecar(path)
    chosen = option or card.get("range", DEFAULT_RANGE)
    if chosen not in RANGES:
        raise UsageError(
            f"The range {chosen!r} of the recognition network {path.name} is not known: "
            f"give one of {', '.join(RANGES)}."
        )
    name = card.get("name", path.stem)
    if name == OWN or not name or set(name) & set("[]"):
        raise UsageError(
            f"A recognition network cannot be named {name!r}: rename {path.name} or give it a "
            f"name in {path.name}.json."
        )
    session = create_session(path, threads=threads)
    first, batch = _layout(session, path)
    network = OnnxEmbedder(name, session, first, batch, *RANGES[chosen])
    _require_sight(network, path, chosen)
    return network


def _require_sight(network: OnnxEmbedder, path: Path, chosen: str) -> None:
    """Raises UsageError where the network takes all pictures for one: pixels in a range that is far
    too small for it leave hardly more than its biases."""
    coarse = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 3), np.uint8)
    size = (SIDE_PX, SIDE_PX)
    pictures = [cv2.resize(one, size, interpolation=cv2.INTER_CUBIC) for one in coarse]
    vectors = np.concatenate([network.look(np.asarray([one], np.uint8)) for one in pictures])
    if float((vectors @ vectors.T).min()) > _BLIND:
        others = " or ".join(f"`{path.name}:range={other}`" for other in RANGES if other != chosen)
        raise UsageError(
            f"With pixels in {chosen} the recognition network {path.name} takes different pictures "
            f"for the same: name the range that it was made for, {others}."
        )


def _sidecar(path: Path) -> dict[str, str]:
    """What the JSON file beside a network says of it; nothing where there is none."""
    beside = path.with_name(f"{path.name}.json")
    if not beside.is_file():
        return {}
    entries = foreign.read_json(beside, object, "correct or delete it")
    known = {"name", "range"}
    if (
        not isinstance(entries, dict)
        or not set(entries) <= known
        or not all(isinstance(value, str) for value in entries.values())
    ):
        raise InputError(f"The file {beside} may hold only the texts `name` and `range`.")
    return entries


def _layout(session: Session, path: Path) -> tuple[bool, int | None]:
    """Whether channels come first, and how many faces the network takes at once (None: any)."""
    shapes = list(session.inputs.values())
    if len(shapes) == 1 and len(shapes[0]) == 4:
        batch, *rest = shapes[0]
        for first, wanted in ((True, (3, SIDE_PX, SIDE_PX)), (False, (SIDE_PX, SIDE_PX, 3))):
            if all(size in (None, want) for size, want in zip(rest, wanted, strict=True)):
                return first, batch
    seen = "; ".join(" x ".join(str(size or "?") for size in shape) for shape in shapes)
    raise InputError(
        f"The network {path} takes {seen or 'nothing'}, not aligned faces of N x 3 x {SIDE_PX} x "
        f"{SIDE_PX} or N x {SIDE_PX} x {SIDE_PX} x 3: give a recognition network of that size."
    )


def _vectors(found: dict[str, NDArray[Any]], count: int, name: str) -> NDArray[Any]:
    """The first output that is a vector a face."""
    for value in found.values():
        flat = value.reshape(count, -1) if value.ndim >= 2 and len(value) == count else None
        if flat is not None and 16 <= flat.shape[1] <= 4096:
            return flat
    raise InputError(f"The network {name} gives no vector of 16 to 4,096 numbers for a face.")


def aligned(pixels: Picture, face: Face) -> Picture:
    """The face as recognition networks take it: RGB uint8, SIDE_PX x SIDE_PX x 3."""
    matrix = alignment.align_matrix(face.points5, TEMPLATE, SIDE_PX)
    return np.asarray(alignment.crop(pixels, matrix, SIDE_PX), np.uint8)


# The first two of the network's three stages: they see texture and parts, and tell blur, ghosts and
# color from real faces better than the later ones, which are to look past such things.
_STAGES = (
    "/1/stages.0/stages.0.1/act/PRelu_output_0",
    "/1/stages.1/stages.1.2/act/PRelu_output_0",
)
# Faces at once: answers of stages are large.
_OWN_BATCH = 16


class Landmarker:
    """MediaPipe's face landmarker, which judges pose and expression beside Sosie's own network."""

    name = "mediapipe"

    def __init__(self, file: Path) -> None:
        """Raises InputError where the file is absent or no such network, UnavailableError without
        mediapipe."""
        if not file.is_file():
            raise InputError(f"There is no {file}; give MediaPipe's face_landmarker.task.")
        try:
            self._teacher = LandmarkTeacher(file.parent, file=file.name)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{file} is no network of MediaPipe's; give its face_landmarker.task."
            ) from error
        self._lock = Lock()

    def close(self) -> None:
        """Free the network; otherwise it complains at the interpreter's end."""
        self._teacher.close()

    def read(self, faces: Sequence[tuple[Picture, Face]]) -> list[FloatArray | None]:
        """float32, 61, of each face: its rotation, 3 x 3, and 52 weights of movements, `_neutral`
        first; None where it is not seen."""
        with self._lock:
            found = [self._teacher.read(pixels, np.asarray(face.box)) for pixels, face in faces]
        return [
            None if one is None else np.concatenate([one.rotation.ravel(), one.expression])
            for one in found
        ]


@dataclass(frozen=True)
class Judges:
    """The networks that judge beside Sosie's. digests: name -> SHA-256 of its file."""

    embedders: tuple[OnnxEmbedder, ...] = ()
    landmarker: Landmarker | None = None
    digests: Mapping[str, str] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """What of them decides about figures, for keys and configurations."""
        known: dict[str, Any] = {
            "recognisers": [
                {
                    "name": one.name,
                    "sha256": self.digests[one.name],
                    "range": f"{one.low:g}..{one.high:g}",
                }
                for one in self.embedders
            ]
        }
        if self.landmarker is not None:
            name = self.landmarker.name
            known["landmarker"] = {"name": name, "sha256": self.digests[name]}
        return known


def open_judges(
    embedders: Sequence[str], landmarker: Path | None = None, threads: int | None = None
) -> Judges:
    """The networks that are named as `FILE` or `FILE:range=0..255`, see `open_embedder`, and
    MediaPipe's file `face_landmarker.task`."""
    networks = tuple(open_embedder(choice, threads) for choice in embedders)
    digests = {
        network.name: file_sha256(Path(choice.partition(_OPTION)[0]))
        for network, choice in zip(networks, embedders, strict=True)
    }
    if landmarker is None:
        return Judges(networks, None, digests)
    opened = Landmarker(landmarker)
    return Judges(networks, opened, {**digests, opened.name: file_sha256(landmarker)})


@dataclass(frozen=True)
class OwnView:
    """Faces as the network sees them.

    identities: float32, N x 512, of unit length, those of `sosie.analysis.embedder`.
    features: float32, N x D: means over the face of what the channels of two stages answer.
    """

    identities: FloatArray
    features: FloatArray


def own_view(crops: Picture, threads: int | None) -> OwnView:
    """crops: uint8, N x 112 x 112 x 3, aligned as `recognition.aligned` does, N at least 1."""
    parts = [
        _seen(crops[start : start + _OWN_BATCH], threads)
        for start in range(0, len(crops), _OWN_BATCH)
    ]
    return OwnView(
        np.concatenate([part.identities for part in parts]),
        np.concatenate([part.features for part in parts]),
    )


def _seen(crops: Picture, threads: int | None) -> OwnView:
    found = _network(threads).run({"pixels": np.concatenate([crops, crops[:, :, ::-1]])})
    # As the recognizer: a face and its mirror image are one person. Features are of the face alone.
    total = found["identity"][: len(crops)] + found["identity"][len(crops) :]
    norm = np.linalg.norm(total, axis=1, keepdims=True)
    features = [found[name][: len(crops)].mean((2, 3)) for name in _STAGES]
    return OwnView(
        np.asarray(total / np.maximum(norm, 1e-6), np.float32), np.concatenate(features, 1)
    )


@cache
def _network(threads: int | None) -> Session:
    return create_session(expose(read_embedded("identity"), _STAGES), threads=threads)


def expose(model: bytes, tensors: tuple[str, ...]) -> bytes:
    """An ONNX file with these inner tensors among its outputs.

    A protobuf message that is met again is merged with what was read before, and repeated fields
    grow: a second `graph` (field 7 of ModelProto) that has but outputs (field 12 of GraphProto)
    with a name (field 1 of ValueInfoProto) adds them.
    """
    outputs = b"".join(_field(12, _field(1, name.encode())) for name in tensors)
    return model + _field(7, outputs)


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length, rest = bytearray(), len(content)
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    return bytes([number << 3 | 2, *length, rest]) + content


def standardized(features: FloatArray, by: FloatArray) -> NDArray[np.float64]:
    """Features in deviations from the mean of `by`, so that each channel counts alike."""
    reference = np.asarray(by, np.float64)
    spread = np.maximum(reference.std(0), 1e-6)
    return np.asarray((features - reference.mean(0)) / spread)
