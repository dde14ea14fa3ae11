"""`sosie invert`: a face as the codes of a generator, drawn again, and edited."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sosie.app.cli.arguments import AsJson, Overwrite
from sosie.app.cli.output import print_json
from sosie.errors import UsageError
from sosie.output import check_output

if TYPE_CHECKING:
    from sosie.app.inversion import Inversion


def invert(
    face: Annotated[
        Path,
        typer.Argument(
            help="Photo, of which the largest face counts, or codes that were written before.",
            show_default=False,
        ),
    ],
    *,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the generator and the encoder of megafs, trained or imported."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Picture to write (.png, .jpg, ...).")
    ],
    codes: Annotated[
        Path | None,
        typer.Option(help="File of the codes (.safetensors); left out, beside the picture."),
    ] = None,
    edit: Annotated[
        list[str] | None,
        typer.Option(
            help="Move the codes along a direction, as `pc1=1.5`, in standard deviations; "
            "repeatable. Directions are the generator's principal components, pc1 to pc16, or "
            "those of --directions."
        ),
    ] = None,
    directions: Annotated[
        Path | None,
        typer.Option(help="Directions by name (.safetensors), a vector of a latent's size each."),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(help="Edit these layers alone, as `4-8`, the coarsest being 0."),
    ] = None,
    provider: Annotated[
        str, typer.Option(help="On what the networks run, as `sosie swap`.")
    ] = "cpu",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Turn a face into the codes of a generator of faces, draw it again, and edit it.

    Prints how far the face that is drawn again is from the photo's.
    """
    if weights is None:
        raise UsageError(
            "An inversion takes a generator and an encoder: train them with `sosie train "
            "stylegan2` and `sosie train megafs_encoder`, or import published ones with `sosie "
            "weights import megafs FILE`, and name the folder that holds them with --weights."
        )
    kept = codes or output.with_suffix(".safetensors")
    if kept.suffix.lower() != ".safetensors":
        raise UsageError(f"Codes are written as .safetensors: name {kept.stem}.safetensors.")

    from sosie.app.inversion import Inverter
    from sosie.media.image_write import photo_format, save_photo
    from sosie.media.photo import array_photo
    from sosie.methods.megafs.directions import write_codes

    photo_format(output)
    given = [face, *([directions] if directions else [])]
    for result in (output, kept):
        check_output(result, given, overwrite)
    inverter = Inverter(weights, provider)
    edits = inverter.edits(edit or (), directions, layers)
    made = inverter.invert(face, edits)
    save_photo(array_photo(made.picture), output, overwrite=overwrite)
    write_codes(made.codes, kept, {"edits": ", ".join(edit or ())}, overwrite)
    _tell(made, output, kept, as_json)


def _tell(made: Inversion, output: Path, codes: Path, as_json: bool) -> None:
    figures = {
        "pixels": made.pixels,
        "identity": made.identity,
        "landmarks": made.landmarks,
    }
    if as_json:
        print_json({"output": str(output), "codes": str(codes), **figures})
        return
    print(f"{output}, {codes}")
    told = [
        f"{name} {value:.3f}" if value is not None else f"{name} not seen"
        for name, value in figures.items()
    ]
    if made.pixels is not None:
        print(f"drawn again: {', '.join(told)}")
