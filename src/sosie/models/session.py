"""ONNX Runtime behind one door: the only module that imports `onnxruntime`.

A provider is named as on the command line (`cpu`, `cuda`, ...). A session runs on the provider
that was asked for or is not created: ONNX Runtime's own fallback to the processor is an error here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError, UnavailableError, UsageError, nearest
from sosie.files import require_file

# Else ONNX Runtime writes a database with an id of this device and paths of models into the user's
# cache, and sends it to its makers. It reads this when it is imported; a value that is set stays.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}

AUTO = "auto"
"""Instead of a provider's name: the fastest one on which a network runs."""

OnRun = Callable[[dict[str, tuple[int, ...]]], None]

_INSTALL = {
    "cuda": "pip install onnxruntime-gpu",
    "tensorrt": "pip install onnxruntime-gpu",
    "directml": "pip install onnxruntime-directml",
    "openvino": "pip install onnxruntime-openvino",
    "qnn": "pip install onnxruntime-qnn",
}

_MOST_BYTES = 1_050_000_000
"""What a network from a file may take for what it computes: as much as E4S at 1024 px needs, which
is the most of all swappers. A file of a hundred bytes can ask for any amount."""

_FLOATS = {"tensor(float16)": np.float16, "tensor(double)": np.float64}
"""Types of inputs that float32 is turned into."""

_FOLDING, _FOLDING_BOUNDED = "optimization.constant_folding_max_output_size_in_bytes", (1, 27)
"""The setting that bounds what is computed of a network's constants when it is opened, and the
version that has it first."""

_FOLDED_BYTES = 1 << 16
"""Beside twice the file's size, for weights in half precision: so many bytes a constant."""

_ERRORS_ONLY = 4
"""ONNX Runtime's log level for fatal messages alone: what matters is raised here."""


@dataclass(frozen=True)
class NetworkRun:
    """One run of a network. model: its file, or that file's bytes. shapes: of its inputs."""

    model: str | Path | bytes
    shapes: dict[str, tuple[int, ...]]


_recording: ContextVar[list[NetworkRun] | None] = ContextVar("_recording", default=None)


@contextmanager
def recorded_runs() -> Iterator[list[NetworkRun]]:
    """The runs of all networks that are opened within, in order, for counting what they cost."""
    runs: list[NetworkRun] = []
    token = _recording.set(runs)
    try:
        yield runs
    finally:
        _recording.reset(token)


def is_recording() -> bool:
    """Whether the runs of networks that are opened now are recorded; see `recorded_runs`."""
    return _recording.get() is not None


