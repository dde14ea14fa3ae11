"""What the models cost: their files' size, and the time of one call on one thread."""

from __future__ import annotations

import statistics
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.detector import Detector
from sosie.analysis.embedder import Embedder
from sosie.analysis.landmarker import EXPRESSIONS, Landmarker
from sosie.analysis.parser import Parser
from sosie.models.cards import embedded_names, read_embedded
from sosie.models.session import Session, create_session
from sosie.recipes.evaluate import Row
from sosie.recipes.face_cache import decode, picture_parts
from sosie.recipes.teachers import (
    DETECTOR_FILE,
    LANDMARKER_FILE,
    LandmarkTeacher,
    YuNet,
    teacher_file,
)
from sosie.training.recipe import Materials
from sosie.types import Pixels

FRAME_PX = (640, 360)
"""Width and height of the frame that detectors are timed on."""

TOTAL_MB = 20.0
"""Bound of all weight files together."""

_IDENTITY_FILE = "mobileface_v2.onnx"
_RUNS, _WARM_UP = 50, 5

Call = Callable[[], object]
_Timed = Callable[[Session, Pixels], Call]


@dataclass(frozen=True)
class Subject:
    """A model, the bounds of its cost and the teacher to compare it with.

    call: from a session and a picture to what is timed: from pixels to numbers the program uses.
    """

    name: str
    call: _Timed
    megabytes: float
    milliseconds: float
    teacher: str | None


def _of_square(reader: Callable[[Session], Callable[[NDArray[np.uint8]], object]]) -> _Timed:
    """What a session's reader takes is a batch of one square, of the side of the network."""

    def call(session: Session, picture: Pixels) -> Call:
        side = session.inputs["pixels"][1]
        assert side is not None, "a network for faces has a side of its own"
        square, read = _resized(picture, side, side)[None], reader(session)
        return lambda: read(square)

    return call


def _detect(session: Session, picture: Pixels) -> Call:
    detector, frame = Detector(session), _resized(picture, *FRAME_PX)
    return lambda: detector.detect(frame)


def _correct(session: Session, picture: Pixels) -> Call:
    """The picture's colors, again and again, for all that the network is shown."""
    _, height, width, channels = session.inputs["pixels"]
    assert height is not None and width is not None and channels is not None
    shown = np.resize(_resized(picture, width, height), (1, height, width, channels))
    return lambda: session.run({"pixels": shown})


def _express(session: Session, picture: Pixels) -> Call:
    """The picture's colors, again and again, for all that the network is shown."""
    _, height, width, channels = session.inputs["shown"]
    assert height is not None and width is not None and channels is not None
    weights = np.zeros((1, len(EXPRESSIONS)), np.float32)
    shown = np.resize(_resized(picture, width, height), (1, height, width, channels))
    return lambda: session.run({"shown": shown, "has": weights, "wanted": weights})


SUBJECTS = (
    Subject("detector", _detect, 1.5, 12.0, DETECTOR_FILE),
    Subject("landmarks", _of_square(lambda s: Landmarker(s).read), 5.0, 5.0, LANDMARKER_FILE),
    Subject("identity", _of_square(lambda s: Embedder(s).embed), 12.0, 15.0, _IDENTITY_FILE),
    Subject("parser", _of_square(lambda s: Parser(s).parts), 4.0, 9.0, None),
    Subject("swap", _correct, 15.0, 140.0, None),
    Subject("expression", _express, 3.0, 40.0, None),
)


def measure(materials: Materials, limit: int | None) -> list[Row]:
    """Rows on size and time. limit: pictures to look at; one is enough, so it changes nothing."""
    del limit
    picture = _picture(materials)
    rows = []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for subject in SUBJECTS:
            rows += _rows(subject, picture, materials)
    finally:
        cv2.setNumThreads(threads)
    total = sum(len(read_embedded(name)) for name in embedded_names()) / 1e6
    return [*rows, Row("all", "size of all weight files", total, None, TOTAL_MB, "<=", "MB")]


def median_ms(call: Call) -> float:
    """Median milliseconds of _RUNS calls, after some that do not count."""
    seconds = []
    for _ in range(_WARM_UP + _RUNS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds[_WARM_UP:])


def _rows(subject: Subject, picture: Pixels, materials: Materials) -> list[Row]:
    content = read_embedded(subject.name)
    ours_ms = median_ms(subject.call(create_session(content, threads=1), picture))
    theirs_mb = theirs_ms = None
    if subject.teacher is not None:
        theirs_mb = teacher_file(materials.teachers, subject.teacher).stat().st_size / 1e6
        theirs_ms = _teacher_ms(subject.teacher, picture, materials)
    what = f"frame of {FRAME_PX[0]} x {FRAME_PX[1]}" if subject.name == "detector" else "face"
    return [
        Row(subject.name, "size of the weight file", len(content) / 1e6, theirs_mb,
            subject.megabytes, "<=", "MB"),
        Row(subject.name, f"time of one {what}, one thread", ours_ms, theirs_ms,
            subject.milliseconds, "<=", "ms"),
    ]  # fmt: skip


def _picture(materials: Materials) -> Pixels:
    """A portrait, that faces are looked for in."""
    part = next(picture_parts(materials.data, "hires"))
    with zipfile.ZipFile(part.archive) as opened:
        return decode(opened.read(part.names[0]))


def _teacher_ms(file: str, picture: Pixels, materials: Materials) -> float:
    if file == DETECTOR_FILE:
        yunet, frame = YuNet(materials.teachers), _resized(picture, *FRAME_PX)
        return median_ms(lambda: yunet.detect(frame, scale=1.0))
    if file == LANDMARKER_FILE:
        teacher, square = LandmarkTeacher(materials.teachers), _resized(picture, 256, 256)
        try:
            return median_ms(lambda: teacher.look(square))
        finally:
            teacher.close()
    session = create_session(teacher_file(materials.teachers, file), threads=1)
    (name,) = session.inputs
    face = _resized(picture, 112, 112).transpose(2, 0, 1)[None].astype(np.float32)
    return median_ms(lambda: session.run({name: face}))


def _resized(picture: Pixels, width: int, height: int) -> NDArray[np.uint8]:
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small, np.uint8)
