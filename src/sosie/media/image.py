"""Photos from files. Pillow reads; OpenCV decodes 16-bit color, which Pillow cannot hold."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (
    Image,
    ImageCms,
    ImageOps,
    TiffImagePlugin,
    UnidentifiedImageError,
    features,
)

from sosie.errors import InputError
from sosie.files import StrPath, require_file
from sosie.media.image_decoding import decoding, quiet
from sosie.media.image_metadata import (
    is_lossless_webp,
    jpeg_quality,
    png_chunks,
    read_dpi,
    read_exif,
    read_xmp,
)
from sosie.media.image_write import save_photo
from sosie.media.photo import (
    JpegQuality,
    MemoryFile,
    Photo,
    PhotoFile,
    array_photo,
    check_size,
    split_channels,
)
from sosie.types import Pixels

__all__ = [
    "READABLE",
    "JpegQuality",
    "MemoryFile",
    "Photo",
    "array_photo",
    "load_photo",
    "pillow_photo",
    "save_photo",
]

READABLE = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM") + (
    ("AVIF",) if features.check("avif") else ()
)
"""Formats that are read, as Pillow names them."""

# Orientation tag -> what makes the stored pixels upright.
_UPRIGHT: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: np.rot90(a, 1),
}
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"hevc")
# Few files have more pages or scans than these; to count or to decode tens of thousands takes
# minutes. Each scan of a JPEG goes over all of its pixels.
_MOST_COUNTED, _MOST_SCANS, _MOST_SCANNED_PX = 100, 20, 1_000_000_000
_STRIP_PX = 4_000_000
# Their decoders hold a picture several times over.
_COSTLY = ("WEBP", "AVIF")


def load_photo(source: StrPath | MemoryFile) -> Photo:
    """Reads a photo, upright, in RGB.

    Gray and palette pictures become RGB; CMYK and Lab are converted by their ICC profile to sRGB;
    16-bit PNG and TIFF stay 16 bit. Raises InputError, with a sentence on what to do, where the
    file is absent, unreadable, truncated, no picture, of an unknown format, animated, of 100
    megapixels or more (50 with 16 bits), or under 16 pixels a side.
    """
    path = source if isinstance(source, MemoryFile) else require_file(source, "picture")
    with quiet():
        try:
            with decoding(path):
                image = Image.open(
                    path if isinstance(path, Path) else path.open(), formats=READABLE
                )
        except UnidentifiedImageError as error:
            raise InputError(_unknown_format(path)) from error
        with image:
            return _read(image, path)


def is_photo(path: StrPath) -> bool:
    """Whether a file is a picture by its content, damaged or not; False where it cannot be read."""
    with quiet(), suppress(InputError):
        path = require_file(path, "picture")
        try:
            with decoding(path), Image.open(path, formats=READABLE):
                return True
        except UnidentifiedImageError:
            return False
        except InputError:  # of a known format, and broken
            return True
    return False


def pillow_photo(image: Image.Image, name: str) -> Photo:
    """A photo from a picture that Pillow has open, upright, in RGB, with its profile and EXIF.

    Its pixels have the depth that Pillow gives them. name: what messages call it. Raises InputError
    where its pixels cannot be read, or its size is out of bounds.
    """
    with quiet():
        check_size(image.width, image.height, name)
        try:
            # A copy, which is of no format, so that nothing of a file is looked for.
            upright = ImageOps.exif_transpose(image)
        except Exception as error:  # whatever a decoder raises
            raise InputError(
                f"{name} is damaged or its file was closed; open it again and call load() on it."
            ) from error
        return _read(upright, MemoryFile(b"", name))


def _unknown_format(path: PhotoFile) -> str:
    with path.open("rb") as file:
        head = file.read(16)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return f"{path} is a HEIC picture, which is not read; convert it to JPEG or PNG first."
    return f"{path} is not a picture that can be read; use JPEG, PNG, TIFF, WebP, BMP or AVIF."


def _read(image: Image.Image, path: PhotoFile) -> Photo:
    with decoding(path):
        deep = _is_deep(image, path)
    costly = "16 bits" if deep else image.format if image.format in _COSTLY else None
    check_size(image.width, image.height, str(path), costly)
    with decoding(path):
        frames = _count_frames(image)
    if frames > 1:
        how_many = f"{frames}" if frames <= _MOST_COUNTED else f"more than {_MOST_COUNTED}"
        if image.format == "TIFF":
            raise InputError(
                f"{path} has {how_many} pages; save the one you want as a picture of its own."
            )
        raise InputError(
            f"{path} is animated ({how_many} frames); convert it to a video, such as .mp4, first."
        )
    _check_scans(image, path)
    with decoding(path):
        image.load()
    notes: list[str] = []
    orientation, exif = read_exif(image, path, notes)
    array, icc = _read_pixels(image, path, deep, notes)
    image.close()
    upright = _UPRIGHT.get(orientation)
    if upright is not None:
        array = upright(array)
    pixels, alpha = split_channels(array)
    return Photo(
        pixels,
        alpha,
        icc_profile=icc,
        exif=exif,
        xmp=read_xmp(image),
        format="JPEG" if image.format == "MPO" else image.format,
        dpi=read_dpi(image),
        jpeg=jpeg_quality(image),
        lossless=image.format == "WEBP" and is_lossless_webp(path),
        # A profile that was kept is one of RGB, which a gray file cannot hold.
        gray=icc is None and (image.mode == "I" or image.mode.startswith(("1", "L", "I;16"))),
        png_chunks=png_chunks(path) if image.format == "PNG" else (),
        notes=tuple(notes),
    )


def _count_frames(image: Image.Image) -> int:
    """Pages or frames of a file, counted up to one more than `_MOST_COUNTED`."""
    # A phone's MPO holds the photo first, then a depth or gain map: no animation.
    if image.format == "MPO":
        return 1
    if image.format not in ("TIFF", "GIF"):
        return int(getattr(image, "n_frames", 1))
    # These are counted by going through the whole file.
    count = 1
    with suppress(EOFError):
        while count <= _MOST_COUNTED:
            image.seek(count)
            count += 1
    if count > 1:
        return count
    image.seek(0)
    return 1


def _check_scans(image: Image.Image, path: PhotoFile) -> None:
    """Refuses a JPEG of so many scans that decoding takes minutes."""
    if image.format not in ("JPEG", "MPO"):
        return
    with path.open("rb") as file:
        scans = file.read().count(b"\xff\xda")
    if scans > _MOST_SCANS and scans * image.width * image.height > _MOST_SCANNED_PX:
        raise InputError(
            f"{path} stores its {image.width} x {image.height} pixels in {scans} passes, which "
            f"would take minutes to read; open it in a picture editor and save it again."
        )


def _read_pixels(
    image: Image.Image, path: PhotoFile, deep: bool, notes: list[str]
) -> tuple[NDArray[Any], bytes | None]:
    """Gray, RGB or RGBA as stored (not yet upright), and the profile that holds for it."""
    icc = image.info.get("icc_profile") or None
    if icc is not None and not isinstance(icc, bytes):
        notes.append(f"{path.name}: its color profile is stored as text; not kept.")
        icc = None
    space = icc[16:20] if icc else None
    if image.mode == "F":
        raise InputError(f"{path} has floating-point pixels; convert it to 8 or 16 bits first.")
    if image.mode in ("CMYK", "LAB"):
        if deep:
            notes.append(f"{path.name}: 16-bit {image.mode} was read with 8 bits.")
        return _to_srgb(image, path, icc, notes)
    if space == b"GRAY" and not deep and image.mode in ("L", "1"):
        return _to_srgb(_converted(image, "L", path), path, icc, notes)
    if icc and space != b"RGB ":
        notes.append(f"{path.name}: its {_space_name(icc)} profile does not fit RGB; not kept.")
        icc = None
    if deep:
        return _decode_deep(image, path), icc
    alpha = image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info
    return _as_array(_converted(image, "RGBA" if alpha else "RGB", path), path), icc


def _converted(image: Image.Image, mode: str, path: PhotoFile) -> Image.Image:
    with decoding(path):
        return image if image.mode == mode else image.convert(mode)


def _as_array(image: Image.Image, path: PhotoFile) -> NDArray[np.uint8]:
    """The pixels, h x w x c, copied in strips: at once, a large photo would be copied twice."""
    width, height = image.size
    array = np.empty((height, width, len(image.getbands())), np.uint8)
    rows = max(1, _STRIP_PX // width)
    with decoding(path):
        for top in range(0, height, rows):
            strip = image.crop((0, top, width, min(top + rows, height)))
            array[top : top + rows] = np.asarray(strip)
    return array


def _is_deep(image: Image.Image, path: PhotoFile) -> bool:
    """Whether a picture has 16 bits a sample."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        return True
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(258, (8,))
        return set(bits if isinstance(bits, tuple) else (bits,)) == {16}
    return image.format == "PNG" and _png_depth(path) == 16


