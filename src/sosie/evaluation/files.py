"""The files of an evaluation: whole or absent, however a run ends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sosie.output import write_whole
from sosie.types import Pixels

# Results are many and are read once or twice: the weakest compression is four times as fast.
_COMPRESSION = 1


def write_picture(path: Path, pixels: Pixels) -> None:
    """A PNG of pixels (RGB, H x W x 3, uint8 or uint16); it replaces one that is there.

    Raises OutputError where it cannot be written.
    """
    encoded = cv2.imencode(".png", pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESSION])
    write_whole(path, np.asarray(encoded[1]).tobytes())


def write_json(path: Path, value: Any) -> None:
    """A JSON document; it replaces one that is there. A number that JSON has no word for is an
    error. Raises OutputError where it cannot be written."""
    write_whole(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def json_line(value: Any) -> str:
    """A value as a line of a file that has one a line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


def remove(path: Path) -> None:
    """Remove a file, or a folder with all in it; of a link nothing but the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
