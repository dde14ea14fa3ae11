"""`sosie dataset clean`: outliers and doubles put aside."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sosie.app.cli.arguments import AsJson
from sosie.app.cli.output import note_progress, print_json
from sosie.datasets.packages import dataset_packages

if TYPE_CHECKING:
    from sosie.datasets.clean import Cleaning

_SHOWN = 20


def clean(
    folder: Annotated[Path, typer.Argument(help="Folder of the set.", show_default=False)],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; move nothing.")
    ] = False,
    outliers: Annotated[bool, typer.Option(help="Put outliers of identity aside.")] = True,
    duplicates: Annotated[bool, typer.Option(help="Put doubles aside.")] = True,
    similarity: Annotated[
        float,
        typer.Option(help="Mean similarity with the person below which a face is an outlier."),
    ] = 0.30,
    bits: Annotated[
        int, typer.Option(help="Bits of 64 in which the hashes of doubles may differ.")
    ] = 6,
    as_json: AsJson = False,
) -> None:
    """Put faces aside that do not belong to their person, and doubles; nothing is deleted."""
    with dataset_packages():
        from sosie.datasets.clean import CleanOptions, apply, inspect
        from sosie.datasets.transactions import hold_set

        options = CleanOptions(outliers, duplicates, similarity, bits)
        with hold_set(folder, change=not dry_run) as store:
            note_progress("Comparing the faces of each person ...")
            found = inspect(store, options)
            if not dry_run:
                apply(store, found)
    if as_json:
        print_json({**asdict(found), "dry_run": dry_run})
    else:
        print("\n".join(lines(found, dry_run)))


def lines(found: Cleaning, dry_run: bool) -> list[str]:
    """What was found, for a terminal."""
    counts = Counter(finding.reason for finding in found.findings)
    done = "would be put aside" if dry_run else "put aside in rejected/"
    aside = f"{counts['outlier']} outliers and {counts['duplicate']} doubles {done}"
    text = [f"{found.faces} faces of {found.people} people: {aside}"]
    for finding in found.findings[:_SHOWN]:
        why = (
            f"similarity {finding.figure:.2f} with {finding.person}"
            if finding.reason == "outlier"
            else f"{finding.figure:.0f} bits from {finding.twin}"
        )
        text.append(f"  {finding.reason}: {finding.file}, {why}")
    if len(found.findings) > _SHOWN:
        text.append(f"  ... and {len(found.findings) - _SHOWN} more; --json has all")
    text += [
        f"  look at {review.person}: {len(review.files)} faces are unlike the others (similarity "
        f"{review.similarity:.2f}), another person or another age: {review.files[0]}, ..."
        for review in found.reviews
    ]
    return text
