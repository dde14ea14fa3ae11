"""How near a training's step is to the bare arithmetic of its networks, and whether it is ever
kept waiting for samples.

    python benchmarks/training_speed.py simswap --data faces/ --cache cache/ --preset small

Needs the extra `train`. The bare step is what the recipe's phases compute and nothing else: the
same losses, forward and backward, without optimizers, averages, log and sample preparation.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from sosie.recipes import load_recipe
from sosie.training import loop
from sosie.training.recipe import Materials, Recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a method with a recipe, such as simswap")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    kind = load_recipe(options.name)
    plan = kind.presets[options.preset]
    plan = dataclasses.replace(
        plan, samples=options.steps * plan.batch, validate_every=10 * options.steps * plan.batch
    )
    recipe = kind(Materials(options.data, options.data, options.cache, options.workers), plan)
    recipe.prepare()
    # Validation has its own cost, once in thousands of steps; it is not what is asked here.
    recipe.validate = lambda _: {"score": 0.0}  # type: ignore[method-assign]
    recipe.preview = lambda _: None  # type: ignore[method-assign]
    # Turn about, so that what else the machine does weighs on both.
    bare, whole, waiting = [], [], []
    for _ in range(3):
        bare.append(bare_step_s(recipe, options.steps, options.device))
        step_s, waited = loop_step_s(recipe, options.device)
        whole.append(step_s)
        waiting.append(waited)
    print(
        f"{options.name} {options.preset}, batch {plan.batch}: bare step {min(bare):.3f} s, step "
        f"of the loop {min(whole):.3f} s: {min(whole) / min(bare):.2f} times as long; "
        f"{plan.batch / min(whole):.1f} images a second, {min(waiting):.1%} of the time waiting "
        f"for samples"
    )


def clock(device: str) -> float:
    """Processor time where the processor computes: other programs' turns are not counted."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def bare_step_s(recipe: Recipe, steps: int, device: str) -> float:
    """Seconds of one forward and backward of all phases."""
    network = recipe.network().to(device).train()
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in range(recipe.chosen.batch)]
    batch = {
        key: torch.from_numpy(np.stack([sample[key] for sample in samples])).to(device)
        for key in samples[0]
    }
    phases = recipe.phases()
    children = dict(network.named_children())
    started = 0.0
    for step in range(steps + 2):
        if step == 2:
            started = clock(device)
        shared = dict(batch)
        for phase in phases:
            network.requires_grad_(False)
            for name in phase.trains or children:
                children[name].requires_grad_(True)
            network.zero_grad(set_to_none=True)
            torch.stack(list(phase.losses(network, shared, 0.5).values())).sum().backward()
    return (clock(device) - started) / steps


def loop_step_s(recipe: Recipe, device: str) -> tuple[float, float]:
    """Seconds of one step of the training loop, and the share of the time that it waited."""
    marks: list[float] = []
    learn = loop._Job._learn

    def timed(job: loop._Job, parts: list[dict[str, torch.Tensor]]) -> None:
        marks.append(clock(device))
        learn(job, parts)

    loop._Job._learn = timed  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as place:
            run = Path(place) / "run"
            loop.train(recipe, recipe.chosen, run, device=device)
            lines = (run / loop.LOG).read_text("utf-8").splitlines()
    finally:
        loop._Job._learn = learn  # type: ignore[method-assign]
    last = [entry for entry in map(json.loads, lines) if "waiting" in entry][-1]
    return (marks[-1] - marks[2]) / (len(marks) - 3), last["waiting"]


if __name__ == "__main__":
    main()
