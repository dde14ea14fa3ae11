"""Which of a track's many pictures to keep: the clearest of each short while, unless it is nearly
the same as one of the last that were kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar


class Candidate(Protocol):
    """A picture that may be kept."""

    @property
    def phash(self) -> int: ...
    @property
    def rejected(self) -> str: ...
    @property
    def clarity(self) -> float: ...


CandidateT = TypeVar("CandidateT", bound=Candidate)

# Each new picture of a track is compared with so many kept before.
_REMEMBERED = 12


@dataclass
class _Kept:
    """Hashes of the last kept pictures, good ones and rejected ones apart: a blurred picture must
    not stand in for a sharp one."""

    good: list[int] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)


class Thinner(Generic[CandidateT]):
    """Takes the pictures of all tracks of a video in order of time.

    A while is 1 / `per_second` long, the same for all tracks; `flush` ends it. thinned: pictures
    left out so far.
    """

    def __init__(self, per_second: float | None, min_distance: int) -> None:
        self._per_second = per_second
        self._min_distance = min_distance
        self._best: dict[int, CandidateT] = {}
        self._kept: dict[int, _Kept] = {}
        self.thinned = 0

    def window(self, index: int, time_s: float) -> int:
        """The number of the while in which a frame lies."""
        return index if self._per_second is None else int(time_s * self._per_second // 1)

    def offer(self, track: int, candidate: CandidateT) -> None:
        """A picture of the present while."""
        best = self._best.get(track)
        if best is None:
            self._best[track] = candidate
            return
        self.thinned += 1
        if _worth(candidate) > _worth(best):
            self._best[track] = candidate

    def flush(self) -> list[tuple[int, CandidateT]]:
        """End the while: the pictures of it that are kept, by track."""
        kept = []
        for track, candidate in sorted(self._best.items(), key=lambda item: item[0]):
            memory = self._kept.setdefault(track, _Kept())
            hashes = memory.rejected if candidate.rejected else memory.good
            if any(bits_apart(candidate.phash, old) < self._min_distance for old in hashes):
                self.thinned += 1
                continue
            hashes.append(candidate.phash)
            del hashes[:-_REMEMBERED]
            kept.append((track, candidate))
        self._best = {}
        return kept

    def keep(self, tracks: set[int]) -> None:
        """Forget all but these tracks."""
        self._kept = {number: kept for number, kept in self._kept.items() if number in tracks}

    def state(self) -> dict[str, Any]:
        """All that is known between two whiles, as JSON."""
        kept = {str(track): vars(kept) for track, kept in self._kept.items()}
        return {"thinned": self.thinned, "kept": kept}

    def restore(self, state: dict[str, Any]) -> None:
        """From what `state` gave."""
        self.thinned = state["thinned"]
        self._kept = {int(track): _Kept(**kept) for track, kept in state["kept"].items()}


def bits_apart(a: int, b: int) -> int:
    """In how many of their 64 bits two hashes differ."""
    return (a ^ b).bit_count()


def _worth(candidate: Candidate) -> tuple[bool, float]:
    return not candidate.rejected, candidate.clarity
