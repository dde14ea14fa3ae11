"""What the Python API takes for a picture, a video and people, and how it refuses all else."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

import sosie
from sosie.errors import InputError, UsageError
from sosie.pipeline import swap_image

Pixels = np.ndarray


@pytest.fixture(scope="module")
def small_pair(
    astronaut: Pixels, hopper: Pixels, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Two small portraits as files: a PNG and a JPEG."""
    folder = tmp_path_factory.mktemp("small_pair")
    files = folder / "hopper.png", folder / "astronaut.jpg"
    Image.fromarray(hopper[40:400, 80:440]).resize((240, 240)).save(files[0])
    Image.fromarray(astronaut[:288, 80:368]).save(files[1], quality=95)
    return files


def _as_everything(path: Path) -> dict[str, Any]:
    """One picture in each of the ways in which it may be handed in."""
    content = path.read_bytes()
    with Image.open(path) as opened:
        opened.load()
    return {
        "bytes": content,
        "bytearray": bytearray(content),
        "memoryview": memoryview(content),
        "file": io.BytesIO(content),
        "pillow": opened,
    }


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "memoryview", "file", "pillow"])
def test_a_picture_may_be_handed_in_as_what_a_program_has(
    small_pair: tuple[Path, Path], kind: str
) -> None:
    source, target = small_pair
    wanted = swap_image(source, target, method="mesh").image
    given, into = _as_everything(source)[kind], _as_everything(target)[kind]
    np.testing.assert_array_equal(swap_image(given, into, method="mesh").image, wanted)


def test_a_picture_of_pillows_is_turned_upright(small_pair: tuple[Path, Path]) -> None:
    source, target = small_pair
    with Image.open(target) as opened:
        turned = opened.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[ExifTags.Base.Orientation] = 6
    wanted = swap_image(source, target, method="mesh").image
    np.testing.assert_array_equal(swap_image(source, turned, method="mesh").image, wanted)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (3, "Source 0 must be a path, an array, .* not a int"),
        (object(), "Source 0 must be a path, an array, .* not a object"),
        (io.StringIO("text"), "Source 0 is a file that is open as text"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_is_one(
    astronaut: Pixels, picture: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        swap_image(picture, astronaut)
    with pytest.raises(UsageError, match=message.replace("Source 0", "The picture")):
        swap_image(astronaut, picture)


@pytest.mark.parametrize("content", [b"", b"no picture at all"])
def test_bytes_that_cannot_be_read_are_named_by_their_place(
    astronaut: Pixels, content: bytes
) -> None:
    with pytest.raises(InputError, match=r"^Source 0 is (empty|not a picture)"):
        swap_image(content, astronaut)


def test_a_closed_file_is_an_input_error(astronaut: Pixels) -> None:
    file = io.BytesIO(b"x")
    file.close()
    with pytest.raises(InputError, match=r"^Source 0 cannot be read \(.*closed"):
        swap_image(file, astronaut)


@pytest.mark.parametrize("people", [3, "anna.jpg", {"anna.jpg"}, [3], ["ab"]])
def test_people_that_are_no_pairs_are_a_usage_error(astronaut: Pixels, people: Any) -> None:
    with pytest.raises(UsageError, match="People must be pairs"):
        swap_image(None, astronaut, people=people)


def test_a_video_is_a_path(astronaut_path: Path, tmp_path: Path) -> None:
    swap_video: Any = sosie.swap_video
    with pytest.raises(UsageError, match="The target must be a path, not a bytes"):
        swap_video(astronaut_path, b"video", tmp_path / "out.mp4")
    with pytest.raises(UsageError, match="The output must be a path, not a BytesIO"):
        swap_video(astronaut_path, "video.mp4", io.BytesIO())
