"""How far the result is from the target in the features of a classification network: LPIPS."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sosie.errors import UnavailableError, UsageError, nearest
from sosie.evaluation.metric import Figure, Missing, Readings, Settings, variant_name
from sosie.evaluation.sample import AnalyzedImage, Sample
from sosie.evaluation.weight_files import (
    FOLDER_VARIABLE,
    WeightFile,
    are_present,
    find_weights,
    load_tensors,
    weight_file,
    weight_folder,
)
from sosie.geometry import alignment
from sosie.geometry.head_pose import region_of, square_matrix

if TYPE_CHECKING:
    from sosie.nn.lpips import Architecture, Lpips
from sosie.evaluation.metrics.base import PairMetric

_SIDE_PX, _MARGIN = 256, 1.5


@dataclass(frozen=True)
class Card:
    """An LPIPS network: its kind, its two files, and how its backbone takes pictures."""

    architecture: Architecture
    backbone: WeightFile
    linear: WeightFile
    caffe: bool = False


CARDS = {
    "alex": Card("alex", weight_file("alexnet"), weight_file("lpips-alex")),
    "vgg": Card("vgg", weight_file("vgg16"), weight_file("lpips-vgg")),
    "squeeze": Card("squeeze", weight_file("squeezenet"), weight_file("lpips-squeeze")),
    # A backbone converted from Caffe under the published linear weights: its distances grow as
    # they should, but are not those of published LPIPS.
    "squeeze-caffe": Card(
        "squeeze", weight_file("squeezenet-caffe"), weight_file("lpips-squeeze-safe"), caffe=True
    ),
}
"""LPIPS networks by name, the one that papers use first; `squeeze-caffe` is not comparable with
published figures."""
_SOURCE = "Zhang et al. 2018"
_INSIDE = "A swap has to change the face: low inside means that little was changed."


def _measure_perceptual(sample: Sample, settings: Settings) -> Readings:
    """How far the result is from the target in the features of a classification network: LPIPS.

    Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric". On
    an upright square of 256 px around the face, in all, and as the means of its shares inside and
    outside the face. The weights are not Sosie's: see CARDS. Named by them: `lpips[alex]`. About
    0..1; 0 is equal.
    """
    name = choose_card(settings.perceptual, settings.weights)
    sample.require_equal_sizes()
    matrix = square_matrix(region_of(sample.target.found.landmarks), _MARGIN, _SIDE_PX)
    inside = alignment.crop(sample.inside.astype(np.uint8) * 255, matrix, _SIDE_PX) > 127
    network = open_lpips(name, weight_folder(settings.weights))
    found = network.distance(*(_tensor(image, matrix) for image in (sample.target, sample.result)))
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


def _tensor(image: AnalyzedImage, matrix: alignment.Matrix) -> Any:
    """The square as float32, 3 x H x W, RGB 0..1."""
    import torch

    square = alignment.crop(image.pixels, matrix, _SIDE_PX)
    return torch.from_numpy(np.ascontiguousarray(square.transpose(2, 0, 1))).float() / 255


def _mean(places: NDArray[np.float32], where: NDArray[np.bool_]) -> float | Missing:
    if not where.any():
        return Missing("The face fills its surroundings, or lies outside the picture.")
    return float(places[where].mean())


PERCEPTUAL = PairMetric(
    group="Realism",
    measure=_measure_perceptual,
    source=_SOURCE,
    limits="Needs weights that Sosie does not ship; figures of different networks are not "
    "comparable, nor are those of squeeze-caffe with published ones. Computed on 256 px around the "
    "face.",
    figures={
        "lpips": Figure(
            title="LPIPS to the target",
            better=None,
            summary="How different the face and its surroundings look from the target's.",
            formula="eq. 1 of the paper over an upright square of 1.5 faces",
            also=_INSIDE,
        ),
        "lpips_inside": Figure(
            title="LPIPS inside the face",
            better=None,
            summary="How different the inside of the face looks from the target's.",
            formula="mean, inside the face, of the distance at each place",
            also=_INSIDE,
        ),
        "lpips_outside": Figure(
            title="LPIPS outside the face",
            summary="How different the surroundings of the face look from the target's.",
            formula="mean, outside the face, of the distance at each place",
            also="Features near the edge see some of the inside too: it is never quite 0.",
        ),
    },
)
