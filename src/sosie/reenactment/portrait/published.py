"""LivePortrait's published checkpoints: which network each is, and what its parameters are called.

The ONNX files that are made of them have the inputs and outputs of those that circulate, but that
warping and generator, two checkpoints, are two files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from sosie.recipes.published.networks import Published
from sosie.reenactment.portrait.generator_network import SpadeGenerator
from sosie.reenactment.portrait.motion_network import (
    HEADS,
    RETARGETING,
    MotionExtractor,
    MotionInDegrees,
    RetargetingNetwork,
)
from sosie.reenactment.portrait.warping_network import AppearanceExtractor, WarpingModule

_PAPER = (
    "Guo et al. 2024, LivePortrait: Efficient Portrait Animation with Stitching and Retargeting "
    "Control"
)
_LICENSE = "MIT"
_ALIGNMENT = "LivePortrait's own crop, 256 px; arcface_128 where an expression is restored"
_VOLUME = (1, 32, 16, 64, 64)
_POINTS = (1, 21, 3)

Rules = Mapping[str, str | Callable[[re.Match[str]], str]]
"""Regular expressions and what to put in their place."""


def published_name(rules: Rules, name: str) -> str:
    """The published name of one of our own parameters: each rule is replaced wherever it fits."""
    for ours, theirs in rules.items():
        name = re.sub(ours, theirs, name)
    return name


def _published(
    name: str,
    build: Callable[[], nn.Module],
    inputs: Mapping[str, tuple[int, ...]],
    outputs: tuple[str, ...],
    summary: str,
    rules: Rules,
    **more: Any,
) -> Published:
    facts = {
        "value_range": "no pictures",
        "alignment": _ALIGNMENT,
        "embedding": "none",
        "files": (f"{name}.pth",),
        "published_name": partial(published_name, rules),
    }
    return Published(
        method="portrait",
        build=build,
        inputs=tuple(inputs.items()),
        outputs=outputs,
        summary=summary,
        paper=_PAPER,
        license=_LICENSE,
        **{**facts, **more},
    )


def _retargeting(name: str, summary: str) -> Published:
    return _published(
        name,
        partial(RetargetingNetwork, name),
        {"input": (1, RETARGETING[name][0])},
        ("output",),
        summary,
        {},
        alignment="none",
        files=("stitching_retargeting_module.pth",),
    )


_IMAGE = {"input": (1, 3, 256, 256)}

PUBLISHED = {
    "liveportrait_appearance_feature_extractor": _published(
        "appearance_feature_extractor",
        AppearanceExtractor,
        _IMAGE,
        ("output",),
        "LivePortrait's appearance: a face as a volume of features",
        {r"^down\.": "down_blocks.", r"^blocks\.": "resblocks_3d.3dr"},
        value_range="RGB, 0..1",
    ),
    "liveportrait_motion_extractor": _published(
        "motion_extractor",
        MotionExtractor,
        _IMAGE,
        tuple(HEADS),
        "LivePortrait's motion: a face's pose, expression and keypoints",
        {
            r"^down\.(\d)": lambda found: f"downsample_layers.{int(found[1]) + 1}",
            r"^stem\.": "downsample_layers.0.",
            r"^heads\.": "fc_",
            r"\.spatial\.": ".dwconv.",
            r"\.wide\.": ".pwconv1.",
            r"\.response\.": ".grn.",
            r"\.narrow\.": ".pwconv2.",
            r"^": "detector.",
        },
        value_range="RGB, 0..1",
        exported=MotionInDegrees,
    ),
    "liveportrait_warping_module": _published(
        "warping_module",
        WarpingModule,
        {"feature_volume": _VOLUME, "source": _POINTS, "target": _POINTS},
        ("features", "occlusion", "deformation"),
        "LivePortrait's warping: the volume moved to the driving points (`source`) from the "
        "picture's own (`target`)",
        {
            r"^motion\.": "dense_motion_network.",
            r"hourglass\.down\.": "hourglass.encoder.down_blocks.",
            r"hourglass\.up\.": "hourglass.decoder.up_blocks.",
            r"hourglass\.last\.": "hourglass.decoder.",
        },
        opset=20,
    ),
    "liveportrait_spade_generator": _published(
        "spade_generator",
        SpadeGenerator,
        {"features": (1, 256, 64, 64)},
        ("output",),
        "LivePortrait's generator: moved features to a picture of 512 px",
        {
            r"^first\.": "fc.",
            r"^middle\.": "G_middle_",
            r"^up\.": "up_",
            r"^last\.": "conv_img.0.",
            r"\.shared\.": ".mlp_shared.0.",
            r"\.(gamma|beta)\.": r".mlp_\1.",
        },
        value_range="RGB, 0..1, out",
    ),
    "liveportrait_stitching": _retargeting(
        "stitching", "LivePortrait's stitching: driving points that fit the picture's surroundings"
    ),
    "liveportrait_lip": _retargeting("lip", "LivePortrait's lips, opened as a number says"),
    "liveportrait_eye": _retargeting("eye", "LivePortrait's eyes, opened as a number says"),
}
