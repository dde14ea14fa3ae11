"""`sosie source`: what is seen in source photos, and what is made of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from sosie.app.cli.arguments import AsJson, Overwrite
from sosie.app.cli.output import print_json
from sosie.app.cli.swap_flags import Keep
from sosie.options import SwapOptions


def source(
    photos: Annotated[list[Path], typer.Argument(help="Photos of one person.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Picture to write, a sheet of all steps.")
    ],
    keep: Keep = SwapOptions.keep,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Show what of a source is seen, hidden, filled in and trusted.

    The largest face of each photo counts, as in a swap.
    """
    from sosie.analysis import occlusion
    from sosie.analysis.analyser import create_analyser
    from sosie.app.source_sheet import SourceRow, draw_source_sheet
        from sosie.media.image import array_photo, save_photo
    from sosie.media.output import check_output
    from sosie.people import Casting, read_sources
    from sosie.texture.complete import complete
    from sosie.texture.photo import cut_out

    options = SwapOptions(keep=keep)
    check_output(output, photos, overwrite)
    analyser = create_analyser()
    sources, _ = read_sources(Casting(None, tuple(photos)), analyser)
    cut = [cut_out(one) for one in sources]
    made = complete(cut, options.kept())
    rows = [SourceRow(one.pixels, whole) for one, whole in zip(cut, made, strict=True)]
    save_photo(array_photo(draw_source_sheet(rows)), output, overwrite=overwrite)
    found = []
    for path, one, whole in zip(photos, sources, made, strict=True):
        laid = occlusion.shares(one.parts, one.face.landmarks) if one.parts else {}
        filled = float(whole.hidden.sum() / max(float((whole.source.visible > 0.5).sum()), 1))
        found.append(
            {"photo": str(path), **dataclasses.asdict(one.face.pose), **laid, "filled": filled}
        )
    if as_json:
        print_json({"output": str(output), "photos": found})
        return
    for entry in found:
        laid = {name: entry[name] for name in ("hair", "spectacles", "hat", "thing")}
        on_it = ", ".join(f"{name} {share:.0%}" for name, share in laid.items() if share >= 0.005)
        print(f"{entry['photo']}: {on_it or 'nothing'} on the face; {entry['filled']:.0%} filled")
    print(output)
