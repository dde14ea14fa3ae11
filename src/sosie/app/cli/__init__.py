"""The command line: a module of this folder a command, and `entry` that holds them together."""

from sosie.app.cli.entry import main

__all__ = ["main"]
