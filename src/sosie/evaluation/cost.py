"""What a method costs: time a face and a frame, memory, parameters and operations.

Times are those of the run itself: medians over its pairs, on the machine that its configuration
names. Memory and operations are measured in a process of its own that makes one swap; operations
are counted in the ONNX files of the networks that it ran.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sosie.errors import SosieError, UnavailableError
from sosie.evaluation.metric import Figure, Missing, Readings
from sosie.evaluation.metrics.base import Metric
from sosie.evaluation.results import Line
from sosie.models.session import NetworkRun, create_session
from sosie.options import SwapOptions
from sosie.recipes import extra_packages

_TIME_LIMITS = "Depends on the machine, on what else runs there, and on the pictures' sizes."
_COUNT_LIMITS = "Counts networks alone; not what a method does without them."

COST = Metric(
    group="Cost",
    figures={
        "cost_face_ms": Figure(
            title="Time a face",
            unit="ms",
            summary="How long one face of a picture takes once it was found.",
            formula="median over the pairs of refining, swapping and blending, by face",
            limits=_TIME_LIMITS,
        ),
        "cost_frame_ms": Figure(
            title="Time a frame",
            unit="ms",
            summary="How long a whole picture takes, the search for faces included.",
            formula="median over the pairs, without reading and writing files",
            limits=_TIME_LIMITS,
        ),
        "cost_source_ms": Figure(
            title="Time a source",
            unit="ms",
            summary="How long the source photos take, once for any number of pictures.",
            formula="median over the pairs, with reading them and loading the method",
            limits=_TIME_LIMITS,
        ),
        "cost_peak_mb": Figure(
            title="Peak memory",
            unit="MB",
            summary="The most memory that a process held which made one swap.",
            formula="peak resident size in 10^6 bytes",
            limits="Memory of a graphics card is not in it. Larger pictures need more.",
        ),
        "cost_parameters": Figure(
            title="Parameters",
            unit="M",
            summary="How many million numbers the networks have that one swap runs.",
            formula="sum over the ONNX files that ran, analysis included, each counted once",
            limits=_COUNT_LIMITS,
        ),
        "cost_gflops": Figure(
            title="Operations",
            unit="GFLOPs",
            summary="How many billion operations the networks do for one swap.",
            formula="2 x multiply-adds of convolutions and matrix products, all analysis included",
            limits=_COUNT_LIMITS + " Each retry of a search counts.",
        ),
    },
)

_MEDIANS = {
    "cost_face_ms": "face_ms",
    "cost_frame_ms": "frame_ms",
    "cost_source_ms": "source_ms",
}
ANSWER = "answer.json"
_MEASURE = (
    "import sys, pathlib; from sosie.evaluation.cost import answer_order; "
    "answer_order(pathlib.Path(sys.argv[1]))"
)
_MEASURED = ("cost_peak_mb", "cost_parameters", "cost_gflops")


def typical(lines: Iterable[Line]) -> Readings:
    """The times of a run: medians over its lines."""
    costs = [line.cost for line in lines if line.error is None]
    readings: Readings = {}
    for name, stage in _MEDIANS.items():
        times = [cost[stage] for cost in costs if stage in cost]
        readings[name] = (
            statistics.median(times) if times else Missing("The run did not measure this time.")
        )
    return readings


def unmeasured(reason: str) -> Readings:
    """Every figure of this file, missing for one reason."""
    return dict.fromkeys(COST.figures, Missing(reason))


def unmeasured_counts(reason: str) -> Readings:
    """Memory, parameters and operations, missing for one reason."""
    return dict.fromkeys(_MEASURED, Missing(reason))


def measure_swap(options: SwapOptions, sources: Sequence[Path], target: Path) -> Readings:
    """Memory, parameters and operations of one swap of photos, in a process of its own."""
    order = {
        "options": dataclasses.asdict(options),
        "sources": [str(source.resolve()) for source in sources],
        "target": str(target.resolve()),
    }
    with TemporaryDirectory(prefix="sosie-") as folder:
        file = Path(folder) / "order.json"
        file.write_text(json.dumps(order), "utf-8")
        done = subprocess.run(
            [sys.executable, "-c", _MEASURE, str(file)],
            check=False,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        answer = file.with_name(ANSWER)
        if done.returncode == 0 and answer.is_file():
            told = json.loads(answer.read_bytes())
            return {
                name: Missing(value) if isinstance(value, str) else float(value)
                for name, value in told.items()
            }
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    return unmeasured_counts(
        f"The process that was to be measured ended with code {done.returncode} "
        f"({last or 'perhaps for want of memory'})."
    )


def answer_order(file: Path) -> None:
    """Carry out what `measure_swap` wrote, in this process, which should be new."""
    order = json.loads(file.read_bytes())
    options = SwapOptions.from_dict(order["options"])
    try:
        readings = _swap_once(options, order["sources"], order["target"])
    except SosieError as error:
        readings = unmeasured_counts(f"The swap that was to be measured failed: {error}")
    told = {
        name: value.reason if isinstance(value, Missing) else value
        for name, value in readings.items()
    }
    file.with_name(ANSWER).write_text(json.dumps(told), "utf-8")


def _swap_once(options: SwapOptions, sources: list[str], target: str) -> Readings:
    from sosie.models.session import recorded_runs
    from sosie.pipeline import FaceSwapper

    with recorded_runs() as runs:
        FaceSwapper(list(sources), options).image(target)
    peak = peak_mb()
    readings: Readings = {
        "cost_peak_mb": Missing("This system does not tell.") if peak is None else peak
    }
    try:
        counted = count_runs(runs)
    except UnavailableError as error:
        missing = Missing(str(error))
        return {**readings, "cost_parameters": missing, "cost_gflops": missing}
    return {
        **readings,
        "cost_parameters": counted.parameters / 1e6,
        "cost_gflops": counted.operations / 1e9,
    }


def peak_mb() -> float | None:
    """The most memory that this process held so far, in MB; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.is_file():
        # `getrusage` would count what the parent held at the time of the fork.
        for line in status.read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    if os.name != "posix":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


