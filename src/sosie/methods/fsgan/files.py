"""Where the weights of FSGAN's four networks lie: a folder with a file of each."""

from __future__ import annotations

from pathlib import Path

from sosie.errors import InputError

STAGES = ("reenactment", "segmentation", "inpainting", "blending")
"""In the order in which they are trained, and, but for the second, swap."""


def stage_file(folder: Path, stage: str, ending: str) -> Path:
    """The file of a stage in a folder or in one of its folders, as `sosie train fsgan_STAGE` and
    `sosie weights import fsgan` name it. ending: `.onnx` or `.safetensors`.

    Raises InputError where there is none, or more than one.
    """
    found = sorted(
        path
        for pattern in (f"fsgan_{stage}{ending}", f"fsgan_{stage}_*{ending}")
        for path in (*folder.glob(pattern), *folder.glob(f"*/{pattern}"))
    )
    if not found:
        raise InputError(
            f"There is no fsgan_{stage}{ending} in {folder}, or in a folder of it: train it with "
            f"`sosie train fsgan_{stage} --run {folder / stage}`, or import a published one."
        )
    if len(found) > 1:
        raise InputError(
            f"{folder} holds the {stage} of FSGAN more than once ({found[0]}, {found[1]}): keep "
            f"the one that is meant there."
        )
    return found[0]
