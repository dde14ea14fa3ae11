"""DeepFaceLab's networks beyond what the parity kit tells: each form's shapes, and which face."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.errors import UsageError  # noqa: E402
from sosie.methods.deepfacelab.discriminators import (  # noqa: E402
    CodeDiscriminator,
    PatchDiscriminator,
    strides_for,
)
from sosie.methods.deepfacelab.network import OPTIONS, Form, Merging, build  # noqa: E402
from sosie.methods.deepfakes.network import Form as FirstForm  # noqa: E402
from sosie.methods.deepfakes.network import Original  # noqa: E402
from sosie.nn.depth_blocks import depth_to_space  # noqa: E402

TINY = {"size_px": 64, "ae": 8, "e": 2, "d": 2, "dm": 1, "inter": 12}
EVERY = ["".join(k) for n in range(5) for k in itertools.combinations(OPTIONS, n)]


@pytest.fixture(autouse=True)
def _plain():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


@pytest.mark.parametrize("kind", ["df", "liae"])
@pytest.mark.parametrize("options", EVERY)
def test_every_combination_of_options_gives_back_its_own_size(kind, options):
    network = build(Form(kind, options, **TINY)).eval()
    face, mask, own, own_mask = network(torch.rand(2, 3, 64, 64))
    assert face.shape == own.shape == (2, 3, 64, 64)
    assert mask.shape == own_mask.shape == (2, 1, 64, 64)
    for part in (face, mask):
        assert 0 <= float(part.min()) < float(part.max()) <= 1


def test_depth_to_space_keeps_the_channels_of_a_pixel_together():
    x = torch.arange(8.0).reshape(1, 8, 1, 1)
    assert depth_to_space(x)[0, :, 0, 0].tolist() == [0, 1]
    assert depth_to_space(x)[0, 0].tolist() == [[0, 2], [4, 6]]


def test_the_morph_factor_goes_from_the_target_to_the_source():
    network = build(Form("amp", "", **TINY)).eval()
    pictures = torch.rand(2, 3, 64, 64)
    own, _ = network.of_target(pictures)
    none, half, whole = (network.swapped(pictures, morph)[0] for morph in (0.0, 0.5, 1.0))
    assert torch.equal(none, own)
    assert not torch.allclose(whole, own)
    assert 0 < float((half - own).abs().mean()) < float((whole - own).abs().mean())
    as_tensor = network.swapped(pictures, torch.tensor([0.5]))[0]
    assert torch.equal(as_tensor, half)


@pytest.mark.parametrize("kind", ["df", "liae", "amp"])
def test_a_swap_is_laid_out_as_a_dfm(kind):
    network = build(Form(kind, "", **TINY)).eval()
    pictures = torch.rand(2, 64, 64, 3)
    target_mask, face, source_mask = Merging(network)(pictures)
    expected, expected_mask = network.swapped(pictures.permute(0, 3, 1, 2))
    own, own_mask = network.of_target(pictures.permute(0, 3, 1, 2))
    assert torch.equal(face, expected.permute(0, 2, 3, 1))
    assert torch.equal(source_mask, expected_mask.permute(0, 2, 3, 1))
    assert torch.equal(target_mask, own_mask.permute(0, 2, 3, 1))
    back = Merging(network, back=True)(pictures)
    assert torch.equal(back[1], own.permute(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"options": "ux"}, "Unknown option 'x'"),
        ({"size_px": 80}, "multiple of 32"),
        ({"options": "", "size_px": 70}, "multiple of 16"),
        ({"dm": 0}, "dm must be 1 or more"),
    ],
)
def test_a_form_that_makes_no_network_is_wrong_usage(changes, words):
    with pytest.raises(UsageError, match=words):
        build(Form(**{"kind": "df", "options": "ud", **TINY, **changes}))


@pytest.mark.parametrize("patch_px", [4, 16, 28, 40])
def test_a_patch_discriminator_sees_patches_of_about_that_size(patch_px):
    seen, step = 1, 1
    for stride in strides_for(patch_px):
        seen, step = seen + 2 * step, step * stride
    assert abs(seen - patch_px) <= 4
    center, pixels = PatchDiscriminator(patch_px, 2)(torch.rand(1, 3, 48, 48))
    assert pixels.shape == (1, 1, 48, 48)
    assert center.shape[-1] * step == 48


def test_a_code_discriminator_judges_maps_of_any_side():
    for side in (2, 4, 8):
        assert CodeDiscriminator(4, side, base=2)(torch.rand(3, 4, side, side)).shape[:2] == (3, 1)


@pytest.mark.parametrize("split", ["decoders", "dense"])
def test_the_first_network_tells_two_people_apart(split):
    network = Original(FirstForm(size_px=32, width=2, ae=8, split=split))
    pictures = torch.rand(2, 3, 32, 32)
    (face, mask), (own, _) = network.swapped(pictures), network.of_target(pictures)
    assert face.shape == (2, 3, 32, 32)
    assert mask.shape == (2, 1, 32, 32)
    assert not torch.allclose(face, own)
    assert torch.equal(face, network.of_source(pictures)[0])


def test_the_first_network_refuses_a_size_and_a_split_that_it_lacks():
    with pytest.raises(UsageError, match="multiple of 16"):
        Original(FirstForm(size_px=40))
    with pytest.raises(UsageError, match="did you mean 'dense'"):
        Original(FirstForm(split="denses"))
