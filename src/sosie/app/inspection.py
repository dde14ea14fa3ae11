"""What `sosie inspect` reports, as JSON objects."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis import occlusion, parser
from sosie.analysis.analyzer import create_analyzer, to_8_bit
from sosie.analysis.landmarker import EXPRESSIONS
from sosie.analysis.parser import FaceParts
from sosie.analysis.quality import sharpness
from sosie.analysis.tracking.shots import split_scenes
from sosie.analysis.tracking.tracks import track_video
from sosie.app.thumbnails import (
    BestSights,
    Person,
    check_thumbnails,
    joined,
    sight_of,
    write_thumbnails,
)
from sosie.geometry import alignment
from sosie.geometry.head_pose import region_of
from sosie.media.image import load_photo
from sosie.media.image_write import save_photo
from sosie.media.photo import array_photo
from sosie.media.picture_video import Pictures
from sosie.media.targets import open_target
from sosie.media.video import Video, VideoFrame
from sosie.types import Face, Pixels, Progress

_ASSUMED_FPS = 25
"""For a video that does not state its rate: it only sets how often faces are searched for."""


# Colors that parts of a face are drawn in, and how much of the photo they leave.
_PAINTS = {
    "skin": (60, 170, 90),
    "hair": (170, 60, 190),
    "frame": (235, 60, 50),
    "lens": (240, 200, 60),
    "hat": (60, 90, 230),
    "thing": (60, 210, 220),
}
_PAINTED = 0.55


def inspect_photo(
    path: Path,
    landmarks: bool = False,
    threads: int | None = None,
    drawing: Path | None = None,
    overwrite: bool = False,
    thumbnails: Path | None = None,
) -> dict[str, Any]:
    """The faces of a photo from left to right, in pixels of the upright photo.

    landmarks: add all 478 landmarks of each face. drawing: file to write, of the photo with the
    parts of its faces painted over. thumbnails: folder for a picture of each person. Raises
    InputError where the photo cannot be read, and OutputError where what is to be written cannot
    be, or is there without `overwrite`.
    """
    if thumbnails is not None:
        check_thumbnails(thumbnails, overwrite)
    photo = load_photo(path)
    analyzer = create_analyzer(threads)
    faces = analyzer.analyze(photo.pixels)
    parts = [analyzer.parts(photo.pixels, face.landmarks) for face in faces]
    beards = [
        analyzer.beard(photo.pixels, *both).share_of(both[0].landmarks)
        for both in zip(faces, parts, strict=True)
    ]
    if drawing is not None:
        pixels = _painted(to_8_bit(photo.pixels), faces, parts)
        save_photo(array_photo(pixels), drawing, overwrite=overwrite)
    people: list[Person] = []
    if thumbnails is not None and faces:
        for position, face in enumerate(faces):
            identity = analyzer.identify(photo.pixels, face)
            people.append(Person([position], sight_of(photo.pixels, face), identity))
        write_thumbnails(people, thumbnails, analyzer)
    return {
        "path": str(path),
        "kind": "photo",
        "width": photo.width,
        "height": photo.height,
        "bits": 8 * photo.pixels.dtype.itemsize,
        "faces": [
            {"position": position, **_face(photo.pixels, *told, landmarks)}
            for position, told in enumerate(zip(faces, parts, beards, strict=True))
        ],
        **({} if thumbnails is None else {"people": _told_people(people, "faces")}),
    }


def inspect_video(
    path: Path,
    threads: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    thumbnails: Path | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """The scenes of a video, and its people as tracks: one person in one scene.

    Times are seconds since the video's start; a track's last time is that of its last frame.
    thumbnails: folder for a picture of each person, whose tracks are then told too. Raises
    InputError where the video cannot be read, and OutputError where the pictures cannot be written
    or are there without `overwrite`.
    """
    if thumbnails is not None:
        check_thumbnails(thumbnails, overwrite)
    analyzer = create_analyzer(threads)
    sights = BestSights()
    with open_target(path, threads=threads) as video:
        info = video.info
        fps = float(info.fps or _ASSUMED_FPS)
        frames = _Frames(video, on_progress)
        tracks: dict[int, _Track] = {}
        for frame, faces in track_video(frames, analyzer, fps):
            if thumbnails is not None and faces:
                sights.see(frame, faces)
            for found in faces:
                track = tracks.setdefault(found.track, _Track(found.track, found.scene))
                track.times_s.append(frame.time_s)
                track.faces.append(found.face)
    people = joined(list(sights.people.values()))
    if thumbnails is not None and people:
        write_thumbnails(people, thumbnails, analyzer)
    end_s = frames.last_s + 1 / fps
    ends_s = [*frames.scene_starts_s[1:], end_s]
    return {
        "path": str(path),
        "kind": "video",
        "width": info.width,
        "height": info.height,
        "fps": None if info.fps is None else round(fps, 3),
        "frames": frames.count,
        "duration_s": round(end_s - frames.scene_starts_s[0], 3),
        "scenes": [
            {"start_s": round(start_s, 3), "end_s": round(end_s, 3)}
            for start_s, end_s in zip(frames.scene_starts_s, ends_s, strict=True)
        ],
        "tracks": [tracks[number].summary() for number in sorted(tracks)],
        **({} if thumbnails is None else {"people": _told_people(people, "tracks")}),
        "notes": list(video.notes),
    }


class _Frames:
    """The frames of a video, counted, with the starts of its scenes noted as they go by."""

    def __init__(
        self, video: Video | Pictures, on_progress: Callable[[Progress], None] | None
    ) -> None:
        self.count = 0
        self.last_s = 0.0
        self.scene_starts_s: list[float] = []
        self._video = video
        self._on_progress = on_progress

    def __iter__(self) -> Iterator[VideoFrame]:
        start = time.perf_counter()
        for shot in split_scenes(self._video.frames()):
            frame = shot.frame
            if shot.starts_scene:
                self.scene_starts_s.append(frame.time_s)
            self.count += 1
            self.last_s = frame.time_s
            yield frame
            if self._on_progress:
                speed = self.count / (time.perf_counter() - start)
                self._on_progress(Progress(self.count, self._video.expected_frames, speed))


@dataclass
class _Track:
    """One person's faces in one scene."""

    number: int
    scene: int
    times_s: list[float] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        poses = [dataclasses.asdict(face.pose) for face in self.faces]
        return {
            "number": self.number,
            "scene": self.scene,
            "first_s": round(self.times_s[0], 3),
            "last_s": round(self.times_s[-1], 3),
            "frames": len(self.faces),
            "mean_size_px": round(statistics.fmean(face.size_px for face in self.faces), 1),
            "pose": {
                angle: [
                    round(min(pose[angle] for pose in poses), 1),
                    round(max(pose[angle] for pose in poses), 1),
                ]
                for angle in poses[0]
            },
        }


