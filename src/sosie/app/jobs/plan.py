"""From the words of a command line to swaps: patterns, products of sources and targets, names."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from pathlib import Path

from sosie.app.folder import check_folders, result_name
from sosie.app.input_kinds import check_result, expand, files_in
from sosie.app.swap_command import Person, SwapCommand, people_of
from sosie.errors import InputError, UsageError, nearest
from sosie.media.kinds import Kind, kind_of, require_kind
from sosie.methods import PERSONAL
from sosie.options import SwapOptions
from sosie.output import check_output

WORDS = ("target", "source", "index", "extension")
"""What may stand between braces in the name of an output."""


def plan_jobs(
    targets: Sequence[Path],
    output: str,
    sources: Sequence[Path] | None,
    reference: Path | None,
    maps: Sequence[tuple[Path, Sequence[Path]]],
    options: SwapOptions,
) -> list[SwapCommand]:
    """A swap for each target, and, where the name of the output has `{source}`, for each source:
    each is then a person of its own, and a folder is one person's photos.

    output: a file, a folder, or a name with words of `WORDS` in braces. Raises UsageError where two
    swaps would have one output, or one is there already without `options.overwrite`, and what
    the targets raise.
    """
    given = expand(targets)
    words = _words(output)
    whole = Path(output)
    is_folder = not words and (len(given) > 1 or whole.is_dir() or given[0].is_dir())
    if is_folder:
        check_folders(given, whole)
    media = _media(given)
    needs_source = options.method not in PERSONAL
    casts = _casts(sources, reference, maps, "source" in words, needs_source)
    commands: list[SwapCommand] = []
    kept = options.absolute()
    for target, kind in media:
        for source, people in casts:
            if is_folder:
                name = whole / result_name(target, kind)
            elif words:
                name = _named(output, target, kind, source, len(commands))
            else:
                name = whole
            check_result(name, kind, options)
            commands.append(SwapCommand(target.absolute(), name.absolute(), people, kept))
    _refuse_twins(commands)
    for command in commands:
        paths = [path for person in command.people for path in person.sources]
        if command.output.parent.is_dir():
            check_output(command.output, [command.target, *paths], options.overwrite)
    return commands


def _media(targets: Sequence[Path]) -> list[tuple[Path, Kind]]:
    """The photos and videos that targets stand for: files, and what lies directly in folders."""
    media: list[tuple[Path, Kind]] = []
    for target in targets:
        if not target.is_dir():
            media.append((target, require_kind(target)))
            continue
        found = [(path, kind) for path in files_in(target) if (kind := kind_of(path)) is not None]
        if not found:
            raise InputError(f"The folder {target} holds no photo and no video; give another one.")
        media += found
    return media


def _words(output: str) -> set[str]:
    try:
        words = {word for _, word, _, _ in string.Formatter().parse(output) if word is not None}
    except ValueError as error:
        raise UsageError(f"The name {output!r} cannot be read ({error}); see --help.") from error
    for word in words:
        if not re.fullmatch("|".join(WORDS), word):
            raise UsageError(f"Unknown word {{{word}}} in {output!r}: {nearest(word, WORDS)}.")
    return words


def _named(output: str, target: Path, kind: Kind, source: str, index: int) -> Path:
    usual = Path(result_name(target, kind)).suffix
    name = Path(
        output.format(
            target=target.stem, source=source, index=index + 1, extension=usual.removeprefix(".")
        )
    )
    # A dot in a target's own name is no extension.
    return name if Path(output).suffix else name.with_name(name.name + usual)


def _casts(
    sources: Sequence[Path] | None,
    reference: Path | None,
    maps: Sequence[tuple[Path, Sequence[Path]]],
    each: bool,
    needs_source: bool,
) -> list[tuple[str, tuple[Person, ...]]]:
    """Who is put in, with a name for it: all sources as one person, or each as one."""
    if maps and sources:
        raise UsageError("A map names a source for each person; give either a map or sources.")
    if not maps and not sources and not needs_source:
        if each:
            raise UsageError("Without a source there is no {source} to name an output by.")
        return [("", people_of(None, reference, ()))]
    if not maps and not sources:
        raise UsageError("No source was given; name at least one photo, or a map of people.")
    if maps:
        if each:
            raise UsageError("With a map there is no {source} to name an output by.")
        pairs = [(whom, expand(by)) for whom, by in maps]
        return [("", people_of(None, None, pairs))]
    found = expand(sources or ())
    if not each:
        return [("", people_of(_photos(found), reference, ()))]
    return [(one.stem, people_of(_photos([one]), reference, ())) for one in found]


def _photos(sources: Sequence[Path]) -> list[Path]:
    """The sources, each folder replaced by what lies in it."""
    return [photo for one in sources for photo in (files_in(one) if one.is_dir() else [one])]


def _refuse_twins(commands: Sequence[SwapCommand]) -> None:
    taken: dict[Path, SwapCommand] = {}
    for command in commands:
        other = taken.setdefault(command.output, command)
        if other is not command:
            raise UsageError(
                f"The results of {other.target} and {command.target} would both be "
                f"{command.output}; put {{target}}, {{source}} or {{index}} into the name."
            )