_FLOATS = (1, 10, 11, 16)
"""Numbers of ONNX for the types of weights: float, float16, double, bfloat16."""


@dataclass(frozen=True)
class Counted:
    """parameters: of all networks, each once. operations: of all runs; a multiply-add is two."""

    parameters: int
    operations: int


def count_runs(runs: Sequence[NetworkRun]) -> Counted:
    """What these runs of networks amount to.

    Convolutions (transposed ones too) and matrix products are counted; all else is little beside
    them. Raises UnavailableError where the package `onnx` is not installed.
    """
    with extra_packages():
        import onnx

    models: dict[str | Path | bytes, Any] = {}
    known: dict[tuple[Any, ...], int] = {}
    operations = 0
    for run in runs:
        if run.model not in models:
            model = run.model
            loaded = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)
            models[model] = loaded
        shapes = tuple(sorted(run.shapes.items()))
        if (run.model, shapes) not in known:
            known[run.model, shapes] = model_operations(models[run.model], run.shapes)
        operations += known[run.model, shapes]
    return Counted(sum(map(model_parameters, models.values())), operations)


def model_parameters(model: Any) -> int:
    """How many floating-point numbers are stored in an ONNX model."""
    stored = model.graph.initializer
    return sum(prod(weights.dims) for weights in stored if weights.data_type in _FLOATS)


def model_operations(model: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    """Operations of one run of an ONNX model on inputs of these shapes.

    The model is run once on zeros, for the sizes of what is in it may depend on more than shapes.
    """
    with extra_packages():
        import onnx

    counted = [node for node in model.graph.node if node.op_type in _COUNTS]
    sizes = {weights.name: tuple(weights.dims) for weights in model.graph.initializer}
    zeros = {
        value.name: np.zeros(
            shapes[value.name],
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type),
        )
        for value in model.graph.input
        if value.name in shapes
    }
    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    outputs = {value.name for value in model.graph.output}
    wanted = {name for node in counted for name in (*node.input[:2], node.output[0])}
    for name in sorted(wanted - outputs - set(sizes) - set(zeros)):
        open_model.graph.output.append(onnx.ValueInfoProto(name=name))
    session = create_session(open_model.SerializeToString(), threads=1)
    for values in (zeros, session.run(zeros)):
        sizes |= {name: value.shape for name, value in values.items()}
    return sum(_COUNTS[node.op_type](node, sizes) for node in counted)


Sizes = dict[str, tuple[int, ...]]


def _convolution(node: Any, sizes: Sizes) -> int:
    # Weights: outputs x inputs a group x kernel; each output value is a sum over the latter two.
    return 2 * prod(sizes[node.output[0]]) * prod(sizes[node.input[1]][1:])


def _transposed(node: Any, sizes: Sizes) -> int:
    # Weights: inputs x outputs a group x kernel; each input value goes into the latter two.
    return 2 * prod(sizes[node.input[0]]) * prod(sizes[node.input[1]][1:])


def _product(node: Any, sizes: Sizes) -> int:
    left = sizes[node.input[0]]
    flipped = any(entry.name == "transA" and entry.i for entry in node.attribute)
    return 2 * prod(sizes[node.output[0]]) * left[-2 if flipped else -1]


_COUNTS: dict[str, Callable[[Any, Sizes], int]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "Gemm": _product,
    "MatMul": _product,
}
