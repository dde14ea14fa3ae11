"""Try Sosie with files that were damaged at random, and count what it does with them.

    python tools/attack.py weights [--count 10000] [--seed 0] [--keep FOLDER]

Each attack makes its own files, changes them in many small ways, and hands them to what reads such
files in Sosie. A file may be read, or refused with an InputError; all else is a failure:

- another exception, or more than SECONDS for one file;
- anything that the reader does to the machine: files written, removed, renamed or linked, folders
  made, programs started, connections, modules imported, code compiled or executed (an audit hook of
  Python watches while a file is read);
- more than MEMORY_MIB above what the process had before.

A report in JSON goes to standard output, and the exit code is 1 where there was a failure. --keep
writes the files that failed into a folder. The same seed makes the same files.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import os
import pickle
import random
import resource
import signal
import struct
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sosie.errors import InputError

SECONDS = 20
"""What a file of these sizes may take at most, on a slow machine."""

MEMORY_MIB = 1024

_FORBIDDEN = (
    *("compile", "exec", "import", "marshal.", "pickle.find_class", "code.__new__"),
    *("os.", "subprocess.", "socket.", "shutil.", "tempfile.", "ctypes.", "pty.", "urllib."),
)
"""Beginnings of the names of Python's audit events that no reader has a reason for."""

_ALLOWED = ("os.listdir", "os.scandir", "os.fwalk", "os.walk")

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Sample:
    """A good file. suffix: of its name. read: what reads such files in Sosie.

    content: what is damaged. whole: makes a file of that, where it is a part of one that would be
    refused at once, were it damaged anywhere.
    """

    suffix: str
    content: bytes
    read: Callable[[Path], object]
    whole: Callable[[bytes], bytes] = bytes


@dataclass
class Watch:
    """What the audit hook saw; it looks only while `on`."""

    on: bool = False
    seen: list[str] = field(default_factory=list)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and _is_forbidden(event, arguments):
            self.seen.append(f"{event} {arguments!r:.200}")


