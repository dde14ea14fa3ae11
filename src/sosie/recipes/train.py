"""From a recipe's name to a weight file with the draft of its card: what `sosie train` does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sosie import foreign
from sosie.errors import (
    InputError,
    InterruptedTrainingError,
    OutputError,
    UnavailableError,
    UsageError,
    nearest,
)
from sosie.models.cards import Card
from sosie.output import write_whole
from sosie.recipes import card, load_recipe
from sosie.recipes.published.files import is_snapshot, load_snapshot
from sosie.training.checkpoint import fitting, load_tensors, save_tensors
from sosie.training.loop import BEST, STATE, TrainingProgress, train
from sosie.training.recipe import Materials, Plan, Recipe

_ORDER = "run.json"
_ORDER_FORM: dict[Any, Any] = {
    "name": str,
    "settings": {str: str},
    "start": (str, None),
    "preset?": (str, None),
    "finetune?": bool,
    "form?": ({str: (int, float, str, bool, None)}, None),
}

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class Order:
    """A network to be made.

    name: of a recipe. run: folder for all that is written, but for `materials.cache`. settings: of
    the plan, as text. preset: name of one of the recipe's plans; None takes its usual one. resume:
    go on with what `run` holds; settings, preset and start then are those it was begun with, and
    need not be given; others are refused. start: a weight file, snapshot or imported network to
    begin with. finetune: that is a trained swapper, so it keeps its form, learns more slowly, and
    one person is enough. device: of DEVICES.
    """

    name: str
    materials: Materials
    run: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    resume: bool = False
    start: Path | None = None
    device: str = "cpu"
    preset: str | None = None
    finetune: bool = False


@dataclass(frozen=True)
class Made:
    """A trained network: its weight file, and its card beside it."""

    file: Path
    card: Card


def make(order: Order, on_progress: Callable[[TrainingProgress], None] | None = None) -> Made:
    """Train a network and write NAME.onnx, with the best snapshot's weights, and NAME.json into the
    run's folder.

    Raises UsageError, InputError and UnavailableError where the order cannot be carried out,
    OutputError where the folder cannot be written, and InterruptedTrainingError after Ctrl-C.
    """
    recipe_class = load_recipe(order.name)
    _require_device(order.device)
    begun = _resumed(order) if order.resume else _described(order)
    plan = _plan(recipe_class, begun)
    recipe = recipe_class(order.materials, plan)
    card.origins(recipe.uses())
    recipe.finetuned = begun["finetune"]
    start = _weights(recipe, order.start) if order.start and not order.resume else None
    try:
        order.run.mkdir(parents=True, exist_ok=True)
        if not order.resume and not (order.run / STATE).exists():
            write_whole(order.run / _ORDER, json.dumps(begun, indent=2) + "\n")
    except OSError as error:
        raise OutputError(
            f"The folder {order.run} cannot be written ({error.strerror}); give another one."
        ) from error
    try:
        best = train(
            recipe,
            plan,
            order.run,
            resume=order.resume,
            start=start,
            device=order.device,
            on_progress=on_progress,
        )
    except InterruptedTrainingError:
        # What has been learned so far can be looked at.
        if (order.run / BEST).is_file():
            _export(recipe, order.run / BEST, order.run, begun)
        raise
    return _export(recipe, best, order.run, begun)


def _plan(recipe_class: type[Recipe], begun: Mapping[str, Any]) -> Plan:
    """What is trained by: the recipe's plan or a preset of it, with what was set. A network that is
    fine-tuned keeps the form that it has, and learns as `Recipe.finetuning` says."""
    preset, form = begun["preset"], begun["form"]
    if preset is not None and preset not in recipe_class.presets:
        known = nearest(preset, recipe_class.presets) if recipe_class.presets else "it has none"
        raise UsageError(f"Unknown preset {preset!r} of {recipe_class.name}: {known}.")
    plan = recipe_class.presets[preset] if preset else recipe_class.plan
    if form is not None:
        fields = {field.name for field in dataclasses.fields(plan)}
        plan = dataclasses.replace(plan, **{k: v for k, v in form.items() if k in fields})
    return recipe_class.plan_with(plan, begun["settings"])


def _export(recipe: Recipe, best: Path, run: Path, begun: dict[str, Any]) -> Made:
    if not best.is_file():
        raise InputError(
            f"The training in {run} never scored a number, so there is no best snapshot: start "
            "another with a lower rate, for example --set lr=0.0005."
        )
    tensors, facts = load_tensors(best)
    network = recipe.network()
    with fitting(best):
        network.load_state_dict(tensors)
        figures = card.figures_of(facts["samples"], facts["figures"])
    file = run / f"{recipe.weight_file or recipe.name}.onnx"
    recipe.export(network.eval(), file)
    if recipe.keeps_snapshot:
        told = {**facts, "plan": dataclasses.asdict(recipe.chosen)}
        save_tensors(file.with_suffix(".safetensors"), tensors, told)
    made = card.draft(
        file,
        summary=recipe.summary,
        uses=recipe.uses(),
        figures=figures,
        license_name=recipe.license,
        remake=card.remake_command(
            recipe.name,
            begun["settings"],
            begun["start"],
            begun["preset"],
            begun["finetune"],
            uses=recipe.uses(),
            pair=recipe.materials.pair is not None,
            person=recipe.materials.person is not None,
        ),
    )
    card.write_card(made, file.with_suffix(".json"))
    return Made(file, made)


def _require_device(device: str) -> None:
    if device not in DEVICES:
        raise UsageError(f"Unknown device {device!r}: choose one of {', '.join(DEVICES)}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise UnavailableError(
            "The installed torch sees no CUDA device: install a build of torch for your GPU, or "
            "give --device cpu."
        )


def _described(order: Order) -> dict[str, Any]:
    """What the run is begun with, as it is kept for a resume and for the card."""
    form = None
    if order.finetune:
        assert order.start is not None
        form = _form_of(order.start, order.name, order.preset, order.materials.person is not None)
    return {
        "name": order.name,
        "settings": dict(order.settings),
        "start": order.start.name if order.start else None,
        "preset": order.preset,
        "finetune": order.finetune,
        "form": form,
    }


def _form_of(snapshot: Path, name: str, preset: str | None, person: bool) -> dict[str, Any]:
    """The plan that a trained network is fine-tuned by. Raises InputError on another file, and
    UsageError on an imported one."""
    if is_snapshot(snapshot):
        raise UsageError(
            f"{snapshot} is an imported network, which has no plan to go on with: begin with it by "
            f"--from, and choose its --preset."
        )
    _, facts = load_tensors(snapshot)
    if facts.get("name") != name or "plan" not in facts:
        raise InputError(
            f"{snapshot} is no snapshot of a trained {name}: name the snapshot.safetensors of its "
            f"run, or begin with parts of other weights by --from."
        )
    try:
        return load_recipe(name).finetuning(dict(facts["plan"]), preset, person)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"The plan in {snapshot} is damaged: name the snapshot of another run."
        ) from error


def _resumed(order: Order) -> dict[str, Any]:
    file = order.run / _ORDER
    try:
        begun = foreign.read_json(file, _ORDER_FORM, "start the run again in another folder")
    except FileNotFoundError:
        raise InputError(
            f"{order.run} holds no run to resume: leave --resume out, or name its folder."
        ) from None
    name, settings, start = begun["name"], begun["settings"], begun["start"]
    chosen = {key: begun.get(key) for key in ("preset", "form")}
    if name != order.name:
        raise UsageError(
            f"{order.run} holds a run of {name}, not of {order.name}: name another folder."
        )
    _require_same(order, begun)
    finetune = bool(begun.get("finetune"))
    settings = {**settings, **order.settings}
    return {"name": name, "settings": settings, "start": start, "finetune": finetune, **chosen}


def _require_same(order: Order, begun: Mapping[str, Any]) -> None:
    """Raises UsageError where a run that is to go on is ordered otherwise than it was begun."""
    given = {"preset": order.preset, "weights to begin with": order.start and order.start.name}
    was = {"preset": begun.get("preset"), "weights to begin with": begun["start"]}
    for key, value in given.items():
        if value and value != was[key]:
            raise UsageError(
                f"{order.run} was begun with the {key} {was[key]}, not {value}: leave that out to "
                f"go on, or begin another run."
                if was[key]
                else f"{order.run} was begun without {key}: leave {value} out to go on, or begin "
                f"another run."
            )


def _weights(recipe: Recipe, file: Path) -> dict[str, torch.Tensor]:
    if is_snapshot(file):
        published, facts = load_snapshot(file)
        return recipe.weights_of_published(facts.network, published.state_dict())
    if file.suffix != ".onnx":
        return recipe.starting_weights(*load_tensors(file))
    if not file.is_file():
        raise InputError(f"There is no {file}: name a weight file or a snapshot to start from.")
    return recipe.weights_from(file)
