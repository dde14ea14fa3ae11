"""`sosie eval protocol`: reproducible pairs from a dataset on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sosie.app.cli.arguments import AsJson, Overwrite
from sosie.app.cli.output import note_progress, print_json


def protocol(
    *,
    name: Annotated[str, typer.Argument(metavar="PROTOCOL", help="ffhq, celeba, ffpp or folder.")],
    places: Annotated[
        list[Path],
        typer.Argument(help="Folders or zip archives of pictures; one that leads into an archive."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path(
        "pairs.json"
    ),
    count: Annotated[
        int | None,
        typer.Option(help="Pairs; left out, as many as need no picture twice (ffpp: all)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed and data give the same pairs.")] = 0,
    held_out: Annotated[
        bool,
        typer.Option(
            "--held-out", help="Only people whom the training of Sosie's models left out."
        ),
    ] = False,
    label: Annotated[
        str, typer.Option("--name", help="Name of the list; left out, protocol and count.")
    ] = "",
    videos: Annotated[
        list[Path] | None,
        typer.Option(
            "--videos",
            help="A video, or a folder of them: every third target is a frame of one. Repeatable.",
        ),
    ] = None,
    compression: Annotated[
        str | None, typer.Option(help="Of FaceForensics++: c23, c40, c0 or raw.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Of FaceForensics++: train, val or test; left out, all.")
    ] = None,
    digests: Annotated[
        bool,
        typer.Option(
            "--digests", help="Write each picture's SHA-256, so that runs notice another picture."
        ),
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Draw pairs of sources and targets from a dataset: the same ones on every machine.

    ffhq: single portraits, a person each. celeba: identity_CelebA.txt beside the pictures, or a
    folder a person. ffpp: FaceForensics++, ten frames a video. folder: a folder a person, or flat.
    """
    from sosie.evaluation.pairs import write_pairs
    from sosie.evaluation.protocols import Request, draw, with_digests

    request = Request(
        places=tuple(places),
        count=count,
        seed=seed,
        held_out=held_out,
        name=label,
        compression=compression,
        split=split,
        videos=tuple(videos or ()),
    )
    drawn = draw(name, request)
    if digests:
        note_progress("Reading the pictures ...")
        drawn = with_digests(drawn)
    write_pairs(drawn, output, overwrite)
    people = {
        "sources": len({pair.source_person for pair in drawn.pairs}),
        "targets": len({pair.target_person for pair in drawn.pairs}),
    }
    alone = drawn.protocol.get("files_as_people", 0)
    notes = []
    if alone:
        notes.append(
            f"{alone} pictures lie in no person's folder: each file is taken for a person of its "
            f"own."
        )
    if as_json:
        print_json(
            {
                "notes": notes,
                "file": str(output),
                "name": drawn.name,
                "pairs": len(drawn.pairs),
                **people,
            }
        )
    else:
        for note in notes:
            print(note)
        print(
            f"{output}: {len(drawn.pairs)} pairs of {people['sources']} people as sources and "
            f"{people['targets']} others as targets"
        )
