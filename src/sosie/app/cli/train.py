"""`sosie train`: make one of the networks from pictures and teachers."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sosie.app.cli.arguments import AsJson, offering
from sosie.app.cli.output import print_json
from sosie.errors import InputError, UsageError
from sosie.recipes import NEED_TEACHERS, TABLE, extra_packages, load_recipe

if TYPE_CHECKING:
    from sosie.recipes.train import Made
    from sosie.training.loop import TrainingProgress

_LINE_EVERY_S = 60.0
"""Where stderr is no terminal, a line of progress appears so often."""


Name = Annotated[
    str,
    typer.Argument(
        help=f"Network to make: {', '.join(TABLE)}.", autocompletion=offering(lambda: TABLE)
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Folder or .zip of pictures; for a swapper, one folder for each person is best."
    ),
]
OfSource = Annotated[
    Path | None,
    typer.Option(
        "--source",
        help="Of a network of two people: folder of photos or set of faces of the one who is put "
        "in; deepfacelab and deepfakes take a video, too.",
    ),
]
OfTarget = Annotated[
    Path | None, typer.Option("--target", help="The same of the one whose face is replaced.")
]
Run = Annotated[Path, typer.Option(help="Folder for the run: state, log, result.")]
Teachers = Annotated[
    Path | None, typer.Option(help="Folder of the teachers; most swappers need none.")
]
Preset = Annotated[str | None, typer.Option(help="One of the recipe's plans, as `small`.")]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder for what is prepared once; left out, `cache` beside the run's."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change the recipe's plan, as samples=100000; repeatable."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run.")]
Start = Annotated[
    Path | None,
    typer.Option(
        "--from", help="Weights to begin with: .onnx, best.safetensors, or an imported network."
    ),
]
Finetune = Annotated[
    Path | None, typer.Option(help="A snapshot.safetensors to go on with, on other pictures.")
]
Person = Annotated[
    Path | None,
    typer.Option(
        help="With --finetune, of fsgan_reenactment: video, folder or .zip of the one person it is "
        "fine-tuned on; --data then names other people, whose likeness is watched."
    ),
]
Device = Annotated[str, typer.Option(help="Where to compute: cpu or cuda.")]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0, help="Processes that prepare samples; left out, one less than there are cores."
    ),
]


def train(
    name: Name,
    run: Run,
    data: Data = None,
    source: OfSource = None,
    target: OfTarget = None,
    teachers: Teachers = None,
    preset: Preset = None,
    cache: Cache = None,
    settings: Settings = None,
    resume: Resume = False,
    start: Start = None,
    finetune: Finetune = None,
    person: Person = None,
    device: Device = "cpu",
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Make a network from pictures and teachers: NAME.onnx and its card NAME.json."""
    chosen = dict(map(_setting, settings or ()))
    recipe = load_recipe(name)
    with extra_packages():
        from sosie.recipes.train import Order, make
        from sosie.training.recipe import Materials

    if finetune is not None and start is not None:
        raise UsageError("--finetune and --from both name weights to begin with: give one of them.")
    pair = _pair(name, recipe.takes_two, source, target)
    _require_person(name, recipe.takes_person, person, finetune, resume)
    pictures = (data or person) if pair is None else pair[0]
    if pictures is None:
        what = "--data, or with --source and --target" if recipe.takes_two else "--data"
        raise UsageError(f"{name} learns from pictures: name them with {what}.")
    if pair is not None and data is not None:
        raise UsageError("--data names one set, --source and --target name two: give either.")
    may_be_video = pair is not None or person is not None
    _require_pictures(name, pictures, teachers, may_be_video)
    order = Order(
        name=name,
        materials=Materials(
            data=pictures,
            teachers=teachers or pictures,
            cache=cache or run.parent / "cache",
            workers=max(1, (os.cpu_count() or 1) - 1) if workers is None else workers,
            pair=pair,
            person=person,
        ),
        run=run,
        settings=chosen,
        resume=resume,
        start=finetune or start,
        finetune=finetune is not None,
        preset=preset,
        device=device,
    )
    # In this order: a bar takes stderr over, and the notes are to appear above it.
    with _training_progress(name) as on_progress, library_notes():
        made = make(order, on_progress)
    if as_json:
        print_json({"file": str(made.file), "card": dataclasses.asdict(made.card)})
    else:
        print(_summary(made))


