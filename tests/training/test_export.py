"""From torch to a small ONNX file that the run time loads and that computes the same."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

import onnx  # noqa: E402
from torch import nn  # noqa: E402

from sosie.models.session import create_session  # noqa: E402
from sosie.nn.blocks import ConvUnit, PixelInput, ResidualUnit  # noqa: E402
from sosie.training.export import quantized, to_onnx, weights_of  # noqa: E402


class Net(nn.Module):
    """Two answers about a picture, one of them a picture itself."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(PixelInput(), ConvUnit(3, 32), ResidualUnit(32))
        self.map = nn.Conv2d(32, 4, 1)
        self.code = nn.Linear(32, 16)

    def forward(self, pixels):
        x = self.body(pixels)
        return self.map(x), self.code(x.mean((2, 3)))


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = Net()
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
        norm.running_mean.uniform_(-0.2, 0.2)
        norm.running_var.uniform_(0.5, 1.5)
    return net.eval()


def pictures(number, side=16):
    return np.random.default_rng(number).integers(0, 256, (number, side, side, 3), np.uint8)


def export(net, file, **options):
    example = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    to_onnx(net, example, file, outputs=("map", "code"), **options)
    return create_session(file, threads=1)


@pytest.mark.parametrize(("storage", "tolerance"), [("float16", 1e-3), ("int8", 2e-2)])
def test_the_file_computes_what_the_network_does(net, tmp_path, storage, tolerance):
    session = export(net, tmp_path / "net.onnx", storage=storage)
    assert session.inputs == {"pixels": (None, 16, 16, 3)}
    assert list(session.outputs) == ["map", "code"]
    for number in (1, 3):
        pixels = pictures(number)
        found = session.run({"pixels": pixels})
        with torch.no_grad():
            expected = net(torch.from_numpy(pixels))
        for name, value in zip(("map", "code"), expected, strict=True):
            assert found[name].dtype == np.float32
            spread = float(value.std())
            assert np.abs(found[name] - value.numpy()).max() < tolerance * 5 * spread
            assert np.sqrt(np.mean((found[name] - value.numpy()) ** 2)) < tolerance * spread


def test_only_pixels_go_in_as_bytes(net, tmp_path):
    export(net, tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    (given,) = graph.input
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8


@pytest.mark.parametrize(("storage", "share"), [("float16", 0.62), ("int8", 0.42)])
def test_the_file_is_small(net, tmp_path, storage, share):
    export(net, tmp_path / "net.onnx", storage=storage)
    plain = sum(p.numel() for p in net.parameters()) * 4
    assert (tmp_path / "net.onnx").stat().st_size < share * plain
    graph = onnx.load(tmp_path / "net.onnx").graph
    large = [t for t in graph.initializer if np.prod(t.dims) >= 256]
    kinds = {onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8}
    assert large
    assert {t.data_type for t in large} <= kinds


def test_free_axes_may_have_any_size(net, tmp_path):
    class Map(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, pixels):
            return self.net(pixels)[0].permute(0, 2, 3, 1)

    file = tmp_path / "map.onnx"
    example = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    to_onnx(Map(), example, file, outputs=("map",), free_axes=(0, 1, 2))
    session = create_session(file, threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 24, 40, 3), np.uint8)
    with torch.no_grad():
        expected = net(torch.from_numpy(pixels))[0].permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(session.run({"pixels": pixels})["map"], expected, atol=0.02)


def test_the_network_itself_stays_as_it_was(net, tmp_path):
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    export(net, tmp_path / "net.onnx")
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.parametrize(("storage", "tolerance"), [("float16", 1e-3), ("int8", 8e-3)])
def test_weights_come_back_by_name(net, tmp_path, storage, tolerance):
    export(net, tmp_path / "net.onnx", storage=storage)
    weights = weights_of(tmp_path / "net.onnx")
    for name in ("map.weight", "map.bias", "code.weight", "code.bias"):
        expected = net.state_dict()[name]
        assert weights[name].shape == expected.shape
        scale = float(expected.abs().max())
        assert float((weights[name] - expected).abs().max()) <= tolerance * scale
    assert not [name for name in weights if "/" in name]


def test_int8_is_off_by_half_a_step_of_its_channel_at_most():
    values = np.random.default_rng(0).normal(size=(6, 4, 3, 3)).astype(np.float32)
    values *= np.float32([1e-3, 0.1, 1, 10, 100, 0])[:, None, None, None]
    whole, scale = quantized(values)
    assert whole.dtype == np.int8
    assert scale.shape == (6, 1, 1, 1)
    step = np.abs(values).max(axis=(1, 2, 3), keepdims=True) / 127
    assert (np.abs(whole * scale - values) <= 0.5001 * step + 1e-12).all()
    assert np.abs(whole[:5]).max(axis=(1, 2, 3)).tolist() == [127] * 5
