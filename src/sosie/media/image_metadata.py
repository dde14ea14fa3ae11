"""What a picture's file says beside its pixels: EXIF, XMP, density, quality, chunks of a PNG."""

from __future__ import annotations

import io
import re
import struct
from typing import Any

from PIL import ExifTags, Image, JpegImagePlugin

from sosie.errors import InputError
from sosie.media.image_decoding import decoding
from sosie.media.photo import JpegQuality, PhotoFile

# Tags of a TIFF's main directory that describe the photo and not how the file stores it.
_EXIF_TAGS = (270, 271, 272, 305, 306, 315, 316, 18246, 18249, 33432)
_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_COLOR_CHUNKS = (b"cICP", b"gAMA", b"cHRM", b"sRGB", b"tEXt", b"zTXt", b"iTXt")
_MOST_DPI = 1_000_000


def read_exif(image: Image.Image, path: PhotoFile, notes: list[str]) -> tuple[int, bytes | None]:
    """The orientation (1..8) and the EXIF to keep, without tags that cannot be written again."""
    try:
        with decoding(path):
            exif = image.getexif()
            orientation = exif.get(ExifTags.Base.Orientation, 1)
            main = {
                tag: value
                for tag, value in exif.items()
                if tag not in _DIRECTORIES and (image.format != "TIFF" or tag in _EXIF_TAGS)
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


def read_dpi(image: Image.Image) -> tuple[float, float] | None:
    """Pixels an inch, x and y; None where the file does not say so or says nonsense."""
    try:
        x, y = image.info["dpi"]
        x, y = float(x), float(y)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    return (x, y) if 0 < x < _MOST_DPI and 0 < y < _MOST_DPI else None


def read_xmp(image: Image.Image) -> bytes | None:
    """The XMP packet to keep, with the orientation reset; None where there is none."""
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if not xmp or image.format == "MPO":  # an MPO's XMP describes pictures that are not kept
        return None
    if isinstance(xmp, str):
        xmp = xmp.encode("utf-8", "replace")
    if not isinstance(xmp, bytes):  # stored as numbers
        return None
    xmp = re.sub(rb'tiff:Orientation="[2-8]"', b'tiff:Orientation="1"', xmp)
    return re.sub(rb"(<tiff:Orientation>)[2-8](</)", rb"\g<1>1\2", xmp)


def jpeg_quality(image: Image.Image) -> JpegQuality | None:
    """How a JPEG of gray or RGB was quantized; None for another picture."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.mode not in ("L", "RGB"):
        return None
    tables = {number: tuple(table) for number, table in image.quantization.items()}
    sampling = JpegImagePlugin.get_sampling(image) if image.mode == "RGB" else 0
    return JpegQuality(tables, sampling if sampling in (0, 1, 2) else 0)


def is_lossless_webp(path: PhotoFile) -> bool:
    """Whether a WebP is stored without a loss."""
    with path.open("rb") as file:
        data = file.read()
    position = 12
    while position + 8 <= len(data):
        kind, size = data[position : position + 4], data[position + 4 : position + 8]
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8L"
        position += 8 + (int.from_bytes(size, "little") + 1) // 2 * 2
    return False


def png_chunks(path: PhotoFile) -> tuple[tuple[bytes, bytes], ...]:
    """The color and text chunks of a PNG that are kept: type and content."""
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
