"""The arithmetic that fits the shape model, on faces that are made from a known model."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from sosie.geometry.morphable_model import canonicalize, face_shape

FILE = Path(__file__).resolve().parents[2] / "tools" / "shape_statistics.py"
DIRECTIONS = 8


@pytest.fixture(scope="module")
def statistics() -> ModuleType:
    spec = importlib.util.spec_from_file_location("shape_statistics", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def rotations(number: int, rng: np.random.Generator) -> np.ndarray:
    """Random rotations by some tens of degrees."""
    turns = []
    for axis in rng.normal(0, 0.3, (number, 3)):
        x, y, z = axis
        q, r = np.linalg.qr(np.eye(3) + np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]))
        turns.append(q * np.sign(np.diag(r)))
    return np.stack(turns)


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """300 faces in pixels, 300 x 478 x 3: the model's mean and first directions, turned, scaled
    and moved; the last three are scrambled."""
    shape, rng = face_shape(), np.random.default_rng(3)
    amounts = rng.normal(0, 1, (300, DIRECTIONS)) * np.linspace(1.5, 0.4, DIRECTIONS)
    points = shape.mean + (amounts @ shape.basis[:DIRECTIONS]).reshape(-1, 478, 3)
    points = points @ rotations(300, rng) * rng.uniform(20, 200, (300, 1, 1))
    points += rng.uniform(0, 500, (300, 1, 3))
    for face in points[-3:]:
        rng.shuffle(face)
    return points


@pytest.fixture(scope="module")
def reference(statistics, faces):
    return statistics.fit_reference(faces, np.ones(300), 0.99)


def test_the_mean_is_found_whatever_pose_and_size_the_faces_have(reference):
    shape, kept = reference
    assert not kept[-3:].any()
    assert kept.sum() == 297
    mirror = face_shape().mirror
    np.testing.assert_allclose(shape.mean[mirror] * (-1, 1, 1), shape.mean, atol=1e-9)
    assert np.abs(shape.stability @ shape.mean).max() < 1e-9
    assert shape.stability.sum() == pytest.approx(1)
    known = canonicalize(shape.mean, face_shape()).points
    assert np.sqrt(((known - face_shape().mean) ** 2).sum(1).mean()) < 0.04
    # As `sosie.geometry.morphable_model` has it: x to the right, y down, the nose towards the
    # camera.
    assert shape.mean[263, 0] > 0.5 > -0.5 > shape.mean[33, 0]
    assert shape.mean[152, 1] > 1 > -1 > shape.mean[10, 1]
    assert shape.mean[1, 2] < shape.mean[:, 2].mean()


def test_the_directions_hold_nearly_all_of_what_varies(statistics, faces, reference):
    shape, kept = reference
    points = statistics.align(faces[kept], shape)
    weights = np.ones(len(points))
    basis, variances = statistics.principal_directions(points, weights, shape.mean)
    np.testing.assert_allclose(basis[:50] @ basis[:50].T, np.eye(50), atol=1e-9)
    # Not all: bringing faces to one size and pose bends the straight directions a little.
    assert variances[:DIRECTIONS].sum() > 0.97 * variances.sum()
    values = statistics.coefficients(points, shape.mean, basis[:20])
    rebuilt = (values @ basis[:20]).reshape(-1, 478, 3) + shape.mean
    assert np.abs(rebuilt - points).max() < 0.02


def test_a_mirror_image_mirrored_is_the_face(statistics, faces):
    points = faces[:2] - faces[:2].mean(1, keepdims=True)
    there = statistics.mirrored(points)
    assert np.abs(there - points).max() > 1
    np.testing.assert_array_equal(statistics.mirrored(there), points)
    # What was the right eye's corner is the left one's, on the other side.
    np.testing.assert_allclose(there[:, 263], points[:, 33] * (-1, 1, 1))


def test_only_a_persons_own_spread_is_within(statistics):
    rng = np.random.default_rng(0)
    spread = np.array([[2.0, 0.5], [0.5, 1.0]])
    people = np.repeat(np.arange(4000), rng.integers(1, 5, 4000)).astype(str)
    centers = dict(zip(np.unique(people), rng.normal(0, 10, (4000, 2)), strict=True))
    values = np.stack([centers[p] for p in people])
    values += rng.multivariate_normal((0, 0), spread, len(people))
    weights = statistics.picture_weights(people)
    found = statistics.within_covariance(values, people, weights)
    np.testing.assert_allclose(found, spread, atol=0.12)


def test_nobody_counts_for_more_than_twenty_pictures(statistics):
    people = np.array(["often"] * 80 + ["twice"] * 2)
    weights = statistics.picture_weights(people)
    assert weights[:80].sum() == pytest.approx(20)
    np.testing.assert_array_equal(weights[80:], 1)


def test_the_regression_reads_what_is_linear_and_the_ridge_holds_it_back(statistics):
    rng = np.random.default_rng(0)
    values, slopes = rng.normal(1, 2, (500, 6)), rng.normal(size=(6, 3))
    expressions = values @ slopes + 0.3
    exact = statistics.fit_regression(values, expressions, np.ones(500), 0.0)
    np.testing.assert_allclose(exact(values), expressions, atol=1e-9)
    np.testing.assert_allclose(exact.slopes, slopes, atol=1e-9)
    held = statistics.fit_regression(values, expressions, np.ones(500), 4.0)
    ratio = np.linalg.norm(held.slopes) / np.linalg.norm(slopes)
    assert ratio == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(held(values).mean(0), expressions.mean(0))


def test_triangles_come_from_edges_without_the_one_that_lies_across(statistics):
    """A point amid a triangle makes three, not four; all run clockwise with y down."""
    mean = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [1, 1, 0], [4, 4, 0], [-4, 0, 0], [4, -4, 0]])
    edges = {(0, 1), (1, 2), (2, 0), (3, 0), (1, 3), (3, 2), (2, 3)}
    edges |= {(1, 4), (4, 2), (0, 5), (5, 2), (0, 6), (6, 1)}
    found = statistics.triangles_of(edges, mean.astype(float))
    assert {frozenset(three) for three in found.tolist()} == {
        frozenset(three)
        for three in [(0, 1, 3), (1, 2, 3), (0, 2, 3), (1, 2, 4), (0, 2, 5), (0, 1, 6)]
    }
    a, b, c = (mean[found[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()
