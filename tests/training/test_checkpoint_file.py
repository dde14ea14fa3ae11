"""Checkpoints in every form that PyTorch has written, and files that are none."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from sosie.errors import InputError  # noqa: E402
from sosie.training.checkpoint_file import read_checkpoint, read_tensors  # noqa: E402


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
    with pytest.raises(InputError, match="does not exist"):
        read_checkpoint(tmp_path / "absent.pth")
    file = tmp_path / "page.pth"
    file.write_text("<!DOCTYPE html> quota exceeded")
    with pytest.raises(InputError, match=r"neither by PyTorch nor by Keras"):
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


def every_type() -> dict[str, torch.Tensor]:
    """Values of each type that numpy has, bit patterns of all kinds among them."""
    noise = torch.randint(0, 256, (4, 48), dtype=torch.uint8, generator=torch.manual_seed(1))
    kinds = (
        *(torch.float64, torch.float32, torch.float16, torch.complex64, torch.complex128),
        *(torch.int64, torch.int32, torch.int16, torch.int8),
        *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
    )
    values = {str(kind): noise.view(kind).clone() for kind in kinds}
    return values | {"bool": noise > 127, "bfloat16": noise.view(torch.bfloat16).clone()}


def every_shape() -> dict[str, torch.Tensor]:
    whole = torch.arange(120.0).view(2, 3, 4, 5)
    return {
        "whole": whole,
        "number": torch.tensor(2.5),
        "empty": torch.zeros(3, 0, 2),
        "part": whole[1, 1:, ::2],
        "turned": whole.permute(3, 1, 0, 2),
        "channels last": whole.contiguous(memory_format=torch.channels_last),
        "repeated": whole[:1].expand(7, 3, 4, 5),
        "one axis more": whole[None],
        "diagonal": torch.arange(9.0).view(3, 3).diagonal(),
        "parameter": nn.Parameter(torch.ones(2, 3).T),
        "half of it": torch.ones(4, dtype=torch.bfloat16)[2:],
    }


class Odd(torch.Tensor):
    """Any subclass."""


def with_attributes() -> dict[str, torch.Tensor]:
    parameter = nn.Parameter(torch.arange(3.0))
    parameter.is_shared = True
    return {"parameter": parameter, "subclass": torch.arange(4.0).as_subclass(Odd)}


def bits(value: Any) -> tuple[Any, ...]:
    array = np.asarray(value)
    return array.shape, array.dtype, array.tobytes()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("content", [every_type, every_shape, with_attributes])
def test_every_tensor_is_read_bit_for_bit(tmp_path, content, zipped, protocol):
    tensors = content()
    if not zipped:
        # PyTorch itself cannot read what it writes of these in the older form.
        tensors = {k: v for k, v in tensors.items() if not k.startswith("torch.uint") or "8" in k}
    file = tmp_path / "checkpoint.pth"
    torch.save(tensors, file, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    expected = torch.load(file, weights_only=False)
    for found in (read_checkpoint(file)[""], read_tensors(file)):
        assert list(found) == list(tensors)
        for name, value in found.items():
            wanted = expected[name].detach()
            wanted = wanted.float() if wanted.dtype == torch.bfloat16 else wanted
            assert bits(value) == bits(wanted.as_subclass(torch.Tensor).numpy())


def training_state() -> dict[str, Any]:
    """As a training run leaves it: networks, averages, optimizers and much that is no tensor."""
    torch.manual_seed(2)
    network = nn.DataParallel(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)))
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.rand(5, 3)).sum().backward()
    optimizer.step()
    return {
        "generator": {"raw": network.state_dict(), "deep": {"ema": {"net": network.state_dict()}}},
        "network": network.module,
        "optimizer": optimizer.state_dict(),
        "random": [torch.get_rng_state(), np.random.default_rng(0).random(9), {1, 2}, b"\0\1"],
        "step": 10**30, "loss": 0.5, "path": Path("x"), "none": None, (1, 2): torch.ones(1),
        "dtype": torch.float16, "size": torch.Size([2]), "device": torch.device("cpu"),
    }  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_training_state_is_searched(tmp_path, zipped):
    file = tmp_path / "state.ckpt"
    torch.save(training_state(), file, _use_new_zipfile_serialization=zipped)
    loaded = torch.load(file, weights_only=False)
    expected = loaded["network"].state_dict()
    found = read_checkpoint(file)
    networks = ["generator.raw", "generator.deep.ema.net", "network"]
    steps = [f"optimizer.state.{k}" for k in range(6)]
    assert sorted(found) == sorted(networks + steps)
    for place in networks:
        assert list(found[place]) == list(expected)
        for key, value in found[place].items():
            assert bits(value) == bits(expected[key].numpy())
    for k, place in enumerate(steps):
        for key, value in found[place].items():
            assert bits(value) == bits(loaded["optimizer"]["state"][k][key].numpy())


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_that_share_memory_share_it(tmp_path, zipped):
    whole = torch.arange(6.0)
    file = tmp_path / "shared.pth"
    tied = {"a": whole, "b": whole[2:4], "c": whole.view(2, 3)}
    torch.save(tied, file, _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(file)[""]
    found["a"][2] = 7
    assert found["b"].tolist() == [7, 3]
    assert found["c"].tolist() == [[0, 1, 7], [3, 4, 5]]


def test_values_of_the_other_order_are_turned(tmp_path):
    file = tmp_path / "big.pth"
    kinds = every_type()
    del kinds["torch.complex64"], kinds["torch.complex128"]
    content = io.BytesIO()
    torch.save(kinds, content)
    with zipfile.ZipFile(content) as given, zipfile.ZipFile(file, "w") as made:
        for name in given.namelist():
            data = given.read(name)
            if "/data/" in name:
                kind = list(kinds.values())[int(name.rsplit("/", 1)[1])]
                data = np.frombuffer(data, f"u{kind.element_size()}").byteswap().tobytes()
            made.writestr(name, b"big" if name.endswith("byteorder") else data)
    for key, value in read_checkpoint(file)[""].items():
        wanted = kinds[key].float() if key == "bfloat16" else kinds[key]
        assert bits(value) == bits(wanted.numpy())


class ByKey(pickle.Pickler):
    """Leaves a number in the place of a tensor, as PyTorch did in its first months."""

    def persistent_id(self, value: object) -> int | None:
        return id(value) if isinstance(value, torch.Tensor) else None


def old_tar(tensors: dict[str, torch.Tensor], file: Path) -> None:
    described = io.BytesIO()
    ByKey(described, 2).dump(OrderedDict(tensors))
    storages, views = [pickle.dumps(len(tensors), 2)], [pickle.dumps(len(tensors), 2)]
    for tensor in tensors.values():
        storage = tensor.untyped_storage()
        kind = getattr(
            torch,
            torch.storage.TypedStorage(
                wrap_storage=storage, dtype=tensor.dtype, _internal=True
            )._pickle_storage_type(),
        )
        key, size = id(tensor) + 1, storage.nbytes() // tensor.element_size()
        storages += [pickle.dumps((key, "cpu", kind), 2), struct.pack("<q", size), bytes(storage)]
        numbers = (*tensor.shape, *tensor.stride(), tensor.storage_offset())
        views.append(pickle.dumps((id(tensor), key, "torch.FloatTensor"), 2))
        views.append(struct.pack(f"<q{len(numbers)}q", tensor.dim(), *numbers))
    storages.append(pickle.dumps([], 2))
    parts = {"sys_info": pickle.dumps({}, 2), "pickle": described.getvalue(),
             "tensors": b"".join(views), "storages": b"".join(storages)}  # fmt: skip
    with tarfile.open(file, "w:", format=tarfile.PAX_FORMAT) as archive:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), 1480000000.25
            archive.addfile(member, io.BytesIO(content))


def test_the_tars_of_the_first_months_are_read(tmp_path):
    file = tmp_path / "old.pth.tar"
    whole = torch.arange(12.0).view(3, 4)
    tensors = {"a": whole, "b": whole.T.clone()[1:], "c": torch.arange(5), "d": whole[:, 1]}
    old_tar(tensors, file)
    expected = torch.load(file, weights_only=False)
    found = read_checkpoint(file)[""]
    assert list(found) == list(expected)
    for key, value in found.items():
        assert bits(value) == bits(expected[key].numpy())
    content = file.read_bytes()
    file.write_bytes(content.replace(struct.pack("<q", 12), struct.pack("<q", 1 << 50)))
    with pytest.raises(InputError, match="damaged, cut short"):
        read_checkpoint(file)


def test_what_python_2_wrote_is_read(tmp_path):
    """Its ordered dictionaries get all their pairs at once, and its texts have no alphabet."""
    file = tmp_path / "old.pth"
    torch.save({"w": torch.ones(2)}, file)
    with zipfile.ZipFile(file) as given:
        parts = {name: given.read(name) for name in given.namelist()}
    name = next(name for name in parts if name.endswith("data.pkl"))
    _, tensor = parts[name].split(b"X\x01\x00\x00\x00wq\x01")
    pair = b"](U\x01w" + tensor.removesuffix(b"s.") + b"e"
    parts[name] = b"\x80\x02ccollections\nOrderedDict\n](" + pair + b"e\x85R."
    with zipfile.ZipFile(file, "w") as changed:
        for member, content in parts.items():
            changed.writestr(member, content)
    assert torch.load(file, weights_only=False)["w"].tolist() == [1, 1]
    assert read_checkpoint(file)[""]["w"].tolist() == [1, 1]
