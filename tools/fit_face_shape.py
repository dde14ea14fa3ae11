"""Fit the statistical model of the face mesh that `sosie.geometry.morphable_model` reads, and write
its card.

    python tools/fit_face_shape.py DATA_FOLDER TEACHERS_FOLDER --cache CACHE_FOLDER
        --out src/sosie/models/files/face_shape.npz [--workers 2] [--directions 100]

The folders are those of `sosie train`, which shares the cache of faces. What is done:

1. Take landmarks and expression weights, as the teacher `face_landmarker.task` reads them, of every
   picture of people who are not held out (`sosie.datasets.split`).
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

import numpy as np
import shape_statistics as statistics
from mediapipe.tasks.python.vision.face_landmarker import FaceLandmarksConnections
from numpy.typing import NDArray
from shape_statistics import Regression

from sosie.datasets.split import is_held_out
from sosie.geometry.morphable_model import FaceShape
from sosie.recipes.face_cache import FaceSet, open_faces
from sosie.recipes.teachers import LANDMARKER_FILE
from sosie.training.recipe import Materials

# The share of the faces that is fitted on; the others, furthest from the mean, are misread.
_KEEP = 0.99
# A face that the teacher reads otherwise in the mirror, by more of the eyes' distance, is left out.
_MAX_APART = 0.08
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
        LANDMARKER_FILE,
        "Apache-2.0",
        (
            "landmarks and expression weights of the pictures, and the list of connections that "
            "the triangles are made from; figures judged by it are judged by the teacher"
        ),
    ),
)


@dataclass(frozen=True)
class Readings:
    """One row a picture that shows a face.

    people: the identity of each. landmarks: float32, N x 478 x 3, in pixels. weights: float32,
    N x E, 0..1, of E expressions. pictures: how many were read, those left out included.
    """

    people: NDArray[np.str_]
    landmarks: NDArray[np.float32]
    weights: NDArray[np.float32]
    pictures: int

    def select(self, rows: NDArray[np.bool_]) -> Readings:
        """Some of the rows."""
        return replace(
            self,
            people=self.people[rows],
            landmarks=self.landmarks[rows],
            weights=self.weights[rows],
        )


def read(faces: FaceSet) -> Readings:
    """Step 1. The weight that is no expression but the absence of all is left out."""
    rows = ~faces.test & (faces.agreement < _MAX_APART) & ~np.isnan(faces.expression[:, 0])
    named = [n for n, name in enumerate(faces.expression_names) if name != "_neutral"]
    return Readings(
        faces.people[rows],
        faces.landmarks[rows],
        faces.expression[rows][:, named],
        int((~faces.test).sum()),
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
    lines = FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION
    edges = {(line.start, line.end) for line in lines}
    triangles = statistics.triangles_of(edges, shape.mean)
    shape = replace(shape, triangles=triangles, basis=basis, within=(within[0] + within[1]) / 2)
    return Fit(shape, float(variances[:directions].sum() / variances.sum()), kept, values)


def fit_expression(readings: Readings, fit: Fit, ridge: float) -> Regression:
    """Step 5.

    Without mirror images: the teacher's two sides are not alike, and faces seen as they are were
    found to be read and swapped better than faces seen both ways.
    """
    expressions = readings.weights[fit.kept].astype(np.float64)
    weights = statistics.picture_weights(readings.people)[fit.kept]
    return statistics.fit_regression(fit.values, expressions, weights, ridge)


def choose_ridge(readings: Readings, directions: int) -> tuple[float, dict[str, float]]:
    """The best ridge, and how well expressions are read with it, on people left out of the fit.

    Figures: R2 over all weights; the mean Euclidean distance of the read weights from the
    teacher's, and that of their mean, which reads nothing.
    """
    out = np.array([is_held_out(f"validation/{person}") for person in readings.people])
    seen = readings.select(~out)
    fit = fit_shape(seen, directions)
    unseen = readings.select(out)
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
    """The file that `sosie.geometry.morphable_model` reads."""
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
    """What `sosie.models.cards.Card` reads."""
    return {
        "name": Path(file).stem,
        "file": file,
        "sha256": hashlib.sha256(content).hexdigest(),
        "summary": "Linear model of the 478-point face mesh: mean, principal directions, and which "
        "changes of shape are changes of expression.",
        "license": "Apache-2.0",
        "data": [
            {"name": name, "license": license_name, "use": _USE_OF_DATA}
            for name, license_name in _DATA
        ],
        "teachers": [
            {"name": name, "license": license_name, "use": use}
            for name, license_name, use in _TEACHERS
        ],
        "date": date.today().isoformat(),
        "figures": figures,
        "remake": "python tools/fit_face_shape.py DATA_FOLDER TEACHERS_FOLDER "
        f"--cache CACHE_FOLDER --out src/sosie/models/files/{file}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("teachers", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="the archive to write, .npz")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the faces")
    parser.add_argument("--workers", type=int, default=2, help="processes that read faces")
    parser.add_argument("--directions", type=int, default=100)
    arguments = parser.parse_args()
    if arguments.out.suffix != ".npz":
        parser.error(f"--out {arguments.out} does not end in .npz")
    readings = read(
        open_faces(
            Materials(arguments.data, arguments.teachers, arguments.cache, arguments.workers)
        )
    )
    ridge, validation = choose_ridge(readings, arguments.directions)
    fit = fit_shape(readings, arguments.directions)
    content = archive(fit.shape, fit_expression(readings, fit, ridge))
    figures = {
        "expression_r2": validation.pop("expression_r2"),
        "variance_explained": fit.explained,
        "directions": arguments.directions,
        "people": len(set(readings.people[fit.kept])),
        "pictures": readings.pictures,
        "faces": int(fit.kept.sum()),
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
