"""From frame to frame: which face is whose, as the frames come in."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from sosie.analysis.analyzer import Analyzer, same_place, to_8_bit
from sosie.analysis.detection import Detection
from sosie.analysis.tracking.shots import HasPixels
from sosie.analysis.tracking.smoothing import REACH_FRAMES, Array, neighborhood
from sosie.geometry import alignment
from sosie.geometry.head_pose import Region, region_of, turned_deg
from sosie.types import Face, FloatArray, Pixels

# How far a face may be from where its motion so far puts it, in sizes of the face; by which factor
# it may grow or shrink from one frame to the next; by how much it may turn in the image.
_MAX_STEP, _MAX_GROWTH, _MAX_TURN_DEG = 0.5, 1.5, 40.0
# The same for a face that was out of sight.
_MAX_LEAP, _MAX_LEAP_GROWTH = 1.5, 2.0
# A face that moves by less of its size in a frame is looked for where it was: to lead by a motion
# that is mostly noise would treble the jitter of the mesh, which feels how its square is laid.
_SLOW = 0.05
# Correlation of two looks from which they may be one person's.
_MIN_ALIKE = 0.3
# Below this correlation a mesh beside a gap is not believed: what hides the face bends it first.
_CLEARLY_ALIKE = 0.7
_MAX_HAZY = 3
# By how much more a face must look like another track's person to be given to that track.
_CLEARLY_MORE = 0.15
_LOOK_PX = 32
# A lost face is searched in the whole frame on every so-manieth frame.
_SEARCH_EVERY = 3
# Rounds of detection in a row that may miss a face before its track ends.
_MAX_MISSED_ROUNDS = 2


@dataclass(frozen=True)
class Pace:
    """How often things are done, in frames.

    detect_every: search the frame for new faces, quickly. thorough_every: and thoroughly.
    max_gap: frames without a sight of the face that a track survives.
    min_length: a shorter track is taken for a false alarm, unless a cut ends it.
    """

    detect_every: int
    thorough_every: int
    max_gap: int
    min_length: int

    @classmethod
    def of(cls, fps: float) -> Pace:
        """For a video of that rate: detection every 0.4 s, thoroughly every 4 s, gaps of 0.5 s,
        tracks of at least 0.2 s."""
        every = max(1, round(0.4 * fps))
        return cls(every, 10 * every, max(1, round(0.5 * fps)), max(1, round(0.2 * fps)))


@dataclass
class Trail:
    """One person's face in one scene, as far as it has been seen.

    seen: frame index -> face; old entries are dropped. first, last: first and last index seen.
    hazy: indices in `seen` where the face looked unlike itself.
    look: what the face looks like, a unit vector. shape: its landmarks in one picture of it.
    missed_rounds: rounds of detection in a row that did not see it. cut_short: the scene ended
        while the face was there.
    """

    number: int
    scene: int
    first: int
    last: int
    look: FloatArray
    shape: FloatArray
    seen: dict[int, Face] = field(default_factory=dict)
    hazy: set[int] = field(default_factory=set)
    missed_rounds: int = 0
    cut_short: bool = False

    @cached_property
    def neighbors(self) -> Array:
        """See `smoothing.neighborhood`."""
        return neighborhood(self.shape)

    def see(self, index: int, face: Face, alike: float) -> None:
        self.seen[index] = face
        self.first, self.last = min(self.first, index), max(self.last, index)
        if alike < _CLEARLY_ALIKE:
            self.hazy.add(index)

    def unsee(self, index: int) -> None:
        del self.seen[index]
        self.hazy.discard(index)
        self.last = max(self.seen, default=self.last)

    def forget(self, before: int) -> None:
        """Drop what was seen before that index."""
        for index in [index for index in self.seen if index < before]:
            self.unsee(index)

    def believed(self) -> dict[int, Face]:
        """What was seen, but for the hazy sights right beside a gap."""
        faces = dict(self.seen)
        indices = sorted(faces)
        for before, after in itertools.pairwise(indices):
            if after - before == 1:
                continue
            for edge, step, end in ((before, -1, indices[0]), (after, 1, indices[-1])):
                for index in range(edge, edge + step * _MAX_HAZY, step):
                    if index == end or index not in self.hazy:
                        break
                    faces.pop(index, None)
        return faces

    def expected(self, index: int, step: int) -> Region:
        """Where the face should be at `index`, from the frames `step` after (-1) or before (1)."""
        near = self.seen[index - step]
        region = region_of(near.landmarks)
        further = self.seen.get(index - 2 * step)
        if further is None:
            return region
        past = region_of(further.landmarks)
        x, y = region.x - past.x, region.y - past.y
        if np.hypot(x, y) < _SLOW * region.size_px:
            return region
        return replace(region, x=region.x + x, y=region.y + y)


class Follower:
    """Takes the frames of a video one by one and keeps the trails of the faces in them."""

    def __init__(self, analyzer: Analyzer, pace: Pace) -> None:
        self._analyzer = analyzer
        self._pace = pace
        self._scene = -1
        self._scene_start = 0
        self._next_number = 0
        self.trails: list[Trail] = []

    def add(
        self, index: int, pixels: Pixels, starts_scene: bool, held: dict[int, HasPixels]
    ) -> None:
        """Take the next frame. held: earlier frames that may still change, by index."""
        frame = to_8_bit(pixels)
        if starts_scene:
            self.end_scene(index)
            self._scene += 1
            self._scene_start = index
        alive = self._alive(index)
        for trail in alive:
            self._follow(frame, trail, index)
        self._settle_doubles(frame, alive, index)
        since = index - self._scene_start
        lost = [trail for trail in alive if index not in trail.seen]
        round_due = since % self._pace.detect_every == 0
        if round_due or any((index - t.last) % _SEARCH_EVERY == 1 for t in lost):
            thorough = since % self._pace.thorough_every == 0
            found = self._analyzer.detect(frame, thorough=thorough)
            self._take(frame, found, alive, index, held)
            if round_due:
                self._check(frame, found, alive, index)

    def end_scene(self, index: int) -> None:
        """Nothing goes on at `index`: a cut, or the end of the video."""
        for trail in self.trails:
            trail.cut_short = trail.cut_short or trail.last == index - 1

    def forget(self, index: int) -> None:
        """Drop what is not needed for frames from that index on: a gap may begin long before."""
        needed = index - REACH_FRAMES - self._pace.max_gap - 2 * _MAX_HAZY
        self.trails = [trail for trail in self.trails if trail.last >= needed]
        for trail in self.trails:
            trail.forget(needed)

    def part(self, trail: Trail, index: int, pixels: Pixels) -> Trail:
        """From that index on the trail shows another person: it ends before, and what it saw since
        becomes a trail of its own, which is returned. pixels: of the newest frame, on which the
        trail was seen."""
        later = {i: face for i, face in trail.seen.items() if i >= index}
        newest = later[max(later)]
        other = Trail(
            number=self._next_number,
            scene=trail.scene,
            first=min(later),
            last=max(later),
            look=look_of(to_8_bit(pixels), newest),
            shape=newest.landmarks,
            seen=later,
        )
        self._next_number += 1
        for i in later:
            trail.unsee(i)
        # Should that person still be there, detection will find them.
        trail.missed_rounds = _MAX_MISSED_ROUNDS + 1
        self.trails = [t for t in self.trails if t is not trail or t.seen] + [other]
        return other

    def state(self) -> dict[str, Any]:
        """All that it remembers, as a record."""
        return {
            "scene": self._scene,
            "scene_start": self._scene_start,
            "next_number": self._next_number,
            "trails": self.trails,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Remember what `state` gave, in another run."""
        self._scene, self._scene_start = state["scene"], state["scene_start"]
        self._next_number, self.trails = state["next_number"], state["trails"]

    def _alive(self, index: int) -> list[Trail]:
        return [
            trail
            for trail in self.trails
            if trail.scene == self._scene
            and index - trail.last <= self._pace.max_gap
            and trail.missed_rounds <= _MAX_MISSED_ROUNDS
        ]

    def _follow(self, frame: Pixels, trail: Trail, index: int) -> None:
        """The face on this frame from its place on the one before, or where it was last seen."""
        if index - 1 in trail.seen:
            near, region = trail.seen[index - 1], trail.expected(index, 1)
        else:
            near = trail.seen[trail.last]
            region = region_of(near.landmarks)
        face = self._analyzer.landmarks(frame, region)
        if face is None or not _continues(near, face, region, _MAX_STEP, _MAX_GROWTH):
            return
        alike = _alike(trail.look, look_of(frame, face))
        if index - 1 in trail.seen or alike >= _MIN_ALIKE:
            trail.see(index, face, alike)

    def _settle_doubles(self, frame: Pixels, alive: list[Trail], index: int) -> None:
        """Where one person hides another, both trails may end up on one face: one is right."""
        for trail in alive:
            face = trail.seen.get(index)
            if face is None:
                continue
            rivals = [
                other
                for other in alive
                if other is not trail and _near(other.seen.get(index, other.seen[other.last]), face)
            ]
            if not rivals:
                continue
            look = look_of(frame, face)
            own = _alike(trail.look, look)
            for rival in rivals:
                theirs = _alike(rival.look, look)
                rivals_face = rival.seen.get(index)
                if rivals_face is None:
                    if theirs > own + _CLEARLY_MORE:
                        trail.unsee(index)
                        rival.see(index, face, theirs)
                        break
                elif same_face(face, rivals_face) and theirs > own:
                    trail.unsee(index)
                    break

    def _take(
        self,
        frame: Pixels,
        found: list[Detection],
        alive: list[Trail],
        index: int,
        held: dict[int, HasPixels],
    ) -> None:
        """Give detections to the trails that lost sight of their face, or start new ones."""
        for detection in found:
            present = [trail.seen[index] for trail in self.trails if index in trail.seen]
            if any(_covers(face, detection.region) for face in present):
                continue
            face = self._analyzer.confirm(frame, detection.region)
            if face is None or any(same_place(face, other) for other in present):
                continue
            look = look_of(frame, face)
            lost = [
                trail
                for trail in alive
                if index not in trail.seen
                and _continues(
                    trail.seen[trail.last],
                    face,
                    region_of(trail.seen[trail.last].landmarks),
                    _MAX_LEAP,
                    _MAX_LEAP_GROWTH,
                )
                and _alike(trail.look, look) >= _MIN_ALIKE
            ]
            if lost:
                trail = max(lost, key=lambda trail: _alike(trail.look, look))
            else:
                trail = Trail(
                    number=self._next_number,
                    scene=self._scene,
                    first=index,
                    last=index,
                    look=look,
                    shape=face.landmarks,
                )
                self._next_number += 1
                self.trails.append(trail)
            trail.see(index, face, _alike(trail.look, look))
            self._extend_back(trail, index, held)

    def _extend_back(self, trail: Trail, index: int, held: dict[int, HasPixels]) -> None:
        """A face found late was there before: follow it back through the frames still held."""
        for earlier in range(index - 1, self._scene_start - 1, -1):
            if earlier not in held or earlier in trail.seen:
                return
            frame = to_8_bit(held[earlier].to_rgb())
            near, region = trail.seen[earlier + 1], trail.expected(earlier, -1)
            face = self._analyzer.landmarks(frame, region)
            if face is None or not _continues(near, face, region, _MAX_STEP, _MAX_GROWTH):
                return
            alike = _alike(trail.look, look_of(frame, face))
            if alike < _MIN_ALIKE:
                return
            others = [other.seen[earlier] for other in self.trails if earlier in other.seen]
            if any(same_place(face, other) for other in others):
                return
            trail.see(earlier, face, alike)

    def _check(
        self, frame: Pixels, found: Iterable[Detection], alive: list[Trail], index: int
    ) -> None:
        """Learn the look of faces that detection sees too, count the misses of the others."""
        regions = [detection.region for detection in found]
        for trail in alive:
            face = trail.seen.get(index)
            if face is None:
                continue
            seen = any(_covers(face, region) for region in regions)
            if seen or self._analyzer.confirm(frame, region_of(face.landmarks)) is not None:
                trail.missed_rounds = 0
                mixed = 0.7 * trail.look + 0.3 * look_of(frame, face)
                trail.look = mixed / max(float(np.linalg.norm(mixed)), 1e-6)
            else:
                trail.missed_rounds += 1


