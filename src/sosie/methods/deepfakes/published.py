"""faceswap's model "original", and what its parameters are called."""

from __future__ import annotations

import re

from sosie.methods.deepfakes.network import Original
from sosie.recipes.published.networks import Published

_WIDTHS = (128, 256, 512, 1024)
_UP = (256, 128, 64)


def original_name(name: str) -> str:
    """The published name of one of the network's parameters.

    Layers that are alike are counted over both decoders: face, mask, face, mask.
    """
    name = name.replace(".weight", "/kernel").replace(".bias", "/bias")
    name = re.sub(
        r"^encoder\.down\.(\d)", lambda m: f"encoder/conv_{_WIDTHS[int(m[1])]}_0_conv2d", name
    )
    name = name.replace("dense.squeeze", "encoder/dense").replace("dense.widen", "encoder/dense_1")
    name = name.replace("dense.up.conv", "encoder/upscale_512_0_conv2d_conv2d")
    name = re.sub(r"^decoder_(.)\.(face|mask)_out", r"decoder_\1/\2_out_\1_0_conv2d", name)
    return re.sub(
        r"^decoder_(.)\.(face|mask)\.(\d)\.conv",
        lambda m: (
            f"decoder_{m[1]}/upscale_{_UP[int(m[3])]}_"
            f"{2 * (m[1] == 'b') + (m[2] == 'mask')}_conv2d_conv2d"
        ),
        name,
    )


PUBLISHED = {
    "faceswap_original": Published(
        method="deepfakes",
        build=Original,
        inputs=(("face", (1, 3, 64, 64)),),
        outputs=("a", "a_mask", "b", "b_mask"),
        summary="the first DeepFakes network with learned masks, at 64 px",
        paper="none: the program faceswap",
        license="that of whoever trained them: the program is GPL-3.0, its users' weights are not",
        value_range="BGR, 0..1",
        alignment="faceswap's face centering: the middle of the crop's side, as its user chose it",
        embedding="none: the two people are in the weights",
        published_name=original_name,
    )
}
