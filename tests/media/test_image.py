"""Photos keep what their format holds, whatever kind they are of."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from sosie.media.image import Photo, array_photo, load_photo, save_photo

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


# Round trips.


@pytest.mark.parametrize("extension", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("alpha", [False, True])
def test_lossless_formats_keep_depth_alpha_profile_and_exif(
    tmp_path: Path, extension: str, depth: type, alpha: bool
) -> None:
    see_through = colors(depth, 1)[..., 0] if alpha else None
    data = exif().tobytes()
    photo = Photo(colors(depth), see_through, SRGB, data, b"<x:xmpmeta/>", dpi=(300, 150))
    assert save_photo(photo, tmp_path / f"a{extension}") == ()
    back = load_photo(tmp_path / f"a{extension}")
    assert back.pixels.dtype == depth
    np.testing.assert_array_equal(back.pixels, photo.pixels)
    assert (back.alpha is not None) == alpha
    if see_through is not None:
        np.testing.assert_array_equal(back.alpha, see_through)
    assert back.icc_profile == SRGB
    assert back.xmp == b"<x:xmpmeta/>"
    assert back.dpi == pytest.approx((300, 150), abs=0.02)
    assert back.exif == data
    assert back.notes == ()


def test_other_programs_read_the_16_bit_files(tmp_path: Path) -> None:
    photo = Photo(colors(np.uint16), None, SRGB, exif().tobytes(), dpi=(72, 72))
    for name in ("a.png", "a.tif"):
        save_photo(photo, tmp_path / name)
        decoded = cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(decoded[..., ::-1], photo.pixels)
        with Image.open(tmp_path / name) as image:
            image.load()
            assert image.info["icc_profile"] == SRGB


def test_large_tiff_with_many_strips(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 65535, (700, 900, 3)).astype(np.uint16)
    save_photo(Photo(pixels, None, SRGB, exif().tobytes()), tmp_path / "a.tif")
    np.testing.assert_array_equal(load_photo(tmp_path / "a.tif").pixels, pixels)


@pytest.mark.parametrize("extension", [".jpg", ".webp"])
def test_lossy_formats_keep_profile_and_exif(tmp_path: Path, extension: str) -> None:
    data = exif().tobytes()
    save_photo(Photo(smooth(), None, SRGB, data, b"<x:xmpmeta/>"), tmp_path / f"a{extension}")
    back = load_photo(tmp_path / f"a{extension}")
    assert np.abs(back.pixels.astype(int) - smooth()).mean() < 2
    assert back.icc_profile == SRGB
    assert back.exif == data
    assert back.xmp == b"<x:xmpmeta/>"


def test_a_jpeg_keeps_its_quality_and_subsampling(tmp_path: Path) -> None:
    for quality, sampling in ((55, 2), (85, 1), (98, 0)):
        Image.fromarray(smooth()).save(tmp_path / "a.jpg", quality=quality, subsampling=sampling)
        save_photo(load_photo(tmp_path / "a.jpg"), tmp_path / "b.jpg", overwrite=True)
        with Image.open(tmp_path / "a.jpg") as one, Image.open(tmp_path / "b.jpg") as two:
            assert two.quantization == one.quantization
            assert two.layer == one.layer


def test_a_jpeg_of_anything_else_is_of_high_quality(tmp_path: Path) -> None:
    save_photo(array_photo(smooth()), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
        assert max(image.quantization[0]) <= 12


def test_a_gray_jpeg_keeps_its_quality(tmp_path: Path) -> None:
    Image.fromarray(smooth()[..., 0]).save(tmp_path / "a.jpg", quality=70)
    photo = load_photo(tmp_path / "a.jpg")
    np.testing.assert_array_equal(photo.pixels[..., 0], photo.pixels[..., 2])
    save_photo(photo, tmp_path / "b.jpg")
    with Image.open(tmp_path / "a.jpg") as one, Image.open(tmp_path / "b.jpg") as two:
        assert two.quantization[0] == one.quantization[0]


def test_webp_stays_lossless_where_it_was(tmp_path: Path) -> None:
    for lossless in (True, False):
        image = Image.fromarray(colors(channels=4))
        image.save(tmp_path / "a.webp", lossless=lossless, exact=True, quality=80)
        photo = load_photo(tmp_path / "a.webp")
        save_photo(photo, tmp_path / "b.webp", overwrite=True)
        back = load_photo(tmp_path / "b.webp")
        assert np.array_equal(back.pixels, photo.pixels) == lossless
        assert back.lossless == lossless


def test_png_chunks_on_color_are_kept(tmp_path: Path) -> None:
    chunk = struct.pack(">I", 45455)
    raw = io.BytesIO()
    Image.fromarray(smooth()).save(raw, "PNG")
    data = raw.getvalue()
    gama = struct.pack(">I", 4) + b"gAMA" + chunk + struct.pack(">I", zlib.crc32(b"gAMA" + chunk))
    (tmp_path / "a.png").write_bytes(data[:33] + gama + data[33:])
    save_photo(load_photo(tmp_path / "a.png"), tmp_path / "b.png")
    assert gama in (tmp_path / "b.png").read_bytes()
    np.testing.assert_array_equal(load_photo(tmp_path / "b.png").pixels, smooth())


def test_jpeg_says_what_it_cannot_hold(tmp_path: Path) -> None:
    photo = Photo(colors(np.uint16), colors(np.uint16, 1)[..., 0])
    notes = save_photo(photo, tmp_path / "a.jpg")
    assert len(notes) == 2
    assert "16 were rounded" in notes[0]
    assert "transparency" in notes[1]
    notes = save_photo(Photo(smooth(), icc_profile=SRGB), tmp_path / "a.bmp")
    assert "color profile" in notes[0]
    np.testing.assert_array_equal(load_photo(tmp_path / "a.bmp").pixels, smooth())


def test_16_bits_are_rounded_to_the_nearest_of_8(tmp_path: Path) -> None:
    values = np.full((16, 16, 3), 257 * 100 + 128, np.uint16)
    values[0] += 1
    save_photo(Photo(values), tmp_path / "a.bmp")
    back = load_photo(tmp_path / "a.bmp").pixels
    assert back[1, 0, 0] == 100
    assert back[0, 0, 0] == 101


# Orientation.


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", [".png", ".tif", ".jpg", ".webp"])
def test_orientation_is_applied_and_reset(tmp_path: Path, orientation: int, extension: str) -> None:
    stored = np.ascontiguousarray(stored_for(orientation, smooth()))
    options = {".jpg": {"quality": 95}, ".webp": {"lossless": True}}.get(extension, {})
    Image.fromarray(stored).save(
        tmp_path / f"a{extension}", exif=exif(orientation).tobytes(), **options
    )
    photo = load_photo(tmp_path / f"a{extension}")
    assert (photo.width, photo.height) == (W, H)
    assert np.abs(photo.pixels.astype(int) - smooth()).mean() < 4
    save_photo(photo, tmp_path / f"b{extension}")
    again = load_photo(tmp_path / f"b{extension}")
    assert np.abs(again.pixels.astype(int) - smooth()).mean() < 4
    assert again.exif is not None
    kept = Image.Exif()
    kept.load(again.exif)
    assert kept[0x112] == 1
    assert kept[0x10F] == "Maker"


def test_orientation_of_16_bit_pictures(tmp_path: Path) -> None:
    upright = colors(np.uint16)
    stored = np.ascontiguousarray(stored_for(6, upright))
    for name in ("a.png", "a.tif"):
        save_photo(Photo(stored, exif=exif().tobytes()), tmp_path / name)
        data = (tmp_path / name).read_bytes()
        # Turn the tag on: an orientation of 1 becomes 6 in the little-endian directory.
        tag = struct.pack("<HHIHH", 0x112, 3, 1, 1, 0)
        big = struct.pack(">HHIHH", 0x112, 3, 1, 1, 0)
        assert (tag in data) != (big in data)
        data = data.replace(tag, struct.pack("<HHIHH", 0x112, 3, 1, 6, 0))
        data = data.replace(big, struct.pack(">HHIHH", 0x112, 3, 1, 6, 0))
        if name.endswith(".png"):
            start = data.index(b"eXIf")
            (size,) = struct.unpack(">I", data[start - 4 : start])
            check = zlib.crc32(data[start : start + 4 + size])
            end = start + 4 + size
            data = data[:end] + struct.pack(">I", check) + data[end + 4 :]
        (tmp_path / name).write_bytes(data)
        np.testing.assert_array_equal(load_photo(tmp_path / name).pixels, upright)


def test_orientation_in_xmp_is_reset(tmp_path: Path) -> None:
    xmp = b'<rdf:Description tiff:Orientation="6"/><tiff:Orientation>6</tiff:Orientation>'
    Image.fromarray(np.ascontiguousarray(stored_for(6, smooth()))).save(
        tmp_path / "a.jpg", xmp=xmp, quality=95
    )
    photo = load_photo(tmp_path / "a.jpg")
    assert photo.width == W
    assert photo.xmp == xmp.replace(b"6", b"1")


def test_the_thumbnail_of_the_unchanged_photo_is_not_kept(tmp_path: Path) -> None:
    thumbnail = io.BytesIO()
    Image.new("RGB", (16, 16), (1, 2, 3)).save(thumbnail, "JPEG")
    body = thumbnail.getvalue()
    first = struct.pack("<HHHIIi", 1, 0x112, 3, 1, 1, 26)
    second = struct.pack("<HHHIIHHIII", 2, 0x201, 4, 1, 56, 0x202, 4, 1, len(body), 0)
    data = b"Exif\0\0II*\0\x08\0\0\0" + first + second
    data = data.ljust(6 + 56, b"\0") + body
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=data)
    assert body in (tmp_path / "a.jpg").read_bytes()
    save_photo(load_photo(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    assert body not in (tmp_path / "b.jpg").read_bytes()


# Kinds of pixels.


def test_16_bit_gray(tmp_path: Path) -> None:
    gray = colors(np.uint16, 1)[..., 0]
    for name in ("a.png", "a.tif"):
        cv2.imwrite(str(tmp_path / name), gray)
        photo = load_photo(tmp_path / name)
        assert photo.pixels.dtype == np.uint16
        for channel in range(3):
            np.testing.assert_array_equal(photo.pixels[..., channel], gray)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(colors(channels=4)).convert(mode)
    image.save(tmp_path / "a.png")
    photo = load_photo(tmp_path / "a.png")
    expected = np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(photo.pixels, expected[..., :3])
    if mode in ("LA", "RGBA"):
        np.testing.assert_array_equal(photo.alpha, expected[..., 3])


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
@pytest.mark.parametrize("extension", [".png", ".tif", ".jpg"])
def test_a_gray_file_stays_gray(tmp_path: Path, mode: str, extension: str) -> None:
    if mode == "I;16":
        cv2.imwrite(str(tmp_path / "a.png"), colors(np.uint16, 1)[..., 0])
    else:
        Image.fromarray(colors(channels=4)).convert(mode).save(tmp_path / "a.png")
    photo = load_photo(tmp_path / "a.png")
    save_photo(photo, tmp_path / f"b{extension}")
    with Image.open(tmp_path / f"b{extension}") as saved:
        without = {"LA": "L", "I;16": "L"} if extension == ".jpg" else {}
        assert saved.mode == without.get(mode, mode)
    again = load_photo(tmp_path / f"b{extension}")
    if extension != ".jpg":
        np.testing.assert_array_equal(again.pixels, photo.pixels)
        if mode == "LA":
            np.testing.assert_array_equal(again.alpha, photo.alpha)
    # With colors put into it, it is a color file.
    pixels = photo.pixels.copy()
    pixels[10:20, 10:20, 0] = 0
    save_photo(replace(photo, pixels=pixels), tmp_path / f"c{extension}")
    with Image.open(tmp_path / f"c{extension}") as saved:
        assert saved.mode in ("RGB", "RGBA")


def test_a_palette_with_a_transparent_color(tmp_path: Path) -> None:
    image = Image.new("P", (W, H), 1)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.paste(0, (0, 0, 30, 40))
    image.save(tmp_path / "a.png", transparency=0)
    photo = load_photo(tmp_path / "a.png")
    assert photo.pixels[0, 0].tolist() == [10, 20, 30]
    assert photo.pixels[0, 59].tolist() == [40, 50, 60]
    assert photo.alpha is not None
    assert photo.alpha[0, [0, 59]].tolist() == [0, 255]


def test_cmyk_without_a_profile(tmp_path: Path) -> None:
    Image.fromarray(smooth()).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    photo = load_photo(tmp_path / "a.jpg")
    assert np.abs(photo.pixels.astype(int) - smooth()).mean() < 8
    assert photo.icc_profile is None
    assert "plain formula" in photo.notes[0]


def test_a_profile_that_does_not_fit_is_never_kept(tmp_path: Path) -> None:
    broken = bytearray(SRGB)
    broken[16:20] = b"CMYK"
    Image.fromarray(smooth()).convert("CMYK").save(tmp_path / "a.tif", icc_profile=bytes(broken))
    photo = load_photo(tmp_path / "a.tif")
    assert photo.icc_profile is None
    assert "CMYK profile is unusable" in photo.notes[0]
    Image.fromarray(smooth()).save(tmp_path / "b.png", icc_profile=bytes(broken))
    photo = load_photo(tmp_path / "b.png")
    assert photo.icc_profile is None
    assert "does not fit RGB" in photo.notes[0]


def test_lab_is_converted_by_its_meaning(tmp_path: Path) -> None:
    lab = Image.merge("LAB", [Image.new("L", (W, H), value) for value in (136, 208, 195)])
    lab.save(tmp_path / "a.tif")
    photo = load_photo(tmp_path / "a.tif")
    assert np.abs(photo.pixels[0, 0].astype(int) - [255, 0, 0]).max() < 15
    assert photo.icc_profile is not None
    assert photo.icc_profile[16:20] == b"RGB "


def test_the_first_picture_of_a_phones_jpeg(tmp_path: Path) -> None:
    one, two = Image.fromarray(smooth()), Image.new("RGB", (30, 20))
    one.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[two], quality=95)
    photo = load_photo(tmp_path / "a.jpg")
    assert photo.format == "JPEG"
    assert (photo.width, photo.height) == (W, H)
