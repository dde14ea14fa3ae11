"""E4S's published checkpoint: what its parameters are called, and what to know of it."""

from __future__ import annotations

import re
from functools import partial
from typing import cast

from torch import nn

from sosie.methods.e4s.network import E4sForm, RegionNetwork, SwapGraph, graph_inputs
from sosie.methods.e4s.regions import REGIONS
from sosie.methods.e4s.swapper import OUTPUTS, TEMPLATE
from sosie.nn.stylegan2.generator import Form
from sosie.nn.stylegan2.layers import settle
from sosie.recipes.published.networks import Published
from sosie.recipes.published.stylegan2 import generator_name


def network_name(name: str) -> str:
    """The published name of one of the network's parameters."""
    if name.startswith("generator."):
        return "G." + generator_name(name.removeprefix("generator."))
    return re.sub(r"^regions\.", "MLPs.", name)


def _swap_graph(network: nn.Module) -> nn.Module:
    """The graph of a swap about the mean latent of the network's own mapping, which is changed."""
    whole = cast(RegionNetwork, network)
    return settle(SwapGraph(whole, whole.generator.mean_latent()))


def _published(form: E4sForm, files: tuple[str, ...] = ()) -> Published:
    side, generator = form.size_px, form.generator
    return Published(
        method="e4s",
        build=partial(RegionNetwork, form),
        inputs=(
            ("picture", (1, 3, side, side)),
            ("masks", (1, len(REGIONS), side, side)),
            ("mean", (generator.count, generator.latent)),
        ),
        outputs=("result", "described", "features"),
        summary=f"E4S: a face by its regions, {generator.size_px} px",
        paper="Liu et al. 2023, Fine-Grained Face Swapping via Regional GAN Inversion",
        license="MIT (code); its generator began as NVIDIA's, which is for non-commercial use",
        published_name=network_name,
        value_range="RGB, -1..1, in and out; masks 0 or 1",
        alignment=TEMPLATE,
        embedding="none: the identity is in the regions' descriptions",
        files=files,
        exported=_swap_graph,
        exported_inputs=graph_inputs(form),
        exported_outputs=OUTPUTS,
    )


PUBLISHED = {
    "e4s_net3_256": _published(E4sForm()),
    "e4s_net3_1024": _published(E4sForm(Form(1024)), ("iteration_300000.pt",)),
}
