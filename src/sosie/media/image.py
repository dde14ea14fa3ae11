"""Photos from files. Pillow reads; OpenCV decodes 16-bit color, which Pillow cannot hold."""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (
    ExifTags,
    Image,
    ImageCms,
    ImageOps,
    JpegImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    features,
)

from sosie.errors import InputError
from sosie.files import StrPath, require_file
from sosie.media.chatter import silent_stderr
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
_COLOR_CHUNKS = (b"cICP", b"gAMA", b"cHRM", b"sRGB", b"tEXt", b"zTXt", b"iTXt")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"hevc")
# Few files have more pages or scans than these; to count or to decode tens of thousands takes
# minutes. Each scan of a JPEG goes over all of its pixels.
_MOST_COUNTED, _MOST_SCANS, _MOST_SCANNED_PX = 100, 20, 1_000_000_000
_STRIP_PX = 4_000_000
# Their decoders hold a picture several times over.
_COSTLY = ("WEBP", "AVIF")
_MOST_DPI = 1_000_000


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


@contextmanager
def decoding(path: PhotoFile) -> Iterator[None]:
    """Around calls of the libraries that decode pictures, and nothing else.

    Whatever they raise of a broken file becomes one InputError; only `UnidentifiedImageError`, that
    it is none, goes through.
    """
    try:
        yield
    except (InputError, UnidentifiedImageError):
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is over the limit of 100 megapixels; shrink it first.") from error
    except Exception as error:
        raise InputError(
            f"{path} is damaged or cut short and cannot be read; "
            f"open it in a picture editor and save it again."
        ) from error


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


@contextmanager
def quiet() -> Iterator[None]:
    """No warning of a decoder's surfaces: what matters of them is an error or a note here."""
    with silent_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


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
    orientation, exif = _read_exif(image, path, notes)
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
        xmp=_read_xmp(image),
        format="JPEG" if image.format == "MPO" else image.format,
        dpi=_read_dpi(image),
        jpeg=_jpeg_quality(image),
        lossless=image.format == "WEBP" and _is_lossless_webp(path),
        # A profile that was kept is one of RGB, which a gray file cannot hold.
        gray=icc is None and (image.mode == "I" or image.mode.startswith(("1", "L", "I;16"))),
        png_chunks=_png_chunks(path) if image.format == "PNG" else (),
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


def _read_exif(image: Image.Image, path: PhotoFile, notes: list[str]) -> tuple[int, bytes | None]:
    """The orientation (1..8) and the EXIF to keep, without tags that cannot be written again."""
    try:
        with decoding(path):
            exif = image.getexif()
            orientation = exif.get(ExifTags.Base.Orientation, 1)
            main = {
                tag: value
                for tag, value in exif.items()
                if tag not in _DIRECTORIES and (image.format != "TIFF" or tag in EXIF_TAGS)
            }
            parts = {tag: dict(exif.get_ifd(tag)) for tag in _DIRECTORIES}
    except InputError:
        notes.append(f"{path.name}: its EXIF data is damaged; not kept.")
        return 1, None
    if orientation not in range(1, 9):
        orientation = 1
    kept = {tag: value for tag, value in main.items() if _is_writable({tag: value})}
    left_out = len(main) - len(kept)
    for directory, values in parts.items():
        fine = {tag: v for tag, v in values.items() if _is_writable({directory: {tag: v}})}
        left_out += len(values) - len(fine)
        if fine:
            kept[directory] = fine
    if left_out:
        tags = "1 tag that is" if left_out == 1 else f"{left_out} tags that are"
        notes.append(f"{path.name}: its EXIF data has {tags} not as the standard says; left out.")
    if not kept:
        return int(orientation), None
    return int(orientation), _exif_bytes({**kept, ExifTags.Base.Orientation: 1})


def _exif_bytes(values: dict[Any, Any]) -> bytes:
    exif = Image.Exif()
    for tag, value in values.items():
        exif[tag] = value
    return exif.tobytes()


def _is_writable(values: dict[Any, Any]) -> bool:
    """Whether Pillow takes these tags, in this and when they are read again."""
    try:
        again = Image.Exif()
        again.load(_exif_bytes(values))
        for directory in _DIRECTORIES:
            again.get_ifd(directory)
        again.tobytes()
    except Exception:  # whatever its writer stumbles over in a broken tag
        return False
    return True


def _read_dpi(image: Image.Image) -> tuple[float, float] | None:
    """Pixels an inch, x and y; None where the file does not say so or says nonsense."""
    try:
        x, y = image.info["dpi"]
        x, y = float(x), float(y)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    return (x, y) if 0 < x < _MOST_DPI and 0 < y < _MOST_DPI else None


def _read_xmp(image: Image.Image) -> bytes | None:
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if not xmp or image.format == "MPO":  # an MPO's XMP describes pictures that are not kept
        return None
    if isinstance(xmp, str):
        xmp = xmp.encode("utf-8", "replace")
    if not isinstance(xmp, bytes):  # stored as numbers
        return None
    xmp = re.sub(rb'tiff:Orientation="[2-8]"', b'tiff:Orientation="1"', xmp)
    return re.sub(rb"(<tiff:Orientation>)[2-8](</)", rb"\g<1>1\2", xmp)


def _jpeg_quality(image: Image.Image) -> JpegQuality | None:
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.mode not in ("L", "RGB"):
        return None
    tables = {number: tuple(table) for number, table in image.quantization.items()}
    sampling = JpegImagePlugin.get_sampling(image) if image.mode == "RGB" else 0
    return JpegQuality(tables, sampling if sampling in (0, 1, 2) else 0)


def _is_lossless_webp(path: PhotoFile) -> bool:
    with path.open("rb") as file:
        data = file.read()
    position = 12
    while position + 8 <= len(data):
        kind, size = data[position : position + 4], data[position + 4 : position + 8]
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8L"
        position += 8 + (int.from_bytes(size, "little") + 1) // 2 * 2
    return False


def _png_chunks(path: PhotoFile) -> tuple[tuple[bytes, bytes], ...]:
    chunks = []
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            if kind in _COLOR_CHUNKS:
                content = file.read(size)
                # EXIF and XMP are kept with the orientation reset, not as they stand.
                if not content.startswith((b"XML:com.adobe.xmp", b"Raw profile type")):
                    chunks.append((kind, content))
                file.seek(4, io.SEEK_CUR)
            else:
                file.seek(size + 4, io.SEEK_CUR)
    return tuple(chunks)
