"""How far the result is from the target in the features of a classification network: LPIPS."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sosie.errors import UnavailableError, UsageError
from sosie.evaluation.metric import Figure, Missing, Readings, Settings, variant_name
from sosie.evaluation.sample import Look, Triple
from sosie.evaluation.weight_files import (
    FOLDER_VARIABLE,
    WeightFile,
    are_present,
    find_weights,
    load_tensors,
    weight_folder,
)
from sosie.geometry import alignment
from sosie.geometry.head_pose import region_of, square_matrix
from sosie.options import nearest

if TYPE_CHECKING:
    from sosie.nn.lpips import Architecture, Lpips
from sosie.evaluation.metrics.base import PairMetric

_SIDE_PX, _MARGIN = 256, 1.5
_LINEAR = "https://github.com/richzhang/PerceptualSimilarity/tree/master/lpips/weights/v0.1"
_TORCHVISION = "https://download.pytorch.org/models/"
_BSD2, _BSD3 = "BSD-2-Clause", "BSD-3-Clause"


@dataclass(frozen=True)
class Card:
    """An LPIPS network: its kind, its two files, and how its backbone takes pictures."""

    architecture: Architecture
    backbone: WeightFile
    linear: WeightFile
    caffe: bool = False


def _published(kind: Architecture, backbone: str, backbone_sha256: str, linear_sha256: str) -> Card:
    return Card(
        kind,
        WeightFile(backbone, backbone_sha256, _TORCHVISION + backbone, _BSD3),
        WeightFile(f"{kind}.pth", linear_sha256, f"{_LINEAR}/{kind}.pth", _BSD2),
    )


CARDS = {
    "alex": _published(
        "alex",
        "alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    ),
    "vgg": _published(
        "vgg",
        "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    ),
    "squeeze": _published(
        "squeeze",
        "squeezenet1_1-b8a52dc0.pth",
        "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
        "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
    ),
    # A backbone converted from Caffe under the published linear weights: its distances grow as
    # they should, but are not those of published LPIPS.
    "squeeze-caffe": Card(
        "squeeze",
        WeightFile(
            "squeezenet1_1_features.safetensors",
            "a63673e11cdbf42b5116e108e3858186af0721a3e75b8fc396b7a23d2289f14d",
            "the teachers of Sosie's development",
            "MIT",
        ),
        WeightFile(
            "lpips_squeeze_lin_v0_1.safetensors",
            "7b35c219aaf55e4be5486ee08f40bb7b92b7bba3130e7d90425b3d5a87de2097",
            "the teachers of Sosie's development",
            _BSD2,
        ),
        caffe=True,
    ),
}
"""LPIPS networks by name, the one that papers use first; `squeeze-caffe` is not comparable with
published figures."""
_SOURCE = "Zhang et al. 2018"
_LIMITS = (
    "Needs weights that Sosie does not ship; figures of different networks are not comparable, nor "
    "are those of squeeze-caffe with published ones. Computed on 256 px around the face. "
)
_INSIDE = "A swap has to change the face: low inside means that little was changed."


def _measure_perceptual(triple: Triple, settings: Settings) -> Readings:
    """How far the result is from the target in the features of a classification network: LPIPS.

    Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric". On
    an upright square of 256 px around the face, in all, and as the means of its shares inside and
    outside the face. The weights are not Sosie's: see CARDS. Named by them: `lpips[alex]`. About
    0..1; 0 is equal.
    """
    name = choose_card(settings.perceptual, settings.weights)
    triple.require_equal_sizes()
    matrix = square_matrix(region_of(triple.target.found.landmarks), _MARGIN, _SIDE_PX)
    inside = alignment.crop(triple.inside.astype(np.uint8) * 255, matrix, _SIDE_PX) > 127
    network = open_lpips(name, weight_folder(settings.weights))
    found = network.distance(*(_tensor(look, matrix) for look in (triple.target, triple.result)))
    places = found.places.numpy()
    readings: Readings = {
        "lpips": found.total,
        "lpips_inside": _mean(places, inside),
        "lpips_outside": _mean(places, ~inside),
    }
    return {variant_name(figure, name): value for figure, value in readings.items()}


def choose_card(named: str, folder: Path | None) -> str:
    """The card of that name, or for `auto` the first whose files are there.

    Raises UsageError for an unknown name, UnavailableError where `auto` finds none.
    """
    if named != "auto":
        if named not in CARDS:
            raise UsageError(f"Unknown LPIPS network {named!r}: {nearest(named, CARDS)}.")
        return named
    for name, card in CARDS.items():
        if are_present([card.backbone, card.linear], folder):
            return name
    first = CARDS["alex"]
    raise UnavailableError(
        f"LPIPS needs weights that Sosie does not ship: fetch {first.backbone.file} from "
        f"{first.backbone.url} and {first.linear.file} from {first.linear.url} into a folder, and "
        f"name it by --weights or ${FOLDER_VARIABLE}."
    )


@cache
def open_lpips(name: str, folder: Path | None) -> Lpips:
    """The network of a card with its weights from the folder. Raises as `find_weights`."""
    card = CARDS[name]
    backbone = load_tensors(find_weights(card.backbone, folder))
    linear = load_tensors(find_weights(card.linear, folder))
    from sosie.nn.lpips import Lpips

    network = Lpips(card.architecture, caffe=card.caffe)
    network.load(backbone, linear)
    return network


def _tensor(look: Look, matrix: alignment.Matrix) -> Any:
    """The square as float32, 3 x H x W, RGB 0..1."""
    import torch

    square = alignment.crop(look.pixels, matrix, _SIDE_PX)
    return torch.from_numpy(np.ascontiguousarray(square.transpose(2, 0, 1))).float() / 255


def _mean(places: NDArray[np.float32], where: NDArray[np.bool_]) -> float | Missing:
    if not where.any():
        return Missing("The face fills its surroundings, or lies outside the picture.")
    return float(places[where].mean())


PERCEPTUAL = PairMetric(
    group="Realism",
    measure=_measure_perceptual,
    source=_SOURCE,
    figures=(
        Figure(
            name="lpips",
            title="LPIPS to the target",
            better=None,
            summary="How different the face and its surroundings look from the target's.",
            formula="eq. 1 of the paper over an upright square of 1.5 faces",
            limits=_LIMITS + _INSIDE,
        ),
        Figure(
            name="lpips_inside",
            title="LPIPS inside the face",
            better=None,
            summary="How different the inside of the face looks from the target's.",
            formula="mean, inside the face, of the distance at each place",
            limits=_LIMITS + _INSIDE,
        ),
        Figure(
            name="lpips_outside",
            title="LPIPS outside the face",
            summary="How different the surroundings of the face look from the target's.",
            formula="mean, outside the face, of the distance at each place",
            limits=_LIMITS
            + "Features near the edge see some of the inside too: it is never quite 0.",
        ),
    ),
)
