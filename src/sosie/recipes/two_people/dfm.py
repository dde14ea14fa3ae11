"""A trained network of two people as a DFM, which DeepFaceLive and FaceFusion read as well."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from sosie.errors import InputError, UsageError
from sosie.output import atomic_output
from sosie.recipes import TABLE, load_recipe
from sosie.recipes.two_people.model_file import FACE, MORPH, OUTPUTS, PeopleCard
from sosie.recipes.two_people.network import Merging, TwoPeople
from sosie.recipes.two_people.recipe import TwoPeopleRecipe
from sosie.training.checkpoint import fitting, load_tensors
from sosie.training.export import add_card, require_same, trace
from sosie.training.recipe import Materials

SUFFIX = ".dfm"

# What the programs that read DFM files were made for: TensorFlow's names, and old versions.
_NUMBERED = ":0"
_OPSET, _IR_VERSION = 12, 7
# ONNX Runtime may differ from torch by this much, of a picture's range of 1.
_TOLERANCE = 1e-3
_TRIED = (1, 3)
"""Pictures at once in the trial runs."""


def write_dfm(
    network: TwoPeople, card: PeopleCard, file: Path, back: bool = False, overwrite: bool = False
) -> None:
    """Write a network as it swaps: BGR, N x S x S x 3, 0..1, in and out.

    back: put the target's face onto the source instead. The format has no place for the face type:
    it stands in the file's metadata, where `--method dfm` finds it, and other programs are to be
    told. Raises UsageError where `file` has another ending, OutputError where it cannot be written,
    SosieError where ONNX Runtime computes something else than torch. There is no file then.
    """
    if file.suffix.lower() != SUFFIX:
        raise UsageError(f"{file} does not end with {SUFFIX}: name it so, as person{SUFFIX}.")
    about = {
        "method": "dfm",
        "face_type": card.face_type,
        "license": card.license,
        "paper": card.paper,
    }
    merging = Merging(network.cpu().float().eval(), back).eval()
    given = _inputs(card, 1)
    with atomic_output(file, overwrite=overwrite) as pending:
        tensors = {name: torch.from_numpy(values) for name, values in given.items()}
        names = tuple(name + _NUMBERED for name in OUTPUTS)
        fixed = (MORPH + _NUMBERED,)
        trace(merging, tensors, names, pending.path, fixed=fixed, opset=_OPSET)
        model = onnx.load(str(pending.path))
        model.ir_version = _IR_VERSION
        onnx.checker.check_model(model)
        pending.path.write_bytes(model.SerializeToString())
        add_card(pending.path, json.dumps(about))
        for count in _TRIED:
            some = _inputs(card, count)
            require_same(merging, pending.path, some, names, card.method, _TOLERANCE)


def _inputs(card: PeopleCard, count: int) -> dict[str, NDArray[np.float32]]:
    """Inputs to trace and to try the network with, by their names in the file."""
    rng = np.random.default_rng(count)
    shape = (count, card.size_px, card.size_px, 3)
    given = {FACE + _NUMBERED: rng.random(shape, dtype=np.float32)}
    if card.morph:
        given[MORPH + _NUMBERED] = rng.random(1, dtype=np.float32)
    return given


def trained_network(snapshot: Path) -> tuple[TwoPeople, PeopleCard]:
    """The network of a `snapshot.safetensors` of a training of two people, on the processor, and
    how it is called. Raises InputError on another file."""
    tensors, facts = load_tensors(snapshot)
    name = facts.get("name")
    kind = load_recipe(name) if isinstance(name, str) and name in TABLE else None
    if kind is None or not issubclass(kind, TwoPeopleRecipe) or "plan" not in facts:
        raise InputError(
            f"{snapshot} is no snapshot of a network of two people: name the snapshot.safetensors "
            f"that `sosie train deepfacelab` or `deepfakes` wrote."
        )
    with fitting(snapshot):
        plan = dataclasses.replace(kind.plan, **facts["plan"])
        recipe = kind(Materials(snapshot, snapshot, snapshot, 0), plan)
        learner = recipe.network()
        learner.load_state_dict(tensors)
    network = learner.network
    assert isinstance(network, TwoPeople)
    return network.requires_grad_(False).eval(), recipe.people_card()
