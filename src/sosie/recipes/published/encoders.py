"""The published identity encoders that methods share; see `sosie.recipes.published.networks`."""

from __future__ import annotations

from functools import partial

from sosie.nn.arcface import DEPTHS, IResNet
from sosie.nn.ir_se import IrSe50
from sosie.recipes.published.networks import Published

_PAPER = "Deng et al. 2019, ArcFace: Additive Angular Margin Loss for Deep Face Recognition"
_LICENSE = "non-commercial research only (as insightface states for its trained models)"
_ALIGNMENT = "arcface, 112 px"
_FILES = {50: ("w600k_r50.pth",), 100: ("backbone.pth", "glint360k_r100.pth", "ms1mv3_r100.pth")}


def _iresnet(layers: int) -> Published:
    return Published(
        method="arcface",
        build=partial(IResNet, layers),
        inputs=(("face", (1, 3, 112, 112)),),
        outputs=("embedding",),
        summary=f"identity encoder, improved ResNet-{layers} of insightface",
        paper=_PAPER,
        license=_LICENSE,
        value_range="RGB, -1..1",
        alignment=_ALIGNMENT,
        embedding="not normalized: each method that uses it says whether it wants length 1",
        files=_FILES.get(layers, ()),
    )


PUBLISHED = {f"arcface_iresnet{layers}": _iresnet(layers) for layers in DEPTHS}
PUBLISHED["arcface_ir_se50_treb"] = Published(
    method="arcface",
    build=IrSe50,
    inputs=(("face", (1, 3, 112, 112)),),
    outputs=("embedding", *(f"features{number}" for number in range(24))),
    summary="identity encoder IR-SE-50, with the features of its 24 units",
    paper=_PAPER,
    license="MIT code; the weights were trained on MS-Celeb-1M, for which no license is stated",
    value_range="-1..1; RGB, but BGR in FaceShifter's reimplementation and in InfoSwap",
    alignment=_ALIGNMENT,
    embedding="length 1, taken within the network",
    files=("model_ir_se50.pth",),
)
