"""What others call the parameters of StyleGAN2's generator: the names of the PyTorch port by which
most face swappers have it, and those of NVIDIA's own files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.nn.stylegan2.generator import Form
from sosie.nn.stylegan2.layers import low_pass

Arrays = dict[str, NDArray[Any]]


def generator_name(name: str) -> str:
    """The port's name of one of the parameters and buffers of `Generator`."""
    name = re.sub(r"^mapping\.(\d+)\.", lambda m: f"style.{int(m[1]) + 1}.", name)
    name = re.sub(
        r"^layers\.(\d+)\.", lambda m: f"convs.{int(m[1]) - 1}." if m[1] != "0" else "conv1.", name
    )
    name = re.sub(
        r"^pictures\.(\d+)\.",
        lambda m: f"to_rgbs.{int(m[1]) - 1}." if m[1] != "0" else "to_rgb1.",
        name,
    )
    name = name.replace(".conv.style.", ".conv.modulation.")
    if name.startswith("conv"):
        name = re.sub(r"\.conv\.kernel$", ".conv.blur.kernel", name)
        name = re.sub(r"^(conv1|convs\.\d+)\.noise$", r"\1.noise.weight", name)
        name = re.sub(r"^(conv1|convs\.\d+)\.bias$", r"\1.activate.bias", name)
    elif name.startswith("to_rgb"):
        name = re.sub(r"^(to_rgb1|to_rgbs\.\d+)\.kernel$", r"\1.upsample.kernel", name)
    return "input.input" if name == "constant" else name


def generator_from_file(form: Form, found: Arrays) -> Arrays:
    """What a file holds -> the port's entries of a generator of `form`, where it is one.

    Names of NVIDIA become the port's. What the port's older files lack, as nothing was learned of
    it, is filled in: the filters, and noise, which is drawn by a fixed seed.
    """
    if _is_larger(form, found):
        return found
    if "synthesis.b4.const" in found:
        found = _of_pytorch(form, found)
    elif "synthesis/4x4/Const/const" in found:
        found = _of_tensorflow(form, found)
    if "input.input" not in found:
        return found
    kernel = low_pass(4).numpy()
    filters = {f"convs.{2 * k}.conv.blur.kernel": kernel for k in range(len(form.sides) - 1)}
    filters |= {f"to_rgbs.{k}.upsample.kernel": kernel for k in range(len(form.sides) - 1)}
    rng, noises = np.random.default_rng(0), {}
    for number, side in enumerate(_sides(form)):
        noises[f"noises.noise_{number}"] = rng.standard_normal((1, 1, side, side), np.float32)
    return {**filters, **noises, **found}


def _is_larger(form: Form, found: Mapping[str, NDArray[Any]]) -> bool:
    """Whether a file of NVIDIA has more sides or a deeper mapping: parts of it would pass for
    `form`."""
    side = 2 * form.size_px
    beyond = (
        *(f"synthesis.b{side}.conv0.weight", f"mapping.fc{form.depth}.weight"),
        *(f"synthesis/{side}x{side}/Conv0_up/weight", f"mapping/Dense{form.depth}/weight"),
    )
    return any(name in found for name in beyond)


def _sides(form: Form) -> list[int]:
    """The side of each layer's features."""
    return [form.sides[0], *(side for side in form.sides[1:] for _ in range(2))]