def _pair(
    name: str, takes_two: bool, source: Path | None, target: Path | None
) -> tuple[Path, Path] | None:
    """The places of two people's faces, where they are given. Raises UsageError where one is given
    alone, or to what learns from no two people; InputError where both are one place."""
    if source is None and target is None:
        return None
    if not takes_two:
        raise UsageError(f"{name} learns from one place with many people: name it with --data.")
    if source is None or target is None:
        missing = "--source" if source is None else "--target"
        raise UsageError(f"{name} learns from two people: name the other one with {missing}.")
    for place in (source, target):
        if not place.exists():
            raise InputError(f"There is no {place}: name photos of the person.")
    if source.samefile(target):
        raise InputError(
            f"{source} is both source and target, and a swap takes two people: give photos of "
            f"a second one."
        )
    return source, target


def _require_person(
    name: str, takes_person: bool, person: Path | None, finetune: Path | None, resume: bool
) -> None:
    """Raises UsageError where a person is given to what is not fine-tuned on one, InputError where
    there is no such place."""
    if person is None:
        return
    if not takes_person:
        raise UsageError(f"{name} is not fine-tuned on one person: leave --person out.")
    if finetune is None and not resume:
        raise UsageError("--person goes with --finetune SNAPSHOT: name the trained network.")
    if not person.exists():
        raise InputError(f"There is no {person}: name a video or photos with --person.")


def _require_pictures(name: str, data: Path, teachers: Path | None, may_be_video: bool) -> None:
    if not data.is_file() and not may_be_video:
        require_folder(data, "--data")
    if teachers is not None:
        require_folder(teachers, "--teachers")
    elif name in NEED_TEACHERS:
        raise UsageError(f"{name} learns from teachers: name their folder with --teachers.")


def require_folder(folder: Path, flag: str) -> None:
    """Raises InputError where a folder that is to be read is not there."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: name another with {flag}.")


@contextmanager
def library_notes() -> Iterator[None]:
    """What the library says of long preparations goes to stderr."""
    logger = logging.getLogger("sosie")
    handler = logging.StreamHandler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


@contextmanager
def _training_progress(label: str) -> Iterator[Callable[[TrainingProgress], None]]:
    """A function that shows the progress of a training on stderr: a bar on a terminal, a line now
    and then elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(label)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None, facts="preparing")

        def show(progress: TrainingProgress) -> None:
            bar.update(
                task,
                completed=progress.samples,
                total=progress.total,
                facts=_facts(progress),
            )

        yield show


def _lines(label: str) -> Callable[[TrainingProgress], None]:
    due = time.monotonic()

    def show(progress: TrainingProgress) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due or progress.samples >= progress.total:
            due = now + _LINE_EVERY_S
            line = f"{label}: {progress.samples} of {progress.total}, {_facts(progress)}"
            print(line, file=sys.stderr, flush=True)

    return show


def _facts(progress: TrainingProgress) -> str:
    left_s = (progress.total - progress.samples) / max(progress.rate, 1e-9)
    rate = f"{progress.rate:.0f}" if progress.rate >= 100 else f"{progress.rate:.3g}"
    parts = [
        f"{rate} samples a second, {_span(left_s)} left",
        f"losses: {_values(progress.losses)}",
    ]
    if progress.figures:
        parts.append(f"validation: {_values(progress.figures)}")
    return "; ".join(parts)


def _span(seconds: float) -> str:
    """How long something takes, for a person who plans the day: `3.4 hours`, `25 minutes`."""
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.1f} hours"
    minutes = math.ceil(seconds / 60)
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def _values(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--set takes NAME=VALUE, as samples=100000, not {text!r}.")
    return name, value


def _summary(made: Made) -> str:
    figures = "; ".join(f"{name} {value:g}" for name, value in made.card.figures.items())
    size = made.file.stat().st_size / 1e6
    return f"{made.file}: {size:.2f} MB\n  {figures}\n  card: {made.file.with_suffix('.json')}"
