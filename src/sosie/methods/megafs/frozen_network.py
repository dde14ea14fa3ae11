"""The trained encoder of MegaFS that a later training builds on, and does not change."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from sosie.errors import InputError
from sosie.methods.megafs.files import part_file
from sosie.methods.megafs.network import Encoder, EncoderForm
from sosie.nn.stylegan2.generator import Form
from sosie.recipes.published.files import is_snapshot, load_snapshot
from sosie.training.checkpoint import fitting, load_tensors

_DEPTHS = (3, 4, 6, 3, 2)


def encoder_form(form: Form, width: int, blocks: int) -> EncoderForm:
    """The form of an encoder into a generator's latents. width: channels behind its first
    convolution. blocks: residual blocks of a size at most; 6 are as many as are published."""
    depths = tuple(min(depth, blocks) for depth in _DEPTHS)
    return EncoderForm(form, min(form.size_px, 256), width, depths)


def frozen_encoder(folder: Path, form: Form) -> Encoder:
    """The encoder in a folder, into the latents of a generator of `form`. Raises InputError where
    there is none, or it is another generator's."""
    file = part_file(folder, "encoder", ".safetensors")
    if is_snapshot(file):
        network: nn.Module = load_snapshot(file)[0]
    else:
        tensors, facts = load_tensors(file)
        if facts.get("name") != "megafs_encoder":
            raise InputError(f"{file} is no trained megafs_encoder: name the folder of its run.")
        with fitting(file):
            plan = facts["plan"]
            network = Encoder(encoder_form(form, int(plan["width"]), int(plan["blocks"])))
            network.load_state_dict(
                {key.removeprefix("encoder."): value for key, value in tensors.items()}
            )
    if not isinstance(network, Encoder) or network.form.generator.count != form.count:
        raise InputError(f"{file} does not fit the generator in {folder}: train both again.")
    return network.requires_grad_(False).eval()
