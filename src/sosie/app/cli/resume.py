"""`sosie resume`: go on with a video whose swap was stopped."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from sosie.app.cli.arguments import AsJson
from sosie.app.cli.output import print_json
from sosie.app.cli.swap import summary, swap_file
from sosie.app.swap_command import SwapCommand
from sosie.errors import InputError


def resume(
    output: Annotated[Path, typer.Argument(help="The video that was being written.")],
    work: Annotated[
        Path | None, typer.Option(help="Folder of its work folder, where the swap was given one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Go on with the swap of a video that was stopped, after its last whole segment."""
    from sosie.swapping.work import read_job, work_path

    folder = work_path(output, work)
    if not folder.is_dir():
        raise InputError(
            f"{output} has no work folder ({folder}): its swap is done, or kept none; name the "
            f"output as it was given, or the folder of work folders with --work."
        )
    kept = read_job(folder)
    if kept["command"] is None:
        raise InputError(
            f"{output} was begun by a program with pictures in memory: let that program write it "
            f"again, and it goes on."
        )
    command = SwapCommand.from_dict(kept["command"] | {"output": str(output.absolute())})
    options = dataclasses.replace(
        command.options, work=None if work is None else str(work), restart=False
    )
    swapper = dataclasses.replace(command, options=options).swapper()
    report = swap_file(swapper, command.target, "video", output)
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        print(summary(report))
