"""Photos from files. Pillow reads; OpenCV decodes 16-bit colour, which Pillow cannot hold."""

from __future__ import annotations

import io
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (
    ExifTags,
    Image,
    ImageCms,
    JpegImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    features,
)

from sosie.errors import InputError
from sosie.media.image_write import save_photo
from sosie.media.output import StrPath
from sosie.media.photo import JpegQuality, Photo, array_photo, check_size, split_channels
from sosie.types import Pixels

__all__ = ["READABLE", "JpegQuality", "Photo", "array_photo", "load_photo", "save_photo"]

READABLE = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM") + (
    ("AVIF",) if features.check("avif") else ()
)
"""Formats that are read, as Pillow names them."""

EXIF_TAGS = (270, 271, 272, 305, 306, 315, 316, 18246, 18249, 33432)
"""Tags of a TIFF's main directory that describe the photo and not how the file stores it."""

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
_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_COLOUR_CHUNKS = (b"cICP", b"gAMA", b"cHRM", b"sRGB", b"tEXt", b"zTXt", b"iTXt")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"hevc")
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, KeyError, TypeError, IndexError)
_BROKEN_DATA = (*_BROKEN, struct.error, zlib.error, Image.DecompressionBombError, RuntimeError)
_warnings_lock = threading.Lock()


