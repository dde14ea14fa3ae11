"""The command line's own edge: help, versions, wrong usage, faults, exit codes."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import typer

import sosie as package
from sosie.app.cli import swap as swap_module
from sosie.app.cli.entry import app
from sosie.app.cli.swap import swap
from sosie.errors import InterruptedSwapError
from sosie.options import SwapOptions

COMMANDS = (
    *("swap", "preview", "compare", "resume", "inspect", "source", "reenact"),
    *("bench", "doctor", "demo", "train", "export", "invert"),
)
GROUPS = {
    "dataset": [
        "extract",
        "cluster",
        "clean",
        "report",
        "classify",
        "pack",
        "unpack",
        "verify",
        "merge",
        "split",
        "import",
    ],
    "eval": ["analysis", "pair", "run", "score", "video", "compare", "protocol"],
    "jobs": ["add", "list", "run", "retry", "remove", "export", "import"],
    "weights": ["list", "verify", "import"],
    "latent": ["reconstruct", "walk", "vary"],
}


def test_help_names_every_command(sosie):
    result = sosie("--help")
    assert result.code == 0
    assert all(f" {command} " in result.out for command in (*COMMANDS, *GROUPS))
    assert set(typer.main.get_command(app).commands) == {*COMMANDS, *GROUPS}


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_help_of_a_group_names_its_commands(sosie, group):
    result = sosie(group, "-h")
    assert result.code == 0
    assert all(f" {command} " in result.out for command in GROUPS[group])


ALL_COMMANDS = [(name,) for name in COMMANDS] + [(g, name) for g in GROUPS for name in GROUPS[g]]


@pytest.mark.parametrize("command", ALL_COMMANDS, ids=" ".join)
def test_every_command_has_help_and_json(sosie, command):
    result = sosie(*command, "-h")
    assert result.code == 0
    assert "--json" in result.out


def test_version(sosie):
    assert sosie("--version").out == f"sosie {package.__version__}\n"


def test_every_field_of_the_options_is_a_flag_with_the_same_default_and_words():
    parameters = inspect.signature(swap).parameters
    flags = {
        name.removesuffix("_s") if name in ("start_s", "end_s") else name: default
        for name, default in dataclasses.asdict(SwapOptions()).items()
    }
    for name, default in flags.items():
        assert parameters[name].default == default, name
    arguments = {"source", "reference", "people", "target"}
    assert set(parameters) == set(flags) | arguments | {"output", "as_json"}
    # What is no field is an argument of the library's functions, with a word on it.
    assert arguments <= set(inspect.signature(package.swap_image).parameters)
    assert all(f"{name}:" in (package.swap_image.__doc__ or "") for name in arguments - {"target"})
    command = typer.main.get_command(app).commands["swap"]
    assert all(parameter.help for parameter in command.params if parameter.name != "help")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing option"),
        (["-s", "a", "-t", "b", "-o", "c", "--blnd", "alpha"], "No such option: --blnd"),
        (["-s", "a", "-t", "b", "-o", "c", "--crf", "low"], "should be a valid integer"),
        (["-s", "a", "-t", "b", "-o", "c", "stray"], "unexpected extra argument"),
        (["-s", "a", "-t", "b", "-o", "c", "--blend", "posson"], "did you mean 'poisson'?"),
        (["-s", "a", "-t", "b", "-o", "c", "--color", "lihgt"], "did you mean 'light'?"),
        (["-s", "a", "-t", "b", "-o", "c", "--faces", "left"], "faces must be 'largest'"),
        (["-s", "a", "-t", "b", "-o", "c", "--start", "soon"], "'soon' is no time"),
        (["-s", "a", "-t", "b", "-o", "c", "--start", "9", "--end", "5"], "must come after start"),
        (["-s", "a", "-t", "b", "-o", "c", "--shape", "2"], "shape must be between 0 and 1"),
        (["-s", "a", "-t", "b", "-o", "c", "--threads", "0"], "threads must be between"),
    ],
)
def test_wrong_usage_is_exit_code_2(refused, arguments, words):
    assert words in refused(2, "swap", *arguments)


def test_an_unknown_command_is_exit_code_2(refused):
    assert "No such command 'swop'" in refused(2, "swop")


def test_a_fault_is_one_sentence_with_the_way_to_the_traceback(refused, monkeypatch, tmp_path):
    def fail(*_):
        raise ZeroDivisionError("so it was")

    monkeypatch.setattr(swap_module, "require_kind", fail)
    message = refused(1, "swap", "-s", "a", "-t", tmp_path / "b", "-o", "c")
    assert "ZeroDivisionError (so it was)" in message
    assert "SOSIE_DEBUG=1" in message


def test_the_traceback_of_a_fault_is_there_when_asked_for(sosie, monkeypatch, tmp_path):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(swap_module, "require_kind", fail)
    monkeypatch.setenv("SOSIE_DEBUG", "1")
    result = sosie("swap", "-s", "a", "-t", tmp_path / "b", "-o", "c")
    assert result.code == 1
    assert "Traceback" in result.err


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyboardInterrupt(), "Interrupted."),
        (
            InterruptedSwapError(
                "Interrupted; 7 frames are in out.partial.mp4.", "out.partial.mp4"
            ),
            "out.partial.mp4",
        ),
    ],
)
def test_an_interruption_is_exit_code_4(refused, monkeypatch, tmp_path, error, words):
    def stop(*_):
        raise error

    monkeypatch.setattr(swap_module, "require_kind", stop)
    assert words in refused(4, "swap", "-s", "a", "-t", tmp_path / "b", "-o", "c")
