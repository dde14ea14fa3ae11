"""Swappers that `sosie train` made, at work: the ONNX file beside a snapshot, and its card."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sosie.analysis.analyzer import to_8_bit
from sosie.analysis.embedder import SIDE_PX, TEMPLATE, Embedder
from sosie.errors import InputError, UsageError
from sosie.geometry import alignment
from sosie.methods.base import Card, Source, Swapper, nearest_pose
from sosie.models.cards import with_license
from sosie.models.session import Session, create_session
from sosie.models.zoo import open_network
from sosie.options import SwapOptions
from sosie.types import Crop, FloatArray, Pose, SwappedCrop

_CARD = "sosie.card"
# Towards the crop's edge the swapped face gives way to the target over this share of its side.
_MOST_PX = 2048
_EDGE = 0.08


def trained_method(name: str) -> Callable[[SwapOptions], Swapper]:
    """The factory of a method whose networks `sosie train NAME` makes."""
    return partial(TrainedSwapper, name)


@dataclass(frozen=True)
class Prepared:
    """One source photo. identity: 1 x 512, unit length."""

    identity: FloatArray
    pose: Pose


class TrainedSwapper:
    """A trained generator. Of the options it uses `weights`, `provider` and `threads`.

    weights: a snapshot (NAME.safetensors, beside which its NAME.onnx lies) or the ONNX file.
    Raises UsageError where there are none, InputError where they are of another method or damaged.
    """

    def __init__(self, name: str, options: SwapOptions) -> None:
        if options.weights is None:
            raise UsageError(
                f"The method {name} has no weights of its own: train some with `sosie train "
                f"{name}` and name them with --weights RUN/snapshot.safetensors."
            )
        file = _onnx_beside(Path(options.weights))
        self._session = create_session(file, options.provider, options.threads)
        facts = _facts(file, self._session, name)
        self._size_px, self._low = facts["size_px"], facts["low"]
        identity = open_network("identity", options.provider, 1)
        self._embedder = Embedder(identity)
        self.providers = {name: self._session.provider, "identity": identity.provider}
        self.card = Card(
            name=name,
            summary=f"a {name} that was trained with Sosie: {file.name}",
            license=str(facts["license"]),
            paper=str(facts["paper"]),
            template=str(facts["template"]),
            size_px=self._size_px,
            drafts=0,
        )

    def prepare(self, sources: Sequence[Source]) -> tuple[Prepared, ...]:
        """Who is in each source photo."""
        return tuple(Prepared(self._identity(one), one.face.pose) for one in sources)

    def choose(self, prepared: Sequence[Prepared], crop: Crop, before: int | None = None) -> int:
        """Which source photo is nearest to the target's head pose."""
        return nearest_pose([one.pose for one in prepared], crop.face.pose, before)

    def swap(self, prepared: Sequence[Prepared], crops: Sequence[Crop]) -> list[SwappedCrop]:
        """All crops in one run."""
        if not crops:
            return []
        chosen = [self.choose(prepared, c) if c.source is None else c.source for c in crops]
        targets = np.concatenate([self._values(crop) for crop in crops])
        identities = np.concatenate([prepared[k].identity for k in chosen])
        answers = self._session.run({"target": targets, "identity": identities})
        made = next(iter(answers.values()))
        if made.shape != targets.shape:
            raise InputError(
                f"The {self.card.name} gives {made.shape} numbers instead of {targets.shape}: its "
                f"file is damaged, or of another size than it says."
            )
        mask = _soft_edge(self._size_px)
        unit = np.clip((made.transpose(0, 2, 3, 1) - self._low) / (1 - self._low), 0, 1)
        return [SwappedCrop(np.asarray(one, np.float32), mask, np.zeros_like(mask)) for one in unit]

    def _identity(self, source: Source) -> FloatArray:
        matrix = alignment.align_matrix(source.face.points5, TEMPLATE, SIDE_PX)
        face = alignment.crop(to_8_bit(source.pixels), matrix, SIDE_PX)
        return self._embedder.embed(np.asarray(face, np.uint8)[None])

    def _values(self, crop: Crop) -> FloatArray:
        """RGB uint8 or uint16 -> 1 x 3 x S x S in the network's range."""
        unit = crop.pixels.astype(np.float32) / np.float32(np.iinfo(crop.pixels.dtype).max)
        values = unit * (1 - self._low) + self._low
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32)


def _onnx_beside(weights: Path) -> Path:
    file = weights.with_suffix(".onnx")
    if not weights.is_file():
        raise InputError(f"There is no {weights}: name the snapshot of a training with --weights.")
    if not file.is_file():
        raise InputError(
            f"There is no {file.name} beside {weights}: `sosie train` writes both when it ends or "
            f"is stopped; let it write them with --resume."
        )
    return file


def _facts(file: Path, session: Session, name: str) -> dict[str, Any]:
    try:
        told = with_license(json.loads(session.metadata.get(_CARD, "{}")))
        texts = {key: str(told[key]) for key in ("method", "template", "license", "paper")}
        size_px, low = int(told["size_px"]), float(told["low"])
        if session.inputs["target"][2:] != (size_px, size_px) or not low < 1:
            raise ValueError("it takes other pictures than it says")
    except (ValueError, OverflowError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{file} was not written by `sosie train`: published swappers run with --method onnx "
            f"--model."
        ) from error
    method = texts["method"]
    if texts["template"] not in alignment.TEMPLATES or not 16 <= size_px <= _MOST_PX or low < -1:
        raise InputError(
            f"{file} says of itself what no network of `sosie train` does: it is damaged, or was "
            f"changed."
        )
    if method != name:
        raise InputError(f"{file} is a {method}, not a {name}: give --method {method}.")
    return {**texts, "size_px": size_px, "low": low}


def _soft_edge(size_px: int) -> FloatArray:
    """1 inside, falling smoothly to 0 at the crop's edge: float32, S x S."""
    from_edge = np.minimum(np.arange(size_px), np.arange(size_px)[::-1]) + 0.5
    rise = np.clip(from_edge / (_EDGE * size_px), 0, 1)
    rise = rise * rise * (3 - 2 * rise)
    return np.asarray(np.minimum.outer(rise, rise), np.float32)
