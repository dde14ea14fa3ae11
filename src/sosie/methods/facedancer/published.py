"""FaceDancer's published checkpoint, a file of Keras: what its parameters are called and their
facts.

Keras numbers layers of a kind in the order in which a process made them, and where other models
were made before, the count goes on. So a file's layers are known by their order within their kind,
not by their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.methods.facedancer.network import Generator
from sosie.recipes.published.networks import Published

State = dict[str, NDArray[Any]]

_PAPER = "Rosberg et al. 2023, FaceDancer: Pose- and Occlusion-Aware High Fidelity Face Swapping"
_FIRST_UP, _FIRST_FUSED, _LAST = 15, 19, 28
"""Numbers of the 1 x 1 convolution of the first block that doubles, of the first mask's first
convolution, and of the last block's 1 x 1."""


def _numbered(kind: str, number: int) -> str:
    return f"{kind}_{number}" if number else kind


def _blocks() -> dict[str, tuple[int, int, int | None]]:
    """Our name of each block -> numbers of its 1 x 1 convolution, its norm and its AdaIN."""
    found: dict[str, tuple[int, int, int | None]] = {
        f"down.{k}": (1 + 2 * k, k, None) for k in range(5)
    }
    found["bottom.0"], found["bottom.1"] = (11, 5, None), (13, 6, 0)
    found["up.0"], found["up.1"] = (_FIRST_UP, 7, 1), (_FIRST_UP + 2, 8, 2)
    # From here on each block has a mask before it, of one numbered convolution and a norm.
    for k in range(3):
        found[f"up.{2 + k}"] = (_FIRST_FUSED + 1 + 3 * k, 10 + 2 * k, 3 + k)
    found["last"] = (_LAST, 15, 6)
    return found


_BLOCKS = _blocks()
_WHAT = {"weight": "kernel", "bias": "bias"}
_NORM = {"weight": "gamma", "bias": "beta"}
_SIZES = ("64x64", "128x128", "256x256")


def published_name(name: str) -> str:
    """The published name of one of the generator's parameters."""
    *path, last = name.split(".")
    if path[0] == "entry":
        return f"conv2d/{_WHAT[last]}"
    if path[0] == "mapping":
        return f"{_numbered('dense', int(path[1]))}/{_WHAT[last]}"
    if path[0] == "fusions":
        number = int(path[1])
        if path[2] == "mask":
            return f"{_SIZES[number]}/{_WHAT[last]}"
        if path[2] == "norm":
            return f"instance_normalization_{9 + 2 * number}/{_NORM[last]}"
        return f"conv2d_{_FIRST_FUSED + 3 * number}/{_WHAT[last]}"
    part = path[-2] if path[-1] in ("scale", "shift") else path[-1]
    block = path[0] if path[0] == "last" else ".".join(path[:2])
    side, norm, style = _BLOCKS[block]
    if part == "norm":
        return f"{_numbered('instance_normalization', norm)}/{_NORM[last]}"
    if part == "style":
        assert style is not None
        dense = {"scale": "dense_1", "shift": "dense_2"}[path[-1]]
        return f"{_numbered('ada_in', style)}/{dense}/{_WHAT[last]}"
    return f"conv2d_{side + (part == 'main')}/{_WHAT[last]}"


_KINDS = re.compile(r"(conv2d|dense|instance_normalization|ada_in)(?:_(\d+))?")
_WITHIN = "model_weights/"
"""Where a file of a whole model has its weights; beside them lies what training needed."""

Path = tuple[str, ...]


def from_keras(state: State) -> State:
    """What a file of Keras holds, with the names and the layout of PyTorch; other states as they
    are.

    A name there is the layer's, the layer's again, then the parameter's with `:0` behind; of an
    AdaIN the name of one of two dense layers stands between, whose numbers run over the whole
    model, the scale's before the shift's.
    """
    weights = {k.removeprefix(_WITHIN): v for k, v in state.items() if k.startswith(_WITHIN)}
    paths = {_path(name): value for name, value in (weights or state).items()}
    kernels = [value for path, value in paths.items() if path[-1] == "kernel"]
    # Places come first there, and last in PyTorch, where nothing has three by three channels.
    if not any(value.shape[:2] == (3, 3) for value in kernels):
        return state
    called = _renumbered(paths)
    renamed: State = {}
    for path, value in paths.items():
        name = "/".join(called.get(path[: k + 1], part) for k, part in enumerate(path))
        is_kernel = path[-1] == "kernel" and value.ndim in (2, 4)
        axes = {2: (1, 0), 4: (3, 2, 0, 1)}[value.ndim] if is_kernel else range(value.ndim)
        renamed[name] = np.ascontiguousarray(value.transpose(tuple(axes)))
    return renamed


def _path(name: str) -> Path:
    """The layers and the parameter that a name in a file is made of, each once."""
    parts = name.split(":")[0].split("/")
    return tuple(p for k, p in enumerate(parts) if k == 0 or p != parts[k - 1])


def _renumbered(paths: Iterable[Path]) -> dict[Path, str]:
    """Layer -> what it is called where layers of its kind are counted from the first."""
    kinds: dict[tuple[Path, str], list[tuple[int, Path]]] = {}
    for layer in {path[:depth] for path in paths for depth in range(1, len(path))}:
        match = _KINDS.fullmatch(layer[-1])
        if match:
            kinds.setdefault((layer[:-1], match[1]), []).append((int(match[2] or 0), layer))
    return {
        # Those within an AdaIN are numbered from 1.
        layer: _numbered(kind, rank + bool(outer))
        for (outer, kind), layers in kinds.items()
        for rank, (_, layer) in enumerate(sorted(layers))
    }


PUBLISHED = {
    "facedancer_config_c": Published(
        method="facedancer",
        build=Generator,
        inputs=(("target", (1, 3, 256, 256)), ("identity", (1, 512))),
        outputs=("swapped",),
        summary="FaceDancer's generator, configuration C",
        paper=_PAPER,
        license="CC BY-NC-SA 4.0; the weights are given to those who agree to their terms",
        value_range="RGB, -1..1, in; as trained also out, though nothing bounds it",
        alignment="arcface, 256 px",
        embedding="of FaceDancer's own ArcFace ResNet-50 (a face of 112 px, arcface alignment, RGB "
        "in 0..1), as it is: not of length 1",
        files=("FaceDancer_config_c_HQ.h5",),
        published_name=published_name,
        from_file=from_keras,
    )
}
