"""Checkpoints made to do harm: nothing in them is run, nothing outside is touched, nothing is huge.

Each escape is first shown to be one, by the reader that runs it.
"""

from __future__ import annotations

import copyreg
import io
import os
import pickle
import stat
import struct
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from sosie.errors import InputError  # noqa: E402
from sosie.training.checkpoint_file import read_checkpoint, read_tensors  # noqa: E402

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def text(content: str) -> bytes:
    return b"X" + struct.pack("<I", len(content)) + content.encode()


def in_stream(program: bytes, keys: bytes = b"]", raw: bytes = b"") -> bytes:
    """A pickle as PyTorch before 1.6 wrote it."""
    parts = [pickle.dumps(value, 2) for value in (MAGIC, PROTOCOL, {"little_endian": True})]
    return b"".join(parts) + program + b"\x80\x02" + keys + b"." + raw


def in_zip(program: bytes, **members: bytes) -> bytes:
    """A pickle as PyTorch writes it since, with other members by name."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        for name, data in members.items():
            archive.writestr(f"archive/{name.replace('_', '/')}", data)
    return content.getvalue()


def tried(content: bytes, file: Path) -> None:
    """Read a file that may be read or refused, by either door."""
    file.write_bytes(content)
    for read in (read_checkpoint, read_tensors):
        with suppress(InputError):
            read(file)


def refused(content: bytes, file: Path, reason: str = "damaged, cut short") -> None:
    file.write_bytes(content)
    for read in (read_checkpoint, read_tensors):
        with pytest.raises(InputError, match=reason):
            read(file)


STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x04tQ"
"""The identifier of a storage of four numbers."""


def tensor(
    offset: bytes = b"K\x00", shape: bytes = b"K\x04\x85", strides: bytes = b"K\x01\x85"
) -> bytes:
    """What makes a tensor in that storage."""
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + STORAGE
        + offset
        + shape
        + strides
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


FOUR = np.arange(4, dtype="<f4").tobytes()


def weights(*entries: bytes, made: bytes | None = None) -> bytes:
    """A dictionary with a tensor `w`, and further keys and values."""
    return b"\x80\x02}(" + text("w") + (made or tensor()) + b"".join(entries) + b"u."


def escapes(target: str) -> dict[str, bytes]:
    """Pickles that make the folder `target` when they are loaded."""
    path = f"S'{target}'\n".encode()
    call = f"__import__('os').mkdir('{target}')"
    inner = pickle.dumps(0)[:0] + b"cos\nmkdir\n(" + path + b"tR."
    mapped = b"cbuiltins\nmap\n(cos\nmkdir\n(" + path + b"ltR"
    short = text(target)
    return {
        "REDUCE": b"cos\nmkdir\n(" + path + b"tR.",
        "eval": b'cbuiltins\neval\n(S"' + call.encode() + b'"\ntR.',
        "exec": b"\x80\x02cbuiltins\nexec\n" + text(call) + b"\x85R.",
        "INST": b"(" + path + b"ios\nmkdir\n.",
        "OBJ": b"(cos\nmkdir\n" + path + b"o.",
        "NEWOBJ": b"\x80\x02cbuiltins\ntuple\n" + mapped + b"\x85\x81.",
        "NEWOBJ_EX": b"\x80\x04cbuiltins\nbytes\n" + mapped + b"\x85}\x92.",
        "STACK_GLOBAL": b"\x80\x04" + text("os") + text("mkdir") + b"\x93" + short + b"\x85R.",
        "memo": b"\x80\x04" + text("os") + b"\x940" + text("mkdir") + b"q\x07h\x00h\x07\x930"
        b"h\x00h\x07\x93" + short + b"\x85R.",
        "dotted": b"\x80\x04" + text("os") + text("path.os.mkdir") + b"\x93" + short + b"\x85R.",
        "getattr": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'mkdir'\ntR("
        + path
        + b"tR.",
        "EXT1": b"\x80\x02\x82\xf0" + short + b"\x85R.",
        "EXT4": b"\x80\x02\x84\xf0\x00\x00\x00" + short + b"\x85R.",
        "BUILD": b"\x80\x02cfunctools\npartial\ncbuiltins\nprint\n\x85R(cos\nmkdir\n"
        + short
        + b"\x85}}tb)R.",
        "nested": b"\x80\x03cpickle\nloads\nB" + struct.pack("<I", len(inner)) + inner + b"\x85R.",
        "nested in torch": b"\x80\x03ctorch.storage\n_load_from_bytes\nB"
        + struct.pack("<I", len(in_stream(inner)))
        + in_stream(inner)
        + b"\x85R.",
        "popped": b"\x80\x02cos\nmkdir\n" + short + b"\x85R0}.",
        "in a dictionary": b"\x80\x02}(" + text("a") + b"cos\nmkdir\n" + short + b"\x85Ru.",
    }


@pytest.fixture
def extension() -> Iterator[None]:
    copyreg.add_extension("os", "mkdir", 240)
    yield
    copyreg.remove_extension("os", "mkdir", 240)
    copyreg._extension_cache.clear()


@pytest.mark.parametrize("name", sorted(escapes("")))
def test_what_a_pickle_would_do_is_not_done(tmp_path, monkeypatch, extension, name):
    # An embedded checkpoint of PyTorch asks for this before it runs.
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    trace = tmp_path / "trace"
    program = escapes(str(trace))[name]
    with suppress(Exception):
        pickle.loads(program)
    assert trace.exists()
    trace.rmdir()
    started = program if program.startswith(b"\x80") else b"\x80\x02" + program
    for content in (in_zip(program), in_stream(started), started):
        tried(content, tmp_path / "checkpoint.pth")
        # Beside weights, too.
        tried(in_zip(started[:-1] + b"0" + weights()[2:], data_0=FOUR), tmp_path / "weights.pth")
    assert not trace.exists()
    assert list(read_checkpoint(tmp_path / "weights.pth")[""]) == ["w"]


def test_nothing_that_is_there_already_is_changed(tmp_path):
    for program in (
        b"\x80\x02cos\nenviron\n" + text("SOSIE_TRACE") + text("1") + b"s.",
        b"\x80\x02csys\npath\n" + text("SOSIE_TRACE") + b"a.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor\n}" + text("trace") + b"\x88sb.",
    ):
        pickle.loads(program)
        assert (
            "SOSIE_TRACE" in os.environ
            or "SOSIE_TRACE" in sys.path
            or hasattr(torch._utils._rebuild_tensor, "trace")
        )
        os.environ.pop("SOSIE_TRACE", None)
        with suppress(ValueError):
            sys.path.remove("SOSIE_TRACE")
        vars(torch._utils._rebuild_tensor).clear()
        tried(in_zip(program), tmp_path / "checkpoint.pth")
        tried(in_stream(program), tmp_path / "checkpoint.pth")
        assert "SOSIE_TRACE" not in os.environ
        assert "SOSIE_TRACE" not in sys.path
        assert not vars(torch._utils._rebuild_tensor)


class Writes(nn.Module):
    """A program that writes a file as soon as it is loaded."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.file, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.file = state[0]
        self.training = state[1]
        torch.save(torch.ones(1), self.file)


