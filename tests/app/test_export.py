"""`sosie export` writes a DFM of a training's snapshot, or says why not."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("onnx", exc_type=ImportError)

from sosie.models.session import create_session  # noqa: E402
from sosie.recipes import load_recipe  # noqa: E402
from sosie.training.checkpoint import save_tensors  # noqa: E402
from sosie.training.recipe import Materials  # noqa: E402


@pytest.fixture
def snapshot(tmp_path):
    """Of a tiny network that was never trained."""
    torch.manual_seed(0)
    kind = load_recipe("deepfacelab")
    settings = {"size_px": "64", "ae": "8", "e": "4", "d": "4", "dm": "4"}
    plan = kind.plan_with(kind.presets["small"], settings)
    recipe = kind(Materials(tmp_path, tmp_path, tmp_path, 0), plan)
    facts = {"name": "deepfacelab", "plan": dataclasses.asdict(plan)}
    save_tensors(tmp_path / "snapshot.safetensors", recipe.network().state_dict(), facts)
    return tmp_path / "snapshot.safetensors"


def test_a_snapshot_becomes_a_dfm(sosie, refused, snapshot, tmp_path):
    out = tmp_path / "me.dfm"
    result = sosie("export", snapshot, "--dfm", out)
    assert result.code == 0, result
    assert "faces of 64 px, face type full" in result.out
    assert list(create_session(out).inputs) == ["in_face:0"]
    assert "me.dfm" in refused(1, "export", snapshot, "--dfm", out)
    again = sosie("export", snapshot, "--dfm", out, "--overwrite", "--back", "--json")
    assert again.code == 0
    assert again.json["face_type"] == "full"
    assert again.json["morph"] is False


def test_what_is_no_snapshot_is_refused(refused, snapshot, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"nothing at all")
    told = refused(1, "export", tmp_path / "x.safetensors", "--dfm", tmp_path / "me.dfm")
    assert "x.safetensors" in told
    told = refused(1, "export", tmp_path / "absent.safetensors", "--dfm", tmp_path / "me.dfm")
    assert "absent.safetensors" in told
    assert "does not end with .dfm" in refused(2, "export", snapshot, "--dfm", tmp_path / "me.onnx")
    assert not (tmp_path / "me.dfm").exists()
