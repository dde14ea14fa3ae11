"""Methods whose weights hold two people: what `sosie train` made of their faces, at work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sosie.errors import InputError, UsageError
from sosie.geometry.face_types import FACE_TYPES
from sosie.methods.base import Source, Swapper
from sosie.methods.dfm.swapper import DfmSwapper
from sosie.methods.imported import card_in
from sosie.methods.weights import onnx_beside, require_method
from sosie.models.cards import with_license
from sosie.models.session import create_session
from sosie.options import SwapOptions
from sosie.types import Crop, SwappedCrop

_BACK = "_back"
"""So ends the name of the file that puts the target's face onto the source."""


def two_people_method(name: str) -> Callable[[SwapOptions], Swapper]:
    """The factory of a method that `sosie train` makes weights for of two people's faces."""
    return partial(_open, name)


def _open(name: str, options: SwapOptions) -> Swapper:
    if options.weights is None:
        raise UsageError(
            f"The method {name} has no weights of its own: train some of two people with `sosie "
            f"train {name} --source A --target B --run RUN`, and name them with --weights, as "
            f"RUN/snapshot.safetensors."
        )
    file = onnx_beside(Path(options.weights))
    if options.direction == "back":
        file = file.with_name(f"{file.stem}{_BACK}{file.suffix}")
        if not file.is_file():
            raise InputError(
                f"There is no {file.name} beside {options.weights}, which puts the target's face "
                f"onto the source: `sosie train` writes both; run it again with --resume."
            )
    return TwoPeopleSwapper(name, file, options)


class TwoPeopleSwapper:
    """A network of two people. Of the options it uses those of `DfmSwapper`, whose layout its file
    has, but no face type: that is told by the file.

    Raises InputError where the file is another, or damaged.
    """

    def __init__(self, name: str, file: Path, options: SwapOptions) -> None:
        session = create_session(file, options.provider, options.threads)
        told = card_in(session)
        require_method(file, name, told.get("method"))
        if told.get("face_type") not in FACE_TYPES:
            raise InputError(
                f"{file} was not written by `sosie train {name}`: a DFM of somebody else runs with "
                f"--method dfm --model."
            )
        self._network = DfmSwapper(file, session, options)
        self.providers = self._network.providers
        self.card = replace(
            self._network.card,
            name=name,
            summary=f"a {name} of two people that was trained with Sosie: {file.name}",
            license=str(with_license(told)["license"]),
            paper=str(told.get("paper")),
        )

    def prepare(self, sources: Sequence[Source]) -> int:
        """Who is put in is in the weights."""
        return self._network.prepare(sources)

    def choose(self, prepared: int, crop: Crop, before: int | None = None) -> int:
        """No photo suits a crop better than another."""
        return self._network.choose(prepared, crop, before)

    def swap(self, prepared: int, crops: Sequence[Crop]) -> list[SwappedCrop]:
        """One run a crop."""
        return self._network.swap(prepared, crops)
