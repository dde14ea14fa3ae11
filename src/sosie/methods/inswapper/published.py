"""inswapper's published layout: what its parameters are called, and what to know of it."""

from __future__ import annotations

import re

from sosie.methods.inswapper.network import Generator
from sosie.recipes.published.networks import Published


def published_name(name: str) -> str:
    """The published name of one of the generator's parameters."""
    # Activations stand between the published encoder's convolutions.
    name = re.sub(r"^encoder\.(\d)", lambda m: f"target_encoder.{2 * int(m[1])}", name)
    name = re.sub(r"^blocks\.(.+)\.linear\.", r"style_blocks.\1.", name)
    name = re.sub(r"^blocks\.", "style_blocks.", name)
    for own, published in (
        ("up.0.", "decoder.0."),
        ("up.1.", "decoderPart1.0."),
        ("fine.", "decoderPart1.2."),
        ("last.", "decoderPart2.0."),
    ):
        if name.startswith(own):
            return published + name.removeprefix(own)
    return name


PUBLISHED = {
    "inswapper_reswapper_128": Published(
        method="inswapper",
        build=Generator,
        inputs=(("target", (1, 3, 128, 128)), ("source", (1, 512))),
        outputs=("swapped",),
        summary="inswapper_128's layout as re-created by ReSwapper",
        paper="none; layout of inswapper_128 (insightface), plan of SimSwap (Chen et al. 2020)",
        license="inswapper's own weights: non-commercial; ReSwapper: AGPL-3.0",
        value_range="RGB, 0..1, in and out",
        alignment="arcface_128, 128 px",
        embedding="of arcface w600k_r50, length 1, times the 512 x 512 embedding map that comes "
        "with the weights, length 1 again",
        published_name=published_name,
    )
}
