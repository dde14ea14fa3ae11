"""What is said of an exception that no one foresaw."""

from __future__ import annotations

import os
import traceback


def describe_fault(error: Exception) -> str:
    """One sentence on a fault of Sosie's own, for the user to report.

    With SOSIE_DEBUG in the environment the traceback goes to stderr.
    """
    if os.environ.get("SOSIE_DEBUG"):
        traceback.print_exception(error)
    text = " ".join(str(error).split()) or "no message"
    return (
        f"Unexpected {type(error).__name__} ({text}); this is a fault in Sosie, please report it "
        "with what is printed when SOSIE_DEBUG=1 stands in the environment."
    )
