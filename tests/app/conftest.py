"""Running the command line in this process, and small photos and videos to run it on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sosie.app.cli.entry import run


@dataclass(frozen=True)
class Result:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def sosie(capfd) -> Callable[..., Result]:
    """`sosie("swap", "-s", path, ...)`: the exit code and what stood on stdout and stderr."""

    def call(*arguments: object) -> Result:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        return Result(code, *capfd.readouterr())

    return call


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def refused(sosie, tmp_path) -> Callable[..., str]:
    """Run a command that must fail: with this code, one sentence, and nothing written.

    Returns the sentence. It is the same on stderr and in the JSON object.
    """

    def call(code: int, *arguments: object) -> str:
        before = contents(tmp_path)
        result = sosie(*arguments, "--json")
        assert result.code == code, result
        assert contents(tmp_path) == before
        assert "Traceback" not in result.err
        message = result.json["error"]
        assert result.json == {"error": message, "exit_code": code}
        assert f"sosie: {message}\n" in result.err
        assert message.endswith((".", "?"))
        assert not message.endswith(("..", "?."))
        assert "\n" not in message
        return message

    return call


def write_video(path: Path, frames: Iterable[NDArray[np.uint8]], **options: Any) -> Path:
    """H.264 at 25 frames a second, from RGB frames; the size may change on the way."""
    with av.open(str(path), "w", **options) as container:
        stream = None
        for number, pixels in enumerate(frames):
            if stream is None:
                stream = container.add_stream("libx264", rate=25)
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = (
                    "yuv444p" if pixels.shape[0] % 2 or pixels.shape[1] % 2 else "yuv420p"
                )
                stream.options = {"preset": "ultrafast", "crf": "16"}
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    return write_video


@pytest.fixture(scope="session")
def small(astronaut) -> NDArray[np.uint8]:
    """The astronaut's head and shoulders, RGB, 288 x 288 x 3."""
    return np.ascontiguousarray(astronaut[:288, 80:368])


@pytest.fixture(scope="session")
def small_path(small, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("small") / "astronaut.png"
    Image.fromarray(small).save(path)
    return path


@pytest.fixture(scope="session")
def video_path(small, tmp_path_factory) -> Path:
    """The same head, moving a little, 12 frames of 256 x 256."""
    path = tmp_path_factory.mktemp("film") / "astronaut.mp4"
    return write_video(path, (small[k : k + 256, k : k + 256] for k in range(0, 24, 2)))


@pytest.fixture
def scenery() -> NDArray[np.uint8]:
    """A picture without a face, RGB, 288 x 288 x 3."""
    y, x = np.mgrid[:288, :288]
    return np.stack([x // 2, y // 2, (x + y) // 4], axis=2).astype(np.uint8)


@pytest.fixture(scope="session")
def pair(astronaut, hopper):
    """The astronaut left, the admiral right, RGB, 220 x 400 x 3."""
    picture = np.full((220, 400, 3), (130, 140, 150), np.uint8)
    picture[:, :200] = astronaut[20:240, 130:330]
    small = cv2.resize(hopper[40:440, 80:440], (180, 200), interpolation=cv2.INTER_AREA)
    picture[10:210, 210:390] = small
    return picture
