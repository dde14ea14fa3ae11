"""Methods whose weights the user brings: those that `sosie train` made, and published ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sosie.analysis.analyzer import to_8_bit
from sosie.analysis.embedder import SIDE_PX, TEMPLATE, Embedder
from sosie.errors import InputError, UsageError
from sosie.geometry import alignment
from sosie.methods.base import Card, Source, Swapper, nearest_pose, soft_edge
from sosie.methods.imported import CARD, PublishedSwapper, card_in, interface_name, refuse
from sosie.methods.interfaces import INTERFACES
from sosie.models.cards import with_license
from sosie.models.session import Session, create_session
from sosie.models.zoo import open_network
from sosie.options import SwapOptions
from sosie.types import Crop, FloatArray, Pixels, Pose, SwappedCrop

_MOST_PX = 2048
# Towards the crop's edge the swapped face gives way to the target over this share of its side.
_EDGE = 0.08


def method_with_weights(
    name: str,
    how: str,
    interface: str | None = None,
    trained: type[TrainedSwapper] | None = None,
) -> Callable[[SwapOptions], Swapper]:
    """The factory of a method that has no weights of its own.

    how: the part of a sentence that says how to get some. interface: of files that do not say what
    they are, where all of the method are called alike; None where that would be a guess. trained:
    what runs the files of `sosie train`, where that is not `TrainedSwapper`.
    """
    return partial(_open, name, how, interface, trained)


def trained_method(
    name: str, trained: type[TrainedSwapper] | None = None
) -> Callable[[SwapOptions], Swapper]:
    """The factory of a method that `sosie train` makes weights for, and that has published ones.
    trained: as of `method_with_weights`."""
    return method_with_weights(
        name,
        trained=trained,
        how=f"train some with `sosie train {name}`, or import published ones with `sosie weights "
        f"import {name} FILE`, and name them with --weights, as RUN/snapshot.safetensors",
    )


def imported_method(name: str) -> Callable[[SwapOptions], Swapper]:
    """The factory of a method that swaps with published weights alone."""
    return method_with_weights(
        name,
        f"import published ones with `sosie weights import {name} FILE`, and name what that wrote "
        f"with --weights",
    )


def _open(
    name: str,
    how: str,
    interface: str | None,
    trained: type[TrainedSwapper] | None,
    options: SwapOptions,
) -> Swapper:
    """The swapper of the file that the options name, by whoever wrote it."""
    if options.weights is None:
        raise UsageError(f"The method {name} has no weights of its own: {how}.")
    file = onnx_beside(Path(options.weights))
    session = create_session(file, options.provider, options.threads)
    card = card_in(session)
    require_method(file, name, card.get("method"))
    if "network" not in card and card:
        refuse(
            f"A {name} that was trained with Sosie",
            **{key: getattr(options, key) for key in ("encoder", "converter", "face_model")},
            interface=options.interface,
        )
        return (trained or TrainedSwapper)(name, file, session, options)
    network = interface_name(file, session, options.interface or (None if card else interface))
    require_method(file, name, INTERFACES[network].method if network in INTERFACES else None)
    return PublishedSwapper(name, file, session, network, options)


@dataclass(frozen=True)
class Prepared:
    """One source photo. known: what the generator is told of it, with a batch axis of one."""

    known: FloatArray
    pose: Pose


class TrainedSwapper:
    """A generator that `sosie train` made. Of the options it uses `provider` and `threads`.

    A method whose generator is told something else than an identity overrides `known` and `told`.
    Raises InputError where the file is damaged. together: whether several crops go into one run.
    """

    together: ClassVar[bool] = True

    def __init__(self, name: str, file: Path, session: Session, options: SwapOptions) -> None:
        """file: the ONNX file of a snapshot; session: the same, opened."""
        self._session = session
        self._file = file
        facts = trained_facts(file, session)
        self._size_px, self._low = facts["size_px"], facts["low"]
        identity = open_network("identity", options.provider, 1)
        self._embedder = Embedder(identity)
        self.providers = {name: session.provider, "identity": identity.provider}
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
        return tuple(Prepared(self.known(one), one.face.pose) for one in sources)

    def choose(self, prepared: Sequence[Prepared], crop: Crop, before: int | None = None) -> int:
        """Which source photo is nearest to the target's head pose."""
        return nearest_pose([one.pose for one in prepared], crop.face.pose, before)

    def known(self, source: Source) -> FloatArray:
        """What the generator is told of a source photo, with a batch axis of one: its identity."""
        return self.identity(source)

    def told(self, known: FloatArray, crop: Crop) -> dict[str, FloatArray]:  # noqa: ARG002
        """What it is told beside the target's pixels, by name. known: of the source photo."""
        return {"identity": known}

    def swap(self, prepared: Sequence[Prepared], crops: Sequence[Crop]) -> list[SwappedCrop]:
        """All crops in one run, where the network computes of several what it does of one."""
        if not self.together and len(crops) > 1:
            return [one for crop in crops for one in self.swap(prepared, [crop])]
        if not crops:
            return []
        chosen = [self.choose(prepared, c) if c.source is None else c.source for c in crops]
        targets = np.concatenate([self.values(crop.pixels) for crop in crops])
        told = [self.told(prepared[k].known, crop) for k, crop in zip(chosen, crops, strict=True)]
        inputs = {name: np.concatenate([one[name] for one in told]) for name in told[0]}
        if set(self._session.inputs) != {"target", *inputs}:
            raise InputError(
                f"{self._file} takes {', '.join(self._session.inputs)}, which no network of "
                f"`sosie train {self.card.name}` does: it is damaged, or was changed."
            )
        answers = self._session.run({"target": targets, **inputs})
        made = next(iter(answers.values()))
        if made.shape != targets.shape:
            raise InputError(
                f"The {self.card.name} gives {made.shape} numbers instead of {targets.shape}: its "
                f"file is damaged, or of another size than it says."
            )
        mask = soft_edge(self._size_px, _EDGE)
        unit = np.clip((made.transpose(0, 2, 3, 1) - self._low) / (1 - self._low), 0, 1)
        return [SwappedCrop(np.asarray(one, np.float32), mask, np.zeros_like(mask)) for one in unit]

    def identity(self, source: Source) -> FloatArray:
        """Who is in a source photo: 1 x 512, unit length."""
        matrix = alignment.align_matrix(source.face.points5, TEMPLATE, SIDE_PX)
        face = alignment.crop(to_8_bit(source.pixels), matrix, SIDE_PX)
        return self._embedder.embed(np.asarray(face, np.uint8)[None])

    def values(self, pixels: Pixels) -> FloatArray:
        """RGB uint8 or uint16 -> 1 x 3 x S x S in the network's range."""
        unit = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
        values = unit * (1 - self._low) + self._low
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32)


