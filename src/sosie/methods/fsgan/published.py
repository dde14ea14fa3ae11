"""FSGAN's networks: what their parameters are called, and their facts."""

from __future__ import annotations

import re
from functools import partial

from sosie.methods.fsgan.network import (
    INPUTS,
    Critic,
    PyramidGenerator,
    SegmentationNetwork,
    published_generator,
)
from sosie.recipes.published.networks import Published

_PAPER = "Nirkin et al. 2022, FSGANv2: Improved Subject Agnostic Face Swapping and Reenactment"
_LICENSE = "CC0-1.0 code; the weights were trained on IJB-C and VGGFace2, for research alone"
_SIZE_PX = 256

_BOTTOM = "center"
_BLOCKS = {"down": "down_block", "up": "up_block", "flat": "flat_block"}


def generator_name(name: str) -> str:
    """The published name of one of PyramidGenerator's parameters, of one head."""
    name = re.sub(
        r"^base\.(down|up|flat)\.(\d)\.",
        lambda m: f"base.inner.{int(m[2]) * 'submodule.'}{_BLOCKS[m[1]]}.model.",
        name,
    )
    name = re.sub(r"^fine\.(up|flat)\.", lambda m: f"fine.{_BLOCKS[m[1]]}.model.", name)
    name = name.replace(".branch.", ".model.").replace(".stem.", ".in_conv.")
    return re.sub(r"^fine\.", "enhancer1.", name.replace(".heads.0.", ".out_conv."))


def split_name(name: str) -> str:
    """The same with two heads, which are numbered from 1."""
    name = re.sub(r"\.heads\.(\d)\.", lambda m: f".out_conv{int(m[1]) + 1}.", name)
    return generator_name(name)


def segmentation_name(name: str) -> str:
    """The published name of one of SegmentationNetwork's parameters."""

    def down(found: re.Match[str]) -> str:
        step = int(found[1]) + 1
        return f"{_BOTTOM if step == 5 else f'conv{step}'}.conv{int(found[2]) + 1}."

    name = re.sub(r"^down\.(\d)\.(\d)\.", down, name)
    name = re.sub(
        r"^up\.(\d)\.(\d)\.",
        lambda m: f"up_concat{int(m[1]) + 1}.conv.conv{int(m[2]) + 1}.",
        name,
    )
    name = re.sub(r"^narrow\.(\d)\.", lambda m: f"up_concat{int(m[1]) + 1}.conv1d.", name)
    return name.replace("last.", "final.")


def critic_name(name: str) -> str:
    """The published name of one of Critic's parameters: they are numbered from the smallest."""
    return re.sub(r"^judges\.scales\.(\d)\.", lambda m: f"layer{1 - int(m[1])}.", name)


_published = partial(
    Published,
    method="fsgan",
    paper=_PAPER,
    license=_LICENSE,
    value_range="RGB, -1..1, in and out; masks and heat-maps 0..1",
    alignment="none: the detected box, made square and 1.2 times as wide, 256 px",
    embedding="none",
)


def _generator(stage: str, summary: str, file: str) -> Published:
    channels = INPUTS[stage]
    return _published(
        build=partial(published_generator, stage),
        inputs=_pyramid(channels),
        outputs=("picture",),
        summary=summary,
        files=(file,),
        published_name=generator_name,
    )


def _pyramid(channels: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
    half = _SIZE_PX // 2
    return (
        ("full", (1, channels, _SIZE_PX, _SIZE_PX)),
        ("half", (1, channels, half, half)),
    )


PUBLISHED = {
    "fsgan_reenactment_v2": _generator(
        "reenactment",
        "moves a face to 98 landmarks; in: the face, then a heat-map of each",
        "nfv_msrunet_256_1_2_reenactment_v2.1.pth",
    ),
    "fsgan_reenactment_split_ngf64_in71": _published(
        build=partial(PyramidGenerator, 71, 64, 512, heads=2),
        inputs=_pyramid(71),
        outputs=("picture", "segmentation"),
        summary="moves a face to 68 landmarks and segments it; of the first version",
        published_name=split_name,
    ),
    "fsgan_inpainting_v2": _generator(
        "inpainting",
        "completes a face to a mask; in: the face on black, then the mask",
        "ijbc_msrunet_256_1_2_inpainting_v2.pth",
    ),
    "fsgan_blending_v2": _generator(
        "blending",
        "blends a face into a target; in: the face laid on, the target, then the mask",
        "ijbc_msrunet_256_1_2_blending_v2.pth",
    ),
    "fsgan_segmentation_unet_v2": _published(
        build=SegmentationNetwork,
        inputs=(("picture", (1, 3, _SIZE_PX, _SIZE_PX)),),
        outputs=("scores",),
        summary="tells background, face and hair apart",
        files=("celeba_unet_256_1_2_segmentation_v2.pth",),
        published_name=segmentation_name,
    ),
    "fsgan_disc": _published(
        build=Critic,
        inputs=(("picture", (1, 3, 128, 128)),),
        outputs=("real_full", "real_half"),
        summary="patch discriminator at two scales",
        published_name=critic_name,
    ),
}
