"""SimSwap's published checkpoints: which network each is, and what its parameters are called."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from sosie.methods.simswap.network import (
    OFFICIAL_224,
    OFFICIAL_512,
    TRAINED,
    TRAINED_DEEP,
    Discriminator,
    Form,
    Generator,
)
from sosie.nn.arcface_se import SeResNet101
from sosie.recipes.published.networks import Published

_PAPER = "Chen et al. 2020, SimSwap: An Efficient Framework For High Fidelity Face Swapping"
_LICENSE = "CC BY-NC 4.0, academic and non-commercial use"
_UNIT_RANGE = "RGB, 0..1, in and out; no mean or deviation"
_IMAGENET = "RGB with ImageNet's mean and deviation taken out, in and out"
_LATENT = "of SimSwap's own encoder (simswap_arcface_foamliu_r101), length 1"


def generator_name(name: str, first_level: int, levels: int) -> str:
    """The published name of one of the generator's parameters.

    first_level: the number of the first `down`; levels: how many there are.
    """
    name = re.sub(r"^blocks\.(\d+)\.conv(\d)\.", r"BottleNeck.\1.conv\2.1.", name)
    name = re.sub(r"^blocks\.", "BottleNeck.", name)
    name = re.sub(r"^down\.(\d+)\.", lambda m: f"down{int(m[1]) + first_level}.", name)
    # The decoder's layers are numbered like the encoder's that they undo; upsampling is their 0.
    name = re.sub(
        r"^up\.(\d+)\.(\d)\.",
        lambda m: f"up{first_level + levels - 1 - int(m[1])}.{int(m[2]) + 1}.",
        name,
    )
    name = re.sub(r"^first\.(\d)\.", lambda m: f"first_layer.{int(m[1]) + 1}.", name)
    return re.sub(r"^last\.", "last_layer.1.", name)


def discriminator_name(name: str) -> str:
    """The published name of one of the discriminator's parameters."""
    name = name.replace("logits.", "conv2.0.").replace("layers.4.", "conv1.")
    return re.sub(r"^layers\.(\d)\.", lambda m: f"down{int(m[1]) + 1}.", name)


def _naming(form: Form) -> Callable[[str], str]:
    first = 0 if form is OFFICIAL_512 else 1
    return partial(generator_name, first_level=first, levels=len(form.widths) - 1)


def _generator(
    form: Form, size_px: int, summary: str, alignment: str, files: tuple[str, ...]
) -> Published:
    return Published(
        method="simswap",
        build=partial(Generator, form),
        inputs=(("target", (1, 3, size_px, size_px)), ("identity", (1, 512))),
        outputs=("swapped",),
        summary=summary,
        paper=_PAPER,
        license=_LICENSE,
        value_range=_UNIT_RANGE if form.bounded else _IMAGENET,
        alignment=alignment,
        embedding=_LATENT,
        files=files,
        published_name=_naming(form),
    )


_FIVE_POSES = "arcface_112_v1 (the nearest of five pose templates), 224 px"

PUBLISHED = {
    "simswap224_official": _generator(
        OFFICIAL_224,
        224,
        "SimSwap's released generator at 224 px",
        _FIVE_POSES,
        ("latest_net_G.pth",),
    ),
    "simswap512_official": _generator(
        OFFICIAL_512,
        512,
        "SimSwap's released generator at 512 px (beta)",
        "ffhq, 512 px",
        ("550000_net_G.pth",),
    ),
    "simswap_train_fix": _generator(
        TRAINED,
        224,
        "the generator that SimSwap's released training code makes: key for key the official one's "
        "names, but ImageNet-normalized and unbounded",
        _FIVE_POSES,
        (),
    ),
    "simswap_train_fix_deep": _generator(
        TRAINED_DEEP,
        224,
        "the deeper generator of SimSwap's released training code",
        _FIVE_POSES,
        (),
    ),
    "simswap_disc": Published(
        method="simswap",
        build=Discriminator,
        inputs=(("picture", (1, 3, 224, 224)),),
        outputs=(*(f"features{number}" for number in range(5)), "logits"),
        summary="the patch discriminator of SimSwap's original recipe",
        paper=_PAPER,
        license=_LICENSE,
        value_range=_UNIT_RANGE,
        alignment=_FIVE_POSES,
        embedding="none",
        published_name=discriminator_name,
    ),
    "simswap_arcface_foamliu_r101": Published(
        method="simswap",
        build=SeResNet101,
        inputs=(("face", (1, 3, 112, 112)),),
        outputs=("embedding",),
        summary="SimSwap's identity encoder, an SE-IR ResNet-101; its depth is inferred",
        paper="Deng et al. 2019, ArcFace: Additive Angular Margin Loss for Deep Face Recognition",
        license=_LICENSE,
        value_range=_IMAGENET.removesuffix(", in and out"),
        alignment=f"{_FIVE_POSES}, then 112 px by nearest neighbor",
        embedding="the generators take it with length 1",
        files=("arcface_checkpoint.tar",),
    ),
}
