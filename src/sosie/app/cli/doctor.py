"""`sosie doctor`: what is installed and what of it really works."""

from __future__ import annotations

import dataclasses

import typer

from sosie.app.checks import run_checks
from sosie.app.cli.arguments import AsJson
from sosie.app.cli.output import note_progress, print_json
from sosie.errors import SosieError


def doctor(
    as_json: AsJson = False,
) -> None:
    """Show what is installed, and which providers and codecs really work, by trying them."""
    note_progress("Trying providers, encoders and a swap ...")
    checks = list(run_checks())
    broken = [check for check in checks if check.needed and not check.works]
    if as_json:
        print_json({"ok": not broken, "checks": [dataclasses.asdict(check) for check in checks]})
    else:
        group = ""
        for check in checks:
            if check.group != group:
                group = check.group
                print(group)
            mark = "ok" if check.works else "BROKEN" if check.needed else "no"
            print(f"  {mark:7}{check.name:24}{check.detail}")
        for check in broken:
            print(f"{check.name} does not work: {check.remedy or check.detail}.")
        if not broken:
            print("Everything that Sosie needs works.")
    if broken:
        raise typer.Exit(SosieError.exit_code)
