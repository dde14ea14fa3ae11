"""Fit the statistical model of the face mesh that `sosie.face_shape` reads, and write its card.

    python tools/fit_face_shape.py DATA_FOLDER TEACHERS_FOLDER --cache CACHE_FOLDER
        --out src/sosie/face_shape.npz [--workers 2] [--limit N] [--directions 80]

DATA_FOLDER holds the archives that `face_readings.ARCHIVES` names; TEACHERS_FOLDER holds
`face_landmarker.task`; CACHE_FOLDER, anywhere outside version control, keeps what was read.
Landmarks are Sosie's own. What is done:

1. Read landmarks and the teacher's expression weights of every picture of people who are not held
   out (`sosie.datasets.split`). This takes most of the time; the cache lets it stop and go on.
2. Align all faces in 3D to their symmetric mean, found on the way.
3. Principal directions of the aligned faces and their mirror images.
4. The covariance, along those directions, of pictures of one person.
5. A ridge regression from those directions to the expression weights. The ridge is the one that
   reads best the faces of people left out for that; those people then join the final fit.

The archive goes to --out and the card beside it; the figures go to standard output as well.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import face_readings
import numpy as np
import shape_statistics as statistics
from face_readings import Readings
from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION
from numpy.typing import NDArray
from shape_statistics import Regression

from sosie.datasets.split import is_held_out
from sosie.face_shape import FaceShape

# The share of the faces that is fitted on; the others, furthest from the mean, are misread.
_KEEP = 0.99
_RIDGES = tuple(10.0**power for power in np.arange(-7, -1.9, 0.5))

_DATA = (
    ("CelebA", "research use only"),
    ("Labeled Faces in the Wild (LFW), deep-funneled", "public research benchmark, none stated"),
    ("FFHQ", "CC BY-NC-SA 4.0"),
    ("people who do not exist, made by StyleGAN2", "non-commercial use only"),
    ("generated portraits", "CC0-1.0"),
    ("YouTube Faces, frames with 68 landmarks", "repository MIT, frames from YouTube"),
)
_USE_OF_DATA = "a linear model of shape was estimated from its landmarks; no picture is stored"
_TEACHERS = (
    (
        face_readings.TEACHER,
        "Apache-2.0",
        "expression weights of the pictures; figures judged by it are judged by the teacher",
    ),
    (
        "MediaPipe face mesh",
        "Apache-2.0",
        "landmarks of the pictures, and the list of connections that the triangles are made from",
    ),
)


@dataclass(frozen=True)
class Fit:
    """All but the regression, fitted on N faces.

    shape: its `expression` is empty. explained: the directions' share of the variance.
    kept: which faces counted, N. values: coefficients of those, M x K.
    """

    shape: FaceShape
    explained: float
    kept: NDArray[np.bool_]
    values: NDArray[np.float64]


def fit_shape(readings: Readings, directions: int) -> Fit:
    """Steps 2 to 4."""
    weights = statistics.picture_weights(readings.people)
    shape, kept = statistics.fit_reference(readings.landmarks, weights, _KEEP)
    people, weights = readings.people[kept], weights[kept]
    points = statistics.align(readings.landmarks[kept], shape)
    basis, variances = statistics.principal_directions(points, weights, shape.mean)
    basis = basis[:directions]
    values, others = (
        statistics.coefficients(side, shape.mean, basis)
        for side in (points, statistics.mirrored(points))
    )
    within = [statistics.within_covariance(side, people, weights) for side in (values, others)]
    triangles = statistics.triangles_of(FACEMESH_TESSELATION, shape.mean)
    shape = replace(shape, triangles=triangles, basis=basis, within=(within[0] + within[1]) / 2)
    return Fit(shape, float(variances[:directions].sum() / variances.sum()), kept, values)


def fit_expression(readings: Readings, fit: Fit, ridge: float) -> Regression:
    """Step 5, on the faces whose expression the teacher read.

    Without mirror images: the teacher's two sides are not alike, and faces seen as they are were
    found to be read and swapped better than faces seen both ways.
    """
    expressions = readings.weights[fit.kept].astype(np.float64)
    weights = statistics.picture_weights(readings.people)[fit.kept]
    read = ~np.isnan(expressions[:, 0])
    return statistics.fit_regression(fit.values[read], expressions[read], weights[read], ridge)


def choose_ridge(readings: Readings, directions: int) -> tuple[float, dict[str, float]]:
    """The best ridge, and how well expressions are read with it, on people left out of the fit.

    Figures: R2 over all weights; the mean Euclidean distance of the read weights from the
    teacher's, and that of their mean, which reads nothing.
    """
    out = np.array([is_held_out(f"validation/{person}") for person in readings.people])
    seen = readings.select(~out)
    fit = fit_shape(seen, directions)
    unseen = readings.select(out & ~np.isnan(readings.weights[:, 0]))
    points = statistics.align(unseen.landmarks, fit.shape)
    values = statistics.coefficients(points, fit.shape.mean, fit.shape.basis)
    best: tuple[float, dict[str, float]] | None = None
    for ridge in _RIDGES:
        regression = fit_expression(seen, fit, ridge)
        missed, spread = regression(values) - unseen.weights, regression.y0 - unseen.weights
        figures = {
            "validation_people": len(set(unseen.people)),
            "expression_r2": 1 - float((missed**2).sum() / (spread**2).sum()),
            "expression_distance": float(np.linalg.norm(missed, axis=1).mean()),
            "expression_distance_unread": float(np.linalg.norm(spread, axis=1).mean()),
        }
        if best is None or figures["expression_r2"] > best[1]["expression_r2"]:
            best = ridge, figures
    assert best is not None
    return best


def archive(shape: FaceShape, regression: Regression) -> bytes:
    """The file that `sosie.face_shape` reads."""
    content = io.BytesIO()
    np.savez(
        content,
        triangles=shape.triangles.astype(np.int16),
        mirror=shape.mirror.astype(np.int16),
        mean=shape.mean.astype(np.float32),
        stability=shape.stability.astype(np.float32),
        basis=shape.basis.astype(np.float16),
        expression=regression.slopes.astype(np.float32),
        within=shape.within.astype(np.float32),
    )
    return content.getvalue()


def card(content: bytes, file: str, figures: dict[str, float]) -> dict[str, object]:
    """What `sosie.weights.Card` reads."""
    return {
        "name": Path(file).stem,
        "file": file,
        "sha256": hashlib.sha256(content).hexdigest(),
        "summary": "Linear model of the 478-point face mesh: mean, principal directions, and which "
        "changes of shape are changes of expression.",
        "licence": "Apache-2.0",
        "data": [
            {"name": name, "licence": licence, "use": _USE_OF_DATA} for name, licence in _DATA
        ],
        "teachers": [
            {"name": name, "licence": licence, "use": use} for name, licence, use in _TEACHERS
        ],
        "date": date.today().isoformat(),
        "figures": figures,
        "remake": "python tools/fit_face_shape.py DATA_FOLDER TEACHERS_FOLDER "
        f"--cache CACHE_FOLDER --out src/sosie/{file}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("teachers", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="the archive to write, .npz")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what was read")
    parser.add_argument("--workers", type=int, default=2, help="processes that read pictures")
    parser.add_argument("--limit", type=int, help="pictures a group, at most; for a trial")
    parser.add_argument("--directions", type=int, default=80)
    arguments = parser.parse_args()
    if arguments.out.suffix != ".npz":
        parser.error(f"--out {arguments.out} does not end in .npz")
    readings = face_readings.read_folder(
        arguments.data, arguments.teachers, arguments.cache, arguments.workers, arguments.limit
    )
    ridge, validation = choose_ridge(readings, arguments.directions)
    fit = fit_shape(readings, arguments.directions)
    content = archive(fit.shape, fit_expression(readings, fit, ridge))
    figures = {
        "pictures": readings.pictures,
        "faces": int(fit.kept.sum()),
        "faces_with_expression": int((~np.isnan(readings.weights[fit.kept, 0])).sum()),
        "people": len(set(readings.people[fit.kept])),
        "directions": arguments.directions,
        "variance_explained": fit.explained,
        "ridge": ridge,
        **validation,
    }
    figures = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in figures.items()}
    described = json.dumps(card(content, arguments.out.name, figures), indent=2) + "\n"
    arguments.out.write_bytes(content)
    arguments.out.with_suffix(".json").write_text(described, encoding="utf-8")
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
