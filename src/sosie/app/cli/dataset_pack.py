"""`sosie dataset pack`, `unpack`, `verify`, `merge` and `split`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from sosie.app.cli.arguments import AsJson
from sosie.app.cli.output import note_progress, print_json
from sosie.datasets import dataset_packages
from sosie.errors import SosieError

_SHOWN = 40
_MB = 1_000_000

Folder = Annotated[Path, typer.Argument(help="Folder of the set.", show_default=False)]


def pack(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="The zip to write.")],
    shard_mb: Annotated[
        int | None, typer.Option(help="Write several zips of about this many MB each.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a set into a zip, uncompressed and with a hash of every file."""
    with dataset_packages():
        from sosie.datasets.pack import pack as write
        from sosie.datasets.transactions import hold_set

        with hold_set(folder, change=False) as store:
            paths = write(store, out, shard_mb and shard_mb * _MB, overwrite)
    if as_json:
        print_json({"files": [str(path) for path in paths]})
    else:
        for path in paths:
            print(f"{path}: {path.stat().st_size / _MB:.1f} MB")


def unpack(
    source: Annotated[Path, typer.Argument(help="The zip, or one of its shards.")],
    out: Annotated[Path, typer.Option(help="Folder to write the set to: a new one.")],
    as_json: AsJson = False,
) -> None:
    """Write the set of a zip into a new folder, every file checked."""
    with dataset_packages():
        from sosie.datasets.pack import unpack as read

        number = read(source, out)
    if as_json:
        print_json({"folder": str(out), "files": number})
    else:
        print(f"{out}: {number} files")


def verify(
    source: Annotated[Path, typer.Argument(help="Folder of a set, or a zip of one.")],
    as_json: AsJson = False,
) -> None:
    """Check that a set or a zip of one is whole; exit with 1 where it is not."""
    with dataset_packages():
        from sosie.datasets.pack import verify_pack, verify_set
        from sosie.datasets.transactions import hold_set

        note_progress(f"Checking {source} ...")
        if source.is_dir():
            with hold_set(source, change=False) as store:
                problems = verify_set(store)
        else:
            problems = verify_pack(source)
    if as_json:
        print_json({"whole": not problems, "problems": problems})
    else:
        print("\n".join(problems[:_SHOWN] or [f"{source} is whole."]))
        if len(problems) > _SHOWN:
            print(f"... and {len(problems) - _SHOWN} more; --json has all")
    if problems:
        raise typer.Exit(SosieError.exit_code)


def merge(
    sources: Annotated[list[Path], typer.Argument(help="Folders of sets.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the merged set: a new one.")],
    as_json: AsJson = False,
) -> None:
    """Copy several sets into a new one; people of one name are joined if they are alike."""
    with dataset_packages():
        from sosie.datasets.combine import merge as join
        from sosie.datasets.transactions import hold_set

        with ExitStack() as stack:
            folders = list(dict.fromkeys(source.resolve() for source in sources))
            held = [stack.enter_context(hold_set(folder, change=False)) for folder in folders]
            merged = join(held, out)
    if as_json:
        print_json(
            {
                "folder": str(out),
                "faces": merged.faces,
                "twice": merged.twice,
                "renamed": [list(change) for change in merged.renamed],
                "joined": list(merged.joined),
            }
        )
        return
    print(f"{out}: {merged.faces} faces, {merged.twice} of them in several sets")
    for folder, old, new in merged.renamed:
        print(f"  {old} of {folder} is {new} here: another set has somebody else of that name")
    if merged.joined:
        print(f"  one person in several sets: {', '.join(merged.joined)}")


def split(
    folder: Folder,
    test: Annotated[float, typer.Option(help="Share of people for the test, 0..1.")] = 0.2,
    as_json: AsJson = False,
) -> None:
    """Divide a set into training and test by person, in the column `split` of the table."""
    with dataset_packages():
        from sosie.datasets.combine import split as divide
        from sosie.datasets.transactions import hold_set

        with hold_set(folder) as store:
            parts = divide(store, test)
    if as_json:
        print_json({part or "neither": list(numbers) for part, numbers in parts.items()})
        return
    for part, (people, faces) in parts.items():
        if part or faces:
            print(f"{part or 'nobody yet'}: {f'{people} people, ' if part else ''}{faces} faces")