def look_of(frame: Pixels, face: Face) -> FloatArray:
    """What an aligned face looks like, blind to brightness and contrast: a unit vector."""
    matrix = alignment.align_matrix(face.points5, "arcface", _LOOK_PX)
    # Its own noise is larger than what plain means leave.
    look = alignment.warp(frame, matrix, _LOOK_PX, _LOOK_PX, by_means=2)
    small = look.astype(np.float32).ravel()
    small -= small.mean()
    return np.asarray(small / max(float(np.linalg.norm(small)), 1e-6), np.float32)


def same_face(a: Face, b: Face) -> bool:
    """Whether two meshes lie on one another, and not only on two faces that overlap."""
    apart = np.linalg.norm(a.landmarks[:, :2] - b.landmarks[:, :2], axis=1).mean()
    return bool(apart < 0.2 * min(a.size_px, b.size_px))


def _alike(a: FloatArray, b: FloatArray) -> float:
    return float(a @ b)


def _near(a: Face, b: Face) -> bool:
    apart = np.hypot(a.center[0] - b.center[0], a.center[1] - b.center[1])
    return bool(apart < max(a.size_px, b.size_px))


def _covers(face: Face, region: Region) -> bool:
    """Whether a detection is of that face."""
    apart = np.hypot(face.center[0] - region.x, face.center[1] - region.y)
    return bool(apart < 0.4 * max(face.size_px, region.size_px))


def _continues(
    before: Face, now: Face, expected: Region, max_step: float, max_growth: float
) -> bool:
    own, old = region_of(now.landmarks), region_of(before.landmarks)
    apart = np.hypot(own.x - expected.x, own.y - expected.y)
    growth = own.size_px / old.size_px
    turned = abs(turned_deg(old.roll_deg, own.roll_deg))
    return bool(
        apart < max_step * old.size_px
        and 1 / max_growth < growth < max_growth
        and turned < _MAX_TURN_DEG
    )
