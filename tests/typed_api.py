"""What a type checker makes of the public API: mypy reads this file, and nothing runs it.

Each `type: ignore` names an error that mypy must find: where it finds none, the comment itself is
one (`warn_unused_ignores`, a part of --strict).
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

import sosie


def pictures_of_every_kind(photo: Path) -> None:
    sosie.swap_image(str(photo), photo)
    sosie.swap_image([photo, np.zeros((32, 32, 3), np.uint8)], photo.read_bytes())
    sosie.swap_image(Image.open(photo), io.BytesIO(b""), reference=bytearray(b""))
    with photo.open("rb") as file:
        sosie.swap_image(file, photo, people={"anna.jpg": photo.read_bytes()})
    sosie.swap_image(3, photo)  # type: ignore[arg-type]
    sosie.swap_image({"anna.jpg": 3}, photo)  # type: ignore[arg-type]


def options_as_keywords(photo: Path) -> None:
    sosie.swap_image(photo, photo, blend="poisson", shape=0.5, threads=None)
    sosie.swap_image(photo, photo, processors=("sharpen",))
    sosie.swap_image(photo, photo, processors="sharpen")  # type: ignore[arg-type]
    sosie.swap_image(photo, photo, blend=3)  # type: ignore[arg-type]
    sosie.swap_image(photo, photo, crf="best")  # type: ignore[arg-type]
    sosie.swap_image(photo, photo, blnd="poisson")  # type: ignore[call-arg]
    sosie.swap_video(photo, photo, photo, start_s="1:30")  # type: ignore[arg-type]


def results(photo: Path) -> tuple[int, str]:
    result = sosie.swap_image(photo, photo)
    return int(result.image.shape[0]), result.report.target
