"""Times as they are written for people."""

from __future__ import annotations

import math


def timecode(time_s: float) -> str:
    """`0:07.240` or `1:02:03.500`, in milliseconds, rounded up: the frame that began at a time is
    the one that is shown at its time code."""
    total = math.ceil(round(time_s * 1000, 3))
    minutes, milliseconds = divmod(max(0, total), 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{milliseconds // 1000:02}.{milliseconds % 1000:03}"
    return f"{hours}:{minutes:02}:{seconds}" if hours else f"{minutes}:{seconds}"
