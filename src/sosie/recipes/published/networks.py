"""The published networks: how each is built, what its checkpoint calls things, and what to know.

A module of TABLE holds PUBLISHED, a dict of name -> Published; the encoders that methods share are
here. Names are those of the parity kit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.errors import InputError, UsageError, nearest
from sosie.nn.encoders import DEPTHS, IResNet, IrSe50
from sosie.training.export import OPSET

State = Mapping[str, NDArray[Any]]
"""Parameters and buffers by their published names."""

Shapes = Mapping[str, tuple[int, ...]]

_DEEPFACELAB = "sosie.methods.deepfacelab.published"
_E4S = "sosie.methods.e4s.published"
_FACESHIFTER = "sosie.methods.faceshifter.published"
_FACEDANCER = "sosie.methods.facedancer.published"
_FSGAN = "sosie.methods.fsgan.published"
_MEGAFS = "sosie.methods.megafs.published"
_FSLSD = "sosie.methods.fslsd.published"
_GHOST = "sosie.methods.ghost.published"
_HIFIFACE = "sosie.methods.hififace.published"
_PORTRAIT = "sosie.reenactment.portrait.published"
_SIMSWAP = "sosie.methods.simswap.published"
_ARCFACE = "sosie.recipes.published.networks"

TABLE = {
    "arcface_iresnet18": _ARCFACE,
    "arcface_iresnet50": _ARCFACE,
    "arcface_iresnet100": _ARCFACE,
    "arcface_ir_se50_treb": _ARCFACE,
    "simswap224_official": _SIMSWAP,
    "simswap512_official": _SIMSWAP,
    "simswap_train_fix": _SIMSWAP,
    "simswap_train_fix_deep": _SIMSWAP,
    "simswap_disc": _SIMSWAP,
    "simswap_arcface_foamliu_r101": _SIMSWAP,
    "inswapper_reswapper_128": "sosie.methods.inswapper.published",
    "blendswap": "sosie.methods.blendswap.published",
    "facedancer_config_c": _FACEDANCER,
    "faceshifter_tao_aei": _FACESHIFTER,
    "faceshifter_tao_hear": _FACESHIFTER,
    "faceshifter_tao_disc": _FACESHIFTER,
    "faceshifter_minds_aei": _FACESHIFTER,
    "faceshifter_minds_hear_unet": _FACESHIFTER,
    "ghost_unet_1": _GHOST,
    "ghost_unet_2": _GHOST,
    "ghost_unet_3": _GHOST,
    "ghost_linknet_1": _GHOST,
    "ghost_linknet_2": _GHOST,
    "ghost_linknet_3": _GHOST,
    "ghost_resnet_1": _GHOST,
    "ghost_resnet_2": _GHOST,
    "ghost_resnet_3": _GHOST,
    "ghost_disc": _GHOST,
    "hififace_maum_generator": _HIFIFACE,
    "hififace_xuehy_generator": _HIFIFACE,
    "infoswap_backbone128_irse50": "sosie.methods.infoswap.published",
    "dfl_df": _DEEPFACELAB,
    "dfl_df_u": _DEEPFACELAB,
    "dfl_df_udt": _DEEPFACELAB,
    "dfl_df_udtc": _DEEPFACELAB,
    "dfl_liae": _DEEPFACELAB,
    "dfl_liae_ud": _DEEPFACELAB,
    "dfl_liae_udt": _DEEPFACELAB,
    "dfl_quick96": _DEEPFACELAB,
    "dfl_amp": _DEEPFACELAB,
    "dfl_code_discriminator": _DEEPFACELAB,
    "dfl_unet_patch_discriminator": _DEEPFACELAB,
    "dfl_xseg": _DEEPFACELAB,
    "faceswap_original": "sosie.methods.deepfakes.published",
    "liveportrait_appearance_feature_extractor": _PORTRAIT,
    "liveportrait_motion_extractor": _PORTRAIT,
    "liveportrait_warping_module": _PORTRAIT,
    "liveportrait_spade_generator": _PORTRAIT,
    "liveportrait_stitching": _PORTRAIT,
    "liveportrait_lip": _PORTRAIT,
    "liveportrait_eye": _PORTRAIT,
    "fsgan_reenactment_v2": _FSGAN,
    "fsgan_reenactment_split_ngf64_in71": _FSGAN,
    "fsgan_inpainting_v2": _FSGAN,
    "fsgan_blending_v2": _FSGAN,
    "fsgan_segmentation_unet_v2": _FSGAN,
    "fsgan_disc": _FSGAN,
    "e4s_net3_256": _E4S,
    "e4s_net3_1024": _E4S,
    "megafs_hierfe": _MEGAFS,
    "megafs_swapper_ftm": _MEGAFS,
    "megafs_swapper_injection": _MEGAFS,
    "megafs_swapper_lcr": _MEGAFS,
    "megafs_stylegan2_1024": _MEGAFS,
    "megafs_stylegan2_256_small": _MEGAFS,
    "fslsd_landmark_encoder": _FSLSD,
    "fslsd_target_encoder": _FSLSD,
    "fslsd_f_mapping": _FSLSD,
    "fslsd_generator_feats": _FSLSD,
    "fslsd_decoder_32": _FSLSD,
    "fslsd_decoder_1024": _FSLSD,
}
"""Name of a published network -> the module whose PUBLISHED has it. To add one, add its line."""

# A file that shares fewer of its names than this with a network is no relative of it.
_ALIKE = 0.3


def _same(name: str) -> str:
    return name


def _unchanged(state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return state


def _itself(network: nn.Module) -> nn.Module:
    return network


@dataclass(frozen=True)
class Published:
    """A published network.

    method: what `sosie weights import` calls it by.
    build: makes it, untrained; all that `forward` reads is a parameter or a persistent buffer.
    inputs: name and shape of each input, for a batch of one. outputs: names, in order.
    summary, paper, license: of the published weights where there are any, else of the paper.
    value_range, alignment, embedding: how the pictures and the identity are to be given.
    files: names under which the weights are known to circulate.
    published_name: one of our own parameter names -> the published one.
    from_file: what the published file holds (its wrappers taken off) -> the network's own entries.
    exported: the network -> what its ONNX file computes. opset: the version of ONNX that it needs.
    exported_inputs, exported_outputs: of that file, as `inputs` and `outputs`, where they are not
        the network's own.
    """

    method: str
    build: Callable[[], nn.Module]
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    outputs: tuple[str, ...]
    summary: str
    paper: str
    license: str
    value_range: str
    alignment: str
    embedding: str
    files: tuple[str, ...] = ()
    published_name: Callable[[str], str] = _same
    from_file: Callable[[dict[str, NDArray[Any]]], dict[str, NDArray[Any]]] = _unchanged
    exported: Callable[[nn.Module], nn.Module] = _itself
    opset: int = OPSET
    exported_inputs: tuple[tuple[str, tuple[int, ...]], ...] = ()
    exported_outputs: tuple[str, ...] = ()


def find_published(name: str) -> Published:
    """The published network `name`. Raises UsageError on a name that is not in TABLE."""
    if name not in TABLE:
        raise UsageError(f"Unknown published network {name!r}: {nearest(name, TABLE)}.")
    found: Published = import_module(TABLE[name]).PUBLISHED[name]
    return found


def networks_of(method: str) -> dict[str, Published]:
    """The published networks of a method, by name. Raises UsageError where it has none."""
    every = {name: find_published(name) for name in TABLE}
    found = {name: entry for name, entry in every.items() if entry.method == method}
    if not found:
        methods = sorted({entry.method for entry in every.values()})
        raise UsageError(f"No published network of {method!r}: {nearest(method, methods)}.")
    return found


def load_published(name: str, state: State) -> nn.Module:
    """The network `name` with the values of `state`, in eval mode, on the processor.

    state: exactly the network's published names; float of any width, float32 afterwards. It is
    copied. Raises InputError, which says what the entries seem to be, where a name is missing or
    unknown or a shape differs; UsageError on a name that is not in TABLE.
    """
    entry = find_published(name)
    _require(name, _shapes_of(state))
    with torch.device("meta"):
        network = entry.build()
    own = network.state_dict()
    values = {
        key: torch.from_numpy(np.array(state[entry.published_name(key)])).to(tensor.dtype)
        for key, tensor in own.items()
    }
    network.load_state_dict(values, strict=True, assign=True)
    return network.requires_grad_(False).eval()


def run_published(
    network: nn.Module, inputs: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """One forward pass without gradients: arrays in, arrays out, in the published order."""
    with torch.inference_mode():
        result = network(*(torch.from_numpy(np.array(array, np.float32)) for array in inputs))
    return [tensor.numpy() for tensor in flat(result)]


def flat(result: Any) -> list[torch.Tensor]:
    """A network's outputs, however nested, in order."""
    if isinstance(result, torch.Tensor):
        return [result]
    return [tensor for part in result for tensor in flat(part)]


