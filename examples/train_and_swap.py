"""Train a small swapper on a folder of people, and swap with it.

    python examples/train_and_swap.py faces/ me.jpg photo.jpg out.png --run runs/a

`faces/` holds a folder of photos for each person. Needs the extra `train`. What follows after these
options goes to `sosie train`, as `--set samples=20000`; `--resume` goes on with a run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from PIL import Image

import sosie

SOSIE = (sys.executable, "-m", "sosie.app")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="folder with a folder of photos for each person")
    parser.add_argument("source", help="photo of the face to put in")
    parser.add_argument("target", help="photo to put it into")
    parser.add_argument("output", help="file to write")
    parser.add_argument("--run", type=Path, default=Path("runs/simswap"), help="folder of the run")
    arguments, further = parser.parse_known_args()

    command = [*SOSIE, "train", "simswap", "--preset", "small"]
    command += ["--data", arguments.data, "--run", str(arguments.run), *further]
    subprocess.run(command, check=True)

    result = sosie.swap_image(
        arguments.source,
        arguments.target,
        method="simswap",
        weights=str(arguments.run / "snapshot.safetensors"),
    )
    Image.fromarray(result.image).save(arguments.output)


if __name__ == "__main__":
    main()
