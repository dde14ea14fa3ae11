"""Flags of `sosie swap`. Those of SwapOptions are made from its fields, with the words of its
docstring as help."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from sosie.app.cli.arguments import offering, parse_time
from sosie.options import SwapOptions

_SECONDS = "_s"
"""So ends the name of a field that is a time: its flag has no unit, and takes timecodes too."""


def flag_for(name: str) -> Any:
    """The type of a parameter that is a flag for the field `name` of SwapOptions."""
    field = next(one for one in dataclasses.fields(SwapOptions) if one.name == name)
    words = SwapOptions.words_on(name).replace("None ", "left out, ")
    flag = field.metadata["flag"] or _parameter(name).replace("_", "-")
    offers = field.metadata["offers"]
    option = typer.Option(
        f"--{flag}", help=words, autocompletion=offering(functools.partial(_offered, offers))
    )
    return Annotated[_kind(name), option]


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with a flag for each field of SwapOptions in place of its parameter `options`."""
    fields = dataclasses.fields(SwapOptions)
    whole = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in whole.parameters.values():
        if parameter.name != "options":
            parameters.append(parameter)
            continue
        for field in fields:
            one = parameter.replace(
                name=_parameter(field.name), default=field.default, annotation=flag_for(field.name)
            )
            parameters.append(one)

    @functools.wraps(command)
    def run(**given: Any) -> None:
        values = {one.name: _value(one.name, given.pop(_parameter(one.name))) for one in fields}
        command(**given, options=SwapOptions(**values))

    shown: Any = run
    shown.__signature__ = whole.replace(parameters=parameters)
    shown.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _parameter(name: str) -> str:
    return name.removesuffix(_SECONDS)


def _kind(name: str) -> Any:
    hint = get_type_hints(SwapOptions)[name]
    if name.endswith(_SECONDS):
        return str | None
    return list[str] if hint == tuple[str, ...] else hint


def _value(name: str, given: Any) -> Any:
    if isinstance(given, list):
        return tuple(given)
    is_time = name.endswith(_SECONDS) and given is not None
    return parse_time(given) if is_time else given


def _offered(offers: str | tuple[str, ...]) -> Iterable[str]:
    """The values that a shell completes; their module is loaded only when it asks."""
    if not isinstance(offers, str):
        return offers
    module, name = offers.split(":")
    found: Any = getattr(import_module(module), name)
    return list(found() if callable(found) else found)


Source = Annotated[
    list[Path] | None,
    typer.Option(
        "--source",
        "-s",
        help="Photo of the face to put in; several, a pattern as 'me/*.jpg', or a video.",
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