class Session:
    """A network ready to run on `provider`.

    inputs, outputs: name -> shape, with None for a free dimension. metadata: what its file says.
    name: what messages call it. on_run: called at each run with the shapes of its inputs.
    """

    def __init__(self, session: Any, provider: str, name: str, on_run: OnRun | None = None) -> None:
        self._session = session
        self._name = name
        self._on_run = on_run
        self.provider = provider
        self.inputs = {value.name: _shape(value.shape) for value in session.get_inputs()}
        self.outputs = {value.name: _shape(value.shape) for value in session.get_outputs()}
        self._widths = {v.name: _FLOATS[v.type] for v in session.get_inputs() if v.type in _FLOATS}
        self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name. Raises InputError where the names are not those of `self.inputs`, the
        network fails, or what it gives is no array of finite numbers.

        float32 is taken for inputs that the network wants in float16 or float64, too.
        """
        if set(inputs) != set(self.inputs):
            raise InputError(
                f"The network takes the inputs {', '.join(sorted(self.inputs))}, "
                f"not {', '.join(sorted(inputs)) or 'none'}."
            )
        if self._on_run is not None:
            self._on_run({name: value.shape for name, value in inputs.items()})
        given = {
            name: array.astype(self._widths[name]) if name in self._widths else array
            for name, array in inputs.items()
        }
        try:
            values = self._session.run(list(self.outputs), given)
        except Exception as error:
            raise InputError(
                f"{self._name} cannot be run ({_first_line(error)}): the file is damaged, or is "
                f"not a network for this."
            ) from error
        for output, value in zip(self.outputs, values, strict=True):
            self._check(output, value)
        return dict(zip(self.outputs, values, strict=True))

    def _check(self, output: str, value: Any) -> None:
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
            raise InputError(
                f"{self._name} gives no numbers as {output}: it is not a network for this."
            )
        if not np.isfinite(value).all():
            raise InputError(
                f"{self._name} gives values as {output} that are no numbers (NaN or infinite): the "
                f"file is damaged, or the network is called the wrong way."
            )


def available_providers() -> list[str]:
    """Names of the providers that the installed ONNX Runtime was built with, the fastest first.

    Being built in does not mean that the driver is there: `probe_provider` finds that out.
    """
    import onnxruntime

    built = onnxruntime.get_available_providers()
    names = {full: name for name, full in PROVIDERS.items()}
    return [names[full] for full in built if full in names]


def require_provider(provider: str) -> None:
    """Return if networks can be asked to run on `provider`.

    Raises UsageError on a name that Sosie does not know and UnavailableError where the installed
    ONNX Runtime lacks it. Loads nothing for `cpu`, which is always there, and for `auto`.
    """
    if provider in ("cpu", AUTO):
        return
    if provider not in PROVIDERS:
        known = nearest(provider, [*PROVIDERS, AUTO])
        raise UsageError(f"Unknown provider {provider!r}: {known}.")
    built = available_providers()
    if provider not in built:
        remedy = _INSTALL.get(provider)
        advice = f"run `{remedy}`" if remedy else "install a build of onnxruntime that has it"
        raise UnavailableError(
            f"The provider {provider!r} is not in the installed onnxruntime "
            f"(it has {', '.join(built)}): {advice}, or choose one of those."
        )


def create_session(
    model: str | Path | bytes, provider: str = "cpu", threads: int | None = None
) -> Session:
    """A session for an ONNX model, given as a path or as the file's bytes.

    provider: a name in PROVIDERS; or `auto`: the fastest on which this model starts, which
    `Session.provider` then names. threads: processor threads inside one operator; None uses all.
    Raises UsageError or UnavailableError (see `require_provider`; also where the provider is built
    in but does not start, for want of a driver), and InputError where the model cannot be read.
    """
    if provider != AUTO:
        return _open(model, provider, threads, {})
    for name in available_providers():
        if name != "cpu":
            with suppress(UnavailableError):
                return _open(model, name, threads, {})
    return _open(model, "cpu", threads, {})


def probe_provider(provider: str) -> None:
    """Run a tiny generated network on `provider` and check its result.

    Raises UnavailableError with the reason where that does not work.
    """
    # Without this entry a provider may leave every node to the processor and still seem to work.
    entries = {} if provider == "cpu" else {"session.disable_cpu_ep_fallback": "1"}
    session = _open(_sum_model(), provider, 1, entries)
    values = np.arange(4, dtype=np.float32).reshape(1, 4)
    try:
        result = session.run({"a": values, "b": values + 1})["sum"]
    except Exception as error:
        raise UnavailableError(_not_started(provider, error)) from error
    if not np.array_equal(result, 2 * values + 1):
        raise UnavailableError(f"The provider {provider!r} computes a wrong result: do not use it.")


def _open(
    model: str | Path | bytes, provider: str, threads: int | None, entries: dict[str, str]
) -> Session:
    require_provider(provider)
    if not isinstance(model, bytes):
        require_file(model, "model")
    name = "The model given as bytes" if isinstance(model, bytes) else f"The model {model}"
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = _ERRORS_ONLY
    settings.intra_op_num_threads = threads or os.cpu_count() or 1
    # Else threads that wait for one another, or for the next run, keep the processor busy: in a
    # video that is taken from the other stages, as much as the network itself needs.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Errors of its allocators go to this logger, whatever the session's level is.
    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    disabled: list[str] = []
    if not isinstance(model, bytes):
        entries = {**entries, **_bounded_memory()}
        # What it computes of constants, when it opens a file, is not of that memory.
        if _version() >= _FOLDING_BOUNDED:
            entries[_FOLDING] = str(2 * Path(model).stat().st_size + _FOLDED_BYTES)
        else:
            disabled = ["ConstantFolding"]
    for key, value in entries.items():
        settings.add_session_config_entry(key, value)
    full = PROVIDERS[provider]
    content = model if isinstance(model, bytes) else str(model)
    try:
        session = onnxruntime.InferenceSession(
            content,
            settings,
            providers=[full],
            enable_fallback=0,
            disabled_optimizers=disabled,
        )
        session.get_modelmeta()  # where its words are damaged it fails here, and not later
    except Exception as error:
        if provider != "cpu":
            raise UnavailableError(_not_started(provider, error)) from error
        raise InputError(f"{name} cannot be read: {_first_line(error)}.") from error
    if full not in session.get_providers():
        raise UnavailableError(
            f"The provider {provider!r} is built into onnxruntime but did not start: check its "
            f"driver and libraries, or use the provider 'cpu'."
        )
    runs = _recording.get()
    if runs is None:
        return Session(session, provider, name)
    return Session(session, provider, name, lambda shapes: runs.append(NetworkRun(model, shapes)))


@cache
def _bounded_memory() -> dict[str, str]:
    """Settings by which files of others share a bounded memory for what they compute. Their
    weights do not count: those are bounded by the file."""
    import onnxruntime

    onnxruntime.create_and_register_allocator(
        onnxruntime.OrtMemoryInfo(
            "Cpu",
            onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
            0,
            onnxruntime.OrtMemType.DEFAULT,
        ),
        onnxruntime.OrtArenaCfg({"max_mem": _MOST_BYTES, "arena_extend_strategy": 1}),
    )
    return {
        "session.use_env_allocators": "1",
        "session.use_device_allocator_for_initializers": "1",
    }


def _version() -> tuple[int, ...]:
    import onnxruntime

    return tuple(int(part) for part in re.findall(r"\d+", onnxruntime.__version__)[:2])


def _not_started(provider: str, error: Exception) -> str:
    return (
        f"The provider {provider!r} did not run the network ({_first_line(error)}): check its "
        f"driver and libraries, or use the provider 'cpu'."
    )


def _first_line(error: Exception) -> str:
    # ONNX Runtime names the place in its own source, as its makers' machines have it.
    return re.sub(r"/onnxruntime_src/\S+ ", "", str(error).strip().split("\n")[0]).rstrip(". ")


def _shape(dimensions: list[Any] | None) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in dimensions or ())


def _sum_model() -> bytes:
    """The ONNX file of `sum = a + b` on float32 tensors of 1 x 4, written field by field.

    The numbers are the field numbers of onnx.proto (ModelProto, GraphProto, NodeProto, ...).
    """
    dimensions = b"".join(_message(1, _integer(1, size)) for size in (1, 4))
    tensor_type = _message(1, _integer(1, 1) + _message(2, dimensions))

    def value(name: bytes) -> bytes:
        return _message(1, name) + _message(2, tensor_type)

    node = _message(1, b"a") + _message(1, b"b") + _message(2, b"sum") + _message(4, b"Add")
    graph = (
        _message(1, node)
        + _message(2, b"probe")
        + _message(11, value(b"a"))
        + _message(11, value(b"b"))
        + _message(12, value(b"sum"))
    )
    return _integer(1, 8) + _message(7, graph) + _message(8, _integer(2, 13))


def _message(field: int, content: bytes) -> bytes:
    """A length-delimited protobuf field of fewer than 16,384 bytes."""
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([field << 3 | 2]) + length + content


def _integer(field: int, number: int) -> bytes:
    """A protobuf field that holds an integer below 128."""
    return bytes([field << 3, number])
