"""Where the weights of MegaFS's three networks lie: a folder with a file of each."""

from __future__ import annotations

from pathlib import Path

from sosie.methods import parts

PARTS = {
    "generator": ("stylegan2", "megafs_stylegan2_*"),
    "encoder": ("megafs_encoder", "megafs_hierfe"),
    "transfer": ("megafs_transfer", "megafs_swapper_*"),
}
"""Part -> names of its files, as `sosie train` and `sosie weights import megafs` write them. They
are trained in this order."""


def part_file(folder: Path, part: str, ending: str) -> Path:
    """The file of a part in a folder or in one of its folders. ending: `.onnx` or `.safetensors`.

    Raises InputError where there is none, or more than one.
    """
    return parts.part_file("megafs", folder, part, PARTS[part], ending)
