"""DeepFaceLab's networks in some of their forms, and what their parameters are called."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from sosie.methods.deepfacelab.discriminators import CodeDiscriminator, PatchDiscriminator
from sosie.methods.deepfacelab.network import Form, build
from sosie.methods.deepfacelab.xseg import SIZE_PX, XSeg
from sosie.recipes.published.networks import Published
from sosie.recipes.two_people.network import Pictured

_PAPER = (
    "Perov et al. 2020, DeepFaceLab: Integrated, flexible and extensible face-swapping framework"
)
_LICENSE = "that of whoever trained them: the program is GPL-3.0, its users' weights are not"
_RANGE = "BGR, 0..1"
_ALIGNMENT = "DeepFaceLab's face types: chosen by whoever trained the network, not told by the file"
_KIT_MORPH = 0.75

_TINY = Form("df", "", size_px=64, ae=64, e=32, d=32, dm=16)
QUICK96 = Form("df", "ud", size_px=96, ae=128, e=64, d=64, dm=16)


class _BothDecoders(nn.Module):
    """A network under its published names, of one picture: both faces with their masks."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.network = build(form)

    def forward(self, x: torch.Tensor) -> tuple[Pictured, Pictured]:
        return self.network.swapped(x, _KIT_MORPH), self.network.of_target(x)


def _slashed(name: str, before: str, prefix: str = "") -> str:
    return prefix + name.removeprefix(before).replace(".", "/")


def _autoencoder(form: Form, summary: str) -> Published:
    return Published(
        method="deepfacelab",
        build=partial(_BothDecoders, form),
        inputs=(("face", (1, 3, form.size_px, form.size_px)),),
        outputs=("swapped", "swapped_mask", "target", "target_mask"),
        summary=summary,
        paper=_PAPER,
        license=_LICENSE,
        value_range=_RANGE,
        alignment=_ALIGNMENT,
        embedding="none: the two people are in the weights",
        published_name=partial(_slashed, before="network."),
    )


def _part(
    make: Callable[[], nn.Module],
    given: tuple[str, tuple[int, ...]],
    outputs: tuple[str, ...],
    prefix: str,
    summary: str,
) -> Published:
    return Published(
        method="deepfacelab",
        build=make,
        inputs=(given,),
        outputs=outputs,
        summary=summary,
        paper=_PAPER,
        license=_LICENSE,
        value_range=_RANGE,
        alignment=_ALIGNMENT,
        embedding="none",
        published_name=partial(_slashed, before="", prefix=prefix),
    )


def _form(kind: str, options: str) -> Form:
    return Form(kind, options, _TINY.size_px, _TINY.ae, _TINY.e, _TINY.d, _TINY.dm)  # type: ignore[arg-type]


PUBLISHED = {
    **{
        f"dfl_{kind}{'_' * bool(options)}{options}": _autoencoder(
            _form(kind, options), f"{kind.upper()} with the options {options or 'off'}, at 64 px"
        )
        for kind, options in (
            ("df", ""),
            ("df", "u"),
            ("df", "udt"),
            ("df", "udtc"),
            ("liae", ""),
            ("liae", "udt"),
        )
    },
    "dfl_liae_ud": _autoencoder(Form(), "LIAE as SAEHD has it by default: options ud, 128 px"),
    "dfl_quick96": _autoencoder(QUICK96, "Quick96, a DF with the options ud at 96 px"),
    "dfl_amp": _autoencoder(
        Form("amp", "", size_px=64, ae=64, e=32, d=32, dm=16, inter=128),
        "AMP at 64 px, morph factor 0.75",
    ),
    "dfl_unet_patch_discriminator": _part(
        PatchDiscriminator,
        ("face", (1, 3, 128, 128)),
        ("center", "pixels"),
        "GAN/",
        "the discriminator of pictures, patches of 16 px",
    ),
    "dfl_code_discriminator": _part(
        partial(CodeDiscriminator, 64, 8),
        ("code", (1, 64, 8, 8)),
        ("logits",),
        "dis/",
        "the discriminator of codes, for true faces",
    ),
    "dfl_xseg": _part(
        XSeg,
        ("face", (1, 3, SIZE_PX, SIZE_PX)),
        ("logits", "mask"),
        "XSeg/",
        "XSeg: what of a crop is face",
    ),
}
