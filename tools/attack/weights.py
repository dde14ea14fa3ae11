"""Files of weights: damaged ones, and ones that are written to do what they should not."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.attack.damage import Dice, damaged, extreme
from tools.attack.good_weights import Sample, samples
from tools.attack.trial import Case

WORDS = (
    *(b"cos\nmkdir\n(S'out'\ntR", b"(S'out'\nios\nmkdir\n", b"\x82\x01)R", b"}b", b"\x81", b"\x92"),
    b"cbuiltins\nopen\n(S'trace'\nS'w'\ntR",
    b"cbuiltins\nexec\n(S'import antigravity'\ntR",
    b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R",
    b"ctorch._utils\n_rebuild_tensor\n}\x8c\x0ddump_patches\x88sb",
    *(
        b"PK\5\6",
        b"PK\3\4",
        b"PK\1\2",
        b"\x80\x02",
        b"\x80\x05",
        b"ustar",
        b"dtype",
        b"data_offsets",
    ),
)
"""What would be done were a pickle run, and what tells the forms of files apart."""


def cases(count: int, seed: int) -> Iterator[tuple[int, Case]]:
    """Two of three are damaged files, the others are written from the start."""
    good = samples()
    names = sorted(good)
    for number in range(count):
        dice = Dice(f"weights {seed} {number}")
        name = dice.choice(names)
        sample = good[name]
        if number % 3:
            content = damaged(sample.content, good[dice.choice(names)].content, dice, WORDS)
            yield number, case_of(f"damaged {name}", sample, sample.whole(content))
        else:
            name, suffix, content = dice.choice(FORGED)(dice)
            yield number, case_of(name, Sample(suffix, b"", good["state as zip"].read), content)


def case_of(name: str, sample: Sample, content: bytes) -> Case:
    file = f"file{sample.suffix}"

    def run(folder: Path) -> list[str]:
        sample.read(folder / file)
        return []

    return Case(name, run, lambda folder: (folder / file).write_bytes(content), strict=True)


def _program(dice: Dice) -> bytes:
    """Opcodes in any order, with arguments that fit them, on a stack that they may find empty."""
    parts = [b"\x80" + bytes([dice.choice((0, 2, 2, 3, 4, 5, 9))])]
    for _ in range(dice.choice((1, 5, 30, 200))):
        opcode = dice.choice(pickletools.opcodes)
        parts.append(opcode.code.encode("latin-1") + _argument(opcode, dice))
        if dice.random() < 0.3:
            parts.append(dice.choice(WORDS))
    return b"".join(parts) + b"."


def _argument(opcode: Any, dice: Dice) -> bytes:
    kind = opcode.arg
    if kind is None:
        return b""
    if kind.n > 0:
        return extreme(dice, min(kind.n, 8)).to_bytes(8, "little")[: kind.n]
    if kind.n == pickletools.UP_TO_NEWLINE:
        lines = (
            b"os\nsystem\n",
            b"torch\nFloatStorage\n",
            b"1\n",
            b"-99999999999\n",
            b"'a'\n",
            b"1e999\n",
        )
        return dice.choice(lines)
    size = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT8U: 8}.get(
        kind.n, 4
    )
    text = dice.randbytes(dice.choice((0, 1, 3, 200)))
    said = len(text) if dice.random() < 0.7 else extreme(dice, size)
    return (said % 256**size).to_bytes(size, "little") + text


class _Call:
    """Pickled as a call of a function by name."""

    def __init__(self, function: str, arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments


class _ByName(pickle._Pickler):
    """Writes calls and names of things that need not exist, and storages by their key."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, _Call):
            module, name = obj.function.rsplit(".", 1)
            self.write(f"c{module}\n{name}\n".encode())
            if obj.arguments != ("itself",):
                super().save(obj.arguments)
                self.write(b"R")
        elif isinstance(obj, set):
            (storage,) = obj
            super().save(storage)
            self.write(b"Q")
        else:
            super().save(obj, save_persistent_id)


def _tensor(dice: Dice) -> Any:
    """A tensor whose description may claim anything of the 64 bytes that it has."""
    kinds = ["Float", "Half", "BFloat16", "Long", "Bool", "Byte", "QInt8", "ComplexFloat", "Float8"]

    def number(usual: int) -> Any:
        odd = (
            extreme(dice, dice.choice((1, 4, 8))),
            -usual,
            -1,
            usual + 1,
            0,
            True,
            1.0,
            None,
            "1",
        )
        return usual if dice.random() < 0.95 else dice.choice(odd)

    shape = dice.choice(((4, 4), (4, 4), (4, 4), (2, 8), (16,), (), (1,) * 70, (0, 2**40), (3, -3)))
    stride = dice.choice(((4, 1), (4, 1), (4, 1), (0, 0), (1,), (), (1,) * 70, (2**40, 1), (-1, 1)))
    kind = _Call(
        f"torch.{dice.choice(kinds) if dice.random() < 0.1 else 'Float'}Storage", ("itself",)
    )
    storage = {
        ("storage", kind, dice.choice(("0",) * 20 + ("1", "../0", "a" * 300)), "cpu", number(16))
    }
    sizes = tuple(number(side) for side in shape)
    functions = ("_rebuild_tensor_v2",) * 30 + (
        "_rebuild_parameter",
        "_rebuild_sparse_tensor",
        "_rebuild_qtensor",
        "_rebuild_nested_tensor",
        "_rebuild_meta_tensor_no_storage",
        "_rebuild_device_tensor_from_numpy",
    )
    hooks = _Call("collections.OrderedDict", ())
    arguments = (storage, number(0), sizes, tuple(number(step) for step in stride), False, hooks)
    made = _Call(
        f"torch._utils.{dice.choice(functions)}", arguments[: dice.choice((6,) * 20 + (4, 2, 0))]
    )
    return (
        _Call("torch._utils._rebuild_parameter", (made, True, hooks))
        if dice.random() < 0.2
        else made
    )