@pytest.mark.parametrize("comment", [b"", b"PK\5\6", b"PK\5\6" + bytes(18)])
def test_a_program_is_not_run_whatever_the_zip_says_of_its_end(tmp_path, comment):
    trace, file = tmp_path / "trace", tmp_path / "program.pt"
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(Writes(str(trace))), file)
    content = bytearray(file.read_bytes())
    content[-2:] = struct.pack("<H", len(comment))
    content += comment
    trace.unlink(missing_ok=True)
    refused(bytes(content), file, "TorchScript program|damaged, cut short")
    assert not trace.exists()


def test_no_source_of_a_module_becomes_a_file(tmp_path):
    """PyTorch's reader of streams writes a patch where a class says so; here a function does."""
    patch = tmp_path / "any.patch"
    function = torch._utils._rebuild_tensor
    program = (
        b"\x80\x02(" + text("module") + b"ctorch._utils\n_rebuild_tensor\nN}("
        + text("__name__") + text(str(patch.with_suffix(""))) + text("dump_patches") + b"\x88u\x86b"
        + text("source.py") + text("what is to be written") + b"tQ."
    )  # fmt: skip
    try:
        tried(in_stream(program), tmp_path / "checkpoint.pth")
        assert not patch.exists()
        assert function.__name__ == "_rebuild_tensor"
    finally:
        function.__name__ = "_rebuild_tensor"
        vars(function).clear()


