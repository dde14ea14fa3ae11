"""MegaFS's published checkpoints: what their parameters are called, and what to know of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import get_args

from sosie.methods.megafs.network import Encoder, EncoderForm, Transfer, transfer_of
from sosie.nn.stylegan2.generator import Form, Generator
from sosie.recipes.published.networks import Published
from sosie.recipes.published.stylegan2 import generator_from_file, generator_name

_PAPER = "Zhu et al. 2021, One Shot Face Swapping on Megapixels"
_LICENSE = "CC BY-NC 4.0"
_GENERATOR_LICENSE = (
    "Nvidia Source Code License-NC: non-commercial; the port that most have it by is MIT code"
)

_MAPS = {"coarse": "output3", "middle": "output2", "fine": "output1", "structure": "output4"}
_CONVOLUTIONS = {"reduce": 1, "middle": 2, "expand": 3}
_LAYERS = {"0": "conv", "1": "bn"}
_ROLES = {"source": "idd", "target": "att"}
_INJECTED = {
    "read": "0.0.idd_linears.0",
    "scale": "0.0.idd_selectors",
    "shift": "0.0.idd_shifters",
    "norm": "0.0.att_bns",
    "out": "0.2",
}


def encoder_name(name: str) -> str:
    """The published name of one of the encoder's parameters."""
    name = re.sub(r"^trunk\.entry\.(\d)\.", lambda m: f"fpn.backbone.{_LAYERS[m[1]]}1.", name)
    name = re.sub(r"^trunk\.stages\.(\d)\.", lambda m: f"fpn.backbone.layer{int(m[1]) + 1}.", name)
    name = re.sub(
        r"\.(reduce|middle|expand)\.(\d)\.",
        lambda m: f".{_LAYERS[m[2]]}{_CONVOLUTIONS[m[1]]}.",
        name,
    )
    name = name.replace(".side.", ".downsample.")
    name = re.sub(r"^(coarse|middle|fine|structure)\.", lambda m: f"fpn.{_MAPS[m[1]]}.", name)
    return re.sub(r"^heads\.(\d)\.(\d)\.", lambda m: f"mapping{int(m[1]) + 1}.{m[2]}.convs.", name)


def transfer_name(name: str) -> str:
    """The published name of one of the face transfer module's parameters."""
    if name == "share":
        return "weight"

    def gate(found: re.Match[str]) -> str:
        kind = "selectors" if found["kind"] == "keep" else "shifters"
        return f"blocks.{found['cell']}.{_ROLES[found['role']]}_{kind}.{found['step']}."

    return re.sub(
        r"^cells\.(?P<cell>\d+)\.(?P<role>source|target)\.(?P<step>\d)\.(?P<kind>keep|add)\.",
        gate,
        name,
    )


def injection_name(name: str) -> str:
    """The published name of one of the identity injection's parameters."""
    return re.sub(
        r"^cells\.(\d+)\.(\d)\.(\w+)\.",
        lambda m: f"blocks.{m[1]}.att_path{int(m[2]) + 1}.{_INJECTED[m[3]]}.",
        name,
    )


_published = partial(
    Published,
    method="megafs",
    paper=_PAPER,
    license=_LICENSE,
    value_range="RGB, -1..1, in and out; latents -1..1",
    alignment="ffhq; the encoder sees it at 256 px",
    embedding="none: the identity is in the source's latents",
)

_FORM = Form()
_BOTH = tuple((name, (1, _FORM.count, _FORM.latent)) for name in ("source", "target"))
_TRANSFERS: dict[Transfer, tuple[str, Callable[[str], str]]] = {
    "ftm": ("face transfer module", transfer_name),
    "injection": ("identity injection", injection_name),
    "lcr": ("replacement of latents, which has no parameters", str),
}


def _generator(form: Form, summary: str, files: tuple[str, ...]) -> Published:
    structure = (1, form.channels(form.sides[0]), form.sides[0], form.sides[0])
    return _published(
        build=partial(Generator, form),
        inputs=(("structure", structure), ("latents", (1, form.count, form.latent))),
        outputs=("picture",),
        summary=summary,
        license=_GENERATOR_LICENSE,
        files=files,
        published_name=generator_name,
        from_file=partial(generator_from_file, form),
    )


PUBLISHED = {
    "megafs_hierfe": _published(
        build=partial(Encoder, EncoderForm()),
        inputs=(("picture", (1, 3, 256, 256)),),
        outputs=("latents", "structure"),
        summary="MegaFS's encoder: a face into StyleGAN2's latents and structure",
        files=tuple(f"{kind}_final.pth" for kind in get_args(Transfer)),
        published_name=encoder_name,
    ),
    **{
        f"megafs_swapper_{kind}": _published(
            build=partial(transfer_of, kind, _FORM.count, _FORM.latent),
            inputs=_BOTH,
            outputs=("latents",),
            summary=f"MegaFS's transfer: {_TRANSFERS[kind][0]}",
            files=(f"{kind}_final.pth",),
            published_name=_TRANSFERS[kind][1],
        )
        for kind in get_args(Transfer)
    },
    "megafs_stylegan2_1024": _generator(
        _FORM,
        "StyleGAN2 of faces, 1024 px (config-f)",
        ("stylegan2-ffhq-config-f.pth", "stylegan2-ffhq-config-f.pkl", "ffhq.pkl"),
    ),
    "megafs_stylegan2_256_small": _generator(
        Form(256), "StyleGAN2 of faces, 256 px, as the port builds it", ()
    ),
}
