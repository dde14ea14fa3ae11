"""What figures of time are to be read with: processor, threads and versions."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import sosie


def machine() -> dict[str, str | int]:
    """This machine: `system`, `processor`, `threads`, and the versions `python` and `sosie`."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor_name(),
        "threads": os.cpu_count() or 1,
        "python": platform.python_version(),
        "sosie": sosie.__version__,
    }


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
