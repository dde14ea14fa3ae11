"""Bad photos, arrays and outputs are refused with a sentence on what to do."""

from __future__ import annotations

import dataclasses
import io
import os
import struct
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, TiffImagePlugin

from sosie.errors import InputError, OutputError, UsageError
from sosie.media.image import Photo, array_photo, load_photo, save_photo
from sosie.media.kinds import kind_of

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
W, H = 60, 40


def colors(depth: type = np.uint8, channels: int = 3) -> np.ndarray:
    top = np.iinfo(depth).max
    values = np.random.default_rng(7).integers(0, top, (H, W, channels), endpoint=True)
    return values.astype(depth)


def smooth() -> np.ndarray:
    y, x = np.mgrid[:H, :W]
    return np.stack([4 * x, 6 * y, 128 + 0 * x], -1).astype(np.uint8)


def exif(orientation: int = 1) -> Image.Exif:
    values = Image.Exif()
    values[0x112] = orientation
    values[0x10F] = "Maker"
    values[0x8769] = {0x9003: "2020:01:02 03:04:05"}
    values[0x8825] = {1: "N", 2: (1.0, 2.0, 3.0)}
    return values


def stored_for(orientation: int, upright: np.ndarray) -> np.ndarray:
    """How a camera stores an upright picture under an orientation, by the standard's table."""
    rows, columns = upright[::-1], upright[:, ::-1]
    turned = upright.swapaxes(0, 1)
    return {
        1: upright,
        2: columns,
        3: upright[::-1, ::-1],
        4: rows,
        5: turned,
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]


# Bad input.


def refused(path: Path | str, *words: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError) as caught:
            load_photo(path)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_absent_empty_folder_and_not_a_picture(tmp_path: Path) -> None:
    refused(tmp_path / "absent.png", "does not exist")
    refused(tmp_path, "is a folder")
    (tmp_path / "empty.png").write_bytes(b"")
    refused(tmp_path / "empty.png", "is empty")
    (tmp_path / "text.png").write_text("no picture at all, but some words")
    refused(tmp_path / "text.png", "not a picture", "JPEG, PNG")
    (tmp_path / "one").write_bytes(b"\x89")
    refused(tmp_path / "one", "not a picture")


def test_a_file_without_permission(tmp_path: Path, as_nobody: None) -> None:
    closed = Path("/etc/shadow")
    if not closed.exists():
        pytest.skip("no file that is closed to others")
    refused(closed, "check its permissions")


def test_heic_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    refused(tmp_path / "a.heic", "HEIC", "convert it to JPEG")


@pytest.mark.parametrize(
    ("extension", "depth"),
    [
        *((extension, np.uint8) for extension in (".png", ".jpg", ".webp", ".tif", ".bmp")),
        *((extension, np.uint16) for extension in (".png", ".tif")),
    ],
)
def test_truncated_pictures(tmp_path: Path, extension: str, depth: type) -> None:
    save_photo(Photo(colors(depth)), tmp_path / f"a{extension}")
    data = (tmp_path / f"a{extension}").read_bytes()
    for share in (0.3, 0.6, 0.9):
        (tmp_path / f"b{extension}").write_bytes(data[: int(len(data) * share)])
        refused(tmp_path / f"b{extension}")


@pytest.mark.parametrize("extension", [".gif", ".png", ".webp"])
def test_animated_pictures(tmp_path: Path, extension: str) -> None:
    frames = [Image.fromarray(np.roll(smooth(), n, 0)) for n in range(3)]
    frames[0].save(tmp_path / f"a{extension}", save_all=True, append_images=frames[1:])
    refused(tmp_path / f"a{extension}", "animated (3 frames)", "convert it to a video")


def test_a_gif_of_one_frame_is_a_picture(tmp_path: Path) -> None:
    Image.fromarray(smooth()).save(tmp_path / "a.gif")
    assert load_photo(tmp_path / "a.gif").pixels.shape == (H, W, 3)


