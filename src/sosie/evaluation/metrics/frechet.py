"""Whether the results look like real faces, as a set: distances of their features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sosie.errors import UnavailableError
from sosie.evaluation.metric import Figure, Missing, Readings, SampleFeatures, SetReadings, Settings
from sosie.evaluation.recognition import aligned, own_view, standardized
from sosie.evaluation.sample import AnalyzedImage, Sample
from sosie.evaluation.weight_files import (
    are_present,
    find_weights,
    load_tensors,
    weight_file,
    weight_folder,
)
from sosie.geometry import alignment
from sosie.types import FloatArray

if TYPE_CHECKING:
    from sosie.evaluation.inception import Inception
from sosie.evaluation.metrics.base import SetMetric

Features = NDArray[Any]

INCEPTION = weight_file("inception")
"""The weights that define FID, converted from TensorFlow's."""
# Fewer pairs give covariances of nothing.
_LEAST_PAIRS = 32
# What FID is computed on: the face with its surroundings, upright, as in the data of most papers.
_SIDE_PX, _TEMPLATE = 256, "ffhq"
_NO_FACE = " Pairs whose result or target shows no face are left out."
_OWN_LIMITS = (
    "By features of Sosie's own network, in deviations of the targets': comparable only between "
    "runs over the same pairs with one version. Insensitive to what that network looks past."
    + _NO_FACE
)
_FID_LIMITS = (
    "Biased upwards below about 10,000 pairs: compare only equal counts. Inception was trained on "
    "objects, not faces. The pictures are aligned faces of 256 px, and results are compared with "
    "their own targets: not comparable with papers that do otherwise. This code agrees with "
    "torch-fidelity 0.4 on made-up weights; it was never run with the published file." + _NO_FACE
)
_FID_SOURCE, _KID_SOURCE = "Heusel et al. 2017", "Binkowski et al. 2018"


def _describe(sample: Sample, settings: Settings) -> dict[str, FloatArray]:
    """`ROLE.features.own`, and `ROLE.features.inception` where the settings want it."""
    if sample.target.face is None or sample.result.face is None:
        return {}
    images = [sample.target, sample.result]
    kinds = {"own": _own_features(images, settings.threads)}
    if settings.inception and are_present([INCEPTION], settings.weights):
        kinds["inception"] = inception_features(images, settings.weights)
    return {
        f"{role}.features.{kind}": vectors[number]
        for kind, vectors in kinds.items()
        for number, role in enumerate(("target", "result"))
    }


def _measure_frechet(samples: Sequence[SampleFeatures], settings: Settings) -> SetReadings:
    """Whether the results look like real faces, as a set: distances of their features.

    FID (Heusel et al. 2017) and KID (Binkowski et al. 2018) by the published Inception network,
    where its weights are there, and the same two distances by features of Sosie's own identity
    network, which are named as such and comparable with nothing else. Real faces are the targets of
    the same pairs. 0 is perfect; the Frechet distances are biased upwards on small sets, the kernel
    distances are not.
    """
    real, swapped = _stacked(samples, "own")
    readings = _distances("own", _too_few(real), real, swapped)
    real, swapped = _stacked(samples, "inception")
    readings |= _distances("inception", _absent(settings) or _too_few(real), real, swapped)
    return SetReadings(readings)


def _distances(
    kind: str, missing: Missing | None, real: FloatArray, swapped: FloatArray
) -> Readings:
    """Both distances by one kind of features, N x D each, or why there are none."""
    if kind == "inception":
        return {
            "fid": missing or frechet_distance(real, swapped),
            "kid": missing or 1000 * kernel_distance(real, swapped),
        }
    if missing:
        return {"frechet_own": missing, "kernel_own": missing}
    # As they are, a channel that answers in large numbers would be all that counts.
    one, other = standardized(real, real), standardized(swapped, real)
    return {"frechet_own": frechet_distance(one, other), "kernel_own": kernel_distance(one, other)}


def _own_features(images: Sequence[AnalyzedImage], threads: int | None) -> FloatArray:
    """float32, N x D, of each face: those that are known already, or all anew."""
    known = [image.vectors["features"] for image in images if "features" in image.vectors]
    if len(known) == len(images):
        return np.stack(known)
    return own_view(
        np.stack([aligned(image.pixels, image.found) for image in images]), threads
    ).features


def inception_features(images: Sequence[AnalyzedImage], folder: Path | None) -> FloatArray:
    """float32, N x 2048, of the aligned faces. Raises as `find_weights`."""
    network = open_inception(weight_folder(folder))
    import torch

    crops = [
        alignment.crop(
            image.pixels, alignment.align_matrix(image.found.points5, _TEMPLATE, _SIDE_PX), _SIDE_PX
        )
        for image in images
    ]
    pictures = torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2).copy())
    with torch.inference_mode():
        return np.asarray(network(pictures).numpy(), np.float32)


@cache
def open_inception(folder: Path | None) -> Inception:
    """FID's network with its weights from the folder. Raises as `find_weights`."""
    weights = load_tensors(find_weights(INCEPTION, folder))
    from sosie.evaluation.inception import Inception

    network = Inception()
    network.load(weights)
    return network


