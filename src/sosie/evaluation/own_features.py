"""Faces by Sosie's identity network: who they are, and what it sees on the way to its answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sosie.models.cards import read_embedded
from sosie.models.session import Session, create_session
from sosie.types import FloatArray

# The first two of the network's three stages: they see texture and parts, and tell blur, ghosts and
# color from real faces better than the later ones, which are to look past such things.
_STAGES = (
    "/1/stages.0/stages.0.1/act/PRelu_output_0",
    "/1/stages.1/stages.1.2/act/PRelu_output_0",
)
# Faces at once: answers of stages are large.
_BATCH = 16


@dataclass(frozen=True)
class OwnView:
    """Faces as the network sees them.

    identities: float32, N x 512, of unit length, those of `sosie.analysis.embedder`.
    features: float32, N x D: means over the face of what the channels of two stages answer.
    """

    identities: FloatArray
    features: FloatArray


def own_view(crops: NDArray[np.uint8], threads: int | None) -> OwnView:
    """crops: uint8, N x 112 x 112 x 3, aligned as `recognition.aligned` does, N at least 1."""
    parts = [
        _seen(crops[start : start + _BATCH], threads) for start in range(0, len(crops), _BATCH)
    ]
    return OwnView(
        np.concatenate([part.identities for part in parts]),
        np.concatenate([part.features for part in parts]),
    )


def _seen(crops: NDArray[np.uint8], threads: int | None) -> OwnView:
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
