"""FaceShifter's public re-implementations: what their parameters are called, and their facts."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from numpy.typing import NDArray

from sosie.methods.faceshifter.network import (
    MindsAei,
    MindsHear,
    TaoAei,
    TaoHear,
    tao_discriminator,
)
from sosie.recipes.published.networks import Published

_PAPER = "Li et al. 2020, FaceShifter: Towards High Fidelity And Occlusion Aware Face Swapping"
_TAO_LICENSE = "none stated; ask the author of taotaonice/FaceShifter"
_TAO_RANGE = "BGR, -1..1, in and out"
_TAO_ALIGNMENT = "arcface's square template by MTCNN's points, 256 px"
_TAO_IDENTITY = (
    "of arcface_ir_se50_treb, length 1; its face is pixels 19 to 237 of the crop, then 112 px"
)
_MINDS_LICENSE = "BSD-3-Clause"
_MINDS_ALIGNMENT = "ffhq, 256 px"

_TAO_DENORM = {
    "attribute_scale": "conv1",
    "attribute_shift": "conv2",
    "identity_scale": "fc1",
    "identity_shift": "fc2",
    "mask": "conv_h",
}
_MINDS_DENORM = {
    "norm": "BNorm",
    "attribute_scale": "conv1",
    "attribute_shift": "conv2",
    "identity_scale": "fc_1",
    "identity_shift": "fc_2",
    "mask": "conv_f",
}


def _units(name: str, layer: str, denorm: dict[str, str]) -> str:
    """Units are numbered from 1 in both, and the side path is the third."""
    name = name.replace(".side.", ".units.2.")
    name = re.sub(
        r"\.units\.(\d)\.denorm\.(\w+)\.",
        lambda m: f".{layer}{int(m[1]) + 1}.{denorm[m[2]]}.",
        name,
    )
    return re.sub(r"\.units\.(\d)\.conv\.", lambda m: f".conv{int(m[1]) + 1}.", name)


def tao_aei_name(name: str) -> str:
    """The published name of one of TaoAei's parameters."""
    name = re.sub(r"^encoder\.down\.(\d)\.", lambda m: f"encoder.conv{int(m[1]) + 1}.", name)
    name = re.sub(
        r"^encoder\.up\.(\d)\.(\d)\.",
        lambda m: f"encoder.deconv{int(m[1]) + 1}.{('deconv', 'bn')[int(m[2])]}.",
        name,
    )
    name = name.replace("generator.start.", "generator.up1.")
    name = re.sub(r"\.blocks\.(\d)\.", lambda m: f".AADBlk{int(m[1]) + 1}.", name)
    return _units(name, "AAD", _TAO_DENORM)


def tao_hear_name(name: str) -> str:
    """The published name of one of TaoHear's parameters."""
    name = re.sub(r"^body\.(down|up)\.(\d)\.", lambda m: f"{m[1]}{int(m[2]) + 1}.", name)
    return name.replace("head.", "up5.")


def tao_discriminator_name(name: str) -> str:
    """The published name of a discriminator's parameter: they are numbered from the smallest."""
    return re.sub(r"^scales\.(\d)\.", lambda m: f"layer{2 - int(m[1])}.", name)


def minds_aei_name(name: str) -> str:
    """The published name of one of MindsAei's parameters."""
    name = re.sub(r"^encoder\.down\.", "E.Encoder.layer_", name)
    name = re.sub(r"^encoder\.up\.", "E.Decoder.layer_", name)
    name = name.replace("generator.start.", "G.convt.")
    name = name.replace("generator.blocks.", "G.model.layer_")
    return _units(name, "add", _MINDS_DENORM)


def minds_hear_name(name: str) -> str:
    """The published name of one of MindsHear's parameters."""
    name = name.replace("body.down.", "Encoder.layer_").replace("body.up.", "Decoder.layer_")
    return name.replace("head.", "Decoder.layer_4.")


def generator_alone(state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The generator's entries: a checkpoint of the training also holds D.* and the encoder Z.*."""
    return {key: value for key, value in state.items() if key.startswith(("G.", "E."))} or state


_published = partial(Published, method="faceshifter", paper=_PAPER)
_tao = partial(_published, license=_TAO_LICENSE, alignment=_TAO_ALIGNMENT)
_minds = partial(_published, license=_MINDS_LICENSE, alignment=_MINDS_ALIGNMENT)

PUBLISHED = {
    "faceshifter_tao_aei": _tao(
        build=TaoAei,
        inputs=(("target", (1, 3, 256, 256)), ("identity", (1, 512))),
        outputs=("swapped", *(f"attributes{number}" for number in range(8))),
        summary="first stage of FaceShifter as taotaonice built it, never published trained",
        value_range=_TAO_RANGE,
        embedding=_TAO_IDENTITY,
        published_name=tao_aei_name,
    ),
    "faceshifter_tao_hear": _tao(
        build=TaoHear,
        inputs=(("stages", (1, 6, 256, 256)),),
        outputs=("swapped",),
        summary="second stage of FaceShifter as taotaonice built it; in: the first stage's result, "
        "then the target less its own reconstruction",
        value_range=_TAO_RANGE,
        embedding="none",
        published_name=tao_hear_name,
    ),
    "faceshifter_tao_disc": _tao(
        build=tao_discriminator,
        inputs=(("picture", (1, 3, 256, 256)),),
        outputs=("logits_full", "logits_half", "logits_quarter"),
        summary="patch discriminator at three scales of taotaonice's FaceShifter",
        value_range=_TAO_RANGE.removesuffix(", in and out"),
        embedding="none",
        published_name=tao_discriminator_name,
    ),
    "faceshifter_minds_aei": _minds(
        build=MindsAei,
        inputs=(("target", (1, 3, 256, 256)), ("identity", (1, 256))),
        outputs=("swapped",),
        summary="first stage of FaceShifter as mindslab (maum.ai) built it",
        value_range="RGB, 0..1, in and out",
        embedding="of a torchvision ResNet-101 trained with ArcFace to 256 numbers, length 1",
        published_name=minds_aei_name,
        from_file=generator_alone,
    ),
    "faceshifter_minds_hear_unet": _minds(
        build=MindsHear,
        inputs=(("stages", (1, 6, 256, 256)),),
        outputs=("swapped",),
        summary="second stage of FaceShifter as mindslab (maum.ai) wrote it and never trained it",
        value_range="RGB; in as minds_aei's, out unbounded",
        embedding="none",
        published_name=minds_hear_name,
    ),
}
