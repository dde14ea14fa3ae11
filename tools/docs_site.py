"""What the site of the documentation takes from the code: `mkdocs.yml` names this file twice.

As a hook of mkdocs it adds a page for each method, and writes the reference of the command
line. As an extension of griffe it sets the fields of a docstring (`name: what it is`) as a list.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

METHODS = Path(__file__).resolve().parents[1] / "src/sosie/methods"
COMMANDS = "<!-- commands -->"
METHOD_TABLE = "<!-- methods -->"
FIGURES, FRAME_VALUES = "<!-- figures -->", "<!-- frame values -->"
_EVERYWHERE = {"--help", "--install-completion", "--show-completion"}
_FIELD = re.compile(r"^(\w+(?:, \w+)*): ", re.MULTILINE)


class FieldLists(griffe.Extension):
    """Fields of a docstring as a list: a paragraph would run them together."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = field_lists(obj.docstring.value)


def field_lists(text: str) -> str:
    """Paragraphs that begin with a field become lists; what is raised, a paragraph of its own."""
    text = inspect.cleandoc(text)
    text = re.sub(r"\s(?=Raises )", "\n\n", text)
    text = re.sub(r"(?<=[.;]) (?=\w+(?:, \w+)*: [a-z`])", "\n", text)
    return "\n\n".join(map(_listed, re.split(r"\n\s*\n", text)))


def _listed(paragraph: str) -> str:
    if not _FIELD.match(paragraph):
        return paragraph
    return _FIELD.sub(lambda field: f"- **{field[1]}**: ", paragraph)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the methods to the navigation."""
    pages = [{name: f"methods/{name}.md"} for name in _methods()]
    next(entry["Methods"] for entry in config.nav or () if "Methods" in entry).extend(pages)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each method."""
    for name, readme in _methods().items():
        files.append(
            File.generated(config, f"methods/{name}.md", content=readme.read_text("utf-8"))
        )
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fills the places that are marked."""
    filled = {
        COMMANDS: _commands,
        METHOD_TABLE: _method_table,
        FIGURES: _figures,
        FRAME_VALUES: _frame_values,
    }
    for mark, lines in filled.items():
        if mark in markdown:
            markdown = markdown.replace(mark, "\n\n".join(lines()))
    return markdown


def _methods() -> dict[str, Path]:
    """Name -> page: the README of a method's folder, or a page there that bears the name of another
    method, which shares the folder."""
    pages = METHODS.glob("*/*.md")
    named = {page.parent.name if page.stem == "README" else page.stem: page for page in pages}
    return dict(sorted(named.items()))


def _method_table() -> Iterator[str]:
    from sosie.methods import TABLE

    rows = ["| | swaps | can be trained | imports published weights |", "|---|---|---|---|"]
    for name, readme in _methods().items():
        has = [name in TABLE]
        trained = [readme.parent.glob(f"{part}.py") for part in ("*recipe", "published")]
        has += [readme.stem == "README" and any(files) for files in trained]
        marks = " | ".join("✓" if one else "" for one in has)
        rows.append(f"| [{name}]({name}.md) | {marks} |")
    yield "\n".join(rows)


def _figures() -> Iterator[str]:
    """Every figure of `sosie eval`, under the headings of reports."""
    from sosie.evaluation.metrics import load_metrics
    from sosie.evaluation.report.run import ARROWS

    groups: dict[str, list[str]] = {}
    for metric in load_metrics().values():
        for one in metric.figures.values():
            unit = f", {one.unit}" if one.unit else ""
            title = f"**{one.title}** {ARROWS[one.better]}".rstrip()
            source = f"*{one.formula}* ({one.source})"
            groups.setdefault(metric.group, []).append(
                f"- {title} (`{one.name}`{unit}; {one.kind}). {one.summary}\n"
                f"  {source}. Limits: {one.limits}"
            )
    for heading, items in groups.items():
        yield f"### {heading}"
        yield "\n".join(items)


def _frame_values() -> Iterator[str]:
    from sosie.evaluation.metrics import metrics_of
    from sosie.evaluation.metrics.base import FrameMetric

    values = [value for metric in metrics_of(FrameMetric).values() for value in metric.values]
    rows = [f"| `{value.name}` | {value.summary} |" for value in values]
    yield "\n".join(["| name | what |", "|---|---|", *rows])


def _commands() -> Iterator[str]:
    import typer

    from sosie.app.cli.entry import app

    yield from _command(typer.main.get_command(app), "sosie")


def _command(command: Any, name: str) -> Iterator[str]:
    children = getattr(command, "commands", {})
    depth = len(name.split())
    if depth > 1:
        yield f"{'#' * min(depth, 4)} `{name}`"
        yield " ".join((command.help or "").split("\n\n")[0].split())
        rest = (command.help or "").split("\n\n")[1:]
        yield from (" ".join(part.split()) for part in rest)
    parameters = [one for one in command.params if not getattr(one, "hidden", False)]
    shown = [row for row in map(_row, parameters) if row]
    if shown and not children:
        yield "\n".join(["| | |", "|---|---|", *shown])
    for child, inner in children.items():
        yield from _command(inner, f"{name} {child}")


def _row(parameter: Any) -> str:
    is_option = parameter.param_type_name == "option"
    if is_option and set(parameter.opts) & _EVERYWHERE:
        return ""
    given = [parameter.name.upper()]
    if is_option:
        given = [*parameter.opts, *parameter.secondary_opts]
    text = getattr(parameter, "help", None) or ""
    if re.match(r"[a-z]+ ", text):
        text = text[0].upper() + text[1:]
    default = parameter.default
    if parameter.required:
        text += " **Required.**"
    elif default not in (None, "", False, True, ()) and not callable(default):
        values = default if isinstance(default, list | tuple) else [default]
        text += f" Default: `{' '.join(map(str, values))}`."
    names = ", ".join(f"`{name}`" for name in given)
    return f"| {names} | {text.replace('|', '&#124;').strip()} |"
