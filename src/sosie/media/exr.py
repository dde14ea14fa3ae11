"""OpenEXR files: their color as linear light, and the same file with other color and all else kept.

Needs the package OpenEXR, which the extra `exr` brings.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError, OutputError, UnavailableError, install_hint
from sosie.files import require_file
from sosie.media.probe import check_frame_size
from sosie.media.stderr import silent_stderr
from sosie.types import FloatArray

_COLORS = "RGB"


def read_exr(path: Path) -> FloatArray:
    """The color of a file, h x w x 3, float32, of its data window. Raises InputError where it is
    absent, damaged, larger than a frame may be, or without color."""
    color = _color(_opened(path), path)
    return np.stack([color[name].pixels.astype(np.float32) for name in _COLORS], axis=-1)


def rewrite_exr(source: Path, target: Path, rgb: FloatArray) -> None:
    """Writes the file `source` as `target` with another color (h x w x 3, float32): its other
    channels and parts, depth, compression and header stay. Samples that are the same stay so to the
    bit. Raises OutputError."""
    file = _opened(source)
    for number, channel in enumerate(_color(file, source).values()):
        channel.pixels = np.ascontiguousarray(rgb[..., number].astype(channel.pixels.dtype))
    _write(file, target)


def write_exr(
    target: Path, channels: Mapping[str, NDArray[Any]], words: Mapping[str, str] | None = None
) -> None:
    """Writes channels by name (`R`, `layer.G`, ...), each h x w, float16 or float32. words: for the
    header. Raises OutputError."""
    library = _library()
    header = {
        "compression": library.ZIP_COMPRESSION,
        "type": library.scanlineimage,
        **(words or {}),
    }
    _write(library.File(header, {n: np.ascontiguousarray(c) for n, c in channels.items()}), target)


def require_exr() -> None:
    """Raises UnavailableError where the package is not there."""
    _library()


def _library() -> Any:
    try:
        import OpenEXR
    except ImportError as error:
        raise UnavailableError(
            f"OpenEXR files need the package OpenEXR: {install_hint('exr')}."
        ) from error
    return OpenEXR


def _opened(path: Path) -> Any:
    library = _library()
    name = str(require_file(path, "picture"))
    try:
        with silent_stderr():
            header = library.File(name, header_only=True)
            for part in header.parts:
                (left, top), (right, bottom) = part.header["dataWindow"]
                check_frame_size(int(right) - int(left) + 1, int(bottom) - int(top) + 1, path)
            file = library.File(name, separate_channels=True)
        # Of a part that it cannot read it tells stderr alone.
        is_whole = len(file.parts) == len(header.parts)
    except InputError:
        raise
    except Exception as error:  # it raises RuntimeError and others of its own
        raise InputError(_damaged(path)) from error
    if not is_whole:
        raise InputError(_damaged(path))
    return file


def _damaged(path: Path) -> str:
    return f"{path} is damaged or no OpenEXR file; write it again."


def _color(file: Any, path: Path) -> dict[str, Any]:
    """The channels of red, green and blue: those without a layer's name, else the first layer's."""
    for part in file.parts:
        channels = part.channels
        layers = sorted({name.rpartition(".")[0] for name in channels})
        for layer in layers:
            names = [f"{layer}.{color}" if layer else color for color in _COLORS]
            found = [channels.get(name) for name in names]
            there = [one for one in found if one is not None and one.pixels.dtype.kind == "f"]
            if len(there) == len(_COLORS) and len({one.pixels.shape for one in there}) == 1:
                return dict(zip(_COLORS, there, strict=True))
    raise InputError(f"{path} has no channels R, G and B of one size; render it with them.")


def _write(file: Any, target: Path) -> None:
    try:
        file.write(str(target))
    except Exception as error:
        raise OutputError(f"{target} could not be written ({error}); check the disk.") from error
