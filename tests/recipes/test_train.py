"""From a name to a weight file and its card, in Python and by `sosie train`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.app.cli.entry import run as run_command  # noqa: E402
from sosie.errors import (  # noqa: E402
    InputError,
    InterruptedTrainingError,
    UnavailableError,
    UsageError,
)
from sosie.models.cards import parse_card  # noqa: E402
from sosie.models.session import create_session  # noqa: E402
from sosie.recipes import train as module  # noqa: E402
from sosie.recipes.train import Order, make  # noqa: E402
from sosie.training.checkpoint import load_tensors  # noqa: E402

SHORT = {"samples": "64", "validate_every": "32"}


@pytest.fixture(autouse=True)
def table(monkeypatch, brightness):
    """One recipe in the table, that of the tests."""

    def load(name):
        if name != "brightness":
            raise UsageError(f"Unknown network {name!r}.")
        return brightness

    monkeypatch.setattr(module, "load_recipe", load)
    monkeypatch.setattr("sosie.app.cli.train.load_recipe", load)
    return load


@pytest.fixture
def order(materials, tmp_path) -> Order:
    return Order("brightness", materials, tmp_path / "run", settings=SHORT)


@pytest.fixture
def cli(tmp_path, capfd) -> Callable[..., tuple[int, str, str]]:
    """`sosie train brightness ...` in this process: exit code, stdout, stderr."""
    for name in ("data", "teachers"):
        (tmp_path / name).mkdir()

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        folders = ["--data", tmp_path / "data", "--teachers", tmp_path / "teachers"]
        words = ["train", "brightness", *folders, "--run", tmp_path / "run", "--workers", 0]
        code = run_command([str(word) for word in (*words, *arguments)])
        return (code, *capfd.readouterr())

    return call


def flags(settings: dict[str, str]) -> list[str]:
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def test_the_weight_file_is_that_of_the_best_snapshot(order, brightness, materials):
    made = make(order)
    assert made.file == order.run / "brightness.onnx"
    tensors, facts = load_tensors(order.run / "best.safetensors")
    network = brightness(materials).network()
    network.load_state_dict(tensors)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(pixels)).numpy()
    found = create_session(made.file, threads=1).run({"pixels": pixels})["brightness"]
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert made.card.figures["samples"] == facts["samples"]


def test_the_card_tells_all_of_it(order):
    made = make(order)
    card = parse_card((order.run / "brightness.json").read_bytes(), "brightness")
    assert card == made.card
    assert card.summary == "Tells how bright a picture is."
    assert [origin.use for origin in (*card.data, *card.teachers)] == ["looked at", "asked"]
    assert card.figures["validation: error"] == -card.figures["validation: score"]
    assert shlex.split(card.remake)[-4:] == ["--set", "samples=64", "--set", "validate_every=32"]


def interrupt(order: Order) -> None:
    """Begin a run and stop it at its first report."""

    def stop(progress):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptedTrainingError), pytest.MonkeyPatch.context() as patch:
        patch.setattr("sosie.training.loop._REPORT_EVERY_S", 0.0)
        make(order, stop)


def test_a_run_is_resumed_with_the_settings_that_it_was_begun_with(order, tmp_path):
    whole = make(dataclasses.replace(order, run=tmp_path / "whole"))
    interrupt(order)
    resumed = make(dataclasses.replace(order, settings={}, resume=True))
    assert resumed.card.sha256 == whole.card.sha256
    assert resumed.card.remake == whole.card.remake


def test_other_settings_are_not_taken_when_it_is_resumed(order):
    interrupt(order)
    with pytest.raises(UsageError, match=r"another plan \(batch differ\)"):
        make(dataclasses.replace(order, settings={"batch": "4"}, resume=True))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"preset": "large"}, "was begun without preset: leave large out"),
        ({"start": Path("other.onnx")}, r"without weights to begin with: leave other\.onnx out"),
    ],
)
def test_what_a_run_was_not_begun_with_is_not_taken_when_it_is_resumed(order, changes, words):
    interrupt(order)
    with pytest.raises(UsageError, match=words):
        make(dataclasses.replace(order, resume=True, **changes))


def test_a_run_of_another_network_is_not_resumed(order):
    interrupt(order)
    file = order.run / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"name": "darkness"}))
    with pytest.raises(UsageError, match="a run of darkness, not of brightness"):
        make(dataclasses.replace(order, resume=True))


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b'{"name": "brightness"}'])
def test_a_folder_without_a_run_is_not_resumed(order, content):
    order.run.mkdir()
    if content is not None:
        (order.run / "run.json").write_bytes(content)
    with pytest.raises(InputError, match=r"resume|start the run again"):
        make(dataclasses.replace(order, resume=True))


def test_a_run_begins_with_the_weights_of_another(order, tmp_path):
    first = make(order)
    still = {"samples": "8", "lr": "0", "ema": "0"}
    snapshot = order.run / "best.safetensors"
    again = dataclasses.replace(order, run=tmp_path / "b", settings=still, start=snapshot)
    made = make(again)
    assert made.card.remake.endswith("--from best.safetensors")
    begun, _ = load_tensors(tmp_path / "b" / "best.safetensors")
    expected, _ = load_tensors(snapshot)
    for name, value in begun.items():
        if value.is_floating_point() and "running" not in name:
            torch.testing.assert_close(value, expected[name])
    # A weight file holds what the exporter did not merge: here the last layer.
    onnx = dataclasses.replace(order, run=tmp_path / "c", settings=still, start=first.file)
    make(onnx)
    begun, _ = load_tensors(tmp_path / "c" / "best.safetensors")
    torch.testing.assert_close(begun["5.bias"], expected["5.bias"], atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["gone.onnx", "gone.safetensors"])
def test_weights_that_are_not_there(order, tmp_path, name):
    with pytest.raises(InputError, match=f"There is no .*{name}"):
        make(dataclasses.replace(order, start=tmp_path / name))
    assert not order.run.exists()


def test_a_file_that_is_no_network_is_refused(order, tmp_path):
    file = tmp_path / "photo.onnx"
    file.write_bytes(b"\x89PNG\r\n")
    with pytest.raises(InputError, match=r"photo\.onnx is no ONNX file"):
        make(dataclasses.replace(order, start=file))


def test_a_score_that_is_never_a_number(order, brightness, monkeypatch):
    monkeypatch.setattr(brightness, "validate", lambda self, network: {"score": float("nan")})
    with pytest.raises(InputError, match=r"never scored a number.*lower rate"):
        make(order)


def test_devices(order):
    with pytest.raises(UsageError, match="choose one of cpu, cuda"):
        make(dataclasses.replace(order, device="gpu"))
    if not torch.cuda.is_available():
        with pytest.raises(UnavailableError, match=r"no CUDA device.*--device cpu"):
            make(dataclasses.replace(order, device="cuda"))


# The command.


def test_the_command_makes_a_network_and_says_so(cli, tmp_path):
    code, out, err = cli(*flags(SHORT))
    assert code == 0, err
    assert f"{tmp_path / 'run' / 'brightness.onnx'}: 0.0" in out
    assert "validation: error" in out
    assert str(tmp_path / "run" / "brightness.json") in out
    # No terminal: plain lines, the last at the end.
    assert err.splitlines()[-1].startswith("brightness: 64 of 64, ")
    assert "losses: difference 0." in err
    assert "validation: score -0." in err
    assert "\x1b" not in err


def test_its_json_is_the_card(cli, tmp_path):
    code, out, _ = cli(*flags(SHORT), "--json")
    assert code == 0
    report = json.loads(out)
    assert report["file"] == str(tmp_path / "run" / "brightness.onnx")
    assert report["card"] == json.loads((tmp_path / "run" / "brightness.json").read_text())


def test_the_cache_lies_beside_the_run(cli, tmp_path, brightness, monkeypatch):
    seen = []
    monkeypatch.setattr(brightness, "prepare", lambda self: seen.append(self.materials))
    cli(*flags(SHORT))
    cli(*flags(SHORT), "--resume", "--cache", tmp_path / "elsewhere")
    assert [m.cache for m in seen] == [tmp_path / "cache", tmp_path / "elsewhere"]
    assert {m.data for m in seen} == {tmp_path / "data"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--set", "samples"], 2, "--set takes NAME=VALUE, as samples=100000, not 'samples'."),
        (["--set", "sampels=3"], 2, "did you mean 'samples'?"),
        (["--device", "tpu"], 2, "choose one of cpu, cuda"),
        (["--resume"], 1, "leave --resume out"),
        (["--from", "gone.onnx"], 1, "There is no gone.onnx"),
        (["--data", "gone"], 1, "There is no folder gone: name another with --data."),
        (["--teachers", "gone"], 1, "There is no folder gone: name another with --teachers."),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_writes_nothing(
    cli, tmp_path, arguments, code, words
):
    found, out, err = cli(*arguments)
    assert found == code
    assert words in err
    assert len(err.splitlines()) == 1
    assert out == ""
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_overwritten(cli):
    assert cli(*flags(SHORT))[0] == 0
    code, _, err = cli(*flags(SHORT))
    assert code == 2
    assert "holds a run already" in err


def test_a_folder_that_cannot_be_written(cli, tmp_path):
    (tmp_path / "run").write_text("a file")
    code, _, err = cli(*flags(SHORT))
    assert code == 1
    assert "cannot be written" in err


_SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.fixtures.training import BrightnessRecipe
from sosie.app.cli import train as command
from sosie.app.cli.entry import main
from sosie.recipes import train
command.load_recipe = train.load_recipe = lambda name: BrightnessRecipe
main(sys.argv[1:])
"""


