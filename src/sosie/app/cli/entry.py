"""The edge of the command line: arguments in, one sentence and an exit code out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import sosie
from sosie.app import requests
from sosie.app.cli import dataset, evaluate, jobs, latent, weights
from sosie.app.cli.arguments import spread_values
from sosie.app.cli.bench import bench
from sosie.app.cli.compare import compare
from sosie.app.cli.demo import demo
from sosie.app.cli.doctor import doctor
from sosie.app.cli.export import export
from sosie.app.cli.inspect import inspect
from sosie.app.cli.invert import invert
from sosie.app.cli.output import guarded_output, print_json
from sosie.app.cli.preview import preview
from sosie.app.cli.reenact import reenact
from sosie.app.cli.resume import resume
from sosie.app.cli.source import source
from sosie.app.cli.swap import swap
from sosie.app.cli.train import train
from sosie.app.error_messages import describe
from sosie.errors import InterruptedSwapError, SosieError, UsageError

_TYPER_INTERRUPTED = 130
"""The exit code that typer makes of Ctrl-C; Sosie's own is `InterruptedSwapError.exit_code`."""

_RENAMED = {"--colour": "--color", "--films": "--videos", "--film-s": "--video-s"}
"""Options of before -> what they are called now."""

app = typer.Typer(
    name="sosie",
    help="Swap faces in photos and video.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (
    swap,
    resume,
    reenact,
    preview,
    compare,
    inspect,
    invert,
    source,
    bench,
    doctor,
    demo,
    train,
    export,
):
    app.command()(_command)
app.add_typer(jobs.app, name="jobs", help="List swaps first and do them later, one by one.")
app.add_typer(dataset.app, name="dataset", help="Make sets of faces for training.")
app.add_typer(latent.app, name="latent", help="Walk in a trained space of one's own faces.")
app.add_typer(evaluate.app, name="eval", help="Measure swaps, and the models.")
app.add_typer(weights.app, name="weights", help="List and check models; import published ones.")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"sosie {sosie.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print Sosie's version."
        ),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code: 0 done, 1 error, 2 usage, 3 no face, 4 interrupted.

    arguments: what follows the program's name; None takes those of the process.
    """
    requests.listen()
    code = run(sys.argv[1:] if arguments is None else list(arguments))
    requests.ignore()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. An error is one sentence on stderr; where
    `--json` was given it is a JSON object on stdout as well.

    A reader of stdout that goes away ends nothing: the rest of the words is lost, and the work is
    done. What cannot be written to stdout for another reason is an error, at the end.
    """
    with guarded_output() as output:
        code = _run(arguments)
        output.flush()
        if output.error is not None and code == 0:
            reason = output.error.strerror or type(output.error).__name__
            code = _fail(
                f"What there was to say could not be written to the standard output ({reason}): "
                f"make room there; what was written to files is whole.",
                SosieError.exit_code,
                as_json=False,
            )
    return code


def _run(arguments: Sequence[str]) -> int:
    as_json = "--json" in arguments
    try:
        _refuse_old_words(arguments)
        with requests.interruptible():
            command = typer.main.get_command(app)
            code = command.main(spread_values(arguments), prog_name="sosie", standalone_mode=False)
    except typer.TyperException as error:
        return _fail(_sentence(error.format_message()), error.exit_code, as_json)
    except KeyboardInterrupt:
        code = _TYPER_INTERRUPTED
    except SosieError as error:
        return _fail(describe(error), error.exit_code, as_json)
    except Exception as error:
        return _fail(describe(error), SosieError.exit_code, as_json)
    if code == _TYPER_INTERRUPTED:
        return _fail(requests.INTERRUPTED, InterruptedSwapError.exit_code, as_json)
    return code if isinstance(code, int) else 0


def _refuse_old_words(arguments: Sequence[str]) -> None:
    """Raises UsageError for an option or a command that has another name now."""
    for word in arguments:
        option = word.partition("=")[0]
        if option in _RENAMED:
            raise UsageError(f"The option {option} is called {_RENAMED[option]} now.")
    if list(arguments[:2]) == ["eval", "film"]:
        raise UsageError("The command `sosie eval film` is called `sosie eval video` now.")


def _fail(message: str, exit_code: int, as_json: bool) -> int:
    if message:
        print(f"sosie: {message}", file=sys.stderr)
    if as_json:
        print_json({"error": message, "exit_code": exit_code})
    return exit_code


def _sentence(message: str) -> str:
    """Typer's message of a wrong argument, on one line and with its full stop."""
    line = " ".join(message.split())
    return line if line.endswith((".", "?", "!")) or not line else line + "."
