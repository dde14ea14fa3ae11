"""`sosie weights`: what the shipped models are, and whether their files are whole."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated, Any

import typer

from sosie.app.cli.output import print_json
from sosie.errors import SosieError, UsageError
from sosie.options import nearest
from sosie.weights import Card, Verdict, check, embedded_cards, embedded_names

_MAIN_FIGURES = 4
"""So many figures of a card stand in the list; `--json` has all."""

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_weights(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON report.")] = False,
) -> None:
    """Show the shipped models: size, licence, date, purpose, main figures."""
    found = [(card, check(card.name).size_bytes) for card in embedded_cards().values()]
    if as_json:
        print_json([_entry(card, size) for card, size in found])
        return
    for card, size in found:
        print(f"{card.name:12}{_megabytes(size):>9}  {card.licence}  {card.date}")
        print(f"  {card.summary}")
        figures = list(card.figures.items())[:_MAIN_FIGURES]
        print(f"  {'; '.join(f'{name} {value:g}' for name, value in figures)}")


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models to check; all.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON report.")] = False,
) -> None:
    """Check that the shipped files are those that their cards describe, by their SHA-256."""
    known = embedded_names()
    for name in names or ():
        if name not in known:
            raise UsageError(f"Unknown model {name!r}: {nearest(name, known)}.")
    verdicts = [check(name) for name in names or known]
    if as_json:
        whole = not any(verdict.fault for verdict in verdicts)
        print_json({"ok": whole, "models": [dataclasses.asdict(one) for one in verdicts]})
    else:
        for verdict in verdicts:
            print(_line(verdict))
    faults = [verdict.fault for verdict in verdicts if verdict.fault]
    for fault in faults:
        print(f"sosie: {fault}", file=sys.stderr)
    if faults:
        raise typer.Exit(SosieError.exit_code)


def _entry(card: Card, size: int | None) -> dict[str, Any]:
    return dataclasses.asdict(card) | {"size_bytes": size}


def _line(verdict: Verdict) -> str:
    mark = "BROKEN" if verdict.fault else "ok"
    return f"{mark:7}{verdict.name:12}{_megabytes(verdict.size_bytes):>9}"


def _megabytes(size: int | None) -> str:
    return "absent" if size is None else f"{size / 1e6:.2f} MB"
