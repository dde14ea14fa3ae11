"""Analysis of video: does every face that the teacher sees have a track, do tracks stay with their
people, and what does a frame cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis import embedder
from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.analysis.detection import Detection
from sosie.analysis.parser import FaceParts
from sosie.analysis.tracking.tracks import TrackedFace, track_video
from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.geometry.head_pose import Region
from sosie.media.video import VideoFrame, open_video
from sosie.models.session import Session, create_session
from sosie.recipes.evaluate_table import Row
from sosie.recipes.teachers import YuNet, teacher_file
from sosie.timing import Stopwatch
from sosie.training.recipe import Materials
from sosie.types import Face, FloatArray, Pixels

# A face that the teacher sees on so many frames in a row must have a track, on this share of them.
_MIN_RUN, _MIN_COVERED = 10, 0.8
# Boxes of successive frames are one face from this overlap on.
_SAME_FACE = 0.4
# Sights of a track are compared by the identity teacher: two halves of it below this similarity
# are two people. (Of two people it is 0.005 on average and seldom above 0.2.)
_TWO_PEOPLE = 0.2
_SIGHTS = 12
_SPEED_CLIP = "studio_1080p.mp4"


@dataclass
class TeacherRun:
    """A face that YuNet sees on successive frames. boxes: frame index -> x0, y0, x1, y1."""

    boxes: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return max(self.boxes)


@dataclass(frozen=True)
class ClipTracks:
    """runs, covered: faces that the teacher sees long enough, and those of them with a track.
    tracks, jumps: our tracks, and those whose two halves show two people."""

    runs: int
    covered: int
    tracks: int
    jumps: int


def measure(materials: Materials, limit: int | None) -> list[Row]:
    """Rows on tracks and on speed. limit: frames of a clip to look at, at most."""
    clips = sorted((materials.data / "clips").glob("*.mp4"))
    if not clips:
        raise InputError(f"There are no clips in {materials.data}: give the folder of the data.")
    identity = create_session(teacher_file(materials.teachers, "mobileface_v2.onnx"), threads=1)
    rows = []
    for clip in clips:
        found = clip_tracks(clip, YuNet(materials.teachers), identity, limit)
        where = f"on {clip.name}"
        share = 100 * found.covered / max(found.runs, 1)
        rows += [
            Row("video", f"YuNet's runs of 10 frames that have a track {where}, of {found.runs}",
                share, None, 100.0, ">=", "%"),
            Row("video", f"tracks that change person {where}, of {found.tracks}",
                float(found.jumps), None, 0.0, "<=", ""),
        ]  # fmt: skip
    speed = materials.data / "clips" / _SPEED_CLIP
    milliseconds = analysis_ms(speed, limit)
    rows += [
        Row("video", f"{stage} a frame, one face, 1080p", value, None, bound, "<=", "ms")
        for stage, value, bound in (
            *((stage, value, None) for stage, value in milliseconds.items()),
            ("detection, landmarks and identity", sum(milliseconds.values()), 12.0),
        )
    ]
    return rows


def clip_tracks(clip: Path, teacher: YuNet, identity: Session, limit: int | None) -> ClipTracks:
    """Compare the tracks of a clip with what YuNet sees on each frame."""
    runs: list[TeacherRun] = []
    tracked: dict[int, dict[int, Face]] = {}
    looks: dict[int, list[FloatArray]] = {}
    for frame, faces in _tracked(clip, create_analyzer(), limit):
        pixels = frame.to_rgb()
        _extend(runs, frame.index, teacher.detect(pixels).boxes)
        for one in faces:
            tracked.setdefault(one.track, {})[frame.index] = shown(one.face, pixels)
            if not one.bridged:
                looks.setdefault(one.track, []).append(_aligned(pixels, one.face))
    long = [run for run in runs if len(run.boxes) >= _MIN_RUN]
    covered = sum(_covered(run, tracked) >= _MIN_COVERED for run in long)
    jumps = sum(_changes_person(sights, identity) for sights in looks.values())
    return ClipTracks(len(long), covered, len(tracked), jumps)


def _tracked(
    clip: Path, analyzer: Analyzer, limit: int | None
) -> Iterator[tuple[VideoFrame, tuple[TrackedFace, ...]]]:
    with open_video(clip) as video:
        frames = (frame for frame in video.frames() if limit is None or frame.index < limit)
        yield from track_video(frames, analyzer, float(video.info.fps or 25))


def _extend(runs: list[TeacherRun], index: int, boxes: NDArray[np.float32]) -> None:
    """Give each box of a frame to the run that it continues, or begin a new one."""
    open_runs = [run for run in runs if run.last == index - 1]
    for box in boxes:
        overlaps = [overlap(box, run.boxes[index - 1]) for run in open_runs]
        if overlaps and max(overlaps) >= _SAME_FACE:
            open_runs.pop(int(np.argmax(overlaps))).boxes[index] = box
        else:
            runs.append(TeacherRun({index: box}))


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1."""
    shared = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