def _of_pytorch(form: Form, found: Mapping[str, NDArray[Any]]) -> Arrays:
    """The names of StyleGAN2-ADA. Its filters add up to 1, and are scaled where they are used."""
    made: Arrays = {"input.input": found["synthesis.b4.const"][None]}
    for number in range(form.depth):
        for part in ("weight", "bias"):
            _take(made, f"style.{number + 1}.{part}", found, f"mapping.fc{number}.{part}")
    for number, (layer, ours) in enumerate(_layers(form)):
        theirs = f"synthesis.b{_sides(form)[number]}.{layer}"
        _take(made, f"{ours}.conv.weight", found, f"{theirs}.weight", lambda v: v[None])
        for part in ("weight", "bias"):
            _take(made, f"{ours}.conv.modulation.{part}", found, f"{theirs}.affine.{part}")
        _take(made, f"{ours}.noise.weight", found, f"{theirs}.noise_strength", np.atleast_1d)
        _take(made, f"{ours}.activate.bias", found, f"{theirs}.bias")
        noise = f"{theirs}.noise_const"
        _take(made, f"noises.noise_{number}", found, noise, lambda v: v[None, None])
    for number, side in enumerate(form.sides):
        ours, theirs = _picture(number), f"synthesis.b{side}.torgb"
        _take(made, f"{ours}.conv.weight", found, f"{theirs}.weight", lambda v: v[None])
        for part in ("weight", "bias"):
            _take(made, f"{ours}.conv.modulation.{part}", found, f"{theirs}.affine.{part}")
        _take(made, f"{ours}.bias", found, f"{theirs}.bias", lambda v: v[None, :, None, None])
    return made


def _of_tensorflow(form: Form, found: Mapping[str, NDArray[Any]]) -> Arrays:
    """The names of the first StyleGAN2. Kernels are H x W x in x out there, and those that enlarge
    are turned around; a modulation's bias is what it has above 1."""
    made: Arrays = {"input.input": found["synthesis/4x4/Const/const"]}

    def kernel(values: NDArray[Any]) -> NDArray[Any]:
        return values.transpose(3, 2, 0, 1)[None]

    def turned(values: NDArray[Any]) -> NDArray[Any]:
        return kernel(values[::-1, ::-1])

    def modulated(ours: str, theirs: str) -> None:
        weight, bias = f"{theirs}/mod_weight", f"{theirs}/mod_bias"
        _take(made, f"{ours}.conv.modulation.weight", found, weight, np.transpose)
        _take(made, f"{ours}.conv.modulation.bias", found, bias, lambda v: v + np.float32(1))

    for number in range(form.depth):
        dense = f"mapping/Dense{number}"
        _take(made, f"style.{number + 1}.weight", found, f"{dense}/weight", np.transpose)
        _take(made, f"style.{number + 1}.bias", found, f"{dense}/bias")
    for number, (layer, ours) in enumerate(_layers(form)):
        side = _sides(form)[number]
        name = "Conv" if number == 0 else {"conv0": "Conv0_up", "conv1": "Conv1"}[layer]
        theirs = f"synthesis/{side}x{side}/{name}"
        change = turned if name == "Conv0_up" else kernel
        _take(made, f"{ours}.conv.weight", found, f"{theirs}/weight", change)
        modulated(ours, theirs)
        _take(made, f"{ours}.noise.weight", found, f"{theirs}/noise_strength", np.atleast_1d)
        _take(made, f"{ours}.activate.bias", found, f"{theirs}/bias")
        _take(made, f"noises.noise_{number}", found, f"synthesis/noise{number}")
    for number, side in enumerate(form.sides):
        ours, theirs = _picture(number), f"synthesis/{side}x{side}/ToRGB"
        _take(made, f"{ours}.conv.weight", found, f"{theirs}/weight", kernel)
        modulated(ours, theirs)
        _take(made, f"{ours}.bias", found, f"{theirs}/bias", lambda v: v[None, :, None, None])
    return made


def _layers(form: Form) -> list[tuple[str, str]]:
    """Of each layer NVIDIA's name within its side, and the port's."""
    enlarging = ("conv1", "conv0")
    others = [(enlarging[number % 2], f"convs.{number - 1}") for number in range(1, form.layers)]
    return [("conv1", "conv1"), *others]


def _picture(number: int) -> str:
    return "to_rgb1" if number == 0 else f"to_rgbs.{number - 1}"


def _take(
    made: Arrays,
    ours: str,
    found: Mapping[str, NDArray[Any]],
    theirs: str,
    change: Any = lambda values: values,
) -> None:
    """Put an entry under its new name, changed; one that is not there is left out, and missed."""
    if theirs in found:
        made[ours] = np.ascontiguousarray(change(found[theirs]))
