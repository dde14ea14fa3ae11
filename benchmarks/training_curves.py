"""The curves of swappers' trainings, from their logs.

    python benchmarks/training_curves.py runs/a runs/b docs/reports/training-curves.png
        --data DATA --cache CACHE

With --data and --cache they begin at what the networks do untrained, on the same people: 0 samples.
Needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib
import torch

from sosie.recipes import load_recipe
from sosie.training.recipe import Materials

matplotlib.use("Agg")

from matplotlib import pyplot

Entry = tuple[float, dict[str, float]]
"""Thousand samples, and what was found after them."""

_WORDS = "dashed: to the target\ndotted: source and target"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    plot, axes = pyplot.subplots(1, 3, figsize=(10.8, 3.3), dpi=100)
    left, middle, right = axes
    for number, run in enumerate(options.runs):
        begun, color = json.loads((run / "run.json").read_text("utf-8")), f"C{number}"
        log = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
        figures = entries(log, "figures")
        if options.data and options.cache:
            figures.insert(0, (0, untrained(begun, options.data, options.cache)))
        for key, style in (("similarity", "o-"), ("target", "o--")):
            left.plot(*curve(figures, key), style, color=color, markersize=3)
        middle.plot(*curve(figures, "reconstruction"), "o-", color=color, label=begun["name"])
        x, losses = curve(entries(log, "losses"), "generator/identity")
        right.plot(x, smoothed([loss / losses[0] for loss in losses]), color=color)
        left.axhline(figures[-1][1]["apart"], color="grey", linewidth=1, linestyle=":")
    left.set(title="similarity, people kept aside", ylim=(0, 1))
    left.text(0.4, 0.4, _WORDS, fontsize=8, transform=left.transAxes)
    middle.set(title="reconstruction error, people kept aside", ylim=(0, None))
    middle.legend(fontsize=8)
    right.set(title="identity loss, of its beginning", ylim=(0, None))
    for axis in axes:
        axis.set_xlabel("thousand samples")
        axis.title.set_fontsize(10)
    plot.tight_layout()
    plot.savefig(options.picture)


def entries(log: list[dict[str, Any]], kind: str) -> list[Entry]:
    return [(entry["samples"] / 1000, entry[kind]) for entry in log if kind in entry]


def curve(found: list[Entry], key: str) -> tuple[list[float], list[float]]:
    return [samples for samples, _ in found], [values[key] for _, values in found]


@torch.no_grad()
def untrained(begun: dict[str, Any], data: Path, cache: Path) -> dict[str, float]:
    """The validation figures of the network that a run begins with."""
    kind = load_recipe(begun["name"])
    plan = kind.presets[begun["preset"]] if begun["preset"] else kind.plan
    plan = kind.plan_with(plan, begun["settings"])
    recipe = kind(Materials(data, data, cache, 0), plan)
    torch.manual_seed(plan.seed)
    return recipe.validate(recipe.network().eval())


def smoothed(values: list[float], keep: float = 0.9) -> list[float]:
    found, average = [], values[0]
    for value in values:
        average = keep * average + (1 - keep) * value
        found.append(average)
    return found


if __name__ == "__main__":
    main()
