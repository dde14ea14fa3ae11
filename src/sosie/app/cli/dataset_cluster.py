"""`sosie dataset cluster`: the faces of a set sorted by person."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sosie.app.cli.arguments import AsJson
from sosie.app.cli.output import note_progress, print_json
from sosie.datasets.packages import dataset_packages
from sosie.errors import UsageError

if TYPE_CHECKING:
    from sosie.datasets.cluster import Plan
    from sosie.types import FloatArray

_SHOWN = 12


def cluster(
    folder: Annotated[Path, typer.Argument(help="Folder of the set.", show_default=False)],
    people: Annotated[
        int | None, typer.Option(help="How many people there are; left out, found by likeness.")
    ] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Find how many there are.")] = False,
    name: Annotated[
        list[str] | None,
        typer.Option(help="A name and a photo of who bears it: anna=anna.jpg; repeatable."),
    ] = None,
    likeness: Annotated[
        float | None,
        typer.Option(
            help="Likeness from which two faces are one person's; a higher value splits more."
        ),
    ] = None,
    min_faces: Annotated[int, typer.Option(help="A person has at least this many faces.")] = 3,
    again: Annotated[
        bool, typer.Option("--again", help="Sort the faces in people's folders again, too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; move nothing.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Processor threads; left out, all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sort the faces of a set into a folder for each person."""
    if people is not None and auto:
        raise UsageError("--people and --auto exclude each other; give one of them.")
    named = [parse_name(text) for text in name or ()]
    with dataset_packages():
        from sosie.datasets.cluster import ClusterOptions, apply, plan
        from sosie.datasets.linkage import CUT
        from sosie.datasets.transactions import hold_set

        options = ClusterOptions(people, CUT if likeness is None else likeness, min_faces, again)
        references, notes = _references(named, threads)
        with hold_set(folder, change=not dry_run) as store:
            note_progress(f"Comparing {len(store)} faces ...")
            found = plan(store, options, references)
            if not dry_run:
                apply(store, found)
    notes += [
        f"Nobody like the photo of {who} was found (the nearest has a similarity of {alike:.2f})."
        for who, alike in found.absent.items()
    ]
    if as_json:
        print_json(report(found, notes, dry_run))
    else:
        print("\n".join([*lines(found, folder), *notes]))


def parse_name(text: str) -> tuple[str, Path]:
    """A name and a photo from `anna=anna.jpg`. Raises UsageError on anything else."""
    name, sign, photo = (part.strip() for part in text.partition("="))
    if not (name and sign and photo):
        raise UsageError(f"{text!r} gives no name a photo; write anna=anna.jpg.")
    return name, Path(photo)


def lines(found: Plan, folder: Path) -> list[str]:
    """What was found, for a terminal."""
    faces = sum(found.people.values())
    people = "1 person" if len(found.people) == 1 else f"{len(found.people)} people"
    text = [f"{folder}: {faces} faces of {people}"]
    shown = list(found.people.items())[:_SHOWN]
    text += [f"  {name}: {number}" for name, number in shown]
    if len(found.people) > _SHOWN:
        text.append(f"  ... and {len(found.people) - _SHOWN} people more")
    if found.doubtful:
        text.append(f"  doubtful: {found.doubtful}, in doubtful/PERSON; move what is right back")
    if found.few:
        text.append(f"  of people with too few faces: {found.few}, in doubtful/few-...")
    text += [
        f"  perhaps one person: {pair.one} and {pair.other} (similarity {pair.similarity:.2f})"
        for pair in found.suggestions[:_SHOWN]
    ]
    return text


def report(found: Plan, notes: list[str], dry_run: bool) -> dict[str, object]:
    """What was found, for JSON."""
    return {
        "people": found.people,
        "doubtful": found.doubtful,
        "few": found.few,
        "likeness": round(found.likeness, 4),
        "suggestions": [asdict(pair) for pair in found.suggestions],
        "notes": notes,
        "dry_run": dry_run,
    }


def _references(
    named: list[tuple[str, Path]], threads: int | None
) -> tuple[dict[str, FloatArray], list[str]]:
    if not named:
        return {}, []
    from sosie.analysis.analyzer import create_analyzer
    from sosie.datasets.references import read_references

    return read_references(named, create_analyzer(threads))