def tar_of(file: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> Path:
    with tarfile.open(file, "w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return file


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE])
@pytest.mark.parametrize("first", ["PK", "sys_info"])
def test_a_tar_neither_links_nor_waits(tmp_path, kind, first):
    victim = tmp_path / "own.txt"
    victim.write_text("mine")
    victim.chmod(0o600)
    link = tarfile.TarInfo("storages")
    link.type, link.linkname, link.mode = kind, str(victim), 0o4777
    file = tar_of(tmp_path / "checkpoint.tar", (first, b"1"), link, ("pickle", b"N."))
    with pytest.raises(InputError):
        read_checkpoint(file)
    assert stat.S_IMODE(victim.stat().st_mode) == 0o600
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_no_file_is_not_opened(tmp_path, suffix):
    pipe, link, folder = (tmp_path / f"{name}{suffix}" for name in ("pipe", "link", "folder"))
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    folder.mkdir()
    for path, kind in ((pipe, "a pipe"), (link, "a device"), (folder, "a folder")):
        for read in (read_checkpoint, read_tensors):
            with pytest.raises(InputError, match=f"is {kind}"):
                read(path)


CLAIMS: dict[str, bytes] = {
    "offset": tensor(offset=b"K\x01"),
    "negative offset": tensor(offset=b"J\xff\xff\xff\xff"),
    "shape": tensor(shape=b"K\x05\x85"),
    "negative shape": tensor(shape=b"J\xff\xff\xff\xff\x85"),
    "stride": tensor(strides=b"K\x02\x85"),
    "negative stride": tensor(strides=b"J\xff\xff\xff\xff\x85"),
    "other axes": tensor(strides=b"K\x01K\x01\x86"),
    "no numbers": tensor(shape=b"N\x85"),
    "truth": tensor(shape=b"\x88\x85"),
    "no tuple": tensor(shape=b"]"),
    "many axes": tensor(shape=b"(" + b"K\x01" * 40 + b"t", strides=b"(" + b"K\x01" * 40 + b"t"),
    "huge": tensor(shape=b"\x8a\x09" + bytes(8) + b"\x01\x85", strides=b"K\x00\x85"),
    "huge and empty": tensor(
        shape=b"\x8a\x08" + bytes(7) + b"\x20K\x00\x86", strides=b"K\x00K\x00\x86"
    ),
    "no storage": tensor().replace(STORAGE, b"N"),
    "unknown storage": tensor().replace(b"FloatStorage", b"Storage"),
    "more than there is": tensor().replace(b"K\x04tQ", b"K\x05tQ"),
    "negative storage": tensor().replace(b"K\x04tQ", b"J\xff\xff\xff\xfftQ"),
    "absent storage": tensor().replace(text("0") + text("cpu"), text("1") + text("cpu")),
    "a storage of no name": tensor().replace(text("0") + text("cpu"), b"N" + text("cpu")),
    "nothing": b"ctorch._utils\n_rebuild_tensor_v2\n)R",
    "no text": b"K\x00K\x00\x93",
    "empty memo": b"h\x00",
    "no mark": b"t",
    "no stack": b"RRRRRRR",
    "text without end": b"\x8d" + b"\xff" * 8,
    "number without end": b"\x8b\xff\xff\xff\x7f",
    "bytes without end": b"\x8e" + b"\x00" * 7 + b"\x01",
    "no text of Unicode": b"X\x01\x00\x00\x00\xff",
    "unknown instruction": b"\xff",
    "buffer": b"\x97",
    "digits": b"I" + b"9" * 5000 + b"\n",
    "place": b"NpS\n",
}


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_a_tensor_that_cannot_be_is_refused(tmp_path, name):
    content = in_zip(weights(made=CLAIMS[name]), data_0=FOUR)
    refused(content, tmp_path / "checkpoint.pth")
    raw = struct.pack("<q", 4) + FOUR
    program = weights(made=CLAIMS[name].replace(b"K\x04tQ", b"K\x04NtQ"))
    refused(in_stream(program, b"]" + text("0") + b"a", raw), tmp_path / "checkpoint.pth")


