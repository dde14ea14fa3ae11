"""FSLSD's published checkpoint: what its parameters are called, and what to know of it."""

from __future__ import annotations

import re
from functools import partial

from sosie.methods.fslsd.network import (
    FIRST_PX,
    BaldMapping,
    EncoderForm,
    FlatDecoder,
    GeneratorMaps,
    LatentEncoder,
    TargetEncoder,
    map_widths,
)
from sosie.nn.stylegan2.generator import Form
from sosie.recipes.published.networks import Published
from sosie.recipes.published.stylegan2 import generator_from_file, generator_name

_PAPER = "Xu et al. 2022, High-resolution Face Swapping via Latent Semantics Disentanglement"
_LICENSE = "none stated by the authors: ask them before you use the weights"
_GENERATOR_LICENSE = f"{_LICENSE}; it comes from NVIDIA's, which is for non-commercial use"


def encoder_name(name: str) -> str:
    """The published name of one of the target encoder's parameters."""
    number, part = name.removeprefix("stages.").split(".")
    places = {"kernel": 0, "weight": 1, "bias": 2} if number != "0" else {"weight": 0, "bias": 1}
    return f"encoder.{number}.0.{places[part]}.{part}"


def decoder_name(name: str, levels: int) -> str:
    """The published name of one of the parameters of a decoder of so many levels."""
    name = re.sub(
        r"^levels\.(\d+)\.(conv|kernel)",
        lambda m: f"decoder.{m[1]}." + {"conv": "upsample_conv", "kernel": "blur.kernel"}[m[2]],
        name,
    )
    last = {"reduce": "0", "bias": "1.bias", "picture": "2"}
    return re.sub(r"^(reduce|bias|picture)", lambda m: f"decoder.{levels}.{last[m[1]]}", name)


_published = partial(
    Published,
    method="fslsd",
    paper=_PAPER,
    license=_LICENSE,
    value_range="RGB, -1..1, in and out",
    alignment="ffhq",
    embedding="none: the identity is in the source's latents",
)

_FORM = Form()
_SMALL = Form(32)


def _maps(form: Form, who: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    sides = (side for side in form.sides if side >= FIRST_PX)
    return tuple(
        (f"{who}{side}", (1, width, side, side))
        for side, width in zip(sides, map_widths(form), strict=True)
    )


def _names(form: Form) -> tuple[str, ...]:
    return tuple(name for name, _ in _maps(form, "maps"))


def _decoder(form: Form) -> Published:
    widths = map_widths(form)
    mask = ("mask", (1, 1, form.size_px, form.size_px))
    return _published(
        build=partial(FlatDecoder, widths),
        inputs=(*_maps(form, "source"), *_maps(form, "target"), mask),
        outputs=("picture",),
        summary=f"FSLSD's decoder: maps of source and target into a picture of {form.size_px} px",
        published_name=partial(decoder_name, levels=len(widths) - 1),
        files=("CELEBA-HQ-1024.pt",) if form == _FORM else (),
    )


PUBLISHED = {
    "fslsd_landmark_encoder": _published(
        build=partial(LatentEncoder, EncoderForm()),
        inputs=(("landmarks", (1, EncoderForm().channels, 256, 256)),),
        outputs=("offsets",),
        summary="FSLSD's landmark encoder: two faces' heat-maps into changes of the first latents",
        files=("CELEBA-HQ-1024.pt",),
    ),
    "fslsd_target_encoder": _published(
        build=partial(TargetEncoder, map_widths(_FORM)[::-1]),
        inputs=(("target", (1, 3, _FORM.size_px, _FORM.size_px)),),
        outputs=_names(_FORM),
        summary="FSLSD's target encoder: a picture into the maps that surround the face",
        files=("CELEBA-HQ-1024.pt",),
        published_name=encoder_name,
    ),
    "fslsd_f_mapping": _published(
        build=BaldMapping,
        inputs=(("latents", (1, _FORM.count * _FORM.latent)),),
        outputs=("bald",),
        summary="FSLSD's mapping of latents to those of the face without hair",
        license=f"{_LICENSE}; a notice in the code names InterDigital as its owner",
        files=("CELEBA-HQ-1024.pt",),
    ),
    "fslsd_generator_feats": _published(
        build=partial(GeneratorMaps, _FORM),
        inputs=(("latents", (1, _FORM.count, _FORM.latent)),),
        outputs=_names(_FORM),
        summary="StyleGAN2 of faces, 1024 px, by its maps of 8 px and more",
        license=_GENERATOR_LICENSE,
        files=("CELEBA-HQ-1024.pt",),
        published_name=generator_name,
        from_file=partial(generator_from_file, _FORM),
    ),
    "fslsd_decoder_32": _decoder(_SMALL),
    "fslsd_decoder_1024": _decoder(_FORM),
}