def test_tiff_of_several_pages(tmp_path: Path) -> None:
    pages = [Image.fromarray(smooth()) for _ in range(2)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    refused(tmp_path / "a.tif", "2 pages")


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and has hardly any data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


@pytest.mark.parametrize(
    "size", [(10_000, 10_000), (12_000, 9_000), (100_000, 100_000), (100_000_000, 1000)]
)
def test_100_megapixels_are_refused_before_they_are_decoded(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    (tmp_path / "a.png").write_bytes(png_of(*size))
    refused(tmp_path / "a.png", "100", "shrink it")


def test_just_under_the_limit_is_read_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_of(9_999, 10_000))
    refused(tmp_path / "a.png", "damaged or cut short")  # it passes the size, and has no pixels


@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 15)])
def test_tiny_pictures(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    refused(tmp_path / "a.png", f"{size[0]} x {size[1]}", "at least 16")


def test_floating_point_pixels(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((H, W), np.float32)).save(tmp_path / "a.tif")
    refused(tmp_path / "a.tif", "floating-point")


@given(st.data())
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_damaged_bytes_give_a_photo_or_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    extension = data.draw(st.sampled_from([".png", ".jpg", ".webp", ".tif", ".gif"]))
    original = tmp_path / f"original{extension}"
    if not original.exists():
        options = {} if extension == ".gif" else {"exif": exif().tobytes()}
        Image.fromarray(smooth()).save(original, **options)
    content = bytearray(original.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / f"damaged{extension}"
    damaged.write_bytes(bytes(content))
    try:
        photo = load_photo(damaged)
    except InputError:
        return
    assert photo.pixels.shape[2] == 3
    assert photo.pixels.dtype in (np.uint8, np.uint16)


# Arrays.


def test_arrays() -> None:
    gray = colors(channels=1)[..., 0]
    np.testing.assert_array_equal(array_photo(gray).pixels, np.dstack([gray] * 3))
    np.testing.assert_array_equal(array_photo(gray[..., None]).pixels, np.dstack([gray] * 3))
    rgba = colors(np.uint16, 4)
    photo = array_photo(rgba)
    np.testing.assert_array_equal(photo.pixels, rgba[..., :3])
    np.testing.assert_array_equal(photo.alpha, rgba[..., 3])


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((H, W, 3), np.float32), "uint8"),
        (np.zeros((H, W, 3), bool), "uint8"),
        (np.zeros((H, W, 2), np.uint8), "RGBA"),
        (np.zeros((H,), np.uint8), "height x width"),
        (np.zeros((1, 1, 3), np.uint8), "at least 16"),
        (np.zeros((0, 0, 3), np.uint8), "at least 16"),
        (np.broadcast_to(np.uint8(0), (10_000, 10_000, 3)), "100 megapixels"),
        ("photo", "numpy array"),
    ],
)
def test_bad_arrays(array: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        array_photo(array)


# Bad output.


def test_unknown_extensions_name_the_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.jpg, \.jpeg, \.png.*did you mean '\.jpg'"):
        save_photo(array_photo(smooth()), tmp_path / "a.jpge")
    with pytest.raises(UsageError, match="no extension"):
        save_photo(array_photo(smooth()), tmp_path / "a")


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    save_photo(array_photo(smooth()), tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    other = dataclasses.replace(array_photo(smooth()), pixels=smooth() // 2)
    with pytest.raises(OutputError, match="exists already"):
        save_photo(other, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before
    save_photo(other, tmp_path / "a.png", overwrite=True)
    np.testing.assert_array_equal(load_photo(tmp_path / "a.png").pixels, smooth() // 2)


def test_sizes_that_a_format_cannot_hold(tmp_path: Path) -> None:
    photo = Photo(np.zeros((16, 17_000, 3), np.uint8))
    with pytest.raises(OutputError, match="at most 16383 a side"):
        save_photo(photo, tmp_path / "a.webp")
    assert list(tmp_path.iterdir()) == []


# Files that lie about themselves.


def with_chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG with a chunk of any content after its header, its checksum right."""
    buffer = io.BytesIO()
    Image.fromarray(smooth()).save(buffer, "PNG")
    data = buffer.getvalue()
    check = zlib.crc32(kind + content)
    chunk = struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", check)
    return data[:33] + chunk + data[33:]


BROKEN = {
    "gama.png": lambda: with_chunk(b"gAMA", b"\1"),
    "phys.png": lambda: with_chunk(b"pHYs", b"\0\0"),
    "bomb.png": lambda: with_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3_000_000))),
    "header.ppm": lambda: b"P6\n60 99999999999999999999\n255\n" + bytes(60),
    "big.tif": lambda: b"II\x2b\0\x08\0\0\0\x10\0\0\0\0\0\0\0\xff\xff\xff\xff" + bytes(60),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_header_is_a_sentence_wherever_it_is_met(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BROKEN[name]())
    refused(tmp_path / name, name)
    assert kind_of(tmp_path / name) in ("photo", None)


def test_whatever_a_decoder_raises_names_the_file(tmp_path: Path, monkeypatch: Any) -> None:
    Image.fromarray(smooth()).save(tmp_path / "a.png")
    for kind in (
        struct.error,
        AttributeError,
        RecursionError,
        MemoryError,
        OverflowError,
        zlib.error,
    ):

        def fail(*_: Any, kind: type[Exception] = kind) -> None:
            raise kind("deep within")

        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
        refused(tmp_path / "a.png", "a.png is damaged")


def test_exif_numbers_in_a_tag_of_text_are_left_out(tmp_path: Path) -> None:
    values = exif(6)
    data = values.tobytes()
    # The tag of the maker, 0x10F, of type 2 (text): now of type 5 (fractions).
    at = data.index(b"\x01\x0f\x00\x02" if data[6:8] == b"MM" else b"\x0f\x01\x02\x00")
    order = "big" if data[6:8] == b"MM" else "little"
    broken = data[: at + 2] + (5).to_bytes(2, order) + data[at + 4 :]
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=broken)
    photo = load_photo(tmp_path / "a.jpg")
    assert photo.pixels.shape == (W, H, 3)  # still turned upright
    assert any("EXIF" in note and "left out" in note for note in photo.notes)
    kept = Image.Exif()
    kept.load(photo.exif or b"")
    assert 0x10F not in kept
    assert kept.get_ifd(0x8825)[1] == "N"
    for name in ("b.jpg", "b.png", "b.tif", "b.webp"):
        save_photo(photo, tmp_path / name)


def test_a_profile_stored_as_text_is_left_out(tmp_path: Path) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[34675] = 2
    tags[34675] = "a profile in words"
    Image.fromarray(smooth()).save(tmp_path / "a.tif", tiffinfo=tags)
    photo = load_photo(tmp_path / "a.tif")
    assert photo.icc_profile is None
    assert any("stored as text" in note for note in photo.notes)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_is_refused_without_opening_it(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "a.png")
    refused(tmp_path / "a.png", "and not a file")
    with pytest.raises(InputError, match="and not a file"):
        kind_of(tmp_path / "a.png")


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    refused(tmp_path / ("n" * 300 + ".png"), "too long")
    refused("a\0b.png", "no name of a file")


def test_pages_are_not_counted_to_the_end(tmp_path: Path, monkeypatch: Any) -> None:
    pages = [Image.fromarray(smooth()) for _ in range(300)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    sought: list[int] = []
    seek = TiffImagePlugin.TiffImageFile.seek

    def counted(self: Any, frame: int) -> None:
        sought.append(frame)
        seek(self, frame)

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "seek", counted)
    refused(tmp_path / "a.tif", "more than 100 pages")
    assert max(sought) <= 101


def test_a_jpeg_of_very_many_scans(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (3000, 3000), (90, 110, 130)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(data[:last] + data[last:-2] * 300 + data[-2:])
    refused(tmp_path / "a.jpg", "passes")
    (tmp_path / "b.jpg").write_bytes(data)
    assert load_photo(tmp_path / "b.jpg").pixels.shape == (3000, 3000, 3)


@pytest.mark.parametrize(
    ("name", "mode"), [("a.webp", "RGB"), ("a.png", "I;16"), ("a.tif", "I;16")]
)
def test_what_takes_more_memory_may_have_fewer_pixels(
    tmp_path: Path, monkeypatch: Any, name: str, mode: str
) -> None:
    monkeypatch.setattr("sosie.media.photo.MAX_COSTLY_PIXELS", 2000)
    Image.new(mode, (60, 40)).save(tmp_path / name)
    refused(tmp_path / name, "60 x 40", "for WEBP" if name == "a.webp" else "for 16 bits")


def test_a_large_photo_is_read_in_little_more_memory_than_its_pixels(
    tmp_path: Path, run_python: Any
) -> None:
    """150 MB of pixels; Pillow holds 200, and a copy in between would be as large again."""
    Image.new("RGB", (9900, 5000), (90, 110, 130)).save(tmp_path / "a.jpg")
    peak_mb = run_python(
        "from sosie.media.image import load_photo;"
        f"photo = load_photo({str(tmp_path / 'a.jpg')!r});"
        "rows = open('/proc/self/status').read().split();"
        "print(int(rows[rows.index('VmHWM:') + 1]) // 1024)"
    )
    assert int(peak_mb) < 560


def test_decoders_say_nothing_of_their_own(tmp_path: Path, capfd: Any) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(smooth()).save(path, compression="tiff_lzw")
    data = bytearray(path.read_bytes())
    place = struct.unpack("<I", data[4:8])[0]
    for entry in range(place + 2, len(data) - 12, 12):
        if data[entry : entry + 2] == b"\x16\x01":  # RowsPerStrip: two values instead of one
            data[entry + 4] = 2
    path.write_bytes(bytes(data))
    with suppress(InputError):
        load_photo(path)
    assert capfd.readouterr().err == ""
