"""What a trained swapper does for people that nothing was learned or chosen on, as another network
than the one that it was trained with sees it.

    python benchmarks/trained_swapper.py runs/a/snapshot.safetensors --data DATA --cache CACHE
        --teachers TEACHERS

Needs the extra `train`, and mobileface_v2.onnx among the teachers. That network has taught Sosie's
identity network, among others, so it is not wholly independent of it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import torch

from sosie.datasets.pairs import Pairs
from sosie.datasets.split import is_held_out
from sosie.recipes import load_recipe
from sosie.recipes.identity.teachers import IDENTITY_FILE
from sosie.recipes.swapper.plan import SwapPlan
from sosie.recipes.swapper.recipe import SwapRecipe
from sosie.recipes.teachers_onnx import OnnxModule
from sosie.training.checkpoint import load_tensors
from sosie.training.recipe import Materials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("snapshot", type=Path, help="snapshot.safetensors or best.safetensors")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, required=True)
    parser.add_argument("--preset", default="small", help="where the snapshot names no plan")
    parser.add_argument("--person", help="only pairs with this person as the source")
    parser.add_argument("--pairs", type=int, default=256)
    options = parser.parse_args()
    tensors, facts = load_tensors(options.snapshot)
    kind = load_recipe(facts["name"])
    plan = SwapPlan(**facts["plan"]) if "plan" in facts else kind.presets[options.preset]
    recipe = kind(Materials(options.data, options.teachers, options.cache, 0), plan)
    assert isinstance(recipe, SwapRecipe)
    network = recipe.network()
    network.load_state_dict(tensors)
    other = OnnxModule(options.teachers / IDENTITY_FILE, ("fc5_bn",))
    found = measure(recipe, network.eval(), other, options.pairs, options.person)
    print(json.dumps({"samples": facts["samples"], **found}, indent=2))


@torch.no_grad()
def measure(
    recipe: SwapRecipe, network: torch.nn.Module, other: OnnxModule, count: int, person: str | None
) -> dict[str, float]:
    """Means over pairs of strangers: how alike result and source, result and target, and source and
    target are, by both networks; and the error where the target's own identity is put in."""
    people = recipe._people
    rows = np.flatnonzero([is_held_out(name) for name in people.people])
    pairs, rng = Pairs(people.people, rows, 0.0), np.random.default_rng(1)
    drawn = [pairs.draw(rng) for _ in range(count)]
    if person is not None:
        own = np.flatnonzero(people.people == person)
        drawn = [dataclasses.replace(pair, source=int(rng.choice(own))) for pair in drawn]
    columns: list[torch.Tensor] = []
    for start in range(0, count, 32):
        part = drawn[start : start + 32]
        batch = {
            "source": torch.from_numpy(np.stack([people.faces[p.source] for p in part])),
            "target": torch.from_numpy(np.stack([people.faces[p.target] for p in part])),
        }
        source, target = (recipe.pictures(batch, key) for key in ("source", "target"))
        wanted, own_who = recipe.embed(source), recipe.embed(target)
        made = recipe.swapped(network, target, wanted)
        again = recipe.swapped(network, target, own_who)
        views = [seen_by(other, recipe, x) for x in (made, source, target)]
        who = [recipe.embed(made), wanted, own_who]
        values = [
            (a * b).sum(1)
            for found in (who, views)
            for a, b in ((found[0], found[1]), (found[0], found[2]), (found[1], found[2]))
        ]
        error = (again.float() - target).abs().mean((1, 2, 3)) / (1 - recipe.low)
        columns.append(torch.stack([*values, error]))
    names = [
        f"{key}, {judge}"
        for judge in ("Sosie's network", "another network")
        for key in ("result and source", "result and target", "source and target")
    ]
    means = torch.cat(columns, 1).mean(1).tolist()
    return dict(zip([*names, "reconstruction error"], means, strict=True))


def seen_by(network: OnnxModule, recipe: SwapRecipe, pictures: torch.Tensor) -> torch.Tensor:
    """Another network's embeddings, of length 1, through the recipe's crop."""
    embedder = recipe._embedder
    recipe.__dict__["_embedder"] = _Other(network)
    try:
        return torch.nn.functional.normalize(recipe.embed(pictures))
    finally:
        recipe.__dict__["_embedder"] = embedder


class _Other(torch.nn.Module):
    def __init__(self, network: OnnxModule) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        numbers: torch.Tensor = self.network((faces.float() + 1) * 127.5)[0]
        return numbers


if __name__ == "__main__":
    main()
