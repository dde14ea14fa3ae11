"""What is said of an exception."""

from __future__ import annotations

import os
import traceback

from sosie.errors import SosieError


def describe(error: Exception) -> str:
    """An error in words: its sentence, and what was added to it on the way (`add_note`).

    One that no one foresaw is a fault of Sosie's own, for the user to report. With SOSIE_DEBUG in
    the environment its traceback goes to stderr.
    """
    sentence = str(error) if isinstance(error, SosieError) else _fault(error)
    return " ".join([sentence, *getattr(error, "__notes__", ())])


def _fault(error: Exception) -> str:
    if os.environ.get("SOSIE_DEBUG"):
        traceback.print_exception(error)
    text = " ".join(str(error).split()) or "no message"
    return (
        f"Unexpected {type(error).__name__} ({text}); this is a fault in Sosie, please report it "
        "with what is printed when SOSIE_DEBUG=1 stands in the environment."
    )
