"""What the tools that fit models of the face share: arguments, and an archive with its card."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from sosie.recipes.card import draft, write_card
from sosie.training.recipe import Materials


def read_arguments(doc: str, directions: int) -> tuple[Materials, Path, int]:
    """Where the faces are, the archive to write, and how many directions it is to have."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("teachers", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="the archive to write, .npz")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the faces")
    parser.add_argument("--workers", type=int, default=2, help="processes that read faces")
    parser.add_argument("--directions", type=int, default=directions)
    given = parser.parse_args()
    if given.out.suffix != ".npz":
        parser.error(f"--out {given.out} does not end in .npz")
    return (
        Materials(given.data, given.teachers, given.cache, given.workers),
        given.out,
        (given.directions),
    )


def write_archive(
    out: Path,
    content: bytes,
    figures: Mapping[str, float],
    *,
    tool: str,
    summary: str,
    uses: Mapping[str, str],
) -> None:
    """Write the archive and its card, and print the figures. tool: file name of the tool. uses:
    origins as `sosie.recipes.card.origins` takes them."""
    rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in figures.items()}
    out.write_bytes(content)
    remake = (
        f"python tools/{tool} DATA_FOLDER TEACHERS_FOLDER --cache CACHE_FOLDER "
        f"--out src/sosie/models/files/{out.name}"
    )
    made = draft(out, summary=summary, uses=uses, figures=rounded, remake=remake)
    write_card(made, out.with_suffix(".json"))
    print(json.dumps(rounded, indent=2))
