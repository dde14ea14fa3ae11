"""Sessions run where they were asked to run, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from sosie.errors import InputError, UnavailableError, UsageError
from sosie.models import session as runtime

SOURCE = Path(__file__).resolve().parents[1] / "src"


def test_the_processor_is_available_and_works():
    assert "cpu" in runtime.available_providers()
    runtime.probe_provider("cpu")


def test_nothing_is_written_about_the_user(tmp_path):
    """ONNX Runtime keeps a database with an id of the device in the user's cache, unless told not
    to."""
    script = "from sosie.models import session; session.probe_provider('cpu')"
    env = {"PYTHONPATH": str(SOURCE), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", script], check=True, env=env)
    assert list(tmp_path.iterdir()) == []


def test_a_session_runs_by_the_names_of_its_inputs():
    session = runtime.create_session(runtime._sum_model(), threads=1)
    assert session.provider == "cpu"
    assert session.inputs == {"a": (1, 4), "b": (1, 4)}
    assert session.outputs == {"sum": (1, 4)}
    a = np.float32([[1, 2, 3, 4]])
    b = np.float32([[10, 20, 30, 40]])
    np.testing.assert_array_equal(session.run({"b": b, "a": a})["sum"], a + b)


def test_a_session_reads_a_file(tmp_path):
    path = tmp_path / "sum.onnx"
    path.write_bytes(runtime._sum_model())
    assert runtime.create_session(path).outputs == {"sum": (1, 4)}


def test_wrong_input_names_are_refused():
    session = runtime.create_session(runtime._sum_model())
    with pytest.raises(InputError, match="takes the inputs a, b, not a, x"):
        session.run({"a": np.zeros((1, 4), np.float32), "x": np.zeros((1, 4), np.float32)})


def test_an_unknown_provider_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'cuda'"):
        runtime.create_session(runtime._sum_model(), "cuda0")


def test_a_provider_that_is_not_built_in_is_an_error_and_no_fallback():
    absent = [name for name in runtime.PROVIDERS if name not in runtime.available_providers()]
    assert absent, "an ONNX Runtime with every provider is not expected"
    for name in absent:
        with pytest.raises(UnavailableError, match=f"{name!r} is not in the installed onnxruntime"):
            runtime.create_session(runtime._sum_model(), name)


def test_a_provider_that_does_not_start_is_an_error_and_no_fallback(monkeypatch):
    monkeypatch.setitem(runtime.PROVIDERS, "cuda", "AbsentExecutionProvider")
    monkeypatch.setattr(runtime, "available_providers", lambda: ["cuda", "cpu"])
    with pytest.warns(UserWarning), pytest.raises(UnavailableError, match="did not run"):
        runtime.create_session(runtime._sum_model(), "cuda")


def test_a_session_on_another_provider_is_refused(monkeypatch):
    """What ONNX Runtime does where a driver is missing: a session on the processor instead."""
    real = onnxruntime.InferenceSession

    def session_on_the_processor(content, settings, providers, **_):
        return real(content, settings, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", session_on_the_processor)
    monkeypatch.setattr(runtime, "available_providers", lambda: ["cuda", "cpu"])
    with pytest.raises(
        UnavailableError, match="'cuda' is built into onnxruntime but did not start"
    ):
        runtime.create_session(runtime._sum_model(), "cuda")


def test_a_wrong_result_fails_the_probe(monkeypatch):
    monkeypatch.setattr(runtime.Session, "run", lambda self, inputs: {"sum": inputs["a"]})
    with pytest.raises(UnavailableError, match="wrong result"):
        runtime.probe_provider("cpu")


@pytest.mark.parametrize("content", [b"", b"no model", runtime._sum_model()[:-20]])
def test_a_broken_model_is_named(tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.onnx"):
        runtime.create_session(path)


def test_an_absent_model_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.onnx does not exist"):
        runtime.create_session(tmp_path / "absent.onnx")


def test_asking_for_the_processor_does_not_load_onnxruntime(run_python):
    loaded = run_python(
        "import sys, sosie.models.session; sosie.models.session.require_provider('cpu');"
        "print('onnxruntime' in sys.modules)"
    )
    assert loaded.strip() == "False"


def _graph(nodes, constants=()):
    onnx = pytest.importorskip("onnx", exc_type=ImportError)
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node(*node) for node in nodes],
        "made",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def test_a_network_that_fails_when_it_runs_is_named(tmp_path):
    path = tmp_path / "torn.onnx"
    constants = [("shape", np.array([3, 5])), ("none", np.array([0]))]
    # The shape is only known at run time, so that the file can be read.
    nodes = [("Add", ["shape", "none"], ["late"]), ("Reshape", ["a", "late"], ["out"])]
    path.write_bytes(_graph(nodes, constants))
    try:
        session = runtime.create_session(path, threads=1)
    except InputError as error:  # ONNX Runtime computed it before
        assert "torn.onnx" in str(error)
        return
    with pytest.raises(InputError, match=r"torn\.onnx cannot be run \("):
        session.run({"a": np.ones((1, 4), np.float32)})


@pytest.mark.parametrize("value", [-1.0, 0.0])
def test_values_that_are_no_numbers_are_an_error(tmp_path, value):
    path = tmp_path / "log.onnx"
    path.write_bytes(_graph([("Log", ["a"], ["out"])]))
    session = runtime.create_session(path, threads=1)
    assert np.isfinite(session.run({"a": np.ones((1, 4), np.float32)})["out"]).all()
    with pytest.raises(InputError, match=r"log\.onnx gives values as out .*NaN or infinite"):
        session.run({"a": np.full((1, 4), value, np.float32)})


def test_a_pipe_is_no_model(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(InputError, match="is a pipe"):
        runtime.create_session(tmp_path / "pipe.onnx")


@pytest.mark.parametrize("claimed", [[30_000, 30_000], [16_384, 16_384], [1 << 31, 1 << 31]])
def test_what_a_network_computes_is_bounded(tmp_path, run_python, claimed):
    """A file of a few hundred bytes that asks for 3.6 GB; for 1 GB, which ONNX Runtime would
    compute when it opens the file; and for more than a number can tell, of which it would print."""
    path = tmp_path / "greedy.onnx"
    nodes = [
        ("ConstantOfShape", ["claimed"], ["many"]),
        ("ReduceSum", ["many"], ["sum"]),
        ("Add", ["a", "sum"], ["out"]),
    ]
    path.write_bytes(_graph(nodes, [("claimed", np.array(claimed))]))
    told = run_python(
        "import numpy as np\n"
        "from sosie.models import session as runtime\n"
        "from sosie.errors import InputError\n"
        "try:\n"
        f"    session = runtime.create_session({str(path)!r}, threads=1)\n"
        "    session.run({'a': np.ones((1, 4), np.float32)})\n"
        "except InputError as error:\n"
        "    print('refused' if 'greedy.onnx' in str(error) else error)\n"
        "rows = open('/proc/self/status').read().split();"
        "print(int(rows[rows.index('VmHWM:') + 1]) // 1024)\n"
    ).split()
    assert told[0] == "refused"
    assert int(told[1]) < 1200
