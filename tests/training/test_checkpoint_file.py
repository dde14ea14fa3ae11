"""Checkpoints in every form that PyTorch has written, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from sosie.errors import InputError  # noqa: E402
from sosie.training.checkpoint_file import read_checkpoint  # noqa: E402


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.PReLU()))


def assert_is(arrays: dict[str, np.ndarray], net: nn.Module) -> None:
    expected = net.state_dict()
    assert list(arrays) == list(expected)
    for key, value in arrays.items():
        assert np.array_equal(value, expected[key].numpy())


def wrapped(net: nn.Module) -> dict[str, object]:
    """As a training run with several GPUs leaves it."""
    state = {f"module.{key}": value for key, value in net.state_dict().items()}
    return {"epoch": 3, "best": np.float64(0.5), "state_dict": state, "args": Path("x")}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("content", "place"),
    [
        (lambda net: net.state_dict(), ""),
        (wrapped, "state_dict"),
        (lambda net: net, ""),
        (lambda net: {"model": net}, "model"),
    ],
    ids=["weights", "wrapped", "module", "wrapped module"],
)
def test_weights_are_found_however_they_were_saved(tmp_path, net, content, place, zipped):
    file = tmp_path / "checkpoint.tar"
    torch.save(content(net), file, _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(file)
    assert list(found) == [place]
    assert_is(found[place], net)


def test_safetensors_are_read(tmp_path, net):
    file = tmp_path / "weights.safetensors"
    save_file(net.state_dict(), file)
    found = read_checkpoint(file)[""]
    assert_is({key: found[key] for key in net.state_dict()}, net)
    save_file({"a": torch.ones(3, dtype=torch.bfloat16)}, file)
    assert read_checkpoint(file)[""]["a"].tolist() == [1, 1, 1]


class Malicious:
    """Creates a file when it is unpickled, as it could do anything else."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_run(tmp_path, zipped):
    trace = tmp_path / "was here"
    file = tmp_path / "checkpoint.pth"
    content = {"weight": torch.ones(2), "more": Malicious(trace)}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    assert list(read_checkpoint(file)[""]) == ["weight"]
    assert not trace.exists()
    # The test is one: an ordinary reader runs it.
    torch.load(file, weights_only=False)["more"].close()
    assert trace.exists()


def test_a_program_is_not_loaded(tmp_path, net):
    file = tmp_path / "program.pt"
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(net), file)
    with pytest.raises(InputError, match="TorchScript program"):
        read_checkpoint(file)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_refused(tmp_path, net, zipped, share):
    file = tmp_path / "checkpoint.pth"
    torch.save(net.state_dict(), file, _use_new_zipfile_serialization=zipped)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="damaged, cut short"):
        read_checkpoint(file)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_checkpoint(tmp_path / "absent.pth")
    file = tmp_path / "page.pth"
    file.write_text("<!DOCTYPE html> quota exceeded")
    with pytest.raises(InputError, match=r"neither by PyTorch nor as \.safetensors"):
        read_checkpoint(file)
    torch.save({"epoch": 3}, file)
    with pytest.raises(InputError, match="holds no weights"):
        read_checkpoint(file)
    model = tmp_path / "swap.onnx"
    model.write_bytes(b"\x08\x08")
    with pytest.raises(InputError, match=r"sosie swap --method onnx --model swap\.onnx"):
        read_checkpoint(model)
    damaged = tmp_path / "weights.safetensors"
    damaged.write_bytes(b"not one of them at all")
    with pytest.raises(InputError, match=r"no \.safetensors file"):
        read_checkpoint(damaged)
