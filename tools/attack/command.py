"""Sosie's commands, as a user types them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from tools.attack.trial import not_a_sentence

CODES = (0, 1, 2, 3, 4)


def sosie(*words: object) -> list[str]:
    """What is wrong with how a command ended, in this process; nothing where it did its work or
    said in one sentence why it did not."""
    from sosie.app.cli import main

    said, told = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(said):
        try:
            main([str(word) for word in words])
        except SystemExit as error:
            code = error.code
    wrong = judged(code, said.getvalue(), told.getvalue())
    name = " ".join(word for word in map(str, words[:2]) if not Path(word).is_absolute())
    return [f"{name}: {text}" for text in wrong]


def judged(code: object, said: str, told: str) -> list[str]:
    """What is wrong with an exit code and with what was said and told."""
    both = said + told
    wrong = [f"ended in {code}: {both[-300:]!r}"] if code not in CODES else []
    if "Traceback" in both or "fault in Sosie" in both:
        wrong.append(f"said {both[-500:]!r}")
    if code and not wrong:
        lines = [line for line in said.splitlines() if line.startswith("sosie: ")]
        wrong = [] if told and not lines else not_a_sentence(lines[-1] if lines else "")
    return wrong
