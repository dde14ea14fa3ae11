"""Where the weights of FSLSD's networks lie: a folder with a file of each."""

from __future__ import annotations

from pathlib import Path

from sosie.methods import parts

PARTS = {
    "generator": ("stylegan2", "fslsd_generator_feats"),
    "inverter": ("fslsd_inverter",),
    "swap": ("fslsd",),
    "landmarks": ("fslsd_landmark_encoder",),
    "maps": ("fslsd_generator_feats",),
    "target": ("fslsd_target_encoder",),
    "decoder": ("fslsd_decoder_1024",),
    "bald": ("fslsd_f_mapping",),
}
"""Part -> names of its files. The first three are trained in this order; `swap` holds all that the
others do, which are imported."""

IMPORTED = ("landmarks", "maps", "target", "decoder")
"""The parts that an imported swap takes; `bald` is in addition where it is there."""

_TRAINED = ("generator", "inverter", "swap")


def part_file(folder: Path, part: str, ending: str) -> Path:
    """The file of a part in a folder or in one of its folders. ending: `.onnx` or `.safetensors`.

    Raises InputError where there is none, or more than one.
    """
    trained, imported = part in _TRAINED, part != "inverter"
    ways = [way for way, is_one in (("train", trained), ("import", imported)) if is_one]
    return parts.part_file("fslsd", folder, part, PARTS[part], ending, ways)


def has_part(folder: Path, part: str) -> bool:
    """Whether there is an ONNX file of a part."""
    names = [f"{name}.onnx" for name in PARTS[part]]
    return any(any(folder.glob(name)) or any(folder.glob(f"*/{name}")) for name in names)
