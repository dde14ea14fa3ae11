"""The command line: `sosie swap`, `inspect`, `bench`, `doctor`, `demo`."""

from sosie.app.cli.entry import main

__all__ = ["main"]