def test_the_storages_of_a_stream_are_held_against_the_file(tmp_path):
    program = weights().replace(b"K\x04tQ", b"K\x04NtQ")
    file = tmp_path / "checkpoint.pth"
    keys = b"]" + text("0") + b"a"
    for count, data in ((4, FOUR[:-1]), (5, FOUR), (1 << 60, FOUR), (-1, FOUR), (3, FOUR)):
        refused(in_stream(program, keys, struct.pack("<q", count) + data), file)
    good = struct.pack("<q", 4) + FOUR
    refused(in_stream(program, keys + text("0") + b"a", good + good), file)
    refused(in_stream(program, b"]" + text("1") + b"a", good), file)
    refused(in_stream(program, b"N", good), file)
    file.write_bytes(in_stream(program, keys, good))
    assert read_checkpoint(file)[""]["w"].tolist() == [0, 1, 2, 3]


def nested(levels: int) -> bytes:
    return b"\x80\x02" + b"]" * levels + b"a" * (levels - 1) + b"."


def shared(levels: int, width: int) -> bytes:
    """Dictionaries of dictionaries: few in the file, `width` to the power of `levels` to see."""
    program = b"\x80\x02}q\x00"
    for level in range(levels):
        entries = b"".join(text(str(key)) + b"h" + bytes([level]) for key in range(width))
        program += b"0}(" + entries + b"uq" + bytes([level + 1])
    return program + b"."


def modules(levels: int, width: int = 1) -> bytes:
    """Modules within modules, each `width` times the same."""
    program = b"\x80\x02NN"
    for level in range(levels):
        children = b"".join(text(str(key)) + b"h\x00" for key in range(width if level else 0))
        state = b"}" + text("_modules") + b"}(" + children + b"us"
        program += b"cany\nModule\n)\x81" + state + b"bq\x000"
    return program + b"h\x00."


LOOP = b"\x80\x02cany\nModule\n)\x81q\x00}" + text("_modules") + b"}" + text("a") + b"h\x00ssb."

PAIRS = b"](" + b"NN\x86" * 5000 + b"e"
LONG = text("a" * 5_000_000)
EQUAL = ((k * ((1 << 61) - 1)).to_bytes(10, "little") for k in range(50_000))

BOMBS: dict[str, bytes] = {
    "deep lists": nested(400_000),
    "deep modules": modules(5_000),
    "wide modules": modules(30, 10),
    "wide dictionaries": shared(4, 100),
    "a module in itself": LOOP,
    "instructions": b"\x80\x02" + b"N0" * 1_600_000 + b"N.",
    "one list of pairs many times": b"\x80\x02ccollections\nOrderedDict\nq\x00"
    + PAIRS
    + b"\x85q\x010"
    + b"h\x00h\x01R0" * 5000
    + b"N.",
    "one long name many times": b"\x80\x04" + LONG + b"q\x00" + b"h\x00h\x00\x93" * 1000 + b".",
    "equal hashes": b"\x80\x02}(" + b"".join(b"\x8a\x0a" + key + b"N" for key in EQUAL) + b"u.",
}


def peak_mib() -> int:
    rows = Path("/proc/self/status").read_text().splitlines()
    return int(next(row.split()[1] for row in rows if row.startswith("VmHWM"))) // 1024


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("name", sorted(BOMBS))
def test_work_and_memory_are_bounded(tmp_path, name):
    file = tmp_path / "checkpoint.pth"
    file.write_bytes(in_zip(BOMBS[name]))
    # The peak begins anew.
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mib()
    with pytest.raises(InputError):
        read_checkpoint(file)
    assert peak_mib() - before < 400


def test_a_module_within_itself_is_refused(tmp_path):
    refused(in_zip(LOOP), tmp_path / "loop.pth", "damaged, cut short|more than named")


