"""The command line: a module of this folder a command, and `entry` that holds them together."""

from __future__ import annotations

from collections.abc import Sequence

from sosie.app import requests


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code; see `sosie.app.cli.entry.main`.

    A request to stop is answered from here on, while the commands are still being loaded.
    """
    requests.listen()
    from sosie.app.cli import entry

    entry.main(arguments)
