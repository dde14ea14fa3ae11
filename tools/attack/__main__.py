"""Try to break Sosie with files, sets, signals and disks that are made to, and count what it does.

    python -m tools.attack media --count 2000 --seed 1 --jobs 2
    python -m tools.attack weights --count 10000
    python -m tools.attack onnx --count 200
    python -m tools.attack sets --count 100
    python -m tools.attack signals --count 50
    python -m tools.attack outputs

Run it in the folder of Sosie's source, on Linux, with all extras installed. Everything is made by
code; the same seed makes the same cases. `tools/attack/trial.py` says what a case may do. A table
goes to standard output, and the exit code is 1 where a case failed; --keep moves the folders of
those into a folder.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tools.attack.trial import Row, judge

# Set before numpy and the others are loaded: a child of a process with threads may wait for ever.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

KINDS = {"media": 2000, "weights": 10_000, "onnx": 200, "sets": 100, "signals": 50, "outputs": 60}
"""Name of a kind, a module of this package -> how many cases it tries unless told."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--count", type=int, help="cases; left out, those of the report")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="cases at once")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no case after that")
    parser.add_argument("--keep", type=Path, help="folder for the cases that failed")
    chosen = parser.parse_args()
    cases = _cases(chosen.kind, chosen.count or KINDS[chosen.kind], chosen.seed)
    end = time.monotonic() + 60 * chosen.minutes
    wanted = itertools.takewhile(
        lambda _: time.monotonic() < end, itertools.islice(cases, chosen.first, None)
    )
    batch = 100 if chosen.kind == "weights" else 1
    rows = judge(wanted, chosen.jobs, chosen.keep, lambda line: print(line, flush=True), batch)
    print_table(rows)
    return int(rows["all"].kinds["failed"] > 0)


def _cases(kind: str, count: int, seed: int):  # type: ignore[no-untyped-def]
    from importlib import import_module

    return import_module(f"tools.attack.{kind}").cases(count, seed)


def print_table(rows: Mapping[str, Row]) -> None:
    """A row a name, in Markdown, the sum last."""
    print("| what | cases | accepted | refused | failed | slowest, s | peak, MB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in (*sorted(rows.keys() - {"all"}), "all"):
        row = rows[name]
        counts = [
            row.kinds.total(),
            *(row.kinds[kind] for kind in ("accepted", "refused", "failed")),
        ]
        told = [name, *counts, f"{row.slowest_s:.1f}", row.peak_mb]
        print("| " + " | ".join(map(str, told)) + " |")


if __name__ == "__main__":
    sys.exit(main())
