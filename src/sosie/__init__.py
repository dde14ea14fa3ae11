"""Sosie swaps faces in photos and video, and moves photos.

    import sosie

    result = sosie.swap_image("me.jpg", "photo.jpg")    # or arrays, bytes, files
    sosie.swap_video("me.jpg", "video.mp4", "out.mp4")
    sosie.reenact("me.jpg", "driver.mp4", "out.mp4")

The names below are loaded at their first use, so that `import sosie` itself loads nothing heavy.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sosie.errors import (
        InputError,
        InterruptedSwapError,
        NoFaceError,
        OutputError,
        SosieError,
        UnavailableError,
        UsageError,
    )
    from sosie.options import SwapOptions
    from sosie.pipeline import FaceSwapper, preview, swap_image, swap_video
    from sosie.reenactment.job import ReenactReport, reenact
    from sosie.reenactment.options import ReenactOptions
    from sosie.swapping.stream import SwapStream
    from sosie.types import Face, ImageResult, Pose, Preview, PreviewFrame, Progress, SwapReport

# The matrices are small and a video's stages have threads of their own. More of them in the linear
# algebra slow it down, and under load two stages have been seen to spin in OpenBLAS for minutes. It
# reads this when numpy is first imported; a value that the user has set stays.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.2.0"

__all__ = [
    "Face",
    "FaceSwapper",
    "ImageResult",
    "InputError",
    "InterruptedSwapError",
    "NoFaceError",
    "OutputError",
    "Pose",
    "Preview",
    "PreviewFrame",
    "Progress",
    "ReenactOptions",
    "ReenactReport",
    "SosieError",
    "SwapOptions",
    "SwapReport",
    "SwapStream",
    "UnavailableError",
    "UsageError",
    "__version__",
    "preview",
    "reenact",
    "swap_image",
    "swap_video",
]

_HOME = {
    "Face": "types",
    "FaceSwapper": "pipeline",
    "ImageResult": "types",
    "InputError": "errors",
    "InterruptedSwapError": "errors",
    "NoFaceError": "errors",
    "OutputError": "errors",
    "Pose": "types",
    "Preview": "types",
    "PreviewFrame": "types",
    "Progress": "types",
    "ReenactOptions": "reenactment.options",
    "ReenactReport": "reenactment.job",
    "SosieError": "errors",
    "SwapOptions": "options",
    "SwapReport": "types",
    "SwapStream": "swapping.stream",
    "UnavailableError": "errors",
    "UsageError": "errors",
    "preview": "pipeline",
    "reenact": "reenactment.job",
    "swap_image": "pipeline",
    "swap_video": "pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sosie' has no attribute {name!r}")
    value = getattr(import_module(f"sosie.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