def _absent(settings: Settings) -> Missing | None:
    """Why there are no features of Inception, where they were not asked for or cannot be had."""
    if not settings.inception:
        return Missing("FID was not asked for.")
    try:
        find_weights(INCEPTION, settings.weights)
    except UnavailableError as error:
        return Missing(str(error))
    return None


def _stacked(samples: Sequence[SampleFeatures], kind: str) -> tuple[FloatArray, FloatArray]:
    """Vectors of targets and results, N x D each, of the pairs that have both."""
    roles = tuple(f"{role}.features.{kind}" for role in ("target", "result"))
    full = [one.vectors for one in samples if all(role in one.vectors for role in roles)]
    if not full:
        return np.zeros((0, 1), np.float32), np.zeros((0, 1), np.float32)
    target, result = (np.stack([vectors[role] for vectors in full]) for role in roles)
    return target, result


def _too_few(real: FloatArray) -> Missing | None:
    if len(real) >= _LEAST_PAIRS:
        return None
    return Missing(
        f"A distance of sets needs at least {_LEAST_PAIRS} pairs that show a face; there are "
        f"{len(real)}."
    )


FRECHET = SetMetric(
    group="Realism",
    measure=_measure_frechet,
    describe=_describe,
    figures={
        "frechet_own": Figure(
            title="Frechet distance of own features",
            summary="How far the results, as a set, are from real faces for Sosie's own network.",
            formula="Frechet distance of Gaussians, results against targets, of standardized "
            "features",
            source=f"Sosie; distance of {_FID_SOURCE}",
            limits=_OWN_LIMITS + " Biased upwards on small sets: compare only equal counts.",
        ),
        "kernel_own": Figure(
            title="Kernel distance of own features",
            range=(float("-inf"), float("inf")),
            summary="As frechet_own, without its bias on small sets.",
            formula="squared MMD with the kernel (x'y / D + 1)^3",
            source=f"Sosie; distance of {_KID_SOURCE}",
            limits=_OWN_LIMITS + " May be slightly below 0.",
        ),
        "fid": Figure(
            title="FID",
            summary="How far the results, as a set, are from the targets for the Inception "
            "network.",
            formula="Frechet distance of Gaussians of Inception's 2,048 features",
            source=_FID_SOURCE,
            limits=_FID_LIMITS,
        ),
        "kid": Figure(
            title="KID (x 1000)",
            range=(float("-inf"), float("inf")),
            summary="As FID, without its bias on small sets.",
            formula="1000 x squared MMD of Inception's features with the kernel (x'y / D + 1)^3",
            source=_KID_SOURCE,
            limits=_FID_LIMITS.replace("Biased upwards", "Unsure"),
        ),
    },
)


def frechet_distance(one: Features, other: Features) -> float:
    """The squared Frechet distance of the Gaussians that have the sets' means and covariances.

    one, other: N x D and M x D, N and M at least 2. |m - n|^2 + tr(A + B - 2 (A B)^1/2) (Dowson
    and Landau 1982; FID of Heusel et al. 2017, eq. 6). With A = X'X and B = Y'Y the last trace is
    the sum of the singular values of X Y', which needs no square root of a matrix and is exact for
    fewer vectors than dimensions. >= 0, 0 for equal sets.
    """
    a, b = _centered(one), _centered(other)
    means = one.mean(0, np.float64) - other.mean(0, np.float64)
    cross = np.linalg.svd(_small(a) @ _small(b).T, compute_uv=False).sum()
    total = means @ means + (a * a).sum() + (b * b).sum() - 2 * cross
    return max(0.0, float(total))


def kernel_distance(one: Features, other: Features) -> float:
    """The squared maximum mean discrepancy of two sets in pairs, N x D each, N at least 2.

    Kernel (x'y / D + 1)^3, as KID of Binkowski et al. 2018 ("Demystifying MMD GANs"). The estimate
    is that of Gretton et al. 2012 ("A Kernel Two-Sample Test", eq. 4), which leaves out the vectors
    of the same pair: it is unbiased though a result and its target are not independent. About 0 for
    sets of one distribution, on either side; exactly 0 for equal sets.
    """
    x, y = np.asarray(one, np.float64), np.asarray(other, np.float64)
    count = len(x)
    total = 0.0
    for a, b, sign in ((x, x, 1), (y, y, 1), (x, y, -2)):
        kernel = (a @ b.T / x.shape[1] + 1) ** 3
        total += sign * float(kernel.sum() - np.trace(kernel))
    return total / (count * (count - 1))


def _centered(vectors: Features) -> NDArray[np.float64]:
    """Rows whose X'X is the covariance."""
    x = np.asarray(vectors, np.float64)
    return np.asarray((x - x.mean(0)) / np.sqrt(len(x) - 1))


def _small(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows with the same X'X, at most as many as dimensions."""
    if len(rows) <= rows.shape[1]:
        return rows
    return np.asarray(np.linalg.qr(rows, mode="r"))
