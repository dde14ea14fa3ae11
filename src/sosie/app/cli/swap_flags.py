"""Flags of `sosie swap`; those of SwapOptions have the words of its docstring as help."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from sosie.app.cli.arguments import method_names, offering
from sosie.options import BLENDS, COLORS, KEPT, SwapOptions


def _option(name: str, values: Callable[[], Iterable[str]] = tuple) -> Any:
    """A flag for the field `name` of SwapOptions. values: what a shell offers for it."""
    pattern = rf"^    (?:\w+, )*{name}(?:, \w+)*: (.+(?:\n        .+)*)"
    described = re.search(pattern, SwapOptions.__doc__ or "", re.MULTILINE)
    text = " ".join(described[1].split()) if described else ""
    return typer.Option(help=text.replace("None ", "left out, "), autocompletion=offering(values))


# Asked for by a shell alone, so that their modules are not loaded for a swap.


def _interfaces() -> Iterable[str]:
    from sosie.methods.onnx.interfaces import INTERFACES

    return INTERFACES


def _codecs() -> Iterable[str]:
    from sosie.media.encoders import ENCODERS, is_available

    return filter(is_available, ENCODERS)


def _presets() -> Iterable[str]:
    from sosie.media.encoders import PRESETS

    return PRESETS


def _providers() -> Iterable[str]:
    from sosie.models.session import available_providers

    return available_providers()


Source = Annotated[
    list[Path] | None,
    typer.Option(
        "--source", "-s", help="Photo of the face to put in; several, or a pattern as 'me/*.jpg'."
    ),
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
    list[Path],
    typer.Option(
        "--target",
        "-t",
        help="Photo, video or folder to put it into; several, or a pattern as 'shots/*.jpg'.",
    ),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="File to write; for several targets, a folder.")
]
Method = Annotated[str, _option("method", method_names)]
Model = Annotated[str | None, _option("model")]
Weights = Annotated[str | None, _option("weights")]
Interface = Annotated[str | None, _option("interface", _interfaces)]
Encoder = Annotated[str | None, _option("encoder")]
Converter = Annotated[str | None, _option("converter")]
Faces = Annotated[str, _option("faces", lambda: ("largest", "all"))]
Keep = Annotated[str, _option("keep", lambda: KEPT)]
Shape = Annotated[float, _option("shape")]
Blend = Annotated[str, _option("blend", lambda: BLENDS)]
Color = Annotated[str, _option("color", lambda: COLORS)]
MaskFeather = Annotated[float, _option("mask_feather")]
Start = Annotated[str | None, _option("start_s")]
End = Annotated[str | None, _option("end_s")]
Codec = Annotated[str | None, _option("codec", _codecs)]
Crf = Annotated[int, _option("crf")]
Preset = Annotated[str, _option("preset", _presets)]
Threads = Annotated[int | None, _option("threads")]
Provider = Annotated[str, _option("provider", _providers)]