def _description_of(value: Any) -> bytes:
    made = io.BytesIO()
    _ByName(made, 2).dump(value)
    return made.getvalue()


def _zip(description: bytes, dice: Dice) -> bytes:
    """PyTorch's zip, now and then with members that are twice there, lie or lead elsewhere."""
    made = io.BytesIO()
    top = dice.choice(("archive", "archive", "a/b", "..", "", "x" * 300))
    packed = dice.choice(
        (zipfile.ZIP_STORED,) * 3 + (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(made, "w", packed) as archive:
            archive.writestr(f"{top}/data.pkl", description)
            archive.writestr(f"{top}/data/0", bytes(64))
            archive.writestr(f"{top}/version", dice.choice((b"3\n", b"", b"x", b"9" * 5000)))
            for _ in range(dice.choice((0, 0, 1, 3))):
                name = dice.choice(
                    (
                        "data.pkl",
                        "data/0",
                        "byteorder",
                        "code/a.py",
                        "constants.pkl",
                        "../../mine.txt",
                        "/etc/x",
                    )
                )
                archive.writestr(
                    f"{top}/{name}", dice.choice((b"", b"big", description, bytes(10**6)))
                )
            if dice.random() < 0.2:
                archive.comment = dice.choice((b"PK\5\6", b"PK\5\6" + bytes(18), b"x" * 65535))
    content = bytearray(made.getvalue())
    if dice.random() < 0.3:
        start = content.rfind(b"PK\1\2")
        content[start + dice.randrange(46)] = dice.randrange(256)
    return bytes(content)


def _forged_zip(dice: Dice) -> tuple[str, str, bytes]:
    value = {f"layer{number}.weight": _tensor(dice) for number in range(dice.choice((1, 2, 20)))}
    return "forged tensors in a zip", ".pth", _zip(_description_of(value), dice)


def _forged_nest(dice: Dice) -> tuple[str, str, bytes]:
    """Lists in lists, dicts that hold themselves, and memory that a few bytes ask for."""
    deep = dice.choice((500, 50_000, 1_000_000))
    bodies = (
        b"(" * deep + b"l" * 3, b"]" + b"]a" * 3, b"}" + b"]" * deep, b"(" + b"(t" * deep,
        b"}\x94" + b"h\x00s" * 9,
        b"]q\x00h\x00a", b"}q\x00X\x01\x00\x00\x00ah\x00s", b"]" + b"q\x002(" * 3000 + b"t" * 3000,
        b"]" + b"(h\x00h\x00tq\x00" * 60, b"N" * 3 * deep,
        b"\x95" + b"\xff" * 8, b"\x8d" + b"\x7f" * 8,
    )  # fmt: skip
    return "nests in a zip", ".pt", _zip(b"\x80\x04" + dice.choice(bodies) + b".", dice)


def _forged_program(dice: Dice) -> tuple[str, str, bytes]:
    if dice.random() < 0.5:
        return "programs in a zip", ".ckpt", _zip(_program(dice), dice)
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    about = pickle.dumps({"protocol_version": 1001, "little_endian": True}, 2)
    if dice.random() < 0.5:
        return "programs in a stream", ".pth", magic + about + _program(dice)
    value = {"a": _tensor(dice)}
    keys = dice.choice((["0"], ["0", "0"], [], ["0"] * 3000, "0", [0], [["0"]]))
    size = struct.pack("<q", dice.choice((16, 0, -1, 2**62)))
    rest = _description_of(value) + pickle.dumps(keys, 2) + size + bytes(64)
    return "forged tensors in a stream", ".pth", magic + about + rest


def _forged_tar(dice: Dice) -> tuple[str, str, bytes]:
    """Links, pipes, devices and long names beside PyTorch's own members."""
    made = io.BytesIO()
    form = dice.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name in dice.sample(
            ("sys_info", "pickle", "tensors", "storages", "PK", "../mine.txt"), 5
        ):
            member = tarfile.TarInfo(dice.choice((name, name, name, f"./{name}", name * 9)))
            content = dice.choice((_program(dice), pickle.dumps(dice.choice((0, 1, {}, 10**9)), 2)))
            kinds = (tarfile.REGTYPE,) * 6 + (
                tarfile.LNKTYPE,
                tarfile.SYMTYPE,
                tarfile.FIFOTYPE,
                tarfile.CHRTYPE,
                tarfile.DIRTYPE,
                tarfile.GNUTYPE_SPARSE,
            )
            member.type, member.linkname, member.mode = dice.choice(kinds), "../mine.txt", 0o4777
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return "forged tars", ".tar", made.getvalue()


def _forged_tensors(dice: Dice) -> tuple[str, str, bytes]:
    """The head of a safetensors file that lies."""
    from tools.attack.damage import with_odd_value

    entry = {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}
    value = {"__metadata__": {"facts": "{}"}, "a": entry, "b": {**entry, "data_offsets": [64, 128]}}
    head = json.dumps(with_odd_value(value, dice), ensure_ascii=False).encode(
        errors="surrogatepass"
    )
    size = len(head) if dice.random() < 0.8 else extreme(dice, 8)
    return "forged safetensors", ".safetensors", struct.pack("<Q", size) + head + bytes(128)


FORGED = (
    _forged_zip,
    _forged_zip,
    _forged_nest,
    _forged_program,
    _forged_program,
    _forged_tar,
    _forged_tensors,
)
