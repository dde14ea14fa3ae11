from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from sosie.evaluation.metrics.frechet import frechet_distance, kernel_distance


def gaussian(mean, covariance, count=400, seed=0):
    """Vectors whose own mean and covariance are exactly these."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, len(mean)))
    x -= x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return x @ np.linalg.cholesky(np.asarray(covariance)).T + np.asarray(mean)


def test_gaussians_that_are_apart_by_their_means():
    one, other = gaussian([0, 0, 0], np.eye(3)), gaussian([1, 2, 2], np.eye(3), seed=1)
    assert frechet_distance(one, other) == pytest.approx(9)


def test_gaussians_of_other_widths():
    """Diagonal covariances: the sum of squared differences of the deviations."""
    one = gaussian([0, 0], np.diag([4.0, 9.0]))
    other = gaussian([0, 3], np.diag([1.0, 25.0]), seed=1)
    assert frechet_distance(one, other) == pytest.approx(9 + (2 - 1) ** 2 + (3 - 5) ** 2)


def test_gaussians_at_any_angle_against_a_matrix_root():
    rng = np.random.default_rng(3)
    a, b = (m @ m.T + np.eye(5) for m in rng.normal(size=(2, 5, 5)))
    one, other = gaussian(np.zeros(5), a), gaussian(np.arange(5.0), b, 300, seed=1)
    wanted = 30 + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    assert frechet_distance(one, other) == pytest.approx(wanted)
    assert frechet_distance(other, one) == pytest.approx(wanted)


def test_fewer_vectors_than_dimensions():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 6, 40))
    a, b = np.cov(one.T), np.cov(other.T)
    # Singular covariances by way of the eigenvalues of their product.
    root = np.sqrt(np.clip(np.linalg.eigvals(a @ b).real, 0, None)).sum()
    means = ((one.mean(0) - other.mean(0)) ** 2).sum()
    wanted = means + np.trace(a) + np.trace(b) - 2 * root
    assert frechet_distance(one, other) == pytest.approx(wanted, rel=1e-4)


def test_equal_sets_are_at_no_distance():
    x = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-4)
    assert frechet_distance(x, x[::-1]) == pytest.approx(0, abs=1e-4)
    assert kernel_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_the_kernel_distance_by_its_definition():
    x, y = np.random.default_rng(0).normal(size=(2, 7, 3))

    def kernel(a, b):
        return (a @ b / 3 + 1) ** 3

    pairs = [(i, j) for i in range(7) for j in range(7) if i != j]
    wanted = np.mean(
        [
            kernel(x[i], x[j]) + kernel(y[i], y[j]) - kernel(x[i], y[j]) - kernel(x[j], y[i])
            for i, j in pairs
        ]
    )
    assert kernel_distance(x, y) == pytest.approx(wanted)


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_the_kernel_distance_of_one_distribution_is_0_on_average(shared):
    """Also where each vector of one set is like its partner in the other, as results and targets
    are."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        common, x, y = rng.normal(size=(3, 24, 4))
        own = np.sqrt(1 - shared**2)
        found.append(kernel_distance(shared * common + own * x, shared * common + own * y))
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 4 * error
    assert min(found) < 0 < max(found)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_sets_further_apart_are_at_a_greater_distance(distance):
    x, y = np.random.default_rng(0).normal(size=(2, 200, 6))
    found = [distance(x, y + shift) for shift in (0, 0.5, 1, 2)]
    assert np.all(np.diff(found) > 0.05)
