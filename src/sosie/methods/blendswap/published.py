"""What BlendSwap's published checkpoint calls its parameters, and its facts."""

from __future__ import annotations

import re
from typing import Any

from numpy.typing import NDArray

from sosie.methods.blendswap.network import BlendSwap
from sosie.recipes.published.networks import Published

_DENORM = {
    "norm": "BNorm",
    "attribute_scale": "conv1",
    "attribute_shift": "conv2",
    "identity_scale": "fc_1",
    "identity_shift": "fc_2",
    "mask": "conv_f",
}
_PARTS = ("G", "E", "mask_head")


def published_name(name: str) -> str:
    """The published name of one of the network's parameters."""
    name = re.sub(r"^encoder\.down\.", "E.Encoder.layer_", name)
    name = re.sub(r"^encoder\.up\.", "E.Decoder.layer_", name)
    name = re.sub(r"^generator\.blocks\.(\d)\.", r"G.model.layer_\1.", name)
    # The side path stands third among the published block's units.
    name = name.replace(".side.", ".units.2.")
    name = re.sub(
        r"\.units\.(\d)\.denorm\.(\w+)\.",
        lambda m: f".add{int(m[1]) + 1}.{_DENORM[m[2]]}.",
        name,
    )
    return re.sub(r"\.units\.(\d)\.conv\.", lambda m: f".conv{int(m[1]) + 1}.", name)


def averaged(state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The entries that inference uses: the running averages of the weights where the file has them.

    The file also holds the weights as trained and the identity encoder.
    """
    for ending in ("_ema", ""):
        found = {
            f"{part}.{key.removeprefix(f'{part}{ending}.')}": value
            for part in _PARTS
            for key, value in state.items()
            if key.startswith(f"{part}{ending}.")
        }
        if found:
            return found
    return state


PUBLISHED = {
    "blendswap": Published(
        method="blendswap",
        build=BlendSwap,
        inputs=(("target", (1, 3, 256, 256)), ("identity", (1, 512))),
        outputs=("swapped",),
        summary="BlendSwap's generator with its mask head",
        paper="Shiohara et al. 2023, BlendFace: Re-designing Identity Encoders for Face-Swapping",
        license="CC BY-NC-SA 4.0",
        value_range="RGB, 0..1, in and out",
        alignment="ffhq, 256 px",
        embedding="of BlendFace's encoder (layout arcface_iresnet100; a face of 112 px, arcface "
        "alignment), length 1",
        files=("blendswap.pth",),
        published_name=published_name,
        from_file=averaged,
    )
}
