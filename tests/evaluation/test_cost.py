"""What a method costs, against networks that are counted by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sosie.errors import UnavailableError
from sosie.evaluation import cost
from sosie.evaluation.cost import count_runs, model_operations, model_parameters
from sosie.evaluation.metric import Missing
from sosie.evaluation.results import Line
from sosie.models import session as runtime
from sosie.options import SwapOptions


def network(*nodes: onnx.NodeProto, output: str, size: tuple, **weights: tuple) -> onnx.ModelProto:
    """A network from `x`, N x size; weights are zeros of these shapes."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", *size))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.zeros(shape, np.float32), name)
            for name, shape in weights.items()
        ],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


CONV = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1], strides=[2, 2])
GROUPED = helper.make_node("Conv", ["x", "w"], ["y"], group=4)
UP = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
FLAT = helper.make_node("Flatten", ["x"], ["f"])
GEMM = helper.make_node("Gemm", ["f", "w", "b"], ["y"], transB=1)
PRODUCT = helper.make_node("MatMul", ["x", "w"], ["y"])


@pytest.mark.parametrize(
    ("model", "size", "operations", "parameters"),
    [
        # 8 outputs of 4 x 4, each a sum over 4 inputs x 3 x 3.
        (
            network(CONV, output="y", size=(4, 8, 8), w=(8, 4, 3, 3)),
            (4, 8, 8),
            2 * 8 * 16 * 36,
            288,
        ),
        (
            network(GROUPED, output="y", size=(4, 8, 8), w=(4, 1, 3, 3)),
            (4, 8, 8),
            2 * 4 * 36 * 9,
            36,
        ),
        # Each of 4 x 8 x 8 values goes into 2 outputs x 2 x 2.
        (network(UP, output="y", size=(4, 8, 8), w=(4, 2, 2, 2)), (4, 8, 8), 2 * 256 * 8, 32),
        (
            network(FLAT, GEMM, output="y", size=(2, 5), w=(3, 10), b=(3,)),
            (2, 5),
            2 * 3 * 10,
            33,
        ),
        (network(PRODUCT, output="y", size=(7, 5), w=(5, 3)), (7, 5), 2 * 7 * 5 * 3, 15),
    ],
    ids=["conv", "grouped", "transposed", "gemm", "matmul"],
)
@pytest.mark.parametrize("batch", [1, 3])
def test_operations_are_those_counted_by_hand(model, size, operations, parameters, batch):
    assert model_operations(model, {"x": (batch, *size)}) == batch * operations
    assert model_parameters(model) == parameters


def test_runs_are_recorded_and_a_network_is_counted_once():
    model = network(PRODUCT, output="y", size=(2, 5), w=(5, 3)).SerializeToString()
    before = runtime.create_session(model, threads=1)
    with runtime.recorded_runs() as runs:
        session = runtime.create_session(model, threads=1)
        for batch in (1, 4, 1):
            session.run({"x": np.zeros((batch, 2, 5), np.float32)})
        before.run({"x": np.zeros((1, 2, 5), np.float32)})
    runtime.create_session(model, threads=1).run({"x": np.zeros((1, 2, 5), np.float32)})
    assert [run.shapes["x"][0] for run in runs] == [1, 4, 1]
    counted = count_runs(runs)
    assert (counted.parameters, counted.operations) == (15, 6 * 2 * 2 * 5 * 3)


def test_typical_times_are_medians_of_the_pairs_that_were_scored():
    lines = [
        Line("1", "m", cost={"face_ms": 1.0, "frame_ms": 10.0}),
        Line("2", "m", cost={"face_ms": 2.0}),
        Line("3", "m", cost={"face_ms": 9.0}),
        Line("4", "m", error="failed", cost={"face_ms": 99.0}),
    ]
    found = cost.typical(lines)
    assert (found["cost_face_ms"], found["cost_frame_ms"]) == (2.0, 10.0)
    assert isinstance(found["cost_source_ms"], Missing)


def test_one_swap_is_measured_in_a_process_of_its_own(astronaut_path, hopper_path):
    found = cost.measure_swap(SwapOptions(threads=1), [hopper_path], astronaut_path)
    assert 60 < found["cost_peak_mb"] < 2000
    assert 0.1 < found["cost_parameters"] < 100
    assert 0.05 < found["cost_gflops"] < 1000


def test_a_process_that_fails_says_why(astronaut_path, tmp_path, monkeypatch):
    found = cost.measure_swap(SwapOptions(), [tmp_path / "gone.png"], astronaut_path)
    assert set(found) == {"cost_peak_mb", "cost_parameters", "cost_gflops"}
    assert all("gone.png" in value.reason for value in found.values())
    monkeypatch.setattr(cost, "_MEASURE", "raise SystemExit(7)")
    found = cost.measure_swap(SwapOptions(), [], astronaut_path)
    assert all("ended with code 7" in value.reason for value in found.values())


def test_without_onnx_memory_is_still_told(monkeypatch, astronaut_path, hopper_path):
    def absent(runs):
        raise UnavailableError("The package onnx is not installed.")

    monkeypatch.setattr(cost, "count_runs", absent)
    found = cost._swap_once(SwapOptions(threads=1), [str(hopper_path)], str(astronaut_path))
    assert isinstance(found["cost_peak_mb"], float)
    assert found["cost_gflops"] == Missing("The package onnx is not installed.")


def test_every_figure_of_cost_is_described():
    assert set(cost.unmeasured("why")) == set(cost.COST.figures)
    assert {figure.kind for figure in cost.COST.figures.values()} == {"cost"}