def test_ctrl_c_saves_the_run_and_it_goes_on(tmp_path):
    """A signal to all of its processes, as a terminal sends it."""
    script = tmp_path / "train.py"
    script.write_text(_SCRIPT.format(root=str(Path(__file__).parents[2])))
    run = tmp_path / "run"
    command = [sys.executable, str(script), "train", "brightness", "--run", str(run)]
    command += ["--data", str(tmp_path), "--teachers", str(tmp_path), "--workers", "1"]
    env = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}
    begun = [*command, "--set", "samples=100000000", "--set", "validate_every=100"]
    pipes = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(begun, env=env, **pipes) as process:
        until = time.monotonic() + 120
        while not (run / "best.safetensors").exists() and time.monotonic() < until:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        said = process.stderr.read()
    assert process.returncode == 4, said
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("sosie: Stopped after ")
    assert said.splitlines()[-1].endswith("samples: go on with --resume.")
    _, facts = load_tensors(run / "state.safetensors")
    assert facts["step"] > 0


def test_a_stop_before_the_first_validation_leaves_what_was_learned(order, tmp_path):
    interrupt(order)
    card = parse_card((order.run / "brightness.json").read_bytes(), "brightness")
    assert card.figures == {"samples": 8}
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    assert create_session(order.run / "brightness.onnx", threads=1).run({"pixels": pixels})
    resumed = make(dataclasses.replace(order, resume=True))
    whole = make(dataclasses.replace(order, run=tmp_path / "whole"))
    assert resumed.card.figures == whole.card.figures


@pytest.mark.parametrize("content", [{"settings": ["a"]}, {"settings": {"lr": 1}}, {"start": 5},
                                     {"preset": [1]}, {"form": {"lr": []}}])  # fmt: skip
def test_a_tampered_order_is_said_in_a_sentence(order, content):
    interrupt(order)
    file = order.run / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | content))
    with pytest.raises(InputError, match=r"run\.json is damaged: "):
        make(dataclasses.replace(order, resume=True))
