"""The records that flow through Sosie. All are frozen; arrays in them are never written to.

Pixels are RGB, height x width x 3, uint8 (uint16 for deep color). Coordinates are in pixels
of the frame, x to the right and y down, with (0, 0) the center of the top left pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Pixels = NDArray[Any]
"""RGB, H x W x 3, uint8 in 0..255 or uint16 in 0..65535."""


@dataclass(frozen=True)
class Pose:
    """Head rotation in degrees: `yaw` > 0 looks to the image's right, `pitch` > 0 looks down,
    `roll` > 0 tilts clockwise as seen in the image."""

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class Face:
    """One face in one frame.

    box: x0, y0, x1, y1 of the face's landmarks (not of the hair), float32, 4.
    points5: eye center (image left, image right), nose tip, mouth corners (left, right) for an
        upright face, float32, 5 x 2: the order of the alignment templates.
    landmarks: float32, 478 x 3, numbered as in `sosie.geometry.mesh`; x and y in pixels of the
        frame, z in the same unit with smaller values nearer to the camera.
    score: confidence that this is a face, 0..1.
    expression: weights of facial movements, float32, 52, 0..1, named by
        `sosie.analysis.landmarker.EXPRESSIONS`; None where they were not read.
    """

    box: FloatArray
    points5: FloatArray
    landmarks: FloatArray
    pose: Pose
    score: float
    expression: FloatArray | None = None

    @property
    def size_px(self) -> float:
        """The longer side of the box."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))

    @property
    def center(self) -> tuple[float, float]:
        """Middle of the box: x, y."""
        return float(self.box[0] + self.box[2]) / 2, float(self.box[1] + self.box[3]) / 2

    def shown_area(self, frame: Pixels) -> float:
        """Square pixels of the box that lie in its frame (H x W x 3), which may cut the face."""
        height, width = frame.shape[:2]
        # The first pixel reaches from -0.5 to 0.5.
        low = np.maximum(self.box[:2], -0.5)
        high = np.minimum(self.box[2:], (width - 0.5, height - 0.5))
        return float(np.prod(np.maximum(high - low, 0)))


@dataclass(frozen=True)
class Spectacles:
    """A target's spectacles with clear lenses, float32, h x w as the picture that they are laid
    over, 0..1.

    cover: how much of the face they hide: 1 at rims, less where a lens is a little opaque.
    lenses: where a face is seen through a clear lens.
    """

    cover: FloatArray
    lenses: FloatArray


@dataclass(frozen=True)
class Crop:
    """What a method sees of one face.

    pixels: RGB, h x w x 3, in the frame's depth (uint8 or uint16).
    matrix: frame -> crop, float64, 2 x 3 (a similarity; a shift where the card has no template).
    landmarks: the face's landmarks in crop coordinates, float32, 478 x 3.
    aim: the landmarks that the swapped face is to have, but for its identity: those of the face,
        or, where an earlier result was found to miss them, corrected for that.
    visible: float32, h x w, 0..1: 0 where something lies in front of the face.
    face: the face in frame coordinates.
    source: which of several source photos to use; None leaves the choice to the method.
    spectacles: the target's, if their lenses are clear. They count as seen in `visible`: the
        swapped face is made beneath them, and they are laid over it at the end.
    skin_beyond: float32, h x w, 0..1: how far skin goes on beyond the face's edge nearby; None
        where that is not known.
    beard: float32, h x w, 0..1: a beard of the target's that the swapped face is made over, and
        that says nothing of the light on its skin; None where there is none, or it stays.
    carried: what the method left of this face in the frame before (`SwappedCrop.carried`); empty at
        a track's first frame, in a photo, and where another source photo is taken than before.
    """

    pixels: Pixels
    matrix: NDArray[np.float64]
    landmarks: FloatArray
    aim: FloatArray
    visible: FloatArray
    face: Face
    source: int | None = None
    spectacles: Spectacles | None = None
    skin_beyond: FloatArray | None = None
    beard: FloatArray | None = None
    carried: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def hair_or_rims(self) -> FloatArray | None:
        """What covers skin that the swapped face is made over: a beard, and rims of spectacles, as
        `visible`; None where nothing does."""
        rims = None if self.spectacles is None else self.spectacles.cover
        if self.beard is None or rims is None:
            return rims if self.beard is None else self.beard
        return np.maximum(self.beard, rims)


@dataclass(frozen=True)
class SwappedCrop:
    """What a method returns for one crop, in the crop's own frame.

    pixels: RGB float32, h x w x 3, in 0..1; undefined where `mask` is 0.
    mask: float32, h x w, 0..1: where the method vouches for its pixels.
    own: float32, h x w, 0..1: where they need no new light: the target's own parts, moved, or all
        of them where the method has lit them itself.
    stages: what the method made on its way, by name and in order, RGB uint8; empty where that was
        not asked for.
    outline: the swapped face's landmarks, float32, 478 x 3, where its outline may leave the
        target's, as a jaw does that opens further; None where it stays inside.
    bounded: whether the target's face bounds what is shown, and what lies in front of it stays. A
        method that paints hair says itself, by `mask`, where all of it is.
    carried: what the method wants back with the crop of this face in the next frame; empty unless
        its card says that it carries something.
    """

    pixels: FloatArray
    mask: FloatArray
    own: FloatArray
    stages: Mapping[str, Pixels] = field(default_factory=dict)
    outline: FloatArray | None = None
    bounded: bool = True
    carried: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Patch:
    """A rectangle of a frame that a swap changes.

    x, y: the top left pixel of the rectangle in the frame.
    pixels: RGB, h x w x 3, in the frame's depth. Where `mask` is 0 they equal the target.
    mask: bool, h x w: which pixels are to be written. Pixels outside are left alone to the bit.
    matte: float32, h x w, 0..1: how much of the swapped face shows; None where that is not known.
    stages: as of the `SwappedCrop` that it was made of.
    """

    x: int
    y: int
    pixels: Pixels
    mask: NDArray[np.bool_]
    matte: FloatArray | None = None
    stages: Mapping[str, Pixels] = field(default_factory=dict)


