"""Pictures, mostly written from the start, by writers that set every field of a head."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

from tools.attack.damage import Dice, extreme, put_number

SIDE_PX = 160
Made = tuple[str, bytes]
"""A file's ending and content."""

WORDS = (
    *(
        b"IHDR",
        b"IDAT",
        b"iCCP",
        b"acTL",
        b"\xff\xda",
        b"\xff\xc4",
        b"\xff\xd8",
        b"Exif\0\0",
        b"II*\0",
        b"MM\0*",
    ),
    *(
        b"moov",
        b"trak",
        b"stts",
        b"elst",
        b"avcC",
        b"ispe",
        b"iloc",
        b"VP8X",
        b"ANMF",
        b"RIFF",
        b"\x1a\x45\xdf\xa3",
    ),
)


def _odd(dice: Dice, usual: int, size: int, share: float = 0.12) -> int:
    return extreme(dice, size) if dice.random() < share else usual


def _png(face: Any, dice: Dice) -> Made:
    """Every kind of color and depth, interlaced, moving, with chunks of any content."""
    import numpy as np

    kind, depth = dice.choice(
        (
            (0, 8),
            (0, 1),
            (0, 16),
            (2, 8),
            (2, 16),
            (3, 8),
            (3, 4),
            (4, 8),
            (6, 8),
            (6, 16),
            (5, 8),
            (2, 3),
        )
    )
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(kind, 3)
    pixels = np.asarray(face)[..., [0, 1, 2, 0]][..., :channels]
    rows = np.repeat(pixels, 2, -1) if depth == 16 else pixels
    flat = rows.reshape(SIDE_PX, -1)[:, : (SIDE_PX * channels * depth + 7) // 8]
    filters = dice.choice((0, 0, 0, 1, 4, 5, 255))
    body = b"".join(bytes([filters]) + row.tobytes() for row in flat)
    head = struct.pack(
        ">IIBBBBB", _odd(dice, SIDE_PX, 4), _odd(dice, SIDE_PX, 4), depth, kind,
        _odd(dice, 0, 1, 0.03), _odd(dice, 0, 1, 0.03), dice.choice((0, 0, 0, 1, 2)),
    )  # fmt: skip
    packed = zlib.compress(body * dice.choice((1, 1, 1, 200)), dice.choice((0, 9)))
    chunks = [(b"IHDR", head)]
    profile = b"p\0\0" + zlib.compress(dice.choice((dice.randbytes(500), bytes(50_000_000), b"")))
    more = (
        (b"iCCP", profile), (b"eXIf", _exif(dice)),
        (b"acTL", struct.pack(">II", extreme(dice, 4), 0)),
        (b"fcTL", struct.pack(">IIIIIHHBB", *(extreme(dice, 4) for _ in range(5)), 0, 0, 9, 9)),
        (b"tRNS", dice.randbytes(dice.choice((0, 1, 2, 6, 300)))), (b"cICP", dice.randbytes(4)),
        (b"gAMA", dice.randbytes(dice.choice((0, 3, 4)))), (b"sBIT", dice.randbytes(4)),
        (b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000))), (b"pHYs", dice.randbytes(9)),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"<x" * 9000), (b"sPLT", b"a\0\x10" + bytes(11)),
        (b"mDCV", dice.randbytes(24)), (b"cHRM", dice.randbytes(32)), (b"tEXt", b"x" * 10**6),
    )  # fmt: skip
    chunks += dice.sample(more, dice.choice((0, 1, 3)))
    chunks += [(b"PLTE", bytes(range(dice.choice((3, 90, 255)))))] * (
        dice.random() < 0.8 and kind == 3
    )
    cut = dice.choice((len(packed), len(packed), len(packed) // 2))
    chunks += [(b"IDAT", packed[:cut])] * dice.choice((1, 1, 1, 2)) + [(b"IEND", b"")]
    written = (
        struct.pack(">I", len(text)) + name + text + struct.pack(">I", zlib.crc32(name + text))
        for name, text in chunks
    )
    return ".png", b"\x89PNG\r\n\x1a\n" + b"".join(written)


def _exif(dice: Dice) -> bytes:
    """A directory of entries whose types, counts and places may be anything, or go in a ring."""
    order = dice.choice("<>")
    tags = dice.sample((0x112, 0x10F, 0x8769, 0x8825, 0x927C, 0x14A, 0x201, 0x202, 0x501, 0x132), 5)
    entries = b"".join(
        struct.pack(
            order + "HHII",
            tag,
            dice.choice((1, 2, 3, 4, 5, 7, 12, 99)),
            _odd(dice, 1, 4, 0.3),
            _odd(dice, 8, 4, 0.3),
        )
        for tag in tags
    )
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return (
        mark
        + struct.pack(order + "IH", 8, len(tags))
        + entries
        + struct.pack(order + "I", dice.choice((0, 8)))
    )


def _jpeg(face: Any, dice: Dice) -> Made:
    """Good scans behind heads of other kinds, tables, notes and markers."""
    made = io.BytesIO()
    picture = face.convert(dice.choice(("RGB", "RGB", "L", "CMYK")))
    more = {"subsampling": dice.choice((0, 1, 2))} if picture.mode == "RGB" else {}
    picture.save(
        made, "JPEG", quality=dice.choice((1, 80, 100)), progressive=dice.random() < 0.4, **more
    )
    content = bytearray(made.getvalue())
    head = next((at for kind in (b"\xff\xc0", b"\xff\xc2") if (at := content.find(kind)) > 0), 2)
    if dice.random() < 0.5:
        place = head + dice.choice((1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13))
        content[place] = dice.choice((0, 1, 0x11, 0x44, 0x14, 0x41, 0xC3, 0xC9, 0xCB, 0xFF, 4, 12))
    for _ in range(dice.choice((0, 0, 1, 3))):
        kind = dice.choice(
            (0xE0, 0xE1, 0xE1, 0xE2, 0xE2, 0xED, 0xEE, 0xFE, 0xDD, 0xDC, 0xDB, 0xC4, 0xCC, 0xDE)
        )
        text = dice.choice(
            (b"Exif\0\0" + _exif(dice), b"ICC_PROFILE\0" + dice.randbytes(dice.choice((2, 200))),
             b"MPF\0" + _exif(dice), b"Adobe\0d\0\0\0\0" + dice.randbytes(1),
             dice.randbytes(40), b"",
             b"http://ns.adobe.com/xap/1.0/\0" + b"<a>" * 9000, b"\0\x20", b"\xff" * 300)
        )  # fmt: skip
        content[2:2] = (
            bytes([0xFF, kind]) + struct.pack(">H", _odd(dice, len(text) + 2, 2, 0.05)) + text
        )
    scan = content.find(b"\xff\xda")
    if dice.random() < 0.2 and scan > 0:
        content[-2:-2] = content[scan:-2] * dice.choice((1, 60, 500))
    if dice.random() < 0.3:
        content[-2:] = dice.choice(
            (b"", b"\xff\xd0" * 900, b"\xff\xd9" + bytes(content), b"x" * 10**6)
        )
    return dice.choice((".jpg", ".jpeg")), bytes(content)


def _tiff(face: Any, dice: Dice) -> Made:
    """Any depth, form of numbers, packing, strips or tiles, pages; also BigTIFF."""
    order, big = dice.choice("<>"), dice.random() < 0.2
    body = face.tobytes()
    packing = dice.choice((1, 1, 1, 5, 8, 32946, 7, 2, 3, 4, 34712, 50000, 50001, 32773, 9))
    body = zlib.compress(body) if packing in (8, 32946) else body
    channels = dice.choice((3, 3, 3, 1, 4, 0, 65535))
    strips = dice.choice((1, 1, 1, 0, 5000))
    long = 16 if big else 4
    entries = {
        254: (4, [dice.choice((0, 0, 1, 4))]), 256: (4, [_odd(dice, SIDE_PX, 4)]),
        257: (4, [_odd(dice, SIDE_PX, 4)]),
        258: (3, [dice.choice((8, 8, 8, 1, 12, 16, 32, 64, 0))]),
        259: (3, [packing]), 262: (3, [dice.choice((2, 2, 1, 0, 3, 5, 6, 8, 9, 32844, 34892))]),
        273: (long, [8 if not big else 16] * strips), 277: (3, [channels]),
        278: (4, [_odd(dice, SIDE_PX, 4)]), 279: (long, [_odd(dice, len(body), 4)] * strips),
        284: (3, [dice.choice((1, 1, 2, 9))]), 317: (3, [dice.choice((1, 1, 2, 3, 8))]),
        339: (3, [dice.choice((1, 1, 2, 3, 4, 6))]),
    }  # fmt: skip
    if dice.random() < 0.2:
        entries |= {
            322: (4, [_odd(dice, 64, 4)]),
            323: (4, [_odd(dice, 64, 4)]),
            324: (4, [8] * 9),
            325: (4, [64] * 9),
        }
    if dice.random() < 0.2:
        entries |= {
            274: (3, [_odd(dice, 6, 2)]),
            34675: (7, list(dice.randbytes(60))),
            700: (1, [60] * 200),
            330: (4, [8]),
            347: (7, list(dice.randbytes(20))),
        }
    size = 16 if big else 8
    place = size + len(body)
    codes = {1: "B", 7: "B", 3: "H", 4: "I", 16: "Q"}
    directory = b""
    room = 8 if big else 4
    rest_at = place + (8 if big else 2) + len(entries) * (20 if big else 12) + room
    rest = b""
    for tag, (kind, values) in sorted(entries.items()):
        text = struct.pack(
            f"{order}{len(values)}{codes[kind]}",
            *(v % 2 ** (8 * struct.calcsize(codes[kind])) for v in values),
        )
        if len(text) > room:
            rest, text = rest + text, struct.pack(order + "QI"[room == 4], rest_at + len(rest))
        directory += struct.pack(
            order + ("HHQ" if big else "HHI"), tag, kind, len(values)
        ) + text.ljust(room, b"\0")
    following = dice.choice((0, 0, 0, place, 1))
    mark = {"<": b"II", ">": b"MM"}[order]
    start = (
        struct.pack(order + "HHHQ", 43, 8, 0, place)
        if big
        else struct.pack(order + "HI", 42, place)
    )
    count = struct.pack(order + ("Q" if big else "H"), len(entries))
    last = struct.pack(order + ("Q" if big else "I"), following)
    return dice.choice((".tif", ".tiff")), mark + start + body + count + directory + last + rest


def _other(face: Any, dice: Dice) -> Made:
    """Bitmaps, portable pixmaps, GIF and what is no kind of picture that Sosie reads."""
    body = face.tobytes()
    how = dice.randrange(5)
    if how == 0:
        about = struct.pack(
            "<IiiHHIIiiII",
            _odd(dice, 40, 4),
            _odd(dice, SIDE_PX, 4) - 2**31 * (dice.random() < 0.1) & 0x7FFFFFFF,
            dice.choice((SIDE_PX, -SIDE_PX, 2**31 - 1, 0)),
            1,
            dice.choice((24, 24, 24, 1, 4, 8, 16, 32, 0, 64)),
            dice.choice((0, 0, 0, 1, 2, 3, 4, 5, 99)),
            0,
            0,
            0,
            _odd(dice, 0, 4),
            0,
        )
        return ".bmp", b"BM" + struct.pack(
            "<IHHI", len(body) + 54, 0, 0, _odd(dice, 54, 4)
        ) + about + body
    if how == 1:
        sides = dice.choice(
            (
                f"{SIDE_PX} {SIDE_PX}",
                f"{SIDE_PX} {10 ** dice.randrange(12)}",
                "-1 -1",
                "# x\n" * 9999 + "1 1",
                "9" * 5000,
            )
        )
        kind, most = dice.choice("6666123457Ff"), dice.choice((255, 255, 65535, 0, 99999, -1))
        return (
            ".ppm",
            f"P{kind}\n{sides}\n{most}\n".encode() + body,
        )
    if how == 2:
        frames = dice.choice((1, 3, 2000))
        part = (
            b","
            + struct.pack(
                "<HHHHB",
                _odd(dice, 0, 2),
                _odd(dice, 0, 2),
                _odd(dice, SIDE_PX, 2),
                SIDE_PX,
                dice.choice((0, 0x40, 0x87)),
            )
            + bytes([_odd(dice, 8, 1)])
            + b"\xff"
            + dice.randbytes(255)
            + b"\0"
        )
        head = (
            b"GIF89a"
            + struct.pack(
                "<HHBBB", _odd(dice, SIDE_PX, 2, 0.4), _odd(dice, SIDE_PX, 2, 0.4), 0xF7, 0, 0
            )
            + bytes(768)
        )
        return ".gif", head + b"!\xf9\x04\x09\x00\x00\x01\x00" + part * frames + b";"
    if how == 3:
        text = dice.choice(
            (
                b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/hostname'/></svg>",
                b"%PDF-1.4\n",
                b"%!PS\n(x) (w) file\n",
                b"#EXTM3U\n/etc/hostname\n",
                b"ffconcat version 1.0\nfile '/etc/hostname'\n",
                b"PK\3\4",
                b"\0" * 10**6,
                b"#!/bin/sh\ntouch out/x\n",
            )
        )
        return dice.choice((".png", ".jpg", ".webp", ".mp4", ".mkv", ".tif", ".svg", ".avi")), text
    head = b"\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00\x00\x14ftypjp2 \0\0\0\0jp2 "
    return dice.choice((".jp2", ".jpg", ".png")), head + dice.randbytes(300)


def _modern(face: Any, dice: Dice) -> Made:
    """WebP and AVIF, still and moving, with sizes of the canvas or the boxes changed."""
    made = io.BytesIO()
    kind = dice.choice(("WEBP", "WEBP", "AVIF"))
    small = face.resize((64, 64))
    moving = (
        {"save_all": True, "append_images": [small] * dice.choice((2, 30))}
        if dice.random() < 0.3
        else {}
    )
    exif = {"exif": b"Exif\0\0" + _exif(dice)} if dice.random() < 0.3 else {}
    lossless = {"lossless": dice.random() < 0.3} if kind == "WEBP" else {"speed": 10}
    try:
        (small if moving else face).save(made, kind, **moving, **exif, **lossless)
    except TypeError:  # an orientation that Pillow itself cannot write
        made.seek(0)
        (small if moving else face).save(made, kind, **moving, **lossless)
    content = bytearray(made.getvalue())
    words = (
        (b"VP8X", b"ANMF", b"ANIM", b"VP8 ", b"VP8L", b"EXIF")
        if kind == "WEBP"
        else (
            b"ispe",
            b"iloc",
            b"iinf",
            b"pitm",
            b"av1C",
            b"iprp",
            b"ipma",
            b"irot",
            b"meta",
            b"stsz",
            b"tkhd",
        )
    )
    for _ in range(dice.choice((1, 1, 2, 4))):
        places = [at for word in words if (at := content.find(word)) > 0]
        if places:
            put_number(content, dice, dice.choice(places) + dice.randrange(-4, 24))
    return f".{kind.lower()}", bytes(content)


PICTURES: tuple[Callable[[Any, Dice], Made], ...] = (
    _png,
    _png,
    _jpeg,
    _jpeg,
    _tiff,
    _tiff,
    _other,
    _modern,
)
