"""Fit what tells `sosie.analysis.beard` whether a face has a beard, and write its card.

    python tools/fit_beard.py DATA_FOLDER TEACHERS_FOLDER --cache CACHE_FOLDER
        --out src/sosie/models/files/beard.npz

Pictures that somebody looked at are named in `beard_labels.json`, by whether they show a beard (a
moustache counts), or stubble, which counts as neither. A ridge regression of the logit is fitted
to the identity network's vectors of people who are not held out (`sosie.datasets.split`). The
figures are shares of faces with and without a beard that are taken for bearded (`apart`: of people
held out; `left out`: of an eighth of the others each time, whom the other seven were fitted to).
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from fitted_archive import read_arguments, write_archive
from numpy.typing import NDArray

from sosie.analysis import beard
from sosie.analysis.analyzer import create_analyzer
from sosie.datasets.split import identity_of, is_held_out

LABELS = Path(__file__).with_name("beard_labels.json")
_ARCHIVES = ("hires", "celebamask", "celeba-0", "celeba-1")
# Of a vector of unit length each number is about a twentieth.
_TIMES = 16.0
# A face with a beard counts so many times, for there are fewer; and the ridge, chosen among 3, 10,
# 30 and 100 by the people left out.
_COUNTS, _RIDGE = 3.0, 30.0
_PARTS = 8
_SUMMARY = "Whether a face has a beard, told by its identity: a linear model."
_USE = "looked at for beards; a linear model was fitted, and no picture is stored"
_USES = dict.fromkeys(("celeba", "celebamask", "ffhq", "stylegan2", "portraits"), _USE)


def main() -> None:
    """Read, fit, measure, write."""
    materials, out, _ = read_arguments(__doc__ or "", 1)
    labels: dict[str, list[str]] = json.loads(LABELS.read_text("utf-8"))
    told = {name: kind == "beard" for kind in ("beard", "none") for name in labels[kind]}
    rows, names = _read(materials.data, told)
    bearded = np.array([told[name] for name in names])
    people = np.array([_person(name) for name in names])
    apart = np.array([is_held_out(person) for person in people])
    weights, bias = _fit(rows[~apart], bearded[~apart])
    left_out = _left_out(rows[~apart], bearded[~apart], people[~apart])
    figures = {
        **_figures("left out", left_out, bearded[~apart]),
        **_figures("apart", rows[apart] @ weights + bias, bearded[apart]),
    }
    content = io.BytesIO()
    np.savez(content, weights=weights.astype(np.float32), bias=np.float32(bias))
    write_archive(
        out, content.getvalue(), figures, tool=Path(__file__).name, summary=_SUMMARY, uses=_USES
    )


def _person(name: str) -> str:
    group, _, inside = name.partition("/")
    if group == "celebamask":
        return f"{group}/{Path(inside).stem}"
    return identity_of(group.partition("-")[0], inside)


def _read(data: Path, told: Mapping[str, bool]) -> tuple[NDArray[np.float64], list[str]]:
    """The identity of each picture that shows a face, and its name."""
    analyzer = create_analyzer()
    rows, names = [], []
    for group in _ARCHIVES:
        with zipfile.ZipFile(data / f"{group}.zip") as archive:
            for name in sorted(one for one in told if one.startswith(f"{group}/")):
                stored = np.frombuffer(archive.read(name.partition("/")[2]), np.uint8)
                picture = cv2.cvtColor(cv2.imdecode(stored, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
                faces = analyzer.analyze(picture, thorough=False)
                if faces:
                    face = max(faces, key=lambda one: one.size_px)
                    rows.append(analyzer.identify(picture, face))
                    names.append(name)
    return np.array(rows, np.float64), names


def _left_out(
    rows: NDArray[np.float64], bearded: NDArray[np.bool_], people: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Of each face its score by a fit to others: to people of other parts than its own."""
    digests = [int(hashlib.sha256(f"beard {one}".encode()).hexdigest(), 16) for one in people]
    parts = np.array([digest % _PARTS for digest in digests])
    scores = np.zeros(len(rows))
    for part in range(_PARTS):
        out = parts == part
        weights, bias = _fit(rows[~out], bearded[~out])
        scores[out] = rows[out] @ weights + bias
    return scores


def _fit(
    rows: NDArray[np.float64], bearded: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], float]:
    """Weights and bias of a logistic regression with a ridge, by Newton's method."""
    inputs = np.column_stack([rows * _TIMES, np.ones(len(rows))])
    ridge = np.append(np.full(rows.shape[1], _RIDGE), 1e-3)
    counts = np.where(bearded, _COUNTS, 1.0)
    weights = np.zeros(inputs.shape[1])
    for _ in range(50):
        told = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (counts * (told - bearded)) + ridge * weights
        curve = (inputs.T * (counts * told * (1 - told))) @ inputs + np.diag(ridge)
        weights = weights - 0.8 * np.linalg.solve(curve, slope)
    return weights[:-1] * _TIMES, float(weights[-1])


def _figures(of: str, scores: NDArray[np.float64], bearded: NDArray[np.bool_]) -> dict[str, float]:
    taken = scores > np.mean(beard.BEARDED)
    return {
        f"found, {of}": float(taken[bearded].mean()),
        f"false, {of}": float(taken[~bearded].mean()),
        f"bearded, {of}": int(bearded.sum()),
        f"others, {of}": int((~bearded).sum()),
    }


if __name__ == "__main__":
    main()
