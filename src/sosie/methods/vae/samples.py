"""What is seen in the faces that a space is learned from, and which way in it each of that lies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.analysis.landmarker import EXPRESSIONS
from sosie.analysis.occlusion import shares
from sosie.datasets.array_files import load_arrays, save_arrays, short_hash
from sosie.recipes.own_faces import OwnFaces
from sosie.training.recipe import Materials
from sosie.types import FloatArray

ATTRIBUTES = ("smile", "mouth-open", "yaw", "pitch", "spectacles", "brightness")

_MOST = 600
_LEAST_TOLD, _RIDGE = 10, 1e-2
# An attribute that differs less than this among the faces is none of theirs.
_LEAST_SPREAD = 1e-3
# A change of what is measured, or how, starts a new cache.
_VERSION = 1


def measured(own: OwnFaces, materials: Materials) -> tuple[NDArray[np.intp], FloatArray]:
    """Rows (at most 600, evenly taken) and what is seen in them: float32, rows x ATTRIBUTES, nan
    where nothing could be told. They are measured once and kept in the cache."""
    every = own.every
    rows = every[np.unique(np.linspace(0, len(every) - 1, _MOST).round().astype(np.intp))]
    sums = [int(own.face(row).sum()) for row in rows.tolist()]
    folder = materials.cache / f"attributes-{short_hash(repr((_VERSION, ATTRIBUTES, sums)))}"
    file = folder / "attributes.npz"
    if not file.exists():
        analyzer = create_analyzer(threads=1)
        values = [_seen(own.face(row), analyzer) for row in rows.tolist()]
        save_arrays(file, {"values": np.array(values, np.float32)})
    return rows, load_arrays(file)["values"]


def _seen(pixels: NDArray[np.uint8], analyzer: Analyzer) -> list[float]:
    """The attributes of the largest face of a picture."""
    faces = analyzer.analyze(pixels, thorough=False)
    face = max(faces, key=lambda one: one.size_px, default=None)
    if face is None or face.expression is None:
        return [float("nan")] * len(ATTRIBUTES)
    moves = dict(zip(EXPRESSIONS, face.expression.tolist(), strict=True))
    laid = shares(analyzer.parts(pixels, face.landmarks), face.landmarks)
    smile = (moves["mouthSmileLeft"] + moves["mouthSmileRight"]) / 2
    light = float(pixels.mean()) / 255
    return [
        *(smile, moves["jawOpen"], face.pose.yaw, face.pose.pitch),
        *(laid["spectacles"], light),
    ]


def directions(
    latents: FloatArray, values: FloatArray, names: tuple[str, ...] = ATTRIBUTES
) -> Mapping[str, FloatArray]:
    """For each attribute that differs among the faces, how latents change with it: L each, for one
    standard deviation.

    latents: float32, N x L. values: N x names. All are fitted at once (least squares of the latents
    on the attributes), so that what goes along with a smile, as turning to the camera may, is not
    taken for it. An attribute is left out where fewer than ten faces tell, or all are alike.
    """
    known = np.isfinite(values).all(1)
    if known.sum() < _LEAST_TOLD:
        return {}
    z, x = latents[known].astype(np.float64), values[known].astype(np.float64)
    spread = x.std(0)
    kept = np.flatnonzero(spread > _LEAST_SPREAD)
    scaled = (x[:, kept] - x[:, kept].mean(0)) / spread[kept]
    # A little ridge: attributes may go along with each other nearly all the way.
    inner = scaled.T @ scaled + _RIDGE * len(scaled) * np.eye(len(kept))
    slopes = np.linalg.solve(inner, scaled.T @ (z - z.mean(0)))
    return {
        names[k]: np.asarray(slope, np.float32)
        for k, slope in zip(kept.tolist(), slopes, strict=True)
    }
