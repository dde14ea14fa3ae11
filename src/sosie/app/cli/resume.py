"""`sosie resume`: go on with a video whose swap was stopped."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from sosie.app.cli.arguments import AsJson
from sosie.app.cli.output import print_json
from sosie.app.cli.swap import summary, swap_file
from sosie.app.swap_command import SwapCommand
from sosie.errors import InputError, UsageError


def resume(
    output: Annotated[
        Path, typer.Argument(help="The video, animation, or folder of frames being written.")
    ],
    work: Annotated[
        Path | None, typer.Option(help="Folder of its work folder, where the swap was given one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Go on with the swap of a video, sequence or animation that was stopped, after its last whole
    segment."""
    from sosie.swapping.work import read_job

    folder, output = _found(output, work)
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
    told: set[str] = set()
    report = swap_file(swapper, command.target, "video", output, told)
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        print(summary(report, told))


def _found(output: Path, work: Path | None) -> tuple[Path, Path]:
    """The work folder of an output, and the output with its own name where it is the folder of a
    sequence. Raises InputError where there is none, UsageError where there are several."""
    from sosie.swapping.work import SUFFIX, read_job, work_path

    folder = work_path(output, work)
    if folder.is_dir():
        return folder, output
    found = {}
    for one in sorted((work or output.absolute().parent).glob(f"*{SUFFIX}")):
        with suppress(InputError):
            frames = Path(read_job(one)["output"])
            if frames.parent == output.resolve():
                found[frames] = one
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise UsageError(f"{output} is the folder of several sequences; name one: {names}.")
    if not found:
        raise InputError(
            f"{output} has no work folder ({folder}): its swap is done, or kept none; name the "
            f"output as it was given, or the folder of work folders with --work."
        )
    ((frames, folder),) = found.items()
    return folder, frames