@dataclass(frozen=True)
class Track:
    """One person's face through successive frames of one shot.

    number: from 0, unique in a video.
    faces: frame index -> face; an index between first and last is present, bridged if need be.
    """

    number: int
    faces: dict[int, Face]


@dataclass(frozen=True)
class FaceReport:
    """One swapped face of a photo, as the JSON report has it.

    source, source_photo: the source photo that was taken: its position among those of the person
    who was put in, and its path (`source 0` where it was an array). reference, similarity: the
    photo by which the face was chosen, and the cosine similarity of both identities; None where
    faces were not chosen by identity.
    """

    box: tuple[float, float, float, float]
    score: float
    pose: Pose
    source: int
    source_photo: str = ""
    reference: str | None = None
    similarity: float | None = None


@dataclass(frozen=True)
class TrackReport:
    """One swapped track of a video: one person's face in one scene.

    first_s, last_s: time of the first and the last swapped frame. frames: swapped ones.
    source_photos: those that were taken, in order of their first use. reference, similarity: as in
    FaceReport; the similarity is the highest that the track came to.
    """

    track: int
    scene: int
    first_s: float
    last_s: float
    frames: int
    source_photos: tuple[str, ...]
    reference: str | None = None
    similarity: float | None = None


@dataclass(frozen=True)
class PersonReport:
    """What became of one of the people who were to be replaced.

    reference: the photo that shows whom. source_photos: of the one put in. face_count: faces
    swapped, over all frames. similarity: of the most alike face of the target, swapped or not;
    None where there was no face to compare.
    """

    reference: str
    source_photos: tuple[str, ...]
    face_count: int
    similarity: float | None


@dataclass(frozen=True)
class SkippedFrame:
    """A frame of a video in which nothing was swapped, and why."""

    index: int
    time_s: float
    reason: str


@dataclass(frozen=True)
class ProcessorReport:
    """One processor that ran: as it was asked for, the stage that it acted on (`face` or `frame`),
    and the license of its weights, or of the processor where it has none."""

    name: str
    stage: str
    license: str


@dataclass(frozen=True)
class SwapReport:
    """What a swap did: the JSON report of the command line.

    license: of the method's weights, as they were published; with a file that the user brought,
    that of the interface or of the card by which it is known.
    frames, swapped_frames: 1 and 0 or 1 for a photo. face_count: faces swapped, over all frames.
    faces: those of a photo. tracks, followed: how many tracks of a video were swapped, and which,
    by number. people: of a swap by identity, one for each reference, in the order given.
    networks: of each network that ran, by name, the provider that ran it.
    processors: those that acted on the faces and the frames, in order.
    comparison: path of the comparison with the target, where one was written.
    seconds: wall-clock time by stage and in all (`total`). fps: frames over total seconds.
    """

    target: str
    output: str
    method: str
    frames: int
    swapped_frames: int
    face_count: int
    faces: tuple[FaceReport, ...] = ()
    tracks: int = 0
    followed: tuple[TrackReport, ...] = ()
    people: tuple[PersonReport, ...] = ()
    skipped: tuple[SkippedFrame, ...] = ()
    notes: tuple[str, ...] = ()
    networks: dict[str, str] = field(default_factory=dict)
    license: str = ""
    processors: tuple[ProcessorReport, ...] = ()
    comparison: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    fps: float = 0.0


@dataclass(frozen=True)
class Progress:
    """Handed to `on_progress` after each frame of a video, and once more when its last is done.

    done, total: frames of the stage; total is None where unknown. fps: frames a second.
    stage: what is being done: `resuming` (what an earlier run has encoded is written), `swapping`,
    `finishing` (the rest of the tracks is written) or `comparing` (the comparison is made).
    """

    done: int
    total: int | None
    fps: float
    stage: str = "swapping"

    @property
    def remaining_s(self) -> float | None:
        """Seconds left at the present speed, None where unknown."""
        if self.total is None or self.fps <= 0:
            return None
        return max(0, self.total - self.done) / self.fps


@dataclass(frozen=True)
class ImageResult:
    """What `swap_image` returns: the picture (RGB or RGBA, the target's depth), the faces that
    were found in the target and swapped, and the report."""

    image: Pixels
    faces: tuple[Face, ...]
    report: SwapReport


@dataclass(frozen=True)
class PreviewFrame:
    """One frame that was swapped to be looked at.

    time_s: since the video's start; None for a photo.
    target, result: the whole frame before and after, RGB, h x w x 3, uint8 or uint16.
    mask: float32, h x w, 0..1: how much of the swapped faces shows.
    faces: those that were swapped, in pixels of the frame, in order.
    sources: for each of them a square of the source photo that was taken (none where the person is
    in the method's weights), RGB, n x n x 3, with the
    face in its middle.
    note: why nothing was swapped; None where something was.
    sample_aspect: width over height of a pixel as it is to be seen.
    """

    time_s: float | None
    target: Pixels
    result: Pixels
    mask: FloatArray
    faces: tuple[Face, ...] = ()
    sources: tuple[Pixels, ...] = ()
    note: str | None = None
    sample_aspect: float = 1.0


@dataclass(frozen=True)
class Preview:
    """What `preview` returns: the sheet (RGB, h x w x 3, uint8) with source, target, result and
    mask side by side, and the frames on it, in order of time."""

    sheet: Pixels
    frames: tuple[PreviewFrame, ...]
