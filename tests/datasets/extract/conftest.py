"""Photos and videos of two people to extract faces from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sosie.analysis.analyzer import Analyzer, create_analyzer


@pytest.fixture(scope="session")
def analyzer() -> Analyzer:
    return create_analyzer(1)


def _write_video(path: Path, frames: Iterable[NDArray[np.uint8]]) -> Path:
    """H.264 at 25 frames a second."""
    with av.open(str(path), "w") as container:
        stream = None
        for number, pixels in enumerate(frames):
            if stream is None:
                stream = container.add_stream("libx264", rate=25)
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"preset": "ultrafast", "crf": "12", "g": "10"}
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    return _write_video


@pytest.fixture(scope="session")
def video_path(astronaut, hopper, tmp_path_factory) -> Path:
    """40 frames of the astronaut, who comes nearer, then 40 of Grace Hopper, who moves: 256 px."""

    def frames() -> Iterable[NDArray[np.uint8]]:
        for k in range(40):
            side = 360 - 4 * k
            part = Image.fromarray(astronaut[:side, 100 : 100 + side])
            yield np.asarray(part.resize((256, 256), Image.Resampling.LANCZOS))
        for k in range(40):
            yield hopper[60 + k : 316 + k, 120 + k : 376 + k]

    return _write_video(tmp_path_factory.mktemp("film") / "two people.mp4", frames())


@pytest.fixture(scope="session")
def photos_path(astronaut_path, hopper_path, tmp_path_factory) -> Path:
    """A folder of two portraits, one of them in a folder inside, and a note."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "inner").mkdir()
    (folder / "astronaut.png").write_bytes(astronaut_path.read_bytes())
    (folder / "inner" / "hopper.jpg").write_bytes(hopper_path.read_bytes())
    (folder / "note.txt").write_text("nothing")
    return folder
