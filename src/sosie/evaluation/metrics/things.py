"""Things on the face: what of the source's shows where the target has none, and what is kept."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sosie.evaluation.metric import Figure, Missing, MissingFigureError, Readings, Settings
from sosie.evaluation.metrics.base import PairMetric
from sosie.evaluation.sample import AnalyzedImage, Sample
from sosie.evaluation.weight_files import find_weights, weight_file
from sosie.geometry import alignment
from sosie.geometry.head_pose import region_of, square_matrix
from sosie.geometry.morphable_model import silhouette
from sosie.recipes.teachers import PARTS, PartsTeacher

CARD = weight_file("parser")

_AROUND = 2.1
# Less than this share of the face is no thing.
_LEAST = 0.01
_SOURCE = "Sosie; BiSeNetV2 (Yu et al., 2021) on CelebAMask-HQ"
_FOG = "share of the face told as {} in the result and as none in the target"


def _measure_things(sample: Sample, settings: Settings) -> Readings:
    """They are told by a published parser that Sosie does not contain, so that its own cannot be
    fooled and pass; and blur cannot help, since a rim of fog is still told as spectacles."""
    sample.require_equal_sizes()
    teacher = _teacher(find_weights(CARD, settings.weights).parent)
    landmarks = sample.target.found.landmarks
    matrix = square_matrix(region_of(landmarks), _AROUND, teacher.side_px)
    points = alignment.transform_points(landmarks, matrix)
    inside = silhouette(points, teacher.side_px, teacher.side_px) > 127
    if not inside.any():
        raise MissingFigureError("The face is not in the picture.")
    before, after = (_labels(teacher, image, matrix) for image in (sample.target, sample.result))
    glasses = [labels == PARTS.index("spectacles") for labels in (before, after)]
    strands = (PARTS.index("hair"), PARTS.index("hat"))
    hair = [np.isin(labels, strands) for labels in (before, after)]
    kept: float | Missing = Missing(f"The target {sample.target.name} wears no spectacles.")
    if glasses[0][inside].mean() >= _LEAST:
        kept = float((glasses[0] & glasses[1]).sum() / (glasses[0] | glasses[1]).sum())
    return {
        "fog_spectacles": float((glasses[1] & ~glasses[0])[inside].mean()),
        "fog_hair": float((hair[1] & ~hair[0])[inside].mean()),
        "spectacles_kept": kept,
    }


def _labels(
    teacher: PartsTeacher, image: AnalyzedImage, matrix: alignment.Matrix
) -> NDArray[np.uint8]:
    return teacher.read(alignment.crop(image.pixels, matrix, teacher.side_px).astype(np.uint8))


@cache
def _teacher(folder: Path) -> PartsTeacher:
    return PartsTeacher(folder)


THINGS = PairMetric(
    group="Realism",
    measure=_measure_things,
    source=_SOURCE,
    figures={
        "fog_spectacles": Figure(
            title="Spectacles that the target has not",
            range=(0, 1),
            summary="How much of the face shows spectacles that came with the source.",
            formula=_FOG.format("spectacles"),
            limits="Where the target wears spectacles too, theirs count as the target's.",
        ),
        "fog_hair": Figure(
            title="Hair and hats that the target has not",
            range=(0, 1),
            summary="How much of the face shows hair or a hat that came with the source.",
            formula=_FOG.format("hair or a hat"),
            limits="Beards are skin to this parser. A dark shadow may be told as hair.",
        ),
        "spectacles_kept": Figure(
            title="The target's spectacles kept",
            better="higher",
            range=(0, 1),
            summary="Whether the target's spectacles are whole in the result.",
            formula="intersection over union of what is told as spectacles in both pictures",
            limits="A lens counts as much as a rim. It is told only of targets that wear "
            "spectacles.",
        ),
    },
)