class PictureSwapper(TrainedSwapper):
    """A trained generator that sees the source itself, as its file has the encoder within. The
    encoder's long sums are rounded otherwise for several faces than for one."""

    together: ClassVar[bool] = False

    def known(self, source: Source) -> FloatArray:
        """The source's face, aligned as targets are: 1 x 3 x S x S in the network's range."""
        assert self.card.template is not None
        matrix = alignment.align_matrix(source.face.points5, self.card.template, self._size_px)
        return self.values(alignment.crop(source.pixels, matrix, self._size_px))

    def told(self, known: FloatArray, crop: Crop) -> dict[str, FloatArray]:  # noqa: ARG002
        return {"source": known}


def trained_file(name: str, how: str, options: SwapOptions) -> tuple[Path, Session, str]:
    """The ONNX file of a training, opened, and the text of the card in it; for a method that has no
    published weights, and who is put in is in its own.

    how: as of `method_with_weights`. Raises UsageError where the options name no weights, or what
    belongs to published ones; InputError where they are not of the method.
    """
    if options.weights is None:
        raise UsageError(f"The method {name} has no weights of its own: {how}.")
    refuse(
        f"A {name}",
        **{key: getattr(options, key) for key in ("encoder", "converter", "face_model")},
        interface=options.interface,
    )
    file = onnx_beside(Path(options.weights))
    session = create_session(file, options.provider, options.threads)
    require_method(file, name, card_in(session).get("method"))
    return file, session, session.metadata.get(CARD, "")


def onnx_beside(weights: Path) -> Path:
    """What is run of a snapshot. Raises InputError where either is not there."""
    file = weights.with_suffix(".onnx")
    if not weights.is_file():
        raise InputError(f"There is no {weights}: name the snapshot of a training with --weights.")
    if not file.is_file():
        raise InputError(
            f"There is no {file.name} beside {weights}: `sosie train` writes both when it ends or "
            f"is stopped, and `sosie weights import` too; let the training go on with --resume, or "
            f"import again."
        )
    return file


def require_method(file: Path, name: str, method: object) -> None:
    """Raises InputError on a file that is another method's. method: whose it is, where told."""
    if method is not None and method != name:
        raise InputError(f"{file} is a {method}, not a {name}: give --method {method}.")


def trained_facts(file: Path, session: Session) -> dict[str, Any]:
    """What a file of `sosie train` says of itself: template, license and paper, size_px, and low,
    the value of black. Raises InputError where it is none, or is damaged."""
    try:
        told = with_license(json.loads(session.metadata.get(CARD, "{}")))
        texts = {key: str(told[key]) for key in ("template", "license", "paper")}
        size_px, low = int(told["size_px"]), float(told["low"])
        if session.inputs["target"][2:] != (size_px, size_px) or not low < 1:
            raise ValueError("it takes other pictures than it says")
    except (ValueError, OverflowError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{file} was not written by `sosie train`: published swappers are imported with `sosie "
            f"weights import`, or run with --method onnx --model."
        ) from error
    if texts["template"] not in alignment.TEMPLATES or not 16 <= size_px <= _MOST_PX or low < -1:
        raise InputError(
            f"{file} says of itself what no network of `sosie train` does: it is damaged, or was "
            f"changed."
        )
    return {**texts, "size_px": size_px, "low": low}
