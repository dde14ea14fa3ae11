"""What of this installation really works, found out by trying it."""

from __future__ import annotations

import io
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

import sosie
from sosie.errors import SosieError
from sosie.models.cards import check, embedded_cards, embedded_names

DEPENDENCIES = (
    "av",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "pillow",
    "rich",
    "safetensors",
    "typer",
)
_OTHER_MAKES = {
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml"),
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python"),
}
"""Package -> those that bring the same module, any of which will do."""
_NEEDED_ENCODERS = ("libx264",)
_FRAME_PX = 256
"""Side of the frames for trying an encoder: hardware encoders refuse smaller ones."""


@dataclass(frozen=True)
class Check:
    """One finding.

    group: what kind of thing was tried. detail: a version, a time, or why it does not work.
    needed: whether Sosie cannot do its work without. remedy: what to do where it does not work.
    """

    group: Literal["system", "package", "weights", "provider", "encoder", "swap"]
    name: str
    works: bool
    detail: str
    needed: bool = True
    remedy: str = ""


def run_checks() -> Iterator[Check]:
    """All findings, one after another; the last tries a whole swap."""
    yield from _system()
    yield from map(_package, DEPENDENCIES)
    yield from map(_weights, embedded_names())
    yield from _providers()
    yield from _encoders()
    yield _sample_swap()


def _system() -> Iterator[Check]:
    fits = (3, 11) <= sys.version_info < (3, 14)
    remedy = "" if fits else "install Python 3.11, 3.12 or 3.13"
    yield Check("system", "Python", fits, platform.python_version(), remedy=remedy)
    yield Check("system", "Sosie", True, sosie.__version__)
    yield Check("system", "machine", True, f"{platform.system()} {platform.machine()}")
    yield Check("system", "processor threads", True, str(os.cpu_count() or 1))


def _package(name: str) -> Check:
    for make in (name, *_OTHER_MAKES.get(name, ())):
        try:
            version = metadata.version(make)
        except metadata.PackageNotFoundError:
            continue
        return Check("package", name, True, version if make == name else f"{version} ({make})")
    return Check("package", name, False, "not installed", remedy=f"run `pip install {name}`")


def _weights(name: str) -> Check:
    verdict = check(name)
    if verdict.fault:
        remedy = "run `pip install --force-reinstall --no-deps .` in the folder of Sosie's source"
        return Check("weights", name, False, verdict.fault, remedy=remedy)
    return Check("weights", name, True, f"{(verdict.size_bytes or 0) / 1e6:.2f} MB, whole")


def _providers() -> Iterator[Check]:
    from sosie.models import session

    try:
        names = session.available_providers()
    except ImportError as error:
        remedy = "run `pip install onnxruntime`"
        yield Check("provider", "cpu", False, _first_line(error), remedy=remedy)
        return
    for name in names:
        needed = name == "cpu"
        try:
            session.probe_provider(name)
        except SosieError as error:
            remedy = "run `pip install --force-reinstall onnxruntime`" if needed else ""
            yield Check("provider", name, False, _first_line(error), needed, remedy)
        else:
            yield Check("provider", name, True, f"ran a small network; {_starting(name)}", needed)


def _starting(provider: str) -> str:
    """Which of the package's networks start on a provider."""
    from sosie.models.zoo import open_network

    networks = [name for name, card in embedded_cards().items() if card.file.endswith(".onnx")]
    refused = []
    for name in networks:
        try:
            open_network(name, provider, 1)
        except SosieError:
            refused.append(name)
    if refused:
        return f"of Sosie's networks {', '.join(refused)} do not start on it"
    return f"all {len(networks)} networks of Sosie start on it"


def _encoders() -> Iterator[Check]:
    try:
        from sosie.media.encoders import ENCODERS
    except ImportError as error:
        yield Check("encoder", "all", False, _first_line(error), remedy="run `pip install av`")
        return
    yield from map(_encoder, ENCODERS)


def _encoder(name: str) -> Check:
    from sosie.media.encoders import is_available

    needed = name in _NEEDED_ENCODERS
    remedy = "run `pip install --force-reinstall av`" if needed else ""
    if not is_available(name):
        return Check("encoder", name, False, "not in this build of FFmpeg", needed, remedy)
    # SVT-AV1 reads this once in a process: without it videos encoded later would be noisy too.
    os.environ.setdefault("SVT_LOG", "1")
    try:
        with _silent():
            size = _encode_two_frames(name)
    except Exception as error:  # whatever goes wrong in a driver is the finding
        return Check("encoder", name, False, _reason(error), needed, remedy)
    return Check("encoder", name, size > 0, "encoded two frames", needed, remedy)


def _encode_two_frames(encoder: str) -> int:
    """Bytes that two gray frames take with an encoder. Raises where it does not work."""
    import av
    import numpy as np

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream(encoder, rate=25)
        if not isinstance(stream, av.VideoStream):
            raise TypeError(f"{encoder} encodes no video")
        stream.width = stream.height = _FRAME_PX
        formats = stream.codec_context.codec.video_formats or ()
        known = [pixel_format.name for pixel_format in formats]
        stream.pix_fmt = "yuv420p" if not known or "yuv420p" in known else known[0]
        gray = np.full((_FRAME_PX, _FRAME_PX, 3), 128, np.uint8)
        for number in range(2):
            frame = av.VideoFrame.from_ndarray(gray, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return len(buffer.getvalue())


def _reason(error: Exception) -> str:
    """What FFmpeg logged last where it did, for example which library it missed."""
    log = getattr(error, "log", None)
    return str(log[2]).strip() if log else _first_line(error)


@contextmanager
def _silent() -> Iterator[None]:
    """No encoder's words reach the terminal. PyAV's errors carry FFmpeg's log meanwhile."""
    import av

    from sosie.media.stderr import silent_stderr

    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with silent_stderr():
            yield
    finally:
        av.logging.set_level(level)


def _sample_swap() -> Check:
    from sosie.app.samples import sample_portraits

    name = "sample portraits"
    try:
        portraits = sample_portraits()
    except SosieError as error:
        return Check("swap", name, False, str(error), needed=False)
    try:
        from sosie.pipeline import swap_image

        start = time.perf_counter()
        result = swap_image(portraits["astronaut"], portraits["hopper"])
    except Exception as error:  # a broken library may raise anything, and that is the finding
        remedy = "run `make clean demo`, or `pip install --force-reinstall .`, in Sosie's source"
        return Check("swap", name, False, _first_line(error), remedy=remedy)
    seconds = time.perf_counter() - start
    found = f"{len(result.faces)} face swapped in {seconds:.1f} s"
    return Check("swap", name, len(result.faces) == 1, found)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]
