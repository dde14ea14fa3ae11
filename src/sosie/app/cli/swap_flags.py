"""Flags of `sosie swap`; those of SwapOptions have the words of its docstring as help."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from sosie.options import SwapOptions


def _option(name: str) -> Any:
    """A flag for the field `name` of SwapOptions."""
    pattern = rf"^    (?:\w+, )*{name}(?:, \w+)*: (.+(?:\n        .+)*)"
    described = re.search(pattern, SwapOptions.__doc__ or "", re.MULTILINE)
    text = " ".join(described[1].split()) if described else ""
    return typer.Option(help=text.replace("None ", "left out, "))


Source = Annotated[
    list[Path] | None,
    typer.Option("--source", "-s", help="Photo of the face to put in, or several of them."),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        help="Photo of the person whose face is to be replaced: nobody else's is. Of several faces "
        "in it the largest counts."
    ),
]
People = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="PERSON=SOURCE",
        help="Instead of a source: a reference photo and the source for that person, "
        "person.jpg=source.jpg or person.jpg=a.jpg,b.jpg. Repeat it for several people.",
    ),
]
Target = Annotated[
    Path, typer.Option("--target", "-t", help="Photo, film or folder to put it into.")
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="File to write; for a folder, a folder.")
]
Method = Annotated[str, _option("method")]
Model = Annotated[str | None, _option("model")]
Weights = Annotated[str | None, _option("weights")]
Interface = Annotated[str | None, _option("interface")]
Encoder = Annotated[str | None, _option("encoder")]
Converter = Annotated[str | None, _option("converter")]
Faces = Annotated[str, _option("faces")]
Keep = Annotated[str, _option("keep")]
Shape = Annotated[float, _option("shape")]
Blend = Annotated[str, _option("blend")]
Colour = Annotated[str, _option("colour")]
MaskFeather = Annotated[float, _option("mask_feather")]
Start = Annotated[str | None, _option("start_s")]
End = Annotated[str | None, _option("end_s")]
Codec = Annotated[str | None, _option("codec")]
Crf = Annotated[int, _option("crf")]
Preset = Annotated[str, _option("preset")]
Threads = Annotated[int | None, _option("threads")]
Provider = Annotated[str, _option("provider")]
