"""The parts of a published checkpoint, put together at work: here tiny ones of the same form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", exc_type=ImportError)

import shutil

import torch

from sosie.errors import InputError
from sosie.methods.fslsd.codes import SWAP_INPUTS, Networks
from sosie.methods.fslsd.heat_maps import POINTS
from sosie.methods.fslsd.inverter_recipe import FslsdInverterPlan, inverter_of
from sosie.methods.fslsd.network import (
    STRUCTURE,
    BaldMapping,
    EncoderForm,
    FlatDecoder,
    GeneratorMaps,
    LatentEncoder,
    TargetEncoder,
    map_widths,
    swapped_latents,
)
from sosie.nn.stylegan2.generator import Form
from sosie.training.export import trace

FORM = Form(64, 8, 2, 256, 8)
STAGES = ((4, 1), (4, 1), (8, 1), (8, 1))


@pytest.fixture(scope="module")
def parts() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    widths = map_widths(FORM)
    encoder = EncoderForm(2 * POINTS, (3, STRUCTURE - 3), STAGES, FORM.latent, 64)
    made = {
        "fslsd_landmark_encoder": LatentEncoder(encoder),
        "fslsd_generator_feats": GeneratorMaps(FORM),
        "fslsd_target_encoder": TargetEncoder(widths[::-1]),
        "fslsd_decoder_1024": FlatDecoder(widths),
        "fslsd_f_mapping": BaldMapping(FORM.count, FORM.latent),
        "fslsd_inverter": inverter_of(
            FslsdInverterPlan(structure=7, width=4, units=1), FORM, torch.zeros(8)
        ),
    }
    return {name: network.eval().requires_grad_(False) for name, network in made.items()}


@pytest.fixture(scope="module")
def folder(parts: dict[str, torch.nn.Module], tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("imported")
    picture, latents = torch.rand(2, 3, 64, 64), torch.rand(2, FORM.count, FORM.latent)
    maps = parts["fslsd_generator_feats"](latents)
    names = [f"maps{8 * 2**k}" for k in range(len(maps))]
    own = [f"{who}{8 * 2**k}" for who in ("source", "target") for k in range(len(maps))]
    decoded = dict(zip([*own, "mask"], [*maps, *maps, torch.rand(2, 1, 64, 64)], strict=True))
    for name, inputs, outputs in (
        ("fslsd_landmark_encoder", {"landmarks": torch.rand(2, 212, 64, 64)}, ["offsets"]),
        ("fslsd_generator_feats", {"latents": latents}, names),
        ("fslsd_target_encoder", {"target": picture}, names),
        ("fslsd_decoder_1024", decoded, ["picture"]),
        ("fslsd_f_mapping", {"latents": latents.flatten(1)}, ["bald"]),
        ("fslsd_inverter", {"picture": picture}, ["latents"]),
    ):
        trace(parts[name], inputs, outputs, found / f"{name}.onnx")
    return found


def test_the_parts_compute_what_the_published_system_does(
    parts: dict[str, torch.nn.Module], folder: Path
) -> None:
    rng = np.random.default_rng(0)
    shapes = ((10, 8), (10, 8), (212, 64, 64), (3, 64, 64), (1, 64, 64), (7, 8), (1, 1))
    given = {
        name: rng.uniform(0, 1, (1, *shape)).astype(np.float32)
        for name, shape in zip(SWAP_INPUTS, shapes, strict=True)
    }
    given["share"][:] = 0
    networks = Networks(folder, "cpu", 1)
    assert networks.size_px == 64
    assert set(networks.sessions) >= {"inverter", "landmarks", "maps", "target", "decoder", "bald"}
    source, target, landmarks, picture, mask = (
        torch.from_numpy(given[name]) for name in SWAP_INPUTS[:5]
    )
    codes = swapped_latents(source, target, parts["fslsd_landmark_encoder"](landmarks))
    bald = parts["fslsd_f_mapping"](codes.flatten(1)).reshape(codes.shape)
    for latents, kept in ((bald, folder), (codes, None)):
        if kept is None:
            (folder / "fslsd_f_mapping.onnx").unlink()
            networks = Networks(folder, "cpu", 1)
        expected = parts["fslsd_decoder_1024"](
            *parts["fslsd_generator_feats"](latents), *parts["fslsd_target_encoder"](picture), mask
        )
        found = networks._drawer.run(given)
        assert np.allclose(found.picture, expected[0].numpy(), atol=1e-4)
        moved = codes[0, :STRUCTURE] - target[0, :STRUCTURE]
        assert np.allclose(found.moved, moved.numpy(), atol=1e-5)


def test_what_does_not_belong_together_is_refused(
    folder: Path, untrained: object, tmp_path: Path
) -> None:
    trained = untrained("fslsd")  # type: ignore[operator]
    mixed = tmp_path / "mixed"
    shutil.copytree(folder, mixed)
    shutil.copy(trained / "fslsd.onnx", mixed)
    with pytest.raises(InputError, match="keep those that are meant"):
        Networks(mixed, "cpu", 1)
    (mixed / "fslsd.onnx").unlink()
    (mixed / "fslsd_target_encoder.onnx").unlink()
    with pytest.raises(InputError, match=r"no fslsd_target_encoder\.onnx.* of it: import a"):
        Networks(mixed, "cpu", 1)
    shutil.copy(folder / "fslsd_inverter.onnx", mixed / "fslsd_target_encoder.onnx")
    (mixed / "fslsd_inverter.onnx").unlink()
    with pytest.raises(InputError, match=r"fslsd_inverter --run [^,]*inverter`\."):
        Networks(mixed, "cpu", 1)
    with pytest.raises(InputError, match="is no folder"):
        Networks(folder / "fslsd_inverter.onnx", "cpu", 1)
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    shutil.copy(other / "fslsd_inverter.onnx", other / "fslsd.onnx")
    with pytest.raises(InputError, match="is no swap of FSLSD"):
        Networks(other, "cpu", 1)