def _covered(run: TeacherRun, tracked: dict[int, dict[int, Face]]) -> float:
    """The largest share of a run's frames on which one track has its face there."""
    shares = [
        sum(i in faces and _inside(faces[i], box) for i, box in run.boxes.items())
        for faces in tracked.values()
    ]
    return max(shares, default=0) / len(run.boxes)


def shown(face: Face, pixels: Pixels) -> Face:
    """The face with the box of what the frame shows of it, as the teacher's boxes are."""
    height, width = pixels.shape[:2]
    limits = np.array([width - 1, height - 1], np.float32)
    box = np.clip(face.box.reshape(2, 2), 0, limits).reshape(4)
    return replace(face, box=np.asarray(box, np.float32))


def _inside(face: Face, box: NDArray[np.float32]) -> bool:
    """Whether a face is the one in a box: its center within, its size alike."""
    x, y = face.center
    size = float(max(box[2] - box[0], box[3] - box[1]))
    return bool(box[0] < x < box[2] and box[1] < y < box[3] and 0.5 < face.size_px / size < 2)


def _aligned(pixels: Pixels, face: Face) -> FloatArray:
    matrix = alignment.align_matrix(face.points5, embedder.TEMPLATE, embedder.SIDE_PX)
    aligned = alignment.crop(pixels, matrix, embedder.SIDE_PX)
    return np.asarray(aligned.transpose(2, 0, 1), np.float32)


def _changes_person(sights: list[FloatArray], identity: Session) -> bool:
    """Whether there is a moment before and after which a track shows two people."""
    if len(sights) < 2:
        return False
    chosen = np.unique(np.linspace(0, len(sights) - 1, _SIGHTS).astype(int))
    (name,) = identity.inputs
    (vectors,) = identity.run({name: np.stack([sights[i] for i in chosen])}).values()
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for cut in range(1, len(vectors)):
        before, after = vectors[:cut].sum(0), vectors[cut:].sum(0)
        if before @ after / (np.linalg.norm(before) * np.linalg.norm(after)) < _TWO_PEOPLE:
            return True
    return False


def analysis_ms(clip: Path, limit: int | None) -> dict[str, float]:
    """Milliseconds of each part of the analysis a frame, as a video is swapped. The first two
    seconds, which load networks, count as well."""
    timed = _TimedAnalyzer(create_analyzer(1))
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    frames, known = 0, set()
    try:
        for frame, faces in _tracked(clip, timed, limit):
            frames += 1
            for one in faces:
                if one.track not in known:
                    known.add(one.track)
                    timed.identify(frame.to_rgb(), one.face)
    finally:
        cv2.setNumThreads(threads)
    return timed.milliseconds(frames)


class _TimedAnalyzer:
    """An analyzer that counts the seconds of its parts."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self._watch = Stopwatch()

    def milliseconds(self, frames: int) -> dict[str, float]:
        """By part, a frame."""
        seconds = self._watch.report()
        parts = ("detection", "landmarks", "identity")
        return {part: 1000 * seconds.get(part, 0.0) / max(frames, 1) for part in parts}

    @property
    def providers(self) -> Mapping[str, str]:
        return self._analyzer.providers

    def detect(self, pixels: Pixels, *, thorough: bool = True) -> list[Detection]:
        with self._watch("detection"):
            return self._analyzer.detect(pixels, thorough=thorough)

    def landmarks(self, pixels: Pixels, region: Region) -> Face | None:
        with self._watch("landmarks"):
            return self._analyzer.landmarks(pixels, region)

    def confirm(self, pixels: Pixels, region: Region) -> Face | None:
        with self._watch("detection"):
            return self._analyzer.confirm(pixels, region)

    def identify(self, pixels: Pixels, face: Face) -> FloatArray:
        with self._watch("identity"):
            return self._analyzer.identify(pixels, face)

    def visible(self, pixels: Pixels, landmarks: FloatArray) -> FloatArray:
        return self._analyzer.visible(pixels, landmarks)

    def parts(self, pixels: Pixels, landmarks: FloatArray) -> FaceParts:
        return self._analyzer.parts(pixels, landmarks)

    def analyze(
        self,
        pixels: Pixels,
        roi: tuple[int, int, int, int] | None = None,
        *,
        thorough: bool = True,
    ) -> list[Face]:
        with self._watch("detection"):
            return self._analyzer.analyze(pixels, roi, thorough=thorough)
