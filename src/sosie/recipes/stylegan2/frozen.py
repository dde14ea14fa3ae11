"""A trained generator that a later training builds on, and does not change."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from sosie.errors import InputError
from sosie.nn.stylegan2.generator import Generator
from sosie.recipes.published.files import is_snapshot, load_snapshot
from sosie.recipes.stylegan2.recipe import Adversaries, StyleGanPlan
from sosie.training.checkpoint import fitting, load_tensors


def frozen_generator(file: Path) -> Generator:
    """The generator in a file of `sosie train stylegan2`, or an imported one. Raises InputError on
    another file."""
    if is_snapshot(file):
        network: nn.Module = load_snapshot(file)[0]
    else:
        tensors, facts = load_tensors(file)
        if facts.get("name") != "stylegan2":
            raise InputError(f"{file} is no trained stylegan2: name the folder of its run.")
        with fitting(file):
            both = Adversaries(StyleGanPlan(**facts["plan"]).form)
            both.load_state_dict(tensors)
        network = both.generator
    if not isinstance(network, Generator):
        raise InputError(f"{file} is no generator of StyleGAN2: name another folder.")
    if network.form.size_px < 64:
        raise InputError(f"{file} makes pictures of {network.form.size_px} px: 64 are the least.")
    return network.requires_grad_(False).eval()
