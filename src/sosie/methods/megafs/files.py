"""Where the weights of MegaFS's three networks lie: a folder with a file of each."""

from __future__ import annotations

from pathlib import Path

from sosie.errors import InputError

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
    trained = PARTS[part][0]
    found = sorted(
        path
        for name in PARTS[part]
        for path in (*folder.glob(f"{name}{ending}"), *folder.glob(f"*/{name}{ending}"))
    )
    if not found:
        raise InputError(
            f"There is no {trained}{ending} in {folder}, or in a folder of it: train it with "
            f"`sosie train {trained} --run {folder / part}`, or import a published one with `sosie "
            f"weights import megafs`."
        )
    if len(found) > 1:
        raise InputError(
            f"{folder} holds the {part} of MegaFS more than once ({found[0]}, {found[1]}): keep "
            f"the one that is meant there."
        )
    return found[0]
