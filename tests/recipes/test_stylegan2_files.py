"""StyleGAN2's generator in the files that others publish, made up here by their own rules."""

from __future__ import annotations

import dataclasses
import pickle
import sys
import types

import numpy as np
import pytest

pytest.importorskip("torch", exc_type=ImportError)

import torch
from torch.nn import functional

from sosie.errors import InputError
from sosie.nn.stylegan2.generator import Form, Generator
from sosie.recipes.published.stylegan2 import generator_from_file, generator_name
from sosie.training.checkpoint_file import read_checkpoint

TINY = Form(size_px=16, latent=8, depth=2, total=64, most=6)
SIDES = (4, 8, 16)


@pytest.fixture
def state():
    """The port's entries of a generator."""
    torch.manual_seed(0)
    made = Generator(TINY).state_dict()
    return {
        generator_name(key): np.asarray(torch.randn(value.shape)) if "kernel" not in key
        else value.numpy()
        for key, value in made.items()
    }  # fmt: skip


def of_layers():
    """(side, NVIDIA's name in it, the port's name, number)."""
    yield 4, "conv1", "conv1", 0
    for number, side in enumerate(SIDES[1:]):
        yield side, "conv0", f"convs.{2 * number}", 2 * number + 1
        yield side, "conv1", f"convs.{2 * number + 1}", 2 * number + 2


def of_pictures():
    for number, side in enumerate(SIDES):
        yield side, "to_rgb1" if number == 0 else f"to_rgbs.{number - 1}"


@pytest.fixture
def nvidia(monkeypatch):
    """The packages by whose names NVIDIA's files are pickled."""

    def module(name, **content):
        made = types.ModuleType(name)
        for key, value in content.items():
            value.__module__, value.__qualname__ = name, key
            setattr(made, key, value)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    def rebuild(meta):
        raise AssertionError("a file was run")

    class Network:
        def __init__(self, variables, components):
            self.variables, self.components = variables, components

        def __getstate__(self):
            return {
                "version": 4,
                "name": "G",
                "static_kwargs": {"resolution": 16},
                "components": self.components,
                "build_module_src": "raise SystemExit('a file was run')",
                "build_func_name": "G_main",
                "variables": list(self.variables.items()),
            }

        def __setstate__(self, state):
            raise AssertionError("a file was run")

    for parent in ("torch_utils", "dnnlib", "dnnlib.tflib"):
        module(parent)
    module("torch_utils.persistence", _reconstruct_persistent_obj=rebuild)
    return module("dnnlib.tflib.network", Network=Network), rebuild


class Persistent:
    """A module that is pickled with its source, as `persistence.persistent_class` makes them."""

    def __init__(self, rebuild, parameters=(), buffers=(), modules=()):
        self.rebuild = rebuild
        self.state = {
            "training": False,
            "_parameters": {k: torch.nn.Parameter(torch.tensor(v)) for k, v in parameters},
            "_buffers": {k: torch.tensor(v) for k, v in buffers},
            "_modules": dict(modules),
            "_init_kwargs": {"img_resolution": 16},
        }

    def __reduce__(self):
        meta = {
            "type": "class",
            "version": 6,
            "module_src": "raise SystemExit('a file was run')",
            "class_name": "Generator",
            "state": self.state,
        }
        return self.rebuild, (meta,), None


