"""The files that a training of two people ends with: ONNX to swap with, both ways."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sosie.recipes.swapper.model_file import LICENSE, export_checked
from sosie.recipes.two_people.network import Merging, TwoPeople

FACE, MORPH = "in_face", "morph_value"
OUTPUTS = ("out_face_mask", "out_celeb_face", "out_celeb_face_mask")
"""Names of the inputs and outputs, which are those of DFM files."""

BACK = "_back"
"""So ends the name of the file that puts the target's face onto the source."""


@dataclass(frozen=True)
class PeopleCard:
    """How the file is to be called. face_type, size_px: of the crops. morph: whether it can mix.

    direction: `forward` puts the source's face onto the target, `back` the target's onto the
    source.
    """

    method: str
    face_type: str
    size_px: int
    morph: bool
    paper: str
    direction: str = "forward"
    license: str = LICENSE


def export_both_ways(network: TwoPeople, card: PeopleCard, file: Path) -> None:
    """Write `file`, and the way back beside it. Raises SosieError where ONNX Runtime computes
    something else than torch; there is no file then."""
    network = network.cpu().float().eval()
    back = file.with_name(f"{file.stem}{BACK}{file.suffix}")
    _export(Merging(network), card, file)
    _export(Merging(network, back=True), dataclasses.replace(card, direction="back"), back)


class _Whole(nn.Module):
    """A network without the choice of a morph factor, which the exporter would make an input."""

    def __init__(self, merging: Merging) -> None:
        super().__init__()
        self.merging = merging

    def forward(self, in_face: torch.Tensor) -> tuple[torch.Tensor, ...]:
        made: tuple[torch.Tensor, ...] = self.merging(in_face)
        return made


def _export(merging: Merging, card: PeopleCard, file: Path) -> None:
    rng = np.random.default_rng(0)
    given = {FACE: rng.random((2, card.size_px, card.size_px, 3), dtype=np.float32)}
    network: nn.Module = merging if card.morph and card.direction == "forward" else _Whole(merging)
    if card.morph and card.direction == "forward":
        given[MORPH] = np.array([0.5], np.float32)
    export_checked(network, given, OUTPUTS, dataclasses.asdict(card), file)
