"""Segments of a video made in other processes: what is handed to them, and what they do.

A run analyzes the video, which is done in order, and writes for each segment a plan into the work
folder: the faces of its frames, and whose each becomes. What a swap remembers of a face from frame
to frame is found by `follow_segment`, without a swap, and only where no shot starts: so segments
can be swapped at once, and give the bytes of one run. All that is large lies in the work folder,
which all machines see; the messages hold names and numbers.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from sosie import records
from sosie.analysis.analyzer import create_analyzer
from sosie.analysis.parser import FaceParts
from sosie.analysis.selection import Claim
from sosie.analysis.tracking.tracks import TrackedFace
from sosie.errors import InputError, UnavailableError
from sosie.media.picture_source import PictureSource
from sosie.media.picture_video import Pictures
from sosie.media.place import Place
from sosie.media.prefetch import prefetch, staged
from sosie.media.segments import SegmentLog
from sosie.media.sequence_names import sequence_name
from sosie.media.targets import open_target
from sosie.media.video import Video, VideoFrame
from sosie.media.writers import open_part_writer
from sosie.methods.base import Source
from sosie.options import SwapOptions
from sosie.output import write_whole
from sosie.swapping import frame as frames_module
from sosie.swapping.assignment import Role
from sosie.swapping.face import Engine
from sosie.swapping.frame import Assigner
from sosie.swapping.layers import open_layer_part
from sosie.swapping.sameness import swap_code
from sosie.swapping.tally import Tally
from sosie.swapping.video_analysis import queue_frames
from sosie.swapping.video_frames import VideoFrames
from sosie.swapping.work import FRAMES_FOLDER, LAYERS, LAYERS_FOLDER, SEGMENT
from sosie.timing import Stopwatch
from sosie.types import Face, Pose

SPEC_NAME = "swap.record"
_PLAN_CLASSES = (*frames_module.STATE_CLASSES, Claim, Place)
_SPEC_CLASSES = (Face, FaceParts, Pose, Role, Source)


@dataclass(frozen=True)
class SwapSpec:
    """What a swap is, for processes that do parts of it."""

    target: Path
    output: Path
    options: SwapOptions
    sources: Sequence[Sequence[Source]]
    roles: Sequence[Role]

    def write(self, folder: Path) -> str:
        """Leaves it in a work folder. Returns its digest. Raises OutputError."""
        content = records.pack(
            {
                "code": swap_code(),
                "target": str(self.target.absolute()),
                "output": str(self.output),
                "options": self.options.absolute().to_dict(),
                "sources": [list(photos) for photos in self.sources],
                "roles": list(self.roles),
            }
        )
        write_whole(folder / SPEC_NAME, content)
        return hashlib.blake2b(content, digest_size=16).hexdigest()


def write_plan(
    folder: Path,
    number: int,
    place: Place | None,
    frames: Sequence[tuple[Sequence[TrackedFace], Sequence[Claim]]],
) -> None:
    """Leaves in a work folder what is to be done to the frames of a segment. place: of its first
    frame, None at the video's start. Raises OutputError."""
    told = []
    for faces, claims in frames:
        # Whose a face is was decided; what that was told by is not needed any more.
        bare = {face.track: replace(face, identity=None) for face in faces}
        given = [replace(claim, face=bare[claim.face.track]) for claim in claims]
        told.append((list(bare.values()), given))
    write_whole(plan_path(folder, number), records.pack({"place": place, "frames": told}))


def plan_path(folder: Path, number: int) -> Path:
    """The plan of a segment."""
    return folder / f"{number:06}.plan"


def memory_path(folder: Path, number: int) -> Path:
    """What is remembered where a segment starts."""
    return folder / f"{number:06}.memory"


def follow_segment(folder: str, digest: str, number: int, _after: Any) -> bool:
    """Finds what is remembered at the end of a segment, for the next one to go on with. _after: is
    done first."""
    done = memory_path(Path(folder), number + 1)
    if not done.exists():
        part = _Part(Path(folder), digest, number)
        with part.opened() as video:
            frames = part.frames(video, Tally(part.swap.spec.roles, part.assigner), None)
            with prefetch(part.read(video), queue_frames(video)) as decoded:
                for frame, (faces, claims) in zip(decoded, part.planned, strict=True):
                    frames.follow(frame, faces, claims)
            write_whole(done, records.pack(frames.swapper.state()))
    return True


def swap_segment(folder: str, digest: str, number: int, _after: Any) -> dict[str, Any]:
    """Makes a segment. Returns what was counted (`tally`, packed, and `skipped`), how many `frames`
    it has, and the `seconds` of its stages. _after: is done first."""
    part = _Part(Path(folder), digest, number)
    with part.opened() as video:
        return _swapped(part, video)


@dataclass(frozen=True)
class _Swap:
    """A swap of which this process does parts."""

    spec: SwapSpec
    engine: Engine


