"""`sosie export`: a trained network in a form that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sosie.app.cli.arguments import AsJson, Overwrite
from sosie.app.cli.output import print_json
from sosie.output import check_output
from sosie.recipes import extra_packages


def export(
    snapshot: Annotated[
        Path,
        typer.Argument(
            help="RUN/snapshot.safetensors of a training of two people (deepfacelab, deepfakes).",
            show_default=False,
        ),
    ],
    dfm: Annotated[
        Path, typer.Option(help="The DFM to write, which DeepFaceLive and FaceFusion read.")
    ],
    back: Annotated[
        bool, typer.Option("--back", help="Put the target's face onto the source instead.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write a trained network of two people as a DFM, checked by ONNX Runtime.

    The format does not say which crop it takes: give others the face type that is printed.
    """
    with extra_packages():
        from sosie.recipes.two_people.dfm import trained_network, write_dfm

    check_output(dfm, overwrite=overwrite)
    network, card = trained_network(snapshot)
    write_dfm(network, card, dfm, back, overwrite)
    face_type, size_mb = card.face_type, dfm.stat().st_size / 1e6
    if as_json:
        facts = {"face_type": face_type, "size_px": card.size_px, "morph": card.morph}
        print_json({"file": str(dfm), **facts, "license": card.license})
    else:
        print(f"{dfm}: {size_mb:.1f} MB, faces of {card.size_px} px, face type {face_type}")
