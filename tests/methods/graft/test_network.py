"""The network: it begins as geometry alone, and is exported as it is."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.blending.color_transfer import in_range  # noqa: E402
from sosie.geometry.morphable_model import face_shape  # noqa: E402
from sosie.methods.graft import view  # noqa: E402
from sosie.methods.graft.network import ExportedGraft, GraftNetwork, applied  # noqa: E402
from sosie.methods.graft.warp import Field  # noqa: E402
from sosie.models.session import create_session  # noqa: E402
from sosie.training.export import to_onnx  # noqa: E402

SMALL = (8, 16, 16, 16)
CHANNELS = len(view.CHANNELS)


def shown(count: int = 2, side: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, side, side, CHANNELS), dtype=torch.uint8,
                         generator=generator)  # fmt: skip


def stirred(network: torch.nn.Module) -> torch.nn.Module:
    """With answers that are not zero."""
    torch.manual_seed(1)
    for answer in (network.light, network.detail):
        torch.nn.init.normal_(answer.weight, std=0.02)
    return network.eval()


def test_it_begins_as_geometry_alone():
    light, detail = GraftNetwork(SMALL)(shown())
    assert light.shape == (2, 6, 16, 16)
    assert detail.shape == (2, 3, 64, 64)
    assert not light.any()
    assert not detail.any()
    base = shown()[..., :3].permute(0, 3, 1, 2) / 255
    assert torch.allclose(applied(shown(), light, detail), base, atol=1e-6)


def test_training_applies_an_answer_as_the_run_time_does():
    rng = np.random.default_rng(0)
    side = view.SIDE_PX
    pixels = rng.integers(60, 190, (1, side, side, CHANNELS), dtype=np.uint8)
    light = rng.normal(0, 0.1, (view.LIGHT_PX, view.LIGHT_PX, 6)).astype(np.float32)
    detail = rng.normal(0, 0.02, (side, side, 3)).astype(np.float32)
    base = view.as_unit(pixels[0, ..., :3])
    none = base[..., 0]
    field = Field(face_shape().mean.astype(np.float32) * 60 + 128, side, side)
    made = view.Draft(base, none, none, none, base, field)
    corrected = view.corrected(made, light, detail, np.eye(2, 3))
    at_run_time = in_range(view.in_base_color(made, corrected))
    parts = [torch.from_numpy(a).permute(2, 0, 1)[None] for a in (light, detail)]
    in_training = applied(torch.from_numpy(pixels), *parts)[0].permute(1, 2, 0).numpy()
    # OpenCV places between pixels by 32nds.
    assert np.abs(in_range(in_training) - at_run_time).max() < 0.02


def test_the_export_agrees(tmp_path):
    network = stirred(GraftNetwork(SMALL))
    to_onnx(ExportedGraft(network), shown(1), tmp_path / "n.onnx", outputs=("light", "detail"))
    found = create_session(tmp_path / "n.onnx").run({"pixels": shown(3).numpy()})
    with torch.no_grad():
        light, detail = ExportedGraft(network)(shown(3))
    assert found["light"].shape == (3, 16, 16, 6)
    assert light.abs().max() > 0.02
    assert np.abs(found["light"] - light.numpy()).max() < 0.01 * float(light.abs().max())
    assert np.abs(found["detail"] - detail.numpy()).max() < 0.01 * float(detail.abs().max())


def test_it_costs_no_more_than_it_may():
    """Multiplications at 256 px, counted over the convolutions; a multiplication and an addition
    are two operations."""
    network = GraftNetwork().eval()
    total = 0

    def count(layer, _, output):
        nonlocal total
        total += 2 * layer.weight[0].numel() * output.numel()

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(shown(1, view.SIDE_PX))
    assert total < 12e9
    assert 2 * sum(p.numel() for p in network.parameters()) < 15e6
