"""The curves of a swapper's training, from its log.

    python benchmarks/training_curve.py runs/a docs/training-simswap.png

Needs matplotlib.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

_LINES = {"similarity": "result and source", "target": "result and target", "apart": "strangers"}


def main() -> None:
    run, picture = Path(sys.argv[1]), Path(sys.argv[2])
    log = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    figures = [(entry["samples"], entry["figures"]) for entry in log if "figures" in entry]
    losses = [(entry["samples"], entry["losses"]) for entry in log if "losses" in entry]
    plot, (left, middle, right) = pyplot.subplots(1, 3, figsize=(12, 3.4), dpi=90)
    for key, label in _LINES.items():
        left.plot([s for s, _ in figures], [f[key] for _, f in figures], "o-", label=label)
    left.set(title="similarity, people kept aside", xlabel="samples", ylim=(0, 1))
    left.legend(fontsize=8)
    middle.plot([s for s, _ in figures], [f["reconstruction"] for _, f in figures], "o-")
    middle.set(title="reconstruction error, people kept aside", xlabel="samples", ylim=(0, None))
    for key in losses[-1][1]:
        values = smoothed([terms[key] for _, terms in losses if key in terms])
        right.plot([s for s, terms in losses if key in terms], values, label=key)
    right.set(title="weighted losses", xlabel="samples", yscale="symlog")
    right.legend(fontsize=6)
    plot.tight_layout()
    plot.savefig(picture)


def smoothed(values: list[float], keep: float = 0.9) -> list[float]:
    found, average = [], values[0]
    for value in values:
        average = keep * average + (1 - keep) * value
        found.append(average)
    return found


if __name__ == "__main__":
    main()
