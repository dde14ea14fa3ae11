"""Photos to files, with what their format can hold of profile, EXIF, alpha and depth."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from sosie.errors import OutputError, UsageError, nearest
from sosie.files import StrPath
from sosie.media.photo import Photo
from sosie.output import atomic_output, check_output

_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".avif": "AVIF",
}
WRITABLE = tuple(_FORMATS)
"""Extensions of the photos that can be written."""

_LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383}
_ALPHA = ("PNG", "TIFF", "WEBP", "AVIF")
_DEEP = ("PNG", "TIFF")
_GRAY = ("JPEG", "PNG", "TIFF", "BMP")
_NO_METADATA = ("BMP",)
# Tags of an EXIF that a TIFF would take for the storage of its own pixels.
_STORAGE_TAGS = frozenset(
    (256, 257, 258, 259, 262, 273, 277, 278, 279, 282, 283, 284, 296, 513, 514)
)
_EXIF_POINTERS = (34665, 34853)


def photo_format(path: StrPath) -> str:
    """Pillow's name of the format that the extension of `path` means. Raises UsageError where it
    means none."""
    name = str(path)
    dot = name.rfind(".")
    extension = name[dot:].lower() if dot >= 0 else ""
    if extension not in _FORMATS:
        raise UsageError(
            f"{name} has no extension of a picture that can be written: "
            f"{nearest(extension, WRITABLE)}."
        )
    return _FORMATS[extension]


def save_photo(photo: Photo, path: StrPath, *, overwrite: bool = False) -> tuple[str, ...]:
    """Writes a photo in the format of the path's extension, whole or not at all.

    PNG and TIFF keep 16 bits and alpha; WebP and AVIF keep alpha; JPEG and BMP keep neither: the
    colors are written as they are, alpha is left out. A JPEG from a JPEG keeps its quality and
    subsampling; else quality is 95 and 4:4:4. WebP is lossless where the photo came from such.
    All but BMP keep the color profile, EXIF and XMP. What came from a gray file and has no colors
    stays one channel where the format knows that.

    Returns sentences on what the format could not keep. Raises UsageError on an unknown extension,
    OutputError where the file cannot be written or exists without `overwrite`.
    """
    kind = photo_format(path)
    limit = _LONGEST_SIDE.get(kind)
    if limit is not None and max(photo.width, photo.height) > limit:
        raise OutputError(
            f"{path} would be {photo.width} x {photo.height} pixels, and {kind} holds at most "
            f"{limit} a side; write a .png or .tif."
        )
    check_output(path, overwrite=overwrite)
    fitted, notes = _fit(photo, kind)
    data = _ENCODERS[kind](fitted)
    with atomic_output(path, overwrite) as pending:
        pending.path.write_bytes(data)
    return notes


def _fit(photo: Photo, kind: str) -> tuple[Photo, tuple[str, ...]]:
    """The photo without what the format cannot hold, and notes on that."""
    notes = []
    pixels, alpha = photo.pixels, photo.alpha
    if pixels.dtype == np.uint16 and kind not in _DEEP:
        notes.append(f"{kind} holds 8 bits a color: the photo's 16 were rounded.")
        pixels = _to_8_bit(pixels)
        alpha = None if alpha is None else _to_8_bit(alpha)
    if alpha is not None and kind not in _ALPHA:
        notes.append(f"{kind} holds no transparency: it was left out.")
        alpha = None
    if kind in _NO_METADATA and (photo.icc_profile or photo.exif or photo.xmp):
        notes.append(f"{kind} holds no color profile, EXIF or XMP: they were left out.")
    fitted = Photo(
        pixels,
        alpha,
        photo.icc_profile,
        photo.exif,
        photo.xmp,
        photo.format,
        photo.dpi,
        photo.jpeg,
        photo.lossless,
        photo.gray and kind in _GRAY and _is_gray(pixels),
        photo.png_chunks,
    )
    return fitted, tuple(notes)


def _to_8_bit(array: NDArray[Any]) -> NDArray[np.uint8]:
    return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _is_gray(pixels: NDArray[Any]) -> bool:
    return np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(
        pixels[..., 0], pixels[..., 2]
    )


def _stacked(photo: Photo) -> NDArray[Any]:
    """Gray (h x w), gray and alpha, RGB or RGBA."""
    pixels = photo.pixels[..., 0] if photo.gray else photo.pixels
    if photo.alpha is None:
        return pixels
    return np.dstack([pixels, photo.alpha])


def _pillow(photo: Photo, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(_stacked(photo))).save(buffer, kind, **options)
    return buffer.getvalue()


def _metadata(photo: Photo) -> dict[str, Any]:
    values = {"icc_profile": photo.icc_profile, "exif": photo.exif, "xmp": photo.xmp}
    return {name: value for name, value in values.items() if value}


def _jpeg(photo: Photo) -> bytes:
    options = _metadata(photo)
    if photo.dpi:
        options["dpi"] = photo.dpi
    if photo.jpeg is None:
        return _pillow(photo, "JPEG", quality=95, subsampling=0, **options)
    tables = [list(table) for _, table in sorted(photo.jpeg.tables.items())]
    return _pillow(photo, "JPEG", qtables=tables, subsampling=photo.jpeg.subsampling, **options)


def _webp(photo: Photo) -> bytes:
    if photo.lossless:
        return _pillow(photo, "WEBP", lossless=True, exact=True, **_metadata(photo))
    return _pillow(photo, "WEBP", quality=95, exact=True, **_metadata(photo))


def _avif(photo: Photo) -> bytes:
    return _pillow(photo, "AVIF", quality=90, subsampling="4:4:4", **_metadata(photo))


def _bmp(photo: Photo) -> bytes:
    return _pillow(photo, "BMP", **({"dpi": photo.dpi} if photo.dpi else {}))


def _opencv(photo: Photo, extension: str, options: list[int]) -> bytes:
    # It knows no gray with alpha.
    array = _stacked(replace(photo, gray=photo.gray and photo.alpha is None))
    if array.ndim == 3:
        array = array[..., [2, 1, 0, 3][: array.shape[2]]]
    ok, data = cv2.imencode(extension, np.ascontiguousarray(array), options)
    if not ok:
        raise OutputError(f"The photo could not be encoded as {extension}; write another format.")
    return data.tobytes()


def _png(photo: Photo) -> bytes:
    if photo.pixels.dtype == np.uint16:
        data = _opencv(photo, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 6])
    else:
        data = _pillow(photo, "PNG")
    chunks: list[tuple[bytes, bytes]] = []
    if photo.icc_profile:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(photo.icc_profile)))
    # An ICC profile and an sRGB chunk must not stand in one file.
    chunks += [c for c in photo.png_chunks if not (photo.icc_profile and c[0] == b"sRGB")]
    if photo.dpi:
        x, y = (round(value / 0.0254) for value in photo.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", x, y, 1)))
    if photo.exif:
        chunks.append((b"eXIf", photo.exif.removeprefix(b"Exif\0\0")))
    if photo.xmp:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + photo.xmp))
    header_end = 8 + 25  # signature, then the IHDR chunk
    return data[:header_end] + b"".join(map(_png_chunk, chunks)) + data[header_end:]


def _png_chunk(chunk: tuple[bytes, bytes]) -> bytes:
    kind, content = chunk
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _tiff(photo: Photo) -> bytes:
    if photo.pixels.dtype == np.uint16:
        lzw = 5
        data = _opencv(photo, ".tif", [cv2.IMWRITE_TIFF_COMPRESSION, lzw])
    else:
        data = _pillow(photo, "TIFF", compression="tiff_lzw")
    # Neither writer takes all of the metadata, so the directory is written anew, before the pixels.
    written: Any = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
    file = io.BytesIO(data)
    file.seek(written.next)
    written.load(file)
    directory: Any = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
    for tag, value in written.items():
        directory.tagtype[tag] = written.tagtype[tag]
        directory[tag] = value
    # `tobytes` adds the end of the directory to these, which is where all behind the header goes.
    directory.tagtype[273] = 4
    directory[273] = tuple(strip - 8 for strip in written[273])
    if photo.alpha is not None:
        directory[338] = (2,)  # the fourth sample is alpha, not multiplied in
    if photo.dpi:
        directory[282], directory[283], directory[296] = photo.dpi[0], photo.dpi[1], 2
    if photo.xmp:
        directory.tagtype[700] = 1
        directory[700] = photo.xmp
    if photo.exif:
        _add_exif(directory, photo.exif)
    if photo.icc_profile:
        directory.tagtype[34675] = 7
        directory[34675] = photo.icc_profile
    order = "<" if data[:2] == b"II" else ">"
    header = data[:4] + struct.pack(order + "I", 8)
    return header + bytes(directory.tobytes(8)) + data[8:]


def _add_exif(directory: Any, data: bytes) -> None:
    exif = Image.Exif()
    exif.load(data)
    for tag, value in exif.items():
        if tag not in _STORAGE_TAGS and tag not in _EXIF_POINTERS:
            directory[tag] = value
    for pointer in _EXIF_POINTERS:
        values = exif.get_ifd(pointer)
        if values:
            directory[pointer] = dict(values)


_ENCODERS: dict[str, Callable[[Photo], bytes]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "TIFF": _tiff,
    "WEBP": _webp,
    "BMP": _bmp,
    "AVIF": _avif,
}
