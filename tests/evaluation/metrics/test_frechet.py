"""Distances of sets, and of the features that networks give."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.linalg import sqrtm

from sosie.errors import InputError, UnavailableError
from sosie.evaluation.metric import Missing, SampleFeatures, Settings
from sosie.evaluation.metrics import frechet
from sosie.evaluation.metrics.frechet import frechet_distance, kernel_distance
from sosie.evaluation.recognition import aligned, own_view, standardized
from sosie.evaluation.sample import AnalyzedImage, Sample
from sosie.evaluation.weight_files import FOLDER_VARIABLE
from sosie.geometry import alignment


@pytest.fixture(autouse=True)
def _no_folder(monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)


def traits_of(real, swapped, kind="own"):
    return [
        SampleFeatures(
            str(n),
            "s",
            "t",
            "s",
            "t",
            "",
            {
                f"target.features.{kind}": a.astype(np.float32),
                f"result.features.{kind}": b.astype(np.float32),
            },
        )
        for n, (a, b) in enumerate(zip(real, swapped, strict=True))
    ]


def own(features):
    return frechet.FRECHET.measure(features, Settings()).values


def test_equal_sets_are_perfect():
    x = np.random.default_rng(0).normal(size=(40, 6))
    found = own(traits_of(x, x))
    assert found["frechet_own"] == pytest.approx(0, abs=1e-4)
    assert found["kernel_own"] == pytest.approx(0, abs=1e-6)


def test_a_known_shift_in_deviations_of_the_targets():
    """Each of six channels is moved by half of its own deviation, whatever that is."""
    spread = np.array([1e-3, 0.1, 1, 5, 100, 1e4])
    x = np.random.default_rng(0).normal(size=(400, 6)) * spread
    found = own(traits_of(x, x + 0.5 * x.std(0)))
    assert found["frechet_own"] == pytest.approx(6 * 0.25, rel=1e-2)


def test_a_plain_channel_does_no_harm():
    x = np.random.default_rng(0).normal(size=(40, 3))
    x[:, 1] = 2
    assert np.isfinite(standardized(x.astype(np.float32), x.astype(np.float32))).all()
    assert own(traits_of(x, x))["frechet_own"] == pytest.approx(0, abs=1e-4)


def test_kernel_distance_of_one_distribution_is_about_0():
    rng = np.random.default_rng(0)
    found = [own(traits_of(*rng.normal(size=(2, 64, 4))))["kernel_own"] for _ in range(60)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(60)


def test_few_pairs_are_said():
    x = np.zeros((31, 4))
    found = own(traits_of(x, x))
    assert "at least 32 pairs that show a face; there are 31" in found["frechet_own"].reason
    assert isinstance(own([])["kernel_own"], Missing)
    assert own([])["fid"] == Missing("FID was not asked for.")


@pytest.fixture(scope="module")
def portraits(astronaut_look, hopper_look):
    """Forty aligned faces of two people, each placed and lit a little differently."""
    rng = np.random.default_rng(0)
    found = []
    for n in range(40):
        look = (astronaut_look, hopper_look)[n % 2]
        crop = aligned(look.pixels, look.face)
        shift = np.array([[1, 0, rng.normal(0, 3)], [0, 1, rng.normal(0, 3)]])
        moved = alignment.crop(crop, shift, 112) * rng.uniform(0.7, 1.0)
        found.append(moved.astype(np.uint8))
    return np.stack(found)


def test_the_worse_the_faces_the_greater_the_distances(portraits):
    real = own_view(portraits, 1).features
    found = []
    for sigma in (0.5, 1, 2):
        blurred = np.stack([cv2.GaussianBlur(p, (0, 0), sigma) for p in portraits])
        found.append(own(traits_of(real, own_view(blurred, 1).features)))
    for name in ("frechet_own", "kernel_own"):
        values = [f[name] for f in found]
        assert 0 < values[0] < values[1] < values[2], name


def test_features_are_of_each_face_alone(portraits):
    view = own_view(portraits, 1)
    few = own_view(portraits[17:19], 1)
    assert np.allclose(view.features[17:19], few.features, atol=1e-4)
    assert np.allclose(view.identities[17:19], few.identities, atol=1e-4)
    assert np.allclose(np.linalg.norm(view.identities, axis=1), 1, atol=1e-5)


def test_describe_takes_known_features_or_looks_anew(swapped):
    known = frechet.FRECHET.describe(swapped, Settings(threads=1))
    anew = frechet.FRECHET.describe(
        Sample(
            *(
                replace(look, vectors={"identity.sosie": look.identity["sosie"]})
                for look in (swapped.source, swapped.target, swapped.result)
            )
        ),
        Settings(threads=1),
    )
    assert set(known) == set(anew) == {"target.features.own", "result.features.own"}
    for name, vector in known.items():
        assert vector.dtype == np.float32
        assert np.allclose(vector, anew[name], atol=1e-4)
    faceless = replace(swapped, result=AnalyzedImage(swapped.result.pixels, "r", None))
    assert frechet.FRECHET.describe(faceless, Settings()) == {}


@pytest.fixture
def inception(tmp_path, monkeypatch):
    """A folder with made-up weights of FID's network, and a card that takes them."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from sosie.evaluation.inception import Inception

    torch.manual_seed(0)
    path = tmp_path / frechet.INCEPTION.file
    made = Inception()
    for name, value in made.state_dict().items():
        if name.endswith("conv.weight"):
            torch.nn.init.kaiming_normal_(value)
    torch.save(made.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(frechet, "INCEPTION", replace(frechet.INCEPTION, sha256=digest))
    frechet.open_inception.cache_clear()
    yield tmp_path
    frechet.open_inception.cache_clear()


def test_inception_describes_aligned_faces(inception, swapped):
    settings = Settings(inception, inception=True, threads=1)
    found = frechet.FRECHET.describe(swapped, settings)
    assert found["result.features.inception"].shape == (2048,)
    assert not np.allclose(found["result.features.inception"], found["target.features.inception"])
    assert "result.features.inception" not in frechet.FRECHET.describe(swapped, Settings(inception))


def test_fid_and_kid_of_sets(inception):
    settings = Settings(inception, inception=True)
    x = np.random.default_rng(0).normal(size=(64, 5))
    found = frechet.FRECHET.measure(traits_of(x, x + 2, "inception"), settings).values
    assert found["fid"] == pytest.approx(5 * 4, rel=1e-3)
    assert found["kid"] > 1000
    same = frechet.FRECHET.measure(traits_of(x, x, "inception"), settings).values
    assert same["fid"] == pytest.approx(0, abs=1e-4) and same["kid"] == pytest.approx(0, abs=1e-6)


def test_absent_and_damaged_weights_are_said(tmp_path, swapped):
    settings = Settings(tmp_path, inception=True)
    found = frechet.FRECHET.measure([], settings).values["fid"]
    assert "pt_inception-2015-12-05-6726825d.pth" in found.reason
    assert "result.features.inception" not in frechet.FRECHET.describe(swapped, settings)
    with pytest.raises(UnavailableError, match="pytorch-fid"):
        frechet.inception_features([swapped.result], tmp_path)
    (tmp_path / frechet.INCEPTION.file).write_bytes(b"nothing")
    with pytest.raises(InputError, match="fetch it again"):
        frechet.inception_features([swapped.result], tmp_path)


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
