"""Videos that are not all there: found before the work where the file tells, and said how far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.error import FFmpegError

from sosie.errors import InputError, SosieError

MISSING_S = Fraction(1, 2)
"""A declared duration that is missed by less is the container's habit and not a cut."""

# Decoders in several threads tell of a fault some frames later than it is.
_NEAR_S = 1
_FAILURES, _MOST_TOLD = 16, 8
# Containers of whose broken blocks FFmpeg tells nothing: it looks for the next one. Between two
# packets of theirs lie no more bytes than these, but where blocks carry transparency beside.
_SILENT, _BETWEEN_BYTES = "matroska,webm", 2048
ALPHA_MODE = ("alpha_mode", "ALPHA_MODE")
"""Names under which a stream of that container says that it is transparent, by "1"."""
_IS = {"pictures": "are", "sound": "is"}
_STATED_DURATION = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Around whatever is asked of FFmpeg about a video that is read.

    What comes up of a broken file, by FFmpeg or by PyAV, which meets values there that its own
    types do not have, becomes one InputError.
    """
    try:
        yield
    except SosieError:
        raise
    except EOFError as error:
        raise InputError(f"{path} has no frames, or is cut short; export it again.") from error
    except Exception as error:
        why = f" ({error.strerror})" if isinstance(error, FFmpegError) else ""
        raise InputError(
            f"{path} is not a video, or is damaged or cut short, and cannot be read{why}; "
            f"play it to check, and export or download it again."
        ) from error


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
    """The sentence for a video whose pictures end before it does."""
    return (
        f"{path} is cut short: its pictures end at {end_s:.2f} s; "
        f"copy or download it again, or use the part up to there with --end."
    )


def damaged(path: Path, time: Fraction) -> str:
    """The sentence for a video of which nothing can be decoded from a time on."""
    return (
        f"{path} is damaged at {float(time):.2f} s and cannot be read further; "
        f"repair or export it again, or use the part up to there with --end."
    )


def readable(
    container: Any, streams: Any, on_error: Callable[[FFmpegError, bool], None]
) -> Iterator[Any]:
    """The packets of some streams, without those that cannot be read. on_error: called for each
    place where that is so, with whether it is tried further; it raises where not."""
    failures = 0
    while failures < _FAILURES:
        try:
            for packet in container.demux(streams):
                failures = 0
                yield packet
            return
        except FFmpegError as error:
            failures += 1
            on_error(error, failures < _FAILURES)


def passed_over(container: Any) -> list[tuple[Fraction, Fraction]]:
    """Where FFmpeg passes over bytes of a video in silence: times of the packets before and after,
    in seconds of the video's clock. All of the file is read, and nothing decoded."""
    streams = list(container.streams)
    marks = [stream.metadata.get(key) for stream in streams for key in ALPHA_MODE]
    if container.format.name != _SILENT or "1" in marks:
        return []
    found: list[tuple[Fraction, Fraction]] = []
    last: tuple[int, Fraction] | None = None
    for packet in readable(container, streams, lambda _error, _is_tried_further: None):
        if packet.pos is None or packet.pts is None:
            continue
        time = packet.pts * packet.time_base
        if last is not None and packet.pos - last[0] > _BETWEEN_BYTES:
            found.append((last[1], time))
        last = packet.pos + packet.size, time
    return found


def _no_holes() -> list[tuple[Fraction, Fraction]]:
    return []


class Damage:
    """What of a video's pictures, or of one of its sounds, was lost: told of every fault and every
    frame, as they come.

    Times are in seconds of the video's clock. A video may have gaps of its own; only one beside a
    fault counts as lost, or over bytes that were passed over.

    holes: tells where that is so; it is asked when there is a gap without a fault.
    """

    def __init__(self, holes: Callable[[], list[tuple[Fraction, Fraction]]] = _no_holes) -> None:
        self._holes = holes
        self._faults: list[Fraction] = []
        self._lost: list[tuple[Fraction, Fraction]] = []
        self._seen_until: Fraction | None = None

    @property
    def is_found(self) -> bool:
        """Whether there was a fault so far."""
        return bool(self._faults)

    def fault(self, time: Fraction) -> None:
        """A packet of about this time was damaged, or a frame is known not to be as it was."""
        self._faults.append(time)

    def frame(self, start: Fraction, end: Fraction) -> None:
        """A frame is shown from one time to another, as far as is known."""
        before = self._seen_until
        is_gap = before is not None and start > before + (end - start) / 2
        if before is not None and is_gap and self._is_near(before, start):
            self._lost.append((before, start))
        self._seen_until = end if before is None else max(before, end)

    def end(self, end: Fraction) -> Fraction | None:
        """The video ends. Returns from where on it shows nothing although it goes on, if so."""
        last = self._seen_until
        if last is None or end <= last or not self._is_near(last, end):
            return None
        if end - last >= MISSING_S:
            return last
        self._lost.append((last, end))
        return None

    def note(self, origin: Fraction, of: str = "pictures") -> str | None:
        """A sentence on what was lost of what is called `of`, by times since the video's start."""
        shown = [
            time
            for time in self._faults
            if not any(low - _NEAR_S <= time <= high + _NEAR_S for low, high in self._lost)
        ]
        parts = []
        if self._lost:
            spans = [f"{float(a - origin):.2f} to {float(b - origin):.2f}" for a, b in self._lost]
            parts.append(f"its {of} from {_listed(spans)} s {_IS[of]} lost")
        if shown:
            places = dict.fromkeys(f"{max(0.0, float(t - origin)):.1f}" for t in sorted(shown))
            parts.append(f"those at about {_listed(list(places))} s may show it")
        return f"The video is damaged: {', and '.join(parts)}." if parts else None

    def _is_near(self, low: Fraction, high: Fraction) -> bool:
        if any(low - _NEAR_S <= time <= high + _NEAR_S for time in self._faults):
            return True
        return any(before < high and after > low for before, after in self._holes())


def _listed(items: list[str]) -> str:
    rest = len(items) - _MOST_TOLD
    shown = items[:_MOST_TOLD] + ([f"at {rest} more places"] if rest > 0 else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
