from __future__ import annotations

import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from sosie.errors import InputError, UnavailableError, UsageError  # noqa: E402
from sosie.evaluation.metric import Settings  # noqa: E402
from sosie.evaluation.metrics import measure_pair, perceptual  # noqa: E402
from sosie.evaluation.sample import AnalyzedImage, Sample  # noqa: E402
from sosie.evaluation.weight_files import FOLDER_VARIABLE  # noqa: E402
from sosie.nn.lpips import Lpips  # noqa: E402


@pytest.fixture(autouse=True)
def _no_folder(monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A folder with made-up weights of AlexNet, and a card that takes them."""
    torch.manual_seed(0)
    network = Lpips("alex")
    card = perceptual.CARDS["alex"]
    torch.save(
        {f"features.{n}": v for n, v in network.features.state_dict().items()},
        tmp_path / card.backbone.file,
    )
    torch.save(
        {
            f"lin{n}.model.1.weight": w[None, :, None, None].data
            for n, w in enumerate(network.weights)
        },
        tmp_path / card.linear.file,
    )

    def hashed(file):
        digest = hashlib.sha256((tmp_path / file.file).read_bytes()).hexdigest()
        return replace(file, sha256=digest)

    made = replace(card, backbone=hashed(card.backbone), linear=hashed(card.linear))
    monkeypatch.setitem(perceptual.CARDS, "alex", made)
    perceptual.open_lpips.cache_clear()
    yield tmp_path
    perceptual.open_lpips.cache_clear()


def changed(look, pixels):
    return Sample(look, look, AnalyzedImage(pixels, "result", look.face))


def test_figures_are_named_by_their_network(weights, untouched, measured):
    assert measured("perceptual", untouched, Settings(weights)) == {
        "lpips[alex]": 0,
        "lpips_inside[alex]": 0,
        "lpips_outside[alex]": 0,
    }


def test_noise_is_told_where_it_is(weights, astronaut_look, measured):
    grain = np.random.default_rng(0).normal(0, 40, astronaut_look.pixels.shape)
    for inside in (True, False):
        mask = (astronaut_look.inside == inside)[..., None]
        noisy = np.clip(astronaut_look.pixels + grain * mask, 0, 255).astype(np.uint8)
        found = measured("perceptual", changed(astronaut_look, noisy), Settings(weights))
        there, elsewhere = ("inside", "outside") if inside else ("outside", "inside")
        assert found[f"lpips_{there}[alex]"] > 1.5 * found[f"lpips_{elsewhere}[alex]"]
        parts = found["lpips_inside[alex]"], found["lpips_outside[alex]"]
        assert min(parts) < 1.1 * found["lpips[alex]"] and 0.9 * found["lpips[alex]"] < max(parts)


def test_absent_weights_are_said(untouched, tmp_path):
    found = measure_pair(untouched, Settings(tmp_path), ["perceptual"])
    assert found.figures == {"lpips": None, "lpips_inside": None, "lpips_outside": None}
    assert "alexnet-owt-7be5be79.pth" in found.reasons["lpips"]
    assert "$SOSIE_WEIGHTS" in found.reasons["lpips"]
    with pytest.raises(UnavailableError, match=r"vgg16-397923af\.pth"):
        perceptual.PERCEPTUAL.measure(untouched, Settings(tmp_path, perceptual="vgg"))
    with pytest.raises(UsageError, match=r"Unknown LPIPS network 'alexx'.*alex"):
        perceptual.choose_card("alexx", None)


def test_damaged_weights_are_refused(weights, untouched):
    file = weights / perceptual.CARDS["alex"].linear.file
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(InputError, match=r"not alex\.pth as published"):
        perceptual.PERCEPTUAL.measure(untouched, Settings(weights))


def test_blur_and_noise_grow_the_distance_of_a_trained_network(
    shared_data, astronaut_look, measured
):
    folder = shared_data.parent / "teachers"
    card = perceptual.CARDS["squeeze-caffe"]
    if not (folder / card.linear.file).is_file():
        pytest.skip(f"needs {card.linear.file}")
    assert perceptual.choose_card("auto", folder) == "squeeze-caffe"
    pixels = astronaut_look.pixels
    grain = np.random.default_rng(0).normal(0, 1, pixels.shape)
    blurred = [cv2.GaussianBlur(pixels, (0, 0), s) for s in (0.6, 1.5, 4)]
    noisy = [np.clip(pixels + s * grain, 0, 255).astype(np.uint8) for s in (4, 12, 40)]
    for series in (blurred, noisy):
        found = [
            measured("perceptual", changed(astronaut_look, p), Settings(folder)) for p in series
        ]
        for name in found[0]:
            assert np.all(np.diff([f[name] for f in found]) > 0.01), name
    # As large as distances of this network are.
    assert 0.05 < found[-1]["lpips[squeeze-caffe]"] < 1.5
