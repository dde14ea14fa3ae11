"""`sosie latent`: a person's own space of faces, that `sosie train vae` made, to walk in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sosie.app.cli.arguments import AsJson, Overwrite
from sosie.app.cli.output import print_json
from sosie.errors import UsageError
from sosie.output import check_output

if TYPE_CHECKING:
    from sosie.app.latent import Ways
    from sosie.methods.vae.latent import LatentSpace

app = typer.Typer(no_args_is_help=True)

Weights = Annotated[
    Path, typer.Option(help="Snapshot that `sosie train vae` wrote: RUN/snapshot.safetensors.")
]
Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", help="Sheet (.png, .jpg, ...), animation (.gif, .apng) or video (.mp4)."
    ),
]
Sheet = Annotated[Path, typer.Option("--output", "-o", help="Sheet (.png, .jpg, ...).")]
Photos = Annotated[
    list[Path], typer.Argument(help="Photos; the largest face of each counts.", show_default=False)
]
Places = Annotated[
    list[str],
    typer.Argument(help="Photos, or names of people of the weights.", show_default=False),
]
Place = Annotated[
    str, typer.Argument(help="A photo, or the name of a person of the weights.", show_default=False)
]
Along = Annotated[
    list[str] | None,
    typer.Option(help="What to change, as `smile` or `yaw`; repeatable; left out, all."),
]


@app.command()
def reconstruct(
    photos: Photos,
    *,
    weights: Weights,
    output: Sheet,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Show what is left of photos when each is made again of its latent numbers."""
    from sosie.app import latent

    if latent.is_moving(output):
        raise UsageError(f"Photos made again are a sheet: name {output.stem}.png or another photo.")
    space = _opened(weights, output, overwrite, list(photos))
    _finish(latent.reconstructed(space, photos), output, overwrite, as_json)


@app.command()
def walk(
    places: Places,
    *,
    weights: Weights,
    output: Output,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Go from face to face in a straight line, through faces that nobody has."""
    from sosie.app import latent

    space = _opened(weights, output, overwrite, [Path(one) for one in places])
    _finish(latent.walk(space, places, latent.steps_for(output)), output, overwrite, as_json)


@app.command()
def vary(
    place: Place,
    *,
    weights: Weights,
    output: Output,
    along: Along = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Give a face more and less of a smile, a turn of the head, spectacles and the like."""
    from sosie.app import latent

    space = _opened(weights, output, overwrite, [Path(place)])
    moves = latent.is_moving(output)
    ways = latent.varied(space, place, along or (), latent.steps_for(output), moves)
    _finish(ways, output, overwrite, as_json)


def _opened(weights: Path, output: Path, overwrite: bool, given: list[Path]) -> LatentSpace:
    """The space, once it is known that the output can be written."""
    from sosie.app.latent import is_moving
    from sosie.methods.vae import open_space

    is_moving(output)
    check_output(output, [weights, *(one for one in given if one.is_file())], overwrite)
    return open_space(weights)


def _finish(ways: Ways, output: Path, overwrite: bool, as_json: bool) -> None:
    from sosie.app.latent import draw

    draw(ways, output, overwrite)
    count = sum(len(pictures) for _, pictures in ways.rows)
    if as_json:
        labels = [label for label, _ in ways.rows]
        print_json({"output": str(output), "rows": labels, "pictures": count})
    else:
        print(f"{output}: {count} pictures")