@lru_cache(maxsize=2)
def _swap_of(folder: Path, digest: str) -> _Swap:
    """By its spec, whose digest is given. Raises InputError where that cannot be read here, and
    UnavailableError where this is other code."""
    try:
        content = (folder / SPEC_NAME).read_bytes()
    except OSError as error:
        raise InputError(
            f"A worker does not see {folder} ({error.strerror}): all machines need the target and "
            f"the work folder under one name, on a shared disk."
        ) from error
    if hashlib.blake2b(content, digest_size=16).hexdigest() != digest:
        raise InputError(f"{folder} was begun anew by another run.")
    kept = records.unpack(content, _SPEC_CLASSES)
    if kept["code"] != swap_code():
        raise UnavailableError(
            "A worker has another version of Sosie: install the same one on all machines."
        )
    options = SwapOptions.from_dict(kept["options"])
    paths = Path(kept["target"]), Path(kept["output"])
    spec = SwapSpec(*paths, options, kept["sources"], kept["roles"])
    analyzer = create_analyzer(options.threads, options.provider)
    return _Swap(spec, Engine(spec.sources, options, analyzer))


class _Part:
    """One segment at hand. planned: the faces of each frame and whose each becomes."""

    def __init__(self, folder: Path, digest: str, number: int) -> None:
        self.swap = _swap_of(folder, digest)
        self.folder, self.number = folder, number
        plan = records.unpack(plan_path(folder, number).read_bytes(), _PLAN_CLASSES)
        self.place: Place | None = plan["place"]
        self.planned: list[tuple[list[TrackedFace], list[Claim]]] = plan["frames"]
        roles, options = self.swap.spec.roles, self.swap.spec.options
        self.assigner = Assigner([role.identity for role in roles], options.faces)
        self.watch = Stopwatch()

    @property
    def first(self) -> int:
        """The index of the first frame."""
        return 0 if self.place is None else self.place.index

    @contextmanager
    def opened(self) -> Iterator[Video | Pictures]:
        """The video that the segment is of."""
        spec, o = self.swap.spec, self.swap.spec.options
        with open_target(spec.target, o.start_s, o.end_s, o.threads, o.sequence) as video:
            yield video

    def read(self, video: Video | Pictures) -> Iterator[VideoFrame]:
        """The frames of the segment."""
        frames = video.frames() if self.place is None else video.frames_from(self.place)
        return islice(self.watch.timed("decode", frames), len(self.planned))

    def frames(self, video: Video | Pictures, tally: Tally, layers: Any) -> VideoFrames:
        """What swaps them, and remembers what was before."""
        spec = self.swap.spec
        frames = VideoFrames(
            video.source, self.swap.engine, spec.options, tally, layers, self.watch
        )
        memory = memory_path(self.folder, self.number)
        if memory.exists():
            state = records.unpack(memory.read_bytes(), frames_module.STATE_CLASSES)
            frames.swapper.restore(state)
        return frames


def _swapped(part: _Part, video: Video | Pictures) -> dict[str, Any]:
    spec, options, number = part.swap.spec, part.swap.spec.options, part.number
    tally = Tally(spec.roles, part.assigner)
    # Of more than one process at the same segment each has its own; what is done is moved.
    attempt = part.folder / f"{number:06}.{secrets.token_hex(4)}.attempt"
    pictures = {name: attempt / name for name in (FRAMES_FOLDER, LAYERS_FOLDER)}
    for made in pictures.values():
        made.mkdir(parents=True)
    log = SegmentLog(part.folder, SEGMENT, number)
    layer_log = SegmentLog(part.folder, LAYERS, number)
    path = spec.output
    if sequence_name(path) is not None:
        path = pictures[FRAMES_FOLDER] / path.name
    try:
        layers = None
        if options.layers is not None:
            place, folder = Path(options.layers), pictures[LAYERS_FOLDER]
            layers = open_layer_part(video.source, place, layer_log, folder, number == 0)
        frames = part.frames(video, tally, layers)

        def swap(item: tuple[VideoFrame, Any]) -> VideoFrame:
            frame, (faces, claims) = item
            frames.swap(frame, faces, claims)
            return frame

        settings = (options.codec, options.crf, options.preset, options.threads)
        with open_part_writer(video.source, path, *settings, number == 0) as writer:
            writer.begin_segments(log)
            writer.frames = part.first
            decoded = prefetch(
                zip(part.read(video), part.planned, strict=True), queue_frames(video)
            )
            with staged(decoded, swap, 1) as made_frames:
                for frame in made_frames:
                    with part.watch("encode"):
                        writer.write(frame)
                    if isinstance(video.source, PictureSource):
                        video.source.kept.pop(frame.pts, None)
            with part.watch("encode"):
                kept = writer.end_segment()
        end = part.first + len(part.planned)
        skipped = tally.newly_skipped()
        facts = {"frames": end, "skipped": skipped, "notes": list(writer.notes), **kept}
        layer_facts = None
        if layers is not None:
            layer_facts = layers.end_segment() | {"frames": end}
            layers.close()
        for name, folder in pictures.items():
            for picture in folder.iterdir():
                (part.folder / name).mkdir(exist_ok=True)
                picture.replace(part.folder / name / picture.name)
        if layer_facts is not None:
            layer_log.end(layer_facts)
        log.end(facts)
    finally:
        log.discard()
        layer_log.discard()
        shutil.rmtree(attempt, ignore_errors=True)
    seconds = part.watch.report()
    del seconds["total"]
    counted = {"tally": records.pack(tally.state()), "skipped": skipped, "frames": end}
    return counted | {"seconds": seconds}
