"""`sosie demo`: the two sample portraits swapped both ways, and a sheet that shows it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from sosie.app.cli.arguments import AsJson, Overwrite
from sosie.app.cli.output import print_json
from sosie.app.samples import sample_portraits


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("demo"),
    sheet: Annotated[
        Path | None, typer.Option(help="Contact sheet; left out, it goes into that folder.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Swap the two sample portraits both ways; write the results and a contact sheet."""
    from sosie.app.sheets import Row, draw_contact_sheet
    from sosie.media.image import array_photo, load_photo, save_photo
    from sosie.options import SwapOptions
    from sosie.output import check_output, make_folder
    from sosie.pipeline import swap_image

    portraits = sample_portraits()
    pairs = [("astronaut", "hopper"), ("hopper", "astronaut")]
    make_folder(out)
    sheet = sheet or out / "contact-sheet.png"
    files = [out / f"{source}-on-{target}.png" for source, target in pairs]
    for path in (*files, sheet):
        check_output(path, overwrite=overwrite)

    options = SwapOptions(overwrite=overwrite)
    pixels = {name: load_photo(path).pixels for name, path in portraits.items()}
    results = {
        target: swap_image(pixels[source], pixels[target], options) for source, target in pairs
    }
    for path, (_, target) in zip(files, pairs, strict=True):
        save_photo(array_photo(results[target].image), path, overwrite=overwrite)
    rows = [
        Row(
            source=pixels[source],
            source_face=results[source].faces[0],
            target=pixels[target],
            result=results[target].image,
            target_face=results[target].faces[0],
        )
        for source, target in pairs
    ]
    save_photo(array_photo(draw_contact_sheet(rows)), sheet, overwrite=overwrite)
    if as_json:
        reports = [dataclasses.asdict(results[target].report) for _, target in pairs]
        print_json({"results": list(map(str, files)), "sheet": str(sheet), "reports": reports})
    else:
        print(f"results: {', '.join(map(str, files))}\ncontact sheet: {sheet}")