def load_photo(path: StrPath) -> Photo:
    """Reads a photo, upright, in RGB.

    Grey and palette pictures become RGB; CMYK and Lab are converted by their ICC profile to sRGB;
    16-bit PNG and TIFF stay 16 bit. Raises InputError, with a sentence on what to do, where the
    file is absent, unreadable, truncated, no picture, of an unknown format, animated, of 100
    megapixels or more, or under 16 pixels a side.
    """
    path = Path(path)
    _check_file(path)
    with _quiet():
        try:
            with Image.open(path, formats=READABLE) as image:
                return _read(image, path)
        except Image.DecompressionBombError as error:
            raise InputError(
                f"{path} is over the limit of 100 megapixels; shrink it first."
            ) from error
        except UnidentifiedImageError as error:
            raise InputError(_unknown_format(path)) from error
        except _BROKEN_DATA as error:
            raise InputError(
                f"{path} is damaged or cut short and cannot be read; "
                f"open it in a picture editor and save it again."
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """No warning of Pillow's surfaces: what matters of them is an error or a note here."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the name.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder; give the name of a picture.") from error
    except PermissionError as error:
        raise InputError(f"{path} cannot be read; check its permissions.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    if empty:
        raise InputError(f"{path} is empty (0 bytes); copy or download it again.")


def _unknown_format(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(16)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return f"{path} is a HEIC picture, which is not read; convert it to JPEG or PNG first."
    return f"{path} is not a picture that can be read; use JPEG, PNG, TIFF, WebP, BMP or AVIF."


def _read(image: Image.Image, path: Path) -> Photo:
    check_size(image.width, image.height, str(path))
    # A phone's MPO holds the photo first, then a depth or gain map: no animation.
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1 and image.format == "TIFF":
        raise InputError(
            f"{path} has {frames} pages; save the one you want as a picture of its own."
        )
    if frames > 1:
        raise InputError(
            f"{path} is animated ({frames} frames); convert it to a film, such as .mp4, first."
        )
    image.load()
    notes: list[str] = []
    orientation, exif = _read_exif(image, notes)
    array, icc = _read_pixels(image, path, notes)
    upright = _UPRIGHT.get(orientation)
    if upright is not None:
        array = upright(array)
    pixels, alpha = split_channels(np.ascontiguousarray(array))
    dpi = image.info.get("dpi")
    return Photo(
        pixels,
        alpha,
        icc_profile=icc,
        exif=exif,
        xmp=_read_xmp(image),
        format="JPEG" if image.format == "MPO" else image.format,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi else None,
        jpeg=_jpeg_quality(image),
        lossless=image.format == "WEBP" and _is_lossless_webp(path),
        # A profile that was kept is one of RGB, which a grey file cannot hold.
        grey=icc is None and (image.mode == "I" or image.mode.startswith(("1", "L", "I;16"))),
        png_chunks=_png_chunks(path) if image.format == "PNG" else (),
        notes=tuple(notes),
    )


def _read_pixels(
    image: Image.Image, path: Path, notes: list[str]
) -> tuple[NDArray[Any], bytes | None]:
    """Grey, RGB or RGBA as stored (not yet upright), and the profile that holds for it."""
    icc = image.info.get("icc_profile") or None
    space = icc[16:20] if icc else None
    if image.mode == "F":
        raise InputError(f"{path} has floating-point pixels; convert it to 8 or 16 bits first.")
    if image.mode in ("CMYK", "LAB"):
        if _deep_tiff(image):
            notes.append(f"{path.name}: 16-bit {image.mode} was read with 8 bits.")
        return _to_srgb(image, icc, notes, path.name)
    deep = _decode_deep(image, path)
    if space == b"GRAY" and deep is None and image.mode in ("L", "1"):
        return _to_srgb(image.convert("L"), icc, notes, path.name)
    if icc and space != b"RGB ":
        notes.append(f"{path.name}: its {_space_name(icc)} profile does not fit RGB; not kept.")
        icc = None
    if deep is not None:
        return deep, icc
    alpha = image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if alpha else "RGB")), icc


def _decode_deep(image: Image.Image, path: Path) -> NDArray[np.uint16] | None:
    """16-bit grey, RGB or RGBA of a PNG or TIFF; None for a photo of 8 bits."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        return np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
    if not (_deep_tiff(image) or (image.format == "PNG" and _png_depth(path) == 16)):
        return None
    array = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16 or array.shape[:2] != image.size[::-1]:
        raise InputError(f"{path} has 16-bit pixels in a layout that is not read; save it as PNG.")
    if array.ndim == 3 and array.shape[2] >= 3:
        array = array[..., [2, 1, 0, 3][: array.shape[2]]]
    return np.asarray(array, np.uint16)


def _deep_tiff(image: Image.Image) -> bool:
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    return set(image.tag_v2.get(258, (8,))) == {16}


def _png_depth(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(25)[24]


def _to_srgb(
    image: Image.Image, icc: bytes | None, notes: list[str], name: str
) -> tuple[Pixels, bytes | None]:
    """An image of another colour space by its profile to sRGB, and the sRGB profile. Without a
    usable profile: by the plain formula, and None."""
    if image.mode == "LAB":
        source: Any = ImageCms.createProfile("LAB")
    elif icc:
        source = io.BytesIO(icc)
    else:
        notes.append(f"{name}: CMYK without a profile was converted to RGB by the plain formula.")
        return np.asarray(image.convert("RGB")), None
    srgb = ImageCms.createProfile("sRGB")
    try:
        converted = ImageCms.profileToProfile(
            image, source, srgb, ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        notes.append(f"{name}: its {_space_name(icc)} profile is unusable; not kept.")
        return np.asarray(image.convert("RGB")), None
    assert converted is not None  # only an in-place conversion returns nothing
    return np.asarray(converted), ImageCms.ImageCmsProfile(srgb).tobytes()


def _space_name(icc: bytes | None) -> str:
    return icc[16:20].decode("ascii", "replace").strip() if icc else "colour"


def _read_exif(image: Image.Image, notes: list[str]) -> tuple[int, bytes | None]:
    """The orientation (1..8) and the EXIF to keep."""
    try:
        exif = image.getexif()
        orientation = int(exif.get(ExifTags.Base.Orientation, 1))
        kept = Image.Exif()
        for tag, value in exif.items():
            if tag not in _DIRECTORIES and (image.format != "TIFF" or tag in EXIF_TAGS):
                kept[tag] = value
        for directory in _DIRECTORIES:
            values = exif.get_ifd(directory)
            if values:
                kept[directory] = dict(values)
        if not kept:
            return orientation, None
        kept[ExifTags.Base.Orientation] = 1
        return orientation, kept.tobytes()
    except _BROKEN_DATA:
        notes.append("The EXIF data is damaged; not kept.")
        return 1, None


def _read_xmp(image: Image.Image) -> bytes | None:
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if not xmp or image.format == "MPO":  # an MPO's XMP describes pictures that are not kept
        return None
    if isinstance(xmp, str):
        xmp = xmp.encode()
    xmp = re.sub(rb'tiff:Orientation="[2-8]"', b'tiff:Orientation="1"', bytes(xmp))
    return re.sub(rb"(<tiff:Orientation>)[2-8](</)", rb"\g<1>1\2", xmp)


def _jpeg_quality(image: Image.Image) -> JpegQuality | None:
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.mode not in ("L", "RGB"):
        return None
    tables = {number: tuple(table) for number, table in image.quantization.items()}
    sampling = JpegImagePlugin.get_sampling(image) if image.mode == "RGB" else 0
    return JpegQuality(tables, sampling if sampling in (0, 1, 2) else 0)


def _is_lossless_webp(path: Path) -> bool:
    with path.open("rb") as file:
        data = file.read()
    position = 12
    while position + 8 <= len(data):
        kind, size = data[position : position + 4], data[position + 4 : position + 8]
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8L"
        position += 8 + (int.from_bytes(size, "little") + 1) // 2 * 2
    return False


def _png_chunks(path: Path) -> tuple[tuple[bytes, bytes], ...]:
    chunks = []
    with path.open("rb") as file:
        file.seek(8)
        while head := file.read(8):
            size, kind = struct.unpack(">I4s", head)
            if kind in _COLOUR_CHUNKS:
                content = file.read(size)
                # EXIF and XMP are kept with the orientation reset, not as they stand.
                if not content.startswith((b"XML:com.adobe.xmp", b"Raw profile type")):
                    chunks.append((kind, content))
                file.seek(4, io.SEEK_CUR)
            else:
                file.seek(size + 4, io.SEEK_CUR)
    return tuple(chunks)