@cache
def published_shapes(name: str) -> Shapes:
    """Published name of each parameter and buffer of the network `name` -> its shape."""
    entry = find_published(name)
    with torch.device("meta"):
        own = entry.build().state_dict()
    return {entry.published_name(key): tuple(tensor.shape) for key, tensor in own.items()}


def candidates(shapes: Shapes, names: Sequence[str] | None = None) -> list[str]:
    """The published networks, of all or of `names`, that have exactly these names and shapes."""
    return [name for name in names or TABLE if shapes and published_shapes(name) == dict(shapes)]


def seems_to_be(shapes: Shapes) -> str:
    """A sentence part that says what entries of these names and shapes are taken for."""
    exact = candidates(shapes)
    if exact:
        return f"it seems to be {' or '.join(exact)}"
    if not shapes:
        return "it holds no weights"
    likeness = {name: _likeness(shapes, published_shapes(name)) for name in TABLE}
    best = max(likeness, key=lambda name: likeness[name])
    if likeness[best] < _ALIKE:
        some = ", ".join(list(shapes)[:3])
        return f"it is no network that Sosie knows (it begins with {some})"
    return f"it is most like {best}, of which it has {likeness[best]:.0%}"


def _likeness(shapes: Shapes, others: Shapes) -> float:
    """The share of entries in common, name and shape, of all that either has."""
    common = sum(others.get(key) == shape for key, shape in shapes.items())
    return common / len(set(shapes) | set(others))


def _require(name: str, shapes: Shapes) -> None:
    wanted = published_shapes(name)
    faults = []
    for what, keys in (
        ("lacks", [key for key in wanted if key not in shapes]),
        ("has the unknown", [key for key in shapes if key not in wanted]),
    ):
        if keys:
            faults.append(f"it {what} {_some(keys)}")
    for key, shape in wanted.items():
        if key in shapes and shapes[key] != shape:
            faults.append(f"its {key} is {_text(shapes[key])} instead of {_text(shape)}")
            break
    if faults:
        raise InputError(
            f"These are not the weights of {name} ({'; '.join(faults)}): {seems_to_be(shapes)}; "
            f"name the file or the network that belongs together."
        )


def _shapes_of(state: State) -> dict[str, tuple[int, ...]]:
    return {key: tuple(np.shape(value)) for key, value in state.items()}


def _some(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return keys[0] + more


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


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