def as_pytorch(state, rebuild):
    affine = "conv.modulation"
    blocks = {}
    for side, layer, ours, number in of_layers():
        parameters = {
            "weight": state[f"{ours}.conv.weight"][0],
            "bias": state[f"{ours}.activate.bias"],
            "noise_strength": state[f"{ours}.noise.weight"][0],
        }
        buffers = {
            "noise_const": state[f"noises.noise_{number}"][0, 0],
            "resample_filter": np.ones((4, 4), np.float32) / 16,
        }
        dense = [(part, state[f"{ours}.{affine}.{part}"]) for part in ("weight", "bias")]
        child = Persistent(rebuild, dense)
        made = Persistent(rebuild, parameters.items(), buffers.items(), {"affine": child})
        blocks.setdefault(side, {})[layer] = made
    for side, ours in of_pictures():
        dense = [(part, state[f"{ours}.{affine}.{part}"]) for part in ("weight", "bias")]
        parameters = {
            "weight": state[f"{ours}.conv.weight"][0],
            "bias": state[f"{ours}.bias"].reshape(3),
        }
        child = Persistent(rebuild, dense)
        blocks[side]["torgb"] = Persistent(rebuild, parameters.items(), (), {"affine": child})
    synthesis = {
        f"b{side}": Persistent(
            rebuild, [("const", state["input.input"][0])] if side == 4 else (), (), children
        )
        for side, children in blocks.items()
    }
    mapping = {
        f"fc{k}": Persistent(
            rebuild, [(part, state[f"style.{k + 1}.{part}"]) for part in ("weight", "bias")]
        )
        for k in range(2)
    }
    average = [("w_avg", np.zeros(8, np.float32))]
    return Persistent(
        rebuild,
        modules={
            "synthesis": Persistent(rebuild, modules=synthesis),
            "mapping": Persistent(rebuild, (), average, mapping),
        },
    )


def as_tensorflow(state, network):
    def kernel(values):
        return np.ascontiguousarray(values[0].transpose(2, 3, 1, 0))

    synthesis = {"4x4/Const/const": state["input.input"]}
    for side, layer, ours, number in of_layers():
        name = "Conv" if side == 4 else {"conv0": "Conv0_up", "conv1": "Conv1"}[layer]
        place, values = f"{side}x{side}/{name}", kernel(state[f"{ours}.conv.weight"])
        synthesis |= {
            f"{place}/weight": np.ascontiguousarray(values[::-1, ::-1]) if layer == "conv0"
            else values,
            f"{place}/mod_weight": np.asfortranarray(state[f"{ours}.conv.modulation.weight"].T),
            f"{place}/mod_bias": state[f"{ours}.conv.modulation.bias"] - np.float32(1),
            f"{place}/noise_strength": np.float32(state[f"{ours}.noise.weight"][0]),
            f"{place}/bias": state[f"{ours}.activate.bias"],
            f"noise{number}": state[f"noises.noise_{number}"],
        }  # fmt: skip
    for side, ours in of_pictures():
        place = f"{side}x{side}/ToRGB"
        synthesis |= {
            f"{place}/weight": kernel(state[f"{ours}.conv.weight"]),
            f"{place}/mod_weight": state[f"{ours}.conv.modulation.weight"].T,
            f"{place}/mod_bias": state[f"{ours}.conv.modulation.bias"] - np.float32(1),
            f"{place}/bias": state[f"{ours}.bias"].reshape(3),
        }
    mapping = {}
    for k in range(2):
        mapping[f"Dense{k}/weight"] = state[f"style.{k + 1}.weight"].T
        mapping[f"Dense{k}/bias"] = state[f"style.{k + 1}.bias"]
    components = {"synthesis": network(synthesis, {}), "mapping": network(mapping, {})}
    return network({"lod": np.float32(0), "dlatent_avg": np.zeros(8, np.float32)}, components)


def same(found, state):
    assert set(found) == set(state)
    for key, value in state.items():
        assert found[key].shape == value.shape, key
        assert np.allclose(found[key], value, atol=1e-6), key


def test_a_pickle_of_pytorch_is_read_and_not_run(tmp_path, nvidia, state):
    _, rebuild = nvidia
    other = {key: value + 1 for key, value in state.items()}
    content = {
        "G": as_pytorch(other, rebuild),
        "D": Persistent(rebuild, [("weight", np.ones(3, np.float32))]),
        "G_ema": as_pytorch(state, rebuild),
        "augment_pipe": None,
    }
    file = tmp_path / "ffhq.pkl"
    file.write_bytes(pickle.dumps(content))
    found = read_checkpoint(file)
    assert set(found) == {"G", "D", "G_ema"}
    same(generator_from_file(TINY, found["G_ema"]), state)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_of_tensorflow_is_read_and_not_run(tmp_path, nvidia, state, protocol):
    module, _ = nvidia
    averaged = as_tensorflow(state, module.Network)
    judge = module.Network({"Output/bias": np.zeros(1, np.float32)}, {})
    file = tmp_path / "config-f.pkl"
    other = as_tensorflow({k: v + 1 for k, v in state.items()}, module.Network)
    file.write_bytes(pickle.dumps((other, judge, averaged), protocol))
    found = read_checkpoint(file)
    assert set(found) == {"G", "D", "G_ema"}
    same(generator_from_file(TINY, found["G_ema"]), state)