def _is_forbidden(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        _, mode, flags = arguments
        return bool(flags & _WRITES) or any(letter in (mode or "") for letter in "wxa+")
    return event.startswith(_FORBIDDEN) and event not in _ALLOWED


@dataclass
class Outcome:
    """What became of the files. failures: name of the file, and what was wrong."""

    kinds: collections.Counter[str] = field(default_factory=collections.Counter)
    failures: list[dict[str, str]] = field(default_factory=list)
    slowest_s: float = 0.0


def attack(
    samples: Mapping[str, Sample], count: int, seed: int, keep: Path | None = None
) -> dict[str, Any]:
    """Read `count` files, each made of a sample, and report what became of them."""
    watch = Watch()
    sys.addaudithook(watch.hook)
    outcome = Outcome()
    names = sorted(samples)
    with tempfile.TemporaryDirectory() as folder:
        for sample in samples.values():
            # What is imported at the first reading is so here; and a good file has to be read.
            sample.read(_write(Path(folder), sample, sample.content))
        before_mib = _most_memory_mib()
        for number in range(count):
            dice = random.Random(f"{seed} {number}")
            name = dice.choice(names)
            content = _damaged(samples[name].content, samples[dice.choice(names)].content, dice)
            file = _write(Path(folder), samples[name], content)
            fault = _fault(samples[name], file, watch, outcome)
            if fault:
                outcome.failures.append({"file": f"{number} of {name}", "fault": fault})
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{seed}-{number}{file.suffix}").write_bytes(file.read_bytes())
    peak_mib = _most_memory_mib() - before_mib
    if peak_mib > MEMORY_MIB:
        outcome.failures.append({"file": "all", "fault": f"{peak_mib} MiB more than before"})
    return {
        "count": count,
        "seed": seed,
        **outcome.kinds,
        "slowest_s": round(outcome.slowest_s, 2),
        "memory_mib": peak_mib,
        "failures": outcome.failures,
    }


def _most_memory_mib() -> int:
    """The most memory that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():
        # What `getrusage` says begins with the peak of the process that started this one.
        row = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(row.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _write(folder: Path, sample: Sample, content: bytes) -> Path:
    file = folder / f"file{sample.suffix}"
    file.write_bytes(sample.whole(content))
    return file


def _fault(sample: Sample, file: Path, watch: Watch, outcome: Outcome) -> str:
    """What was wrong with how a file was read, or nothing."""
    started = time.perf_counter()
    fault = ""
    watch.seen.clear()
    try:
        with _limited():
            watch.on = True
            sample.read(file)
        outcome.kinds["read"] += 1
    except InputError as error:
        outcome.kinds["refused"] += 1
        watch.on = False
        if "\n" in str(error) or len(str(error)) > 1000:
            fault = f"no sentence: {str(error)[:300]!r}"
    except BaseException as error:  # whatever it is, it is what is looked for
        outcome.kinds["failed"] += 1
        fault = f"{type(error).__name__}: {str(error)[:300]}"
    finally:
        watch.on = False
    outcome.slowest_s = max(outcome.slowest_s, time.perf_counter() - started)
    return fault or "; ".join(watch.seen[:3])


@contextmanager
def _limited() -> Iterator[None]:
    def too_long(_: int, __: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _damaged(content: bytes, other: bytes, dice: random.Random) -> bytes:
    """A file with one to four changes."""
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        if not changed:
            break
        dice.choice(_CHANGES)(changed, other, dice)
    return bytes(changed)


def _flip(content: bytearray, _: bytes, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 1, 2, 8))):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)


def _set(content: bytearray, _: bytes, dice: random.Random) -> None:
    content[dice.randrange(len(content))] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, *b"().RcbtQ\x93"))


def _cut(content: bytearray, _: bytes, dice: random.Random) -> None:
    del content[dice.randrange(len(content)) :]


def _remove(content: bytearray, _: bytes, dice: random.Random) -> None:
    start = dice.randrange(len(content))
    del content[start : start + dice.choice((1, 2, 4, 16, 200))]


def _repeat(content: bytearray, _: bytes, dice: random.Random) -> None:
    start = dice.randrange(len(content))
    part = content[start : start + dice.choice((1, 4, 30, 300))]
    content[start:start] = part * dice.choice((1, 1, 3, 50))


def _insert(content: bytearray, _: bytes, dice: random.Random) -> None:
    start = dice.randrange(len(content))
    content[start:start] = dice.randbytes(dice.choice((1, 2, 8, 64)))


def _number(content: bytearray, _: bytes, dice: random.Random) -> None:
    """A whole number that is larger than anything, or negative, in either order."""
    form = dice.choice(("<H", "<I", "<Q", ">I", ">Q"))
    size = struct.calcsize(form)
    largest = (1 << 8 * size) - 1
    half = largest >> 1
    number = dice.choice((0, 1, largest, half, half + 1, dice.randint(0, largest)))
    start = dice.randrange(len(content))
    content[start : start + size] = struct.pack(form, number)


def _splice(content: bytearray, other: bytes, dice: random.Random) -> None:
    start, there = dice.randrange(len(content)), dice.randrange(len(other))
    part = other[there : there + dice.choice((4, 40, 400, len(other)))]
    if dice.random() < 0.5:
        content[start : start + len(part)] = part
    else:
        content[start:start] = part


def _move(content: bytearray, _: bytes, dice: random.Random) -> None:
    start, size = dice.randrange(len(content)), dice.choice((1, 8, 60))
    part = content[start : start + size]
    del content[start : start + size]
    there = dice.randrange(len(content) + 1)
    content[there:there] = part


def _program(content: bytearray, _: bytes, dice: random.Random) -> None:
    """Something that would be done if a pickle were run."""
    start = dice.randrange(len(content))
    target = f"attack-{dice.randrange(10**6)}"
    content[start:start] = dice.choice(
        (
            f"cos\nmkdir\n(S'{target}'\ntR".encode(),
            f"(S'{target}'\nios\nmkdir\n".encode(),
            f"cbuiltins\nopen\n(S'{target}'\nS'w'\ntR".encode(),
            f"cbuiltins\nexec\n(S'import antigravity, {target[:6]}'\ntR".encode(),
            b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R",
            b"\x82\x01)R",
            b"ctorch._utils\n_rebuild_tensor\n}b",
        )
    )


_CHANGES = (
    *(_flip, _flip, _set, _cut, _remove, _repeat, _insert),
    *(_number, _number, _splice, _move, _program),
)


def weight_samples() -> dict[str, Sample]:
    """Small files of weights, of every form that Sosie reads."""
    import numpy as np
    import torch
    from onnx import helper, numpy_helper
    from safetensors.torch import save
    from torch import nn

    from sosie.methods.onnx.matrix import last_matrix
    from sosie.training.checkpoint import load_tensors
    from sosie.training.checkpoint_file import read_checkpoint, read_tensors

    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 1))
    optimizer = torch.optim.Adam(network.parameters())
    state = network.state_dict()
    values = {
        "half": torch.ones(3).half(),
        "brain": torch.ones(4, dtype=torch.bfloat16),
        "flags": torch.ones(2) > 0,
        "turned": torch.rand(2, 3).T,
        "number": torch.tensor(1.0),
        "empty": torch.zeros(0, 2),
        "wide": torch.ones(1).expand(5),
        "long": torch.arange(3),
        "other": torch.arange(3).to(torch.uint16),
    }
    contents: dict[str, Any] = {
        "state": state,
        "values": values,
        "module": {"net": network},
        "run": {
            "net_ema": {f"module.{key}": value for key, value in state.items()},
            "optimizer": optimizer.state_dict(),
        },
    }
    samples = {}
    for name, content in contents.items():
        for form in ("zip", "stream", "protocol 4"):
            told = content
            if form == "stream" and name == "values":
                told = {key: value for key, value in content.items() if key != "other"}
            saved = _saved(told, form)
            samples[f"{name} as {form}"] = Sample(".pth", saved, read_checkpoint)
            if form != "stream":
                samples[f"{name} in {form}"] = _description(saved, read_checkpoint)
    samples["tensors"] = Sample(".pth", _saved(values, "zip"), read_tensors)
    samples["tar"] = Sample(".tar", _tar(), read_checkpoint)
    plain = {key: value.contiguous() for key, value in state.items()}
    samples["safetensors"] = Sample(".safetensors", save(plain), read_checkpoint)
    facts = {"facts": json.dumps({"step": 1, "figures": {"a": [1, 2]}})}
    samples["training"] = Sample(".safetensors", save(plain, facts), load_tensors)
    matrix = numpy_helper.from_array(np.eye(4, dtype=np.float32), "matrix")
    graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", [], [], [matrix])
    samples["matrix"] = Sample(".onnx", helper.make_model(graph).SerializeToString(), last_matrix)
    return samples


def _saved(content: object, form: str) -> bytes:
    import torch

    made = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(
            content,
            made,
            _use_new_zipfile_serialization=form != "stream",
            pickle_protocol=4 if form == "protocol 4" else 2,
        )
    return made.getvalue()


def _description(saved: bytes, read: Callable[[Path], object]) -> Sample:
    """The pickle in a zip of PyTorch; all else in that stays whole."""
    with zipfile.ZipFile(io.BytesIO(saved)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    description = next(name for name in parts if name.endswith("data.pkl"))

    def whole(content: bytes) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            for name, part in (parts | {description: content}).items():
                archive.writestr(name, part)
        return made.getvalue()

    return Sample(".pth", parts[description], read, whole)


def _tar() -> bytes:
    """A checkpoint of PyTorch's first months: one tensor of 2 x 3."""
    import torch

    class ByKey(pickle.Pickler):
        def persistent_id(self, value: object) -> int | None:
            return 7 if value is marker else None

    marker = object()
    described = io.BytesIO()
    ByKey(described, 2).dump({"w": marker})
    storage = pickle.dumps((8, "cpu", torch.FloatStorage), 2) + struct.pack("<q6f", 6, *range(6))
    view = pickle.dumps((7, 8, "torch.FloatTensor"), 2) + struct.pack("<q5q", 2, 2, 3, 3, 1, 0)
    one = pickle.dumps(1, 2)
    parts = {
        "sys_info": pickle.dumps({}, 2),
        "pickle": described.getvalue(),
        "tensors": one + view,
        "storages": one + storage + pickle.dumps([(9, 8, 1, 2)], 2),
    }
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


ATTACKS: dict[str, Callable[[], dict[str, Sample]]] = {"weights": weight_samples}
"""Name of an attack -> what makes its samples."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Try Sosie with damaged files.")
    commands = parser.add_subparsers(dest="attack", required=True)
    for name in ATTACKS:
        command = commands.add_parser(name)
        command.add_argument("--count", type=int, default=10_000)
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--keep", type=Path)
    options = parser.parse_args()
    report = attack(ATTACKS[options.attack](), options.count, options.seed, options.keep)
    print(json.dumps(report, indent=2))
    return 1 if report["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
