"""HifiFace's published checkpoints, of two re-implementations: what they call its parameters, and
their facts."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from numpy.typing import NDArray

from sosie.methods.hififace.network import VECTOR, Generator, MaumFusion, XuehyFusion
from sosie.recipes.published.networks import Published

_PAPER = (
    "Wang et al. 2021, HifiFace: 3D Shape and Semantic Prior Guided High Fidelity Face Swapping"
)
_STYLES = {
    ".first_style.scale.": ".adain1.std_style_fc.",
    ".first_style.shift.": ".adain1.mean_style_fc.",
    ".second_style.scale.": ".adain2.std_style_fc.",
    ".second_style.shift.": ".adain2.mean_style_fc.",
}
_MAUM = {
    "fusion.": "sff.",
    ".refine.": ".sigma.",
    ".low_mask.": ".low_mask_predict.",
    ".fuse.": ".z_fuse_block.",
    "sff.up.": "sff.f_up.net.",
}
_XUEHY = {
    "fusion.": "sff_module.",
    ".refine.": ".sigma.",
    ".low_mask.": ".low_mask_predict.0.",
    ".fuse.0.": ".z_fuse_block_1.",
    ".fuse.1.": ".z_fuse_block_2.",
    ".low_picture.": ".i_low_block.1.",
    "sff_module.up.": "sff_module.f_up.net.",
    "sff_module.picture.": "sff_module.f_up.i_r_net.1.",
    "sff_module.mask.": "sff_module.f_up.m_r_net.0.",
}
_RESAMPLED = re.compile(r"^(encoder\.block_list\.[0-4]|sff(_module)?\.f_up\.net\.[01])\.")
"""Blocks that change the size, which is one more layer before their second convolution."""
_STYLED = re.compile(r"^(decoder\.|sff(_module)?\.z_fuse_block)")


def published_name(name: str, fusion: dict[str, str]) -> str:
    """The published name of one of the generator's parameters.

    fusion: how the parts of the fusion module are called.
    """
    name = name.replace("encoder.entry.", "encoder.conv_first.")
    for ours, theirs in {".blocks.": ".block_list.", **fusion, **_STYLES}.items():
        name = name.replace(ours, theirs)
    name = name.replace(".side.", ".side_path.0.")
    if _STYLED.match(name):
        name = name.replace(".first.", ".main_path1.1.")
        return name.replace(".second.", ".main_path2.1.")
    second = 6 if _RESAMPLED.match(name) else 5
    return name.replace(".first.", ".main_path.2.").replace(".second.", f".main_path.{second}.")


def generator_alone(state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Without the networks that make the vector, which some files also hold."""
    return {key: value for key, value in state.items() if not key.startswith("id_extractor.")}


def _published(
    fusion: type[MaumFusion] | type[XuehyFusion],
    names: dict[str, str],
    summary: str,
    license_name: str,
) -> Published:
    return Published(
        method="hififace",
        build=partial(Generator, fusion),
        inputs=(("target", (1, 3, 256, 256)), ("vector", (1, VECTOR))),
        outputs=("swapped", "swapped_low", "mask", "mask_low"),
        summary=summary,
        paper=_PAPER,
        license=license_name,
        value_range="RGB, 0..1, in; as trained also out, though nothing bounds it",
        alignment="mtcnn_512 in one published converter, at 256 px",
        embedding="80 coefficients of the source's 3D face and 177 of the target's, then 512 of "
        "arcface_iresnet100 with length 1",
        published_name=partial(published_name, fusion=names),
        from_file=generator_alone,
    )


PUBLISHED = {
    "hififace_maum_generator": _published(
        MaumFusion, _MAUM, "HifiFace's generator as maum.ai built it", "BSD-3-Clause"
    ),
    "hififace_xuehy_generator": _published(
        XuehyFusion, _XUEHY, "HifiFace's generator as xuehy built it", "MIT"
    ),
}
