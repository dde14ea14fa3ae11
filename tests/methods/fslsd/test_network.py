"""FSLSD's networks: the split of latents, the 106 heat-maps, the mask of the decoder."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", exc_type=ImportError)

import torch
from tests.parity.networks import build
from torch.nn import functional

from sosie.geometry.morphable_model import face_shape
from sosie.methods.fslsd.heat_maps import heat_maps, points_106
from sosie.methods.fslsd.network import (
    Decoder,
    EncoderForm,
    FlatDecoder,
    LatentEncoder,
    TargetEncoder,
    map_widths,
    reduced_mask,
    swapped_latents,
)
from sosie.nn.stylegan2.generator import Form
from sosie.recipes.published.importing import import_weights
from sosie.recipes.published.networks import published_shapes


def test_structure_is_the_sources_moved_and_appearance_the_targets():
    torch.manual_seed(0)
    source, target = torch.randn(2, 3, 18, 8).unbind()
    offsets = torch.randn(3, 7, 8)
    made = swapped_latents(source, target, offsets)
    assert torch.equal(made[:, :7], source[:, :7] + offsets)
    assert torch.equal(made[:, 7:], target[:, 7:])


def test_the_106_points_lie_where_the_set_has_them():
    mean = np.asarray(face_shape().mean, np.float32)
    points = points_106(mean)
    assert points.shape == (106, 2)
    x, y = points.T
    # Ear to ear by the chin, which is the lowest of all.
    assert (np.diff(x[:33]) > 0).all()
    assert y.argmax() == 16
    # Brows above eyes above the nose above the lips.
    parts = [y[33:43], y[52:64], y[47:52], y[84:104]]
    means = [part.mean() for part in parts]
    assert means == sorted(means)
    # Each brow's lower edge is below its upper one.
    assert y[64:68].mean() > y[33:38].mean()
    assert y[68:72].mean() > y[38:43].mean()
    # A lid's middle is between its corners, the upper one above the lower, the pupil between.
    for upper, lower, pupil, left, right in ((72, 73, 74, 52, 55), (75, 76, 77, 58, 61)):
        assert x[left] < x[upper] < x[right]
        assert y[upper] < y[pupil] < y[lower]
    assert np.array_equal(points[[104, 105]], points[[74, 77]])
    # In pairs from the root of the nose to its wings, wider and lower each time.
    widths, heights = x[79:84:2] - x[78:83:2], y[78:83:2]
    assert (np.diff(widths) > 0).all()
    assert (np.diff(heights) > 0).all()


def test_a_heat_map_is_one_pixel_and_none_beyond_the_picture():
    points = np.array([[0, 0], [63, 63], [31.6, 10.2], [-1, 5], [64, 5]], np.float32)
    maps = heat_maps(points, 64, 256)
    assert maps.sum((1, 2)).tolist() == [1, 1, 1, 0, 0]
    assert maps[0, 2, 2] == maps[1, 254, 254] == maps[2, 42, 128] == 1


@pytest.mark.parametrize("size", [32, 64, 1024])
def test_a_mask_is_reduced_as_an_interpolation_with_antialias_does(size):
    mask = torch.rand(2, 1, size, size)
    expected = functional.interpolate(
        mask, size=(8, 8), mode="bilinear", antialias=True, align_corners=False
    )
    assert torch.allclose(reduced_mask(mask, 8), expected, atol=1e-5)


def test_outside_the_mask_the_source_leaves_no_trace_and_inside_the_target_none():
    torch.manual_seed(0)
    widths = (8, 8, 4)
    decoder = Decoder(widths).eval()
    one, two, other = (
        [torch.randn(1, width, 8 * 2**k, 8 * 2**k) for k, width in enumerate(widths)]
        for _ in range(3)
    )
    for filled, first, second in (
        (1.0, (one, two), (one, other)),
        (0.0, (one, two), (other, two)),
    ):
        mask = torch.full((1, 1, 32, 32), filled)
        assert torch.allclose(decoder(*first, mask), decoder(*second, mask), atol=1e-5)
        assert not torch.allclose(decoder(*first, mask), decoder(*first, 1 - mask), atol=1e-2)


def test_small_networks_have_what_small_generators_have():
    form = Form(64, 16, 2, 256, 16)
    widths = map_widths(form)
    maps = TargetEncoder(widths[::-1])(torch.zeros(2, 3, 64, 64))
    assert [tuple(one.shape) for one in maps] == [
        (2, width, 8 * 2**k, 8 * 2**k) for k, width in enumerate(widths)
    ]
    encoder = LatentEncoder(EncoderForm(3, (3, 2, 5), ((4, 1), (4, 1), (8, 1), (8, 1)), 16, 64))
    assert encoder(torch.zeros(2, 3, 64, 64)).shape == (2, 10, 16)


@pytest.mark.timeout(300)
def test_parts_of_the_published_checkpoint_are_imported_one_by_one(tmp_path):
    rng = np.random.default_rng(0)
    parts = {"bald_model": "fslsd_f_mapping", "decoder": "fslsd_decoder_32"}
    checkpoint = {
        place: {
            key: torch.from_numpy(rng.normal(0, 0.1, shape).astype(np.float32))
            for key, shape in published_shapes(name).items()
        }
        for place, name in parts.items()
    }
    file = tmp_path / "CELEBA-HQ-1024.pt"
    torch.save(checkpoint, file)
    for name in parts.values():
        made = import_weights("fslsd", file, tmp_path / "out", network=name)
        assert made.card.network == name
        assert made.onnx.is_file()
    load, run = build("fslsd_f_mapping")
    zero = {key: np.zeros(shape) for key, shape in published_shapes("fslsd_f_mapping").items()}
    load(zero)
    latents = rng.normal(size=(1, 9216)).astype(np.float32)
    assert np.array_equal(run([latents])[0], latents)


def test_the_published_decoder_continues_the_kits():
    """The kit has the decoder to 32 px; the one of 1024 px begins alike, and has five more."""
    small, whole = (published_shapes(f"fslsd_decoder_{size}") for size in (32, 1024))
    shared = [key for key in small if key.startswith(("decoder.0", "decoder.1"))]
    assert all(whole[key] == small[key] for key in shared)
    assert whole["decoder.7.2.weight"] == (3, 16, 3, 3)
    assert sum(int(np.prod(shape)) for key, shape in whole.items() if "kernel" not in key) in (
        range(14_850_000, 14_950_000)
    )
    assert len(FlatDecoder(map_widths(Form())).levels) == 7
