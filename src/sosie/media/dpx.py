"""DPX files: what their header says of film and television goes along with other pixels."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.frame import VideoFrame

from sosie.errors import InputError
from sosie.files import require_file
from sosie.media.image_decoding import decoding

_MAGIC = {b"SDPX": ">", b"XPDS": "<"}
# Of the header: the image's own part, what is kept of it, and the whole with film and television.
_ELEMENT_CURVE, _ORIENTATION, _GENERIC, _WHOLE = slice(801, 803), slice(1408, 1664), 1664, 2048


def read_dpx(path: Path) -> VideoFrame:
    """The frame of a file, in its own depth. Raises InputError."""
    require_file(path, "picture")
    with decoding(path), av.open(str(path.absolute()), format="dpx_pipe") as container:
        frame = next(container.decode(video=0), None)
    if frame is None:
        raise InputError(f"{path} is damaged or no DPX file; write it again.")
    return frame


def write_dpx(target: Path, frame: VideoFrame, source: Path | None) -> None:
    """Writes a frame. source: the file that it was read from: its curve, orientation, film and
    television (time code) are kept. Raises OSError."""
    head = b"" if source is None else _head(source)
    order = _MAGIC.get(head[:4], ">")
    context: Any = av.CodecContext.create("dpx", "w")
    context.width, context.height = frame.width, frame.height
    context.pix_fmt = dpx_format(frame.format.name, order)
    context.time_base = Fraction(1, 24)
    if frame.format.name != context.pix_fmt:
        frame = frame.reformat(format=context.pix_fmt)
    frame.pts = 0
    data = b"".join(bytes(p) for p in (*context.encode(frame), *context.encode(None)))
    target.write_bytes(_with_header(data, head, order))


def dpx_format(name: str, order: str = ">") -> str:
    """The pixel format to write a frame in: its own depth, in the byte order of `>` or `<`."""
    end = "be" if order == ">" else "le"
    for depth in ("10", "12"):
        if f"p{depth}" in name:
            return f"gbrp{depth}{end}"
    if name in ("rgb24", "gbrp"):
        return "rgb24"
    return f"rgb48{end}"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_WHOLE)


def _with_header(data: bytes, head: bytes, order: str) -> bytes:
    """An encoded file with what a header says beside the storage of its own pixels."""
    if len(head) < _WHOLE or _MAGIC.get(data[:4]) != order:
        return data
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    made = bytearray(data[:_GENERIC].ljust(_GENERIC, b"\0"))
    made[_ELEMENT_CURVE] = head[_ELEMENT_CURVE]
    made[_ORIENTATION] = head[_ORIENTATION]
    made += head[_GENERIC:_WHOLE]
    pixels = data[start:]
    struct.pack_into(f"{order}I", made, 4, _WHOLE)
    struct.pack_into(f"{order}I", made, 16, _WHOLE + len(pixels))
    struct.pack_into(f"{order}2I", made, 24, _GENERIC, _WHOLE - _GENERIC)
    # Where the image's element begins.
    struct.pack_into(f"{order}I", made, 808, _WHOLE)
    return bytes(made) + pixels
