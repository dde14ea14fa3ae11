"""GHOST's published checkpoints: what their parameters are called, and what to know of them."""

from __future__ import annotations

import re
from functools import partial
from typing import get_args

from sosie.methods.ghost.network import AeiNet, Backbone, discriminator
from sosie.recipes.published.networks import Published

_PAPER = "Groshev et al. 2022, GHOST: A New Face Swap Approach for Image and Video Domains"
_LICENSE = "Apache-2.0"
_RANGE = "RGB, -1..1, in and out"
_ALIGNMENT = "arcface_112_v1 (the nearest of five pose templates), 224 px, resized to 256 px"

_DENORM = {
    "attribute_scale": "conv1",
    "attribute_shift": "conv2",
    "identity_scale": "fc1",
    "identity_shift": "fc2",
    "mask": "conv_h",
}
_BOTTLENECK = {"reduce": 1, "middle": 2, "expand": 3}


def _unit_name(match: re.Match[str]) -> str:
    """A unit is three published layers, of which the second, a ReLU, has no parameters."""
    unit, part, layer = match["unit"], match["part"], match["layer"]
    first = 3 * int(unit.removeprefix("units.")) if unit != "side" else 0
    place = "last_add_block" if unit == "side" else "add_blocks"
    if part == "conv":
        return f"{place}.{first + 2}."
    return f"{place}.{first}.{_DENORM[layer]}."


def generator_name(name: str) -> str:
    """The published name of one of the generator's parameters."""
    name = name.replace("generator.start.", "generator.up1.")
    name = re.sub(r"\.blocks\.(\d)\.", lambda m: f".AADBlk{int(m[1]) + 1}.", name)
    unit = r"(?P<unit>units\.\d|side)\.(?P<part>conv|denorm)\.(?:(?P<layer>\w+)\.(?=weight|bias))?"
    return re.sub(unit, _unit_name, name)


def u_shape_name(name: str) -> str:
    """The published name of a parameter of the "unet" and "linknet" forms."""
    name = re.sub(r"^encoder\.down\.(\d)\.", lambda m: f"encoder.conv{int(m[1]) + 1}.", name)
    name = re.sub(
        r"^encoder\.up\.(\d)\.(\d)\.",
        lambda m: f"encoder.deconv{int(m[1]) + 1}.{('deconv', 'bn')[int(m[2])]}.",
        name,
    )
    return generator_name(name)


def resnet_name(name: str) -> str:
    """The published name of a parameter of the "resnet" form."""
    for number, part in enumerate(("entry", "halve")):
        name = name.replace(f"encoder.{part}.0.", f"encoder.conv{number}.")
        name = name.replace(f"encoder.{part}.1.", f"encoder.bn{number}.")
    name = re.sub(r"^encoder\.stages\.(\d)\.", lambda m: f"encoder.layer{int(m[1]) + 1}.", name)
    for part, number in _BOTTLENECK.items():
        name = name.replace(f".{part}.0.", f".conv{number}.").replace(
            f".{part}.1.", f".bn{number}."
        )
    if name.startswith("encoder."):
        name = name.replace(".side.", ".downsample.")
    return generator_name(name)


def discriminator_name(name: str) -> str:
    """The published name of a discriminator's parameter: they are numbered from the smallest."""
    return re.sub(r"^scales\.(\d)\.", lambda m: f"layer{2 - int(m[1])}.", name)


def _generator(backbone: Backbone, units: int) -> Published:
    plural = "s" if units > 1 else ""
    # Of the three encoders only this one has published weights.
    file = (f"G_unet_{units}block{plural}.pth",) if backbone == "unet" else ()
    return Published(
        method="ghost",
        build=partial(AeiNet, backbone, units),
        inputs=(("target", (1, 3, 256, 256)), ("identity", (1, 512))),
        outputs=("swapped", *(f"attributes{number}" for number in range(8))),
        summary=f"GHOST's generator: {backbone} encoder, {units} block{plural}",
        paper=_PAPER,
        license=_LICENSE,
        value_range=_RANGE,
        alignment=_ALIGNMENT,
        embedding="of arcface_iresnet100 (the 224 px crop, halved), as it is: not of length 1",
        files=file,
        published_name=resnet_name if backbone == "resnet" else u_shape_name,
    )


PUBLISHED = {
    **{
        f"ghost_{backbone}_{units}": _generator(backbone, units)
        for backbone in get_args(Backbone)
        for units in (1, 2, 3)
    },
    "ghost_disc": Published(
        method="ghost",
        build=discriminator,
        inputs=(("picture", (1, 3, 256, 256)),),
        outputs=("logits_full", "logits_half", "logits_quarter"),
        summary="GHOST's patch discriminator at three scales",
        paper=_PAPER,
        license=_LICENSE,
        value_range=_RANGE.removesuffix(", in and out"),
        alignment=_ALIGNMENT,
        embedding="none",
        files=tuple(f"D_unet_{blocks}.pth" for blocks in ("1block", "2blocks", "3blocks")),
        published_name=discriminator_name,
    ),
}
