"""`sosie weights`: what the shipped models are, whether they are whole, and those of others."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sosie.app.cli.arguments import AsJson, Overwrite, offering
from sosie.app.cli.output import print_json
from sosie.errors import SosieError, UsageError, nearest
from sosie.methods.interfaces import INTERFACES
from sosie.models.cards import Card, Verdict, check, embedded_cards, embedded_names
from sosie.recipes import extra_packages

_MAIN_FIGURES = 4
"""So many figures of a card stand in the list; `--json` has all."""

_TERMS = (
    "The license in a model's first line is that of its file. Some of the data that it learned "
    "from is free for research alone: check whether that binds you before commercial use."
)

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_weights(
    as_json: AsJson = False,
) -> None:
    """Show the shipped models: size, license, purpose, main figures, and what they learned from.

    The data and the teachers are listed with licenses of their own.
    """
    found = [(card, check(card.name).size_bytes) for card in embedded_cards().values()]
    if as_json:
        print_json([_entry(card, size) for card, size in found])
        return
    for card, size in found:
        print(f"{card.name:12}{_megabytes(size):>9}  {card.license}  {card.date}")
        print(f"  {card.summary}")
        figures = list(card.figures.items())[:_MAIN_FIGURES]
        print(f"  {'; '.join(f'{name} {value:g}' for name, value in figures)}")
        for label, origins in (("data", card.data), ("teachers", card.teachers)):
            named = "; ".join(f"{origin.name}: {origin.license}" for origin in origins)
            print(f"  {label}: {named}")
    print(_TERMS)


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Models to check; left out, all.",
            show_default=False,
            autocompletion=offering(embedded_names),
        ),
    ] = None,
    as_json: AsJson = False,
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


@app.command("import")
def import_(
    method: Annotated[str, typer.Argument(help="Whose it is: simswap, ghost, inswapper, ...")],
    file: Annotated[Path, typer.Argument(help="Published checkpoint: .pth, .ckpt, .safetensors.")],
    folder: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the results.")
    ] = Path(),
    network: Annotated[
        str | None, typer.Option(help="Which of the method's networks, where it fits two.")
    ] = None,
    embedding_map: Annotated[
        Path | None, typer.Option(help="For inswapper: its embedding map, a .npy or .onnx.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Turn a published checkpoint into a snapshot with its card, and an ONNX file.

    Nothing that is in the file is run. A file of another network is refused.
    """
    with extra_packages():
        from sosie.recipes.published.importing import import_weights

    done = import_weights(
        method, file, folder, network=network, embedding_map=embedding_map, overwrite=overwrite
    )
    card = done.card
    if as_json:
        print_json(
            {
                "snapshot": str(done.snapshot),
                "onnx": str(done.onnx),
                "deviation": done.deviation,
                "card": dataclasses.asdict(card),
            }
        )
        return
    print(f"{card.network}: {card.summary}; {card.parameters / 1e6:.1f} million parameters")
    for label, text in (
        ("license", card.license),
        ("pixels", card.value_range),
        ("alignment", card.alignment),
        ("identity", card.embedding),
        ("snapshot", str(done.snapshot)),
        ("ONNX", f"{done.onnx}, which computes the same"),
    ):
        print(f"  {label:10}{text}")
    if card.network in INTERFACES:
        print(f"  swap with --method {card.method} --weights {done.snapshot}")


def _entry(card: Card, size: int | None) -> dict[str, Any]:
    return dataclasses.asdict(card) | {"size_bytes": size}


def _line(verdict: Verdict) -> str:
    mark = "BROKEN" if verdict.fault else "ok"
    return f"{mark:7}{verdict.name:12}{_megabytes(verdict.size_bytes):>9}"


def _megabytes(size: int | None) -> str:
    return "absent" if size is None else f"{size / 1e6:.2f} MB"