def _decode_deep(image: Image.Image, path: PhotoFile) -> NDArray[np.uint16]:
    """16-bit gray, RGB or RGBA of a PNG or TIFF."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        with decoding(path):
            return np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
    size = image.size
    image.close()  # decoded with 8 bits, to see that it is whole
    with decoding(path):
        with path.open("rb") as file:
            content = np.frombuffer(file.read(), np.uint8)
        array = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16 or array.shape[:2] != size[::-1]:
        raise InputError(f"{path} has 16-bit pixels in a layout that is not read; save it as PNG.")
    if array.ndim == 3 and array.shape[2] >= 3:
        rows = max(1, _STRIP_PX // array.shape[1])
        for top in range(0, array.shape[0], rows):
            strip = array[top : top + rows]
            strip[..., [0, 2]] = strip[..., [2, 0]]
    return np.asarray(array, np.uint16)


def _png_depth(path: PhotoFile) -> int:
    with path.open("rb") as file:
        return (file.read(25) + bytes(25))[24]


def _to_srgb(
    image: Image.Image, path: PhotoFile, icc: bytes | None, notes: list[str]
) -> tuple[Pixels, bytes | None]:
    """An image of another color space by its profile to sRGB, and the sRGB profile. Without a
    usable profile: by the plain formula, and None."""
    if image.mode != "LAB" and not icc:
        notes.append(
            f"{path.name}: CMYK without a profile was converted to RGB by the plain formula."
        )
        return _as_array(_converted(image, "RGB", path), path), None
    try:
        with decoding(path):
            srgb = ImageCms.createProfile("sRGB")
            source: Any = io.BytesIO(icc) if icc else ImageCms.createProfile("LAB")
            converted = ImageCms.profileToProfile(
                image, source, srgb, ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB"
            )
            profile = ImageCms.ImageCmsProfile(srgb).tobytes()
    except InputError:
        notes.append(f"{path.name}: its {_space_name(icc)} profile is unusable; not kept.")
        return _as_array(_converted(image, "RGB", path), path), None
    assert converted is not None  # only an in-place conversion returns nothing
    return _as_array(converted, path), profile


def _space_name(icc: bytes | None) -> str:
    return icc[16:20].decode("ascii", "replace").strip() if icc else "color"
