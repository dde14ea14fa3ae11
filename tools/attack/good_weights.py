"""Small good files of weights, of every form that Sosie reads."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Sample:
    """A good file. suffix: of its name. read: what reads such files in Sosie.

    content: what is damaged. whole: makes a file of that, where it is a part of one that would be
    refused at once, were it damaged anywhere.
    """

    suffix: str
    content: bytes
    read: Callable[[Path], object]
    whole: Callable[[bytes], bytes] = bytes


def samples() -> dict[str, Sample]:
    """Small files of weights, of every form that Sosie reads."""
    import numpy as np
    import torch
    from onnx import helper, numpy_helper
    from safetensors.torch import save
    from torch import nn

    from sosie.models.onnx_matrix import last_matrix
    from sosie.training.checkpoint import load_tensors
    from sosie.training.checkpoint_file import read_checkpoint, read_tensors

    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 1))
    optimizer = torch.optim.Adam(network.parameters())
    state = network.state_dict()
    values = {
        "half": torch.ones(3).half(),
        "brain": torch.ones(4, dtype=torch.bfloat16),
        "flags": torch.ones(2) > 0,
        "turned": torch.rand(2, 3).T,
        "number": torch.tensor(1.0),
        "empty": torch.zeros(0, 2),
        "wide": torch.ones(1).expand(5),
        "long": torch.arange(3),
        "other": torch.arange(3).to(torch.uint16),
    }
    contents: dict[str, Any] = {
        "state": state,
        "values": values,
        "module": {"net": network},
        "run": {
            "net_ema": {f"module.{key}": value for key, value in state.items()},
            "optimizer": optimizer.state_dict(),
        },
    }
    made = {}
    for name, content in contents.items():
        for form in ("zip", "stream", "protocol 4"):
            told = content
            if form == "stream" and name == "values":
                told = {key: value for key, value in content.items() if key != "other"}
            saved = _saved(told, form)
            made[f"{name} as {form}"] = Sample(".pth", saved, read_checkpoint)
            if form != "stream":
                made[f"{name} in {form}"] = _description(saved, read_checkpoint)
    made["tensors"] = Sample(".pth", _saved(values, "zip"), read_tensors)
    made["tar"] = Sample(".tar", _tar(), read_checkpoint)
    plain = {key: value.contiguous() for key, value in state.items()}
    made["safetensors"] = Sample(".safetensors", save(plain), read_checkpoint)
    facts = {"facts": json.dumps({"step": 1, "figures": {"a": [1, 2]}})}
    made["training"] = Sample(".safetensors", save(plain, facts), load_tensors)
    matrix = numpy_helper.from_array(np.eye(4, dtype=np.float32), "matrix")
    graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", [], [], [matrix])
    made["matrix"] = Sample(".onnx", helper.make_model(graph).SerializeToString(), last_matrix)
    return made


def _saved(content: object, form: str) -> bytes:
    import torch

    made = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(
            content,
            made,
            _use_new_zipfile_serialization=form != "stream",
            pickle_protocol=4 if form == "protocol 4" else 2,
        )
    return made.getvalue()


def _description(saved: bytes, read: Callable[[Path], object]) -> Sample:
    """The pickle in a zip of PyTorch; all else in that stays whole."""
    with zipfile.ZipFile(io.BytesIO(saved)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    description = next(name for name in parts if name.endswith("data.pkl"))

    def whole(content: bytes) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            for name, part in (parts | {description: content}).items():
                archive.writestr(name, part)
        return made.getvalue()

    return Sample(".pth", parts[description], read, whole)


def _tar() -> bytes:
    """A checkpoint of PyTorch's first months: one tensor of 2 x 3."""
    import torch

    class ByKey(pickle.Pickler):
        def persistent_id(self, value: object) -> int | None:
            return 7 if value is marker else None

    marker = object()
    described = io.BytesIO()
    ByKey(described, 2).dump({"w": marker})
    storage = pickle.dumps((8, "cpu", torch.FloatStorage), 2) + struct.pack("<q6f", 6, *range(6))
    view = pickle.dumps((7, 8, "torch.FloatTensor"), 2) + struct.pack("<q5q", 2, 2, 3, 3, 1, 0)
    one = pickle.dumps(1, 2)
    parts = {
        "sys_info": pickle.dumps({}, 2),
        "pickle": described.getvalue(),
        "tensors": one + view,
        "storages": one + storage + pickle.dumps([(9, 8, 1, 2)], 2),
    }
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()
