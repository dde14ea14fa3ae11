"""Distances of two sets of feature vectors: Frechet's, and a kernel's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Features = NDArray[Any]


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
