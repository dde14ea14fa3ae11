"""`sosie source`: what is seen in source photos, and what is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sosie.app.cli.arguments import AsJson, Overwrite
from sosie.app.cli.output import print_json
from sosie.app.cli.swap_flags import flag_for
from sosie.errors import UsageError
from sosie.options import KEPT, SwapOptions


def source(
    photos: Annotated[list[Path], typer.Argument(help="Photos of one person.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Picture to write: a sheet of what is made of each."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(help="Identity file to write (.sosie), a source for other swaps."),
    ] = None,
    keep: flag_for("keep") = SwapOptions.keep,  # type: ignore[valid-type]
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Show what of a source is seen, hidden, filled in and trusted, or save it for later.

    The largest face of each photo counts, as in a swap.
    """
    if output is None and save is None:
        raise UsageError("There is nothing to write: give a sheet with -o, or a file with --save.")
    from sosie.app.sheets import examine, write_sheet
    from sosie.output import check_output

    options = SwapOptions(keep=keep)
    if options.kept_parts():
        raise UsageError(
            f"Of a source {', '.join(KEPT)} may stay on; {', '.join(options.kept_parts())} is kept "
            f"of a target: leave it out here."
        )
    kept = options.kept()
    if output is not None:
        check_output(output, photos, overwrite)
    found: list[dict[str, Any]] = []
    if output is not None:
        rows, found = examine(photos, kept)
        write_sheet(rows, output, overwrite)
    if save is not None:
        from sosie.pipeline import FaceSwapper

        FaceSwapper(list(photos), SwapOptions(overwrite=overwrite)).save(save)
    written = [str(path) for path in (output, save) if path is not None]
    if as_json:
        print_json({"written": written, "photos": found})
        return
    for entry in found:
        on_it = ", ".join(f"{k} {v:.0%}" for k, v in entry["on_it"].items() if v >= 0.005)
        print(f"{entry['photo']}: {on_it or 'nothing'} on the face; {entry['filled']:.0%} filled")
    print("\n".join(written))
