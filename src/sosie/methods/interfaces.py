"""How published swappers are to be called: what they see, and what the identity is.

A file says little of this itself, and a wrong answer gives a wrong face and no error. So a file is
known by its hash, by the card that `sosie weights import` wrote into it, or by the interface that
the user names; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from sosie.errors import UsageError, nearest

Three = tuple[float, float, float]


@dataclass(frozen=True)
class Scale:
    """Network values are (pixels in 0..1 - mean) / deviation, channel by channel, RGB."""

    mean: Three = (0, 0, 0)
    deviation: Three = (1, 1, 1)


UNIT = Scale()
SIGNED = Scale((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET = Scale((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class View:
    """A square crop as a network sees it. template: a name in
    `sosie.geometry.alignment.TEMPLATES`. bgr: whether blue comes first."""

    template: str
    size_px: int
    scale: Scale
    bgr: bool = False


ARCFACE = View("arcface", 112, SIGNED)


@dataclass(frozen=True)
class Interface:
    """How one kind of swapper is called. Its inputs are named `target`, and `source`, `identity` or
    `vector`.

    method: the name that `--method` takes for such weights; `onnx` where there is no other.
    target: what it sees of the target. output: how its result is scaled; the order of its channels
        is that of the target.
    source: what the source's encoder sees of the source, or the swapper itself where `picture`.
    picture: it takes the source's picture instead of an embedding.
    own_encoder: what its own encoder sees, where it was trained with one of its own; embeddings of
        arcface have to be converted for it. None where arcface's are right.
    unit: whether the embedding is to have length 1, after conversion.
    mapped: whether the embedding is multiplied by the 512 x 512 map in the file.
    face_model: what a network that reads a 3D face model sees of source and target, where the
        identity begins with its coefficients: the source's shape, and all else of the target.
    license: of the published weights. sha256: of published files that are called so.
    """

    target: View
    output: Scale
    license: str
    source: View = ARCFACE
    picture: bool = False
    own_encoder: View | None = None
    unit: bool = True
    mapped: bool = False
    face_model: View | None = None
    method: str = "onnx"
    sha256: tuple[str, ...] = ()


_NON_COMMERCIAL = "non-commercial"
_RESEARCH = "ResearchRAIL"
_POSES = "arcface_112_v1"

_GHOST = Interface(
    target=View(_POSES, 256, SIGNED),
    output=SIGNED,
    license="Apache-2.0",
    own_encoder=View(_POSES, 112, SIGNED),
    unit=False,
    method="ghost",
)
_SIMSWAP = Interface(
    target=View(_POSES, 224, UNIT),
    output=UNIT,
    license=_NON_COMMERCIAL,
    own_encoder=View(_POSES, 112, IMAGENET),
    method="simswap",
)
_HYPERSWAP = Interface(target=View("arcface_128", 256, SIGNED), output=SIGNED, license=_RESEARCH)
_INSWAPPER = Interface(
    target=View("arcface_128", 128, UNIT),
    output=UNIT,
    license=_NON_COMMERCIAL,
    mapped=True,
    method="inswapper",
)
_BLENDSWAP = Interface(
    target=View("ffhq", 256, UNIT), output=UNIT, license=_NON_COMMERCIAL, method="blendswap"
)
_WHOLE = View("mtcnn_512", 256, UNIT)
# The encoder and the face model see the whole crop, as they did when the generator was trained.
_HIFIFACE = Interface(
    target=_WHOLE,
    output=UNIT,
    license="BSD-3-Clause",
    source=View("mtcnn_512", 112, SIGNED),
    face_model=_WHOLE,
    method="hififace",
)
_FACESHIFTER = Interface(
    target=View("mtcnn_512", 256, SIGNED, bgr=True),
    output=SIGNED,
    license="none stated",
    own_encoder=replace(ARCFACE, bgr=True),
    unit=False,
    method="faceshifter",
)
_FACEDANCER = Interface(
    target=View("arcface", 256, SIGNED),
    output=SIGNED,
    license="CC BY-NC-SA 4.0",
    own_encoder=replace(ARCFACE, scale=UNIT),
    unit=False,
    method="facedancer",
)
_INFOSWAP = View("mtcnn_512", 512, SIGNED, bgr=True)


def _ghost(*sha256: str) -> Interface:
    return replace(_GHOST, sha256=sha256)


def _hyperswap(*sha256: str) -> Interface:
    return replace(_HYPERSWAP, sha256=sha256)


_PUBLISHED = {
    "inswapper_128": replace(
        _INSWAPPER,
        sha256=(
            "e4a3f08c753cb72d04e10aa0f7dbe3deebbf39567d4ead6dce08e98aa49e16af",
            "a290273ed497312095dac48cdef20feec9d5208298223dd01288ab202b54bea7",
            # In float16.
            "c4eccca86ad177586c85c28bf1a64a9d9ed237e283a15818d831f7facfd3f420",
        ),
    ),
    "simswap_256": replace(_SIMSWAP, target=View(_POSES, 256, IMAGENET)),
    "simswap_512": replace(_SIMSWAP, target=View(_POSES, 512, UNIT)),
    "ghost_1": _ghost("304a86bccb325e7fcf5ab4f4f84ba5172e319bccc9de15d299bb436746e2e024"),
    "ghost_2": _ghost("25b72c107aabe27fc65ac5bf5377e58eda0929872d4dd3de5d5a9edefc49fa9f"),
    "ghost_3": _ghost("f471d4f322903da2bca360aa0d7ab9922e3b0001d683f825ca6b15d865382935"),
    "hififace_256": Interface(
        target=View("mtcnn_512", 256, SIGNED),
        output=SIGNED,
        license="unknown",
        own_encoder=ARCFACE,
        method="hififace",
    ),
    "blendswap_256": replace(_BLENDSWAP, source=View("arcface", 112, UNIT), picture=True),
    "infoswap_512": Interface(
        target=_INFOSWAP,
        output=SIGNED,
        license=_NON_COMMERCIAL,
        source=_INFOSWAP,
        picture=True,
        method="infoswap",
    ),
    "uniface_256": Interface(
        target=View("ffhq", 256, SIGNED),
        output=SIGNED,
        license="unknown",
        source=View("ffhq", 256, UNIT),
        picture=True,
        sha256=("eb5ce2af024cddf88ecb93b24e29a6eb44e354aba7d3319e84d29dcd868820f3",),
    ),
    "hyperswap_1a": _hyperswap("c0e98a8a03a238f461ed3d2570e426b49f46745ee400854a60dceeb70c246add"),
    "hyperswap_1b": _hyperswap("5124031789c42f71b9558fb71954ef7aedb6da7ed9fac79293e23c61a792a73e"),
    "hyperswap_1c": _hyperswap("5528c2d76fe9986c99d829278987ef9f3a630cb606db7628d02b57b330f406a5"),
}

_IMPORTED = {
    "simswap224_official": _SIMSWAP,
    "simswap512_official": replace(_SIMSWAP, target=View("ffhq", 512, UNIT)),
    "simswap_train_fix": replace(_SIMSWAP, target=View(_POSES, 224, IMAGENET), output=IMAGENET),
    "simswap_train_fix_deep": replace(
        _SIMSWAP, target=View(_POSES, 224, IMAGENET), output=IMAGENET
    ),
    # The ONNX file that is imported with an embedding map holds it in its graph.
    "inswapper_reswapper_128": replace(_INSWAPPER, mapped=False),
    "blendswap": _BLENDSWAP,
    "hififace_maum_generator": _HIFIFACE,
    "hififace_xuehy_generator": replace(_HIFIFACE, license="MIT"),
    "facedancer_config_c": _FACEDANCER,
    "faceshifter_tao_aei": _FACESHIFTER,
    **{
        f"ghost_{encoder}_{blocks}": _GHOST
        for encoder in ("unet", "linknet", "resnet")
        for blocks in (1, 2, 3)
    },
}

INTERFACES: Mapping[str, Interface] = MappingProxyType({**_PUBLISHED, **_IMPORTED})
"""Names for `--interface`: files as others publish them, and those of `sosie weights import`."""


def by_name(name: str) -> Interface:
    """The interface of that name. Raises UsageError where there is none."""
    if name not in INTERFACES:
        raise UsageError(f"Unknown interface {name!r}: {nearest(name, INTERFACES)}.")
    return INTERFACES[name]


def by_hash(sha256: str) -> str | None:
    """Name of the interface of a file with that hash, hexadecimal; None where it is not known."""
    return next((name for name, entry in INTERFACES.items() if sha256 in entry.sha256), None)
