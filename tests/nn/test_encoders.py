"""The identity encoders: shapes, lengths, and that a batch is no more than its faces."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.nn.encoders import DEPTHS, ImprovedUnit, IResNet, IrSe50, IrSeUnit, SeResNet101, SeUnit  # noqa: E402


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("layers", [18, 50, 100])
def test_the_number_of_layers_is_what_the_name_says(layers):
    with torch.device("meta"):
        network = IResNet(layers)
    kernels = [p for name, p in network.named_parameters() if p.ndim == 4 and "down" not in name]
    # Two convolutions a unit and the stem; the names count the head, and 50 and 100 are rounded.
    assert len(kernels) == 2 * sum(DEPTHS[layers]) + 1
    assert abs(len(kernels) + 1 - layers) <= 1


def test_embeddings_have_512_numbers():
    faces = torch.rand(2, 3, 112, 112) * 2 - 1
    network = IResNet(18).eval()
    with torch.no_grad():
        both = network(faces)
        single = torch.cat([network(face[None]) for face in faces])
        assert network.maps(faces).shape == (2, 512, 7, 7)
    assert both.shape == (2, 512)
    assert torch.allclose(both, single, atol=1e-4 * float(both.std()))


@pytest.mark.parametrize("side", [112, 128])
def test_the_excited_encoder_gives_unit_length_and_all_features(side):
    network = IrSe50(side).eval()
    with torch.no_grad():
        embedding, features = network(torch.rand(1, 3, side, side))
    assert float(embedding.norm()) == pytest.approx(1, abs=1e-5)
    sizes = [tuple(feature.shape[1:]) for feature in features]
    stages = ((3, 64, 2), (4, 128, 4), (14, 256, 8), (3, 512, 16))
    assert sizes == [
        (width, side // part, side // part) for count, width, part in stages for _ in range(count)
    ]


def test_simswaps_encoder_takes_faces_of_112_px():
    network = SeResNet101().eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 112, 112)).shape == (1, 512)


@pytest.mark.parametrize("unit", [ImprovedUnit, IrSeUnit, SeUnit])
def test_a_unit_whose_branch_is_silent_passes_its_input_on(unit):
    """Residual: without what its branch adds, nothing is left but the side path."""
    made = unit(32, 32, 1).eval()
    x = torch.rand(1, 32, 6, 6)
    kernels = [p for name, p in made.named_parameters() if name.endswith("weight") and p.ndim == 4]
    with torch.no_grad():
        for kernel in kernels:
            kernel.zero_()
        assert torch.allclose(made(x), x, atol=1e-6)
