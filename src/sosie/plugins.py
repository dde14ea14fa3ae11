"""Parts that have a table of names: those of the package, and those that other packages bring."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from sosie.errors import UnavailableError, UsageError, nearest


def names_of(table: Mapping[str, str], group: str) -> list[str]:
    """The names of a table and of the entry points of a group, the table's first."""
    return list(dict.fromkeys([*table, *_entries(group)]))


def load_part(kind: str, name: str, table: Mapping[str, str], group: str) -> Any:
    """The object that `name` stands for; only its own module is imported.

    kind: what messages call it, as `method`. table: name -> `module:attribute`. group: of the entry
    points by which other packages bring more; the table's names come first. Raises UsageError on a
    name that neither has, and UnavailableError where a package's part cannot be loaded.
    """
    if name in table:
        module, attribute = table[name].split(":")
        return getattr(import_module(module), attribute)
    others = _entries(group)
    if name not in others:
        raise UsageError(f"Unknown {kind} {name!r}: {nearest(name, [*table, *others])}.")
    try:
        return others[name].load()
    except (ImportError, AttributeError) as error:
        package = others[name].dist
        raise UnavailableError(
            f"The {kind} {name}, of the package {package.name if package else 'that has it'}, "
            f"cannot be loaded ({error}): install that package again, or choose another {kind}."
        ) from error


def _entries(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}