@pytest.mark.parametrize("children", [b"N", b"]", b"K\x01", b"cos\nmkdir\n", b"}N}s"])
def test_modules_of_other_things_hold_nothing(tmp_path, children):
    state = b"}(" + text("_modules") + children + text("_parameters") + children + b"u"
    refused(
        in_zip(b"\x80\x02cany\nModule\n)\x81" + state + b"b."), tmp_path / "m.pth", "holds no|more"
    )


@pytest.mark.parametrize("zipped", [True, False])
def test_repeated_values_take_no_memory(tmp_path, zipped):
    file = tmp_path / "wide.pth"
    for kind in (torch.bfloat16, torch.float32, torch.bool):
        wide = torch.ones(8, dtype=kind)[:, None, None].expand(8, 16_384, 8192)
        torch.save({"w": wide}, file, _use_new_zipfile_serialization=zipped)
        tracemalloc.start()
        read = read_checkpoint(file)[""]["w"]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert read.shape == wide.shape
        assert read[7, 16_383, 8191] == 1
        assert peak < 4 << 20


UNREAD: dict[str, Callable[[], object]] = {
    "sparse": lambda: torch.eye(3).to_sparse(),
    "quantized": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "meta": lambda: torch.ones(3, device="meta"),
    "float8_e4m3fn": lambda: torch.ones(3).to(torch.float8_e4m3fn),
    "conjugate": lambda: torch.ones(3, dtype=torch.complex64).conj(),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", sorted(UNREAD))
@pytest.mark.filterwarnings("ignore")
def test_tensors_of_other_kinds_are_named(tmp_path, kind, zipped):
    content = io.BytesIO()
    torch.save({"w": UNREAD[kind]()}, content, _use_new_zipfile_serialization=zipped)
    refused(content.getvalue(), tmp_path / "other.pth", kind)


def test_so_are_those_of_safetensors(tmp_path):
    file = tmp_path / "other.safetensors"
    save_file({"w": torch.ones(3).to(torch.float8_e4m3fn)}, file)
    for read in (read_checkpoint, read_tensors):
        with pytest.raises(InputError, match="F8_E4M3"):
            read(file)


def patched(content: bytes, place: int, *fields: bytes) -> bytes:
    change = b"".join(fields)
    return content[:place] + change + content[place + len(change) :]


def test_a_zip_that_can_be_read_in_two_ways_is_refused(tmp_path):
    file = tmp_path / "checkpoint.pth"
    good = in_zip(weights(), data_0=FOUR)
    file.write_bytes(good)
    assert read_checkpoint(file)[""]["w"].tolist() == [0, 1, 2, 3]
    entry, end = good.index(b"PK\1\2"), good.index(b"PK\5\6")
    second = good.index(b"PK\1\2", entry + 4)
    doubled = io.BytesIO()
    with zipfile.ZipFile(doubled, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for data in (weights(), weights(), FOUR):
            archive.writestr("archive/data.pkl", data)
    for other in (
        doubled.getvalue(),
        b"PK\3\4" + good,
        good + b"\0",
        good[:-2] + b"\x04\0PK\5\6",
        patched(good, end + 8, b"\xff\xff\xff\xff"),
        patched(good, end + 12, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        patched(good, end + 16, b"\xff\xff\xff\x7f"),
        patched(good, entry + 20, b"\xff\xff\xff\x7f\xff\xff\xff\x7f"),
        patched(good, entry + 42, b"\xff\xff\xff\xff"),
        patched(good, second + 42, bytes(4)),
        patched(good, 30, b"another"),
        good.replace(b"archive/data.pkl", b"archive/data.plk"),
    ):
        refused(other, file)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", weights())
        archive.writestr("archive/data/0", bytes(1 << 24))
    refused(packed.getvalue(), file, "compressed")


def test_weights_keep_only_names_that_can_be_printed(tmp_path):
    odd = b"".join(
        (*(text(name) + tensor() for name in ("\x1b[2J", "a\nb", "n" * 2000)), b"N", tensor())
    )
    file = tmp_path / "odd.pth"
    file.write_bytes(in_zip(weights(odd, b"K\x07", tensor()), data_0=FOUR))
    assert list(read_checkpoint(file)[""]) == ["w", "7"]
    with pytest.raises(InputError, match="more than named tensors"):
        read_tensors(file)