def test_kernels_that_enlarge_are_turned_as_tensorflow_lays_them():
    """There a kernel is laid over the picture with its places apart, as any other kernel is."""
    torch.manual_seed(0)
    x, weight = torch.randn(1, 2, 5, 5), torch.randn(3, 2, 3, 3)
    apart = torch.zeros(1, 2, 9, 9)
    apart[..., ::2, ::2] = x
    wanted = functional.conv2d(apart, weight, padding=2)
    stored = {"synthesis/8x8/Conv0_up/weight": weight.permute(2, 3, 1, 0).numpy()}
    stored["synthesis/4x4/Const/const"] = np.zeros((1, 6, 4, 4), np.float32)
    ours = torch.from_numpy(generator_from_file(TINY, stored)["convs.0.conv.weight"])[0]
    made = functional.conv_transpose2d(x, ours.transpose(0, 1), stride=2)
    assert torch.allclose(made, wanted, atol=1e-5)


def test_what_an_older_port_left_out_is_filled_in(tmp_path, state):
    older = {
        k: torch.tensor(v) for k, v in state.items() if "kernel" not in k and "noises" not in k
    }
    torch.save({"g_ema": older, "latent_avg": torch.zeros(8)}, tmp_path / "g.pt")
    found = generator_from_file(TINY, read_checkpoint(tmp_path / "g.pt")["g_ema"])
    assert set(found) == set(state)
    for key, value in state.items():
        if "noises" not in key:
            assert np.array_equal(found[key], value)
    again = generator_from_file(TINY, read_checkpoint(tmp_path / "g.pt")["g_ema"])
    assert np.array_equal(found["noises.noise_4"], again["noises.noise_4"])


def test_a_larger_generator_is_not_taken_for_a_smaller_one(tmp_path, nvidia, state):
    module, rebuild = nvidia
    contents = ({"G_ema": as_pytorch(state, rebuild)}, (as_tensorflow(state, module.Network),) * 3)
    for number, content in enumerate(contents):
        file = tmp_path / f"{number}.pkl"
        file.write_bytes(pickle.dumps(content))
        found = read_checkpoint(file)["G_ema"]
        assert "input.input" in generator_from_file(TINY, found)
        for smaller in ({"size_px": 8}, {"depth": 1}):
            other = generator_from_file(dataclasses.replace(TINY, **smaller), found)
            assert "input.input" not in other


def test_other_files_stay_as_they_are():
    found = generator_from_file(TINY, {"weight": np.ones(2)})
    assert list(found) == ["weight"]


@pytest.mark.parametrize("share", [0.2, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_refused(tmp_path, nvidia, state, share):
    module, rebuild = nvidia
    for number, content in enumerate(
        ({"G_ema": as_pytorch(state, rebuild)}, (as_tensorflow(state, module.Network),) * 3)
    ):
        whole = pickle.dumps(content)
        file = tmp_path / f"{number}.pkl"
        file.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match="damaged, cut short"):
            read_checkpoint(file)


def test_what_a_pickle_asks_to_run_is_not_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return print, ("harm",)

    file = tmp_path / "harm.pkl"
    file.write_bytes(pickle.dumps({"G_ema": Harm(), "values": [1, 2]}))
    with pytest.raises(InputError, match="holds no weights"):
        read_checkpoint(file)


def test_arrays_that_lie_about_their_size_are_refused(tmp_path, nvidia):
    module, _ = nvidia
    for number, (before, after) in enumerate(((b"K\x03", b"K\x7f"), (b"f4", b"O8"))):
        network = module.Network({"bias": np.ones(3, np.float32)}, {})
        content = pickle.dumps((network, network, network), 2)
        assert before in content
        file = tmp_path / f"{number}.pkl"
        file.write_bytes(content.replace(before, after))
        with pytest.raises(InputError, match="damaged, cut short"):
            read_checkpoint(file)