def _told_people(people: Sequence[Person], numbered: str) -> list[dict[str, Any]]:
    """People with their thumbnails. numbered: what of theirs has the numbers."""
    return [
        {
            "person": number,
            numbered: one.numbers,
            "thumbnail": str(one.thumbnail),
            "time_s": None if one.sight.time_s is None else round(one.sight.time_s, 3),
            "is_reference": one.is_reference,
        }
        for number, one in enumerate(people)
    ]


def _painted(
    pixels: NDArray[np.uint8], faces: list[Face], parts: list[FaceParts]
) -> NDArray[np.uint8]:
    """The pixels with each face's parts over them, `_PAINTS`."""
    height, width = pixels.shape[:2]
    drawn = pixels.astype(np.float32)
    for face, told in zip(faces, parts, strict=True):
        back = alignment.invert(parser.square_matrix(region_of(face.landmarks)))
        for name, color in _PAINTS.items():
            share = cv2.warpAffine(getattr(told, name), back, (width, height)) * _PAINTED
            drawn += share[..., None] * (np.array(color, np.float32) - drawn)
    return np.asarray(np.rint(drawn), np.uint8)


def _face(
    pixels: Pixels, face: Face, parts: FaceParts, beard: float, landmarks: bool
) -> dict[str, Any]:
    weights = face.expression if face.expression is not None else ()
    over = occlusion.shares(parts, face.landmarks) | {"beard": beard}
    values: dict[str, Any] = {
        "box": _rounded(face.box),
        "score": round(face.score, 4),
        "pose": {angle: round(value, 1) for angle, value in dataclasses.asdict(face.pose).items()},
        "size_px": round(face.size_px, 1),
        "sharpness": round(sharpness(pixels, face), 4),
        "over_the_face": {name: round(share, 4) for name, share in over.items()},
        "points5": _rounded(face.points5),
    }
    if face.expression is not None:
        weights = np.round(face.expression.astype(float), 3).tolist()
        values["expression"] = dict(zip(EXPRESSIONS, weights, strict=True))
    return values | {"landmarks": _rounded(face.landmarks)} if landmarks else values


def _rounded(points: NDArray[np.float32]) -> list[Any]:
    """Coordinates to a hundredth of a pixel."""
    rounded: list[Any] = np.round(points.astype(float), 2).tolist()
    return rounded
