"""Measure what another tool made, side by side with Sosie.

    python examples/evaluate_another_tool.py faces/ theirs/

1. Draws pairs of source and target from `faces/`, a folder of photos for each person.
2. Prints which photos to give to the other tool, and where its results belong.
3. Run again with the results in `theirs/`, it scores them, and Sosie's own, and compares both.

Needs the extra `eval`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

SOSIE = (sys.executable, "-m", "sosie.app")


def sosie(*arguments: object) -> None:
    subprocess.run([*SOSIE, *map(str, arguments)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with a folder of photos for each person")
    parser.add_argument("results", type=Path, help="folder of the other tool's results")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder for the reports")
    parser.add_argument("--method", default="graft", help="method of Sosie to compare with")
    arguments = parser.parse_args()

    pairs = arguments.out / "pairs.json"
    if not pairs.exists():
        arguments.out.mkdir(parents=True, exist_ok=True)
        sosie("eval", "protocol", "folder", arguments.data, "-o", pairs)
    if not arguments.results.is_dir():
        for pair in json.loads(pairs.read_text("utf-8"))["pairs"]:
            result = arguments.results / f"{pair['id']}.png"
            print(f"{pair['source']} into {pair['target']}: save as {result}")
        return
    common = ("--pairs", pairs, "--out", arguments.out)
    sosie("eval", "score", *common, "--results", arguments.results, "--name", "theirs")
    sosie("eval", "run", *common, "--method", arguments.method, "--name", "ours")
    runs = (arguments.out / "theirs", arguments.out / "ours")
    sosie("eval", "compare", *runs, "--out", arguments.out / "comparison")


if __name__ == "__main__":
    main()
