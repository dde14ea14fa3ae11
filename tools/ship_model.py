"""Ship a trained network: put its weight file and card among the package's models.

    python tools/ship_model.py RUN_FOLDER NAME --eval EVAL.json [--models src/sosie/models/files]

RUN_FOLDER/NAME.onnx and RUN_FOLDER/NAME.json are what `sosie train` wrote. EVAL.json is what
`sosie eval analysis --json` printed for this very file: the rows of NAME become the card's first
figures, before those of validation. To measure a file it must lie among the models: ship it without
--eval, measure, and ship it again with it. A model that is new is also to be named in
`sosie.models.cards.SHIPPED`.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sosie.models.cards import SHIPPED, Card, parse_card
from sosie.output import write_whole
from sosie.recipes.card import write_card


def test_figures(rows: Iterable[Mapping[str, Any]], name: str) -> dict[str, float]:
    """The rows of one model as figures of a card: what was measured, with its unit -> number.

    Rows that could not be measured are left out.
    """
    figures = {}
    for row in rows:
        if row["model"] == name and row["value"] is not None:
            unit = f" ({row['unit']})" if row["unit"] else ""
            figures[f"{row['figure']}{unit}"] = float(f"{row['value']:.4g}")
    return figures


def ship(run: Path, name: str, models: Path, report: Mapping[str, Any] | None) -> Card:
    """Copy a network and its card, with the report's figures first. Returns the card.

    Raises ValueError where the card is none, or is not that of the file.
    """
    card = parse_card((run / f"{name}.json").read_bytes(), name)
    content = (run / card.file).read_bytes()
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise ValueError(f"{run / card.file} is not the file that its card describes")
    if report is not None:
        tested = test_figures(report["rows"], name)
        if not tested:
            raise ValueError(f"the report has no figure of {name}")
        card = dataclasses.replace(card, figures={**tested, **card.figures})
    models.mkdir(parents=True, exist_ok=True)
    write_whole(models / card.file, content)
    write_card(card, models / f"{name}.json")
    return card


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("name", help="the network's name")
    parser.add_argument("--eval", type=Path, help="what `sosie eval analysis --json` printed")
    parser.add_argument("--models", type=Path, default=Path("src/sosie/models/files"))
    arguments = parser.parse_args()
    report = json.loads(arguments.eval.read_text("utf-8")) if arguments.eval else None
    try:
        card = ship(arguments.run, arguments.name, arguments.models, report)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"{arguments.models / card.file}: {len(card.figures)} figures on its card")
    if arguments.name not in SHIPPED:
        print(f"Add {arguments.name!r} to SHIPPED in src/sosie/models/cards.py.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
