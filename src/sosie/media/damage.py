"""Films that are not all there: found before the work where the file tells, and said how far."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

MISSING_S = Fraction(1, 2)
"""A declared duration that is missed by less is the container's habit and not a cut."""

_STATED_DURATION = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")


def missing_from_s(stream: Any, path: Path, origin: Fraction) -> float | None:
    """From where on the file lacks frames that its own index lists, None where it has all."""
    entries = stream.index_entries
    size = path.stat().st_size
    if not len(entries) or entries[-1].pos + entries[-1].size <= size:
        return None
    low, high = 0, len(entries) - 1
    while low < high:
        middle = (low + high) // 2
        if entries[middle].pos + entries[middle].size > size:
            high = middle
        else:
            low = middle + 1
    return max(0.0, float(entries[low].timestamp * stream.time_base - origin))


def declared_end(container: Any, stream: Any) -> Fraction | None:
    """The end that the container states for this video, where it can be relied on."""
    if container.format.name not in _STATED_DURATION:
        return None
    start = (stream.start_time or 0) * stream.time_base
    if stream.duration is not None:
        return Fraction(start + stream.duration * stream.time_base)
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")  # Matroska: 00:01:02.5
    minutes, _, seconds = rest.partition(":")
    with suppress(ValueError):
        return Fraction(hours) * 3600 + Fraction(minutes) * 60 + Fraction(seconds)
    return None


def cut_short(path: Path, end_s: float) -> str:
    """The sentence for a film whose pictures end before it does."""
    return (
        f"{path} is cut short: its pictures end at {end_s:.2f} s; "
        f"copy or download it again, or use the part up to there with --end."
    )


def damaged(path: Path, time: Fraction) -> str:
    """The sentence for a film that cannot be decoded from a time on."""
    return (
        f"{path} is damaged at {float(time):.2f} s and cannot be read further; "
        f"repair or export it again, or use the part up to there with --end."
    )
