"""Videos in many forms, made by FFmpeg, and then changed in their packets, their times or the
tables of their container, so that decoders see damage that no checksum of a container hides."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from tools.attack.damage import Dice, damaged, put_number
from tools.attack.pictures import SIDE_PX, WORDS, Made

TABLES = (
    *(b"stts", b"ctts", b"stsc", b"stsz", b"stco", b"stss", b"elst", b"tkhd", b"mdhd"),
    *(b"mvhd", b"avcC", b"stsd", b"mp4a", b"esds", b"colr", b"pasp", b"edts", b"udta"),
)
"""Tables of MP4."""

ELEMENTS = tuple(
    bytes.fromhex(text)
    for text in [
        "1549a966",
        "1654ae6b",
        "1f43b675",
        "1c53bb6b",
        "ae",
        "e0",
        "b0",
        "ba",
        "536e",
        "63a2",
        "a3",
        "e7",
        "4489",
        "2ad7b1",
        "55b0",
        "7670",
        "9a",
    ]
)


VIDEOS = (
    *(
        (".mp4", "libx264", "yuv420p"),
        (".mp4", "libx265", "yuv420p10le"),
        (".mov", "libx264", "yuv444p"),
    ),
    *(
        (".mkv", "libx264", "yuv420p"),
        (".mkv", "ffv1", "gbrp"),
        (".webm", "libvpx-vp9", "yuva420p"),
    ),
    *(
        (".avi", "mpeg4", "yuv420p"),
        (".avi", "rawvideo", "rgb24"),
        (".ts", "mpeg2video", "yuv420p"),
    ),
    *(
        (".ts", "libx264", "yuv420p"),
        (".mov", "prores_ks", "yuv422p10le"),
        (".mkv", "mjpeg", "yuvj420p"),
    ),
)


def good_videos(face: Any) -> list[Made]:
    """A good video of each form, of eight frames; what this FFmpeg does not encode is left out."""
    videos = []
    for ending, codec, form in VIDEOS:
        try:
            videos.append((ending, _video(face, ending, codec, form)))
        except (ValueError, OSError):
            continue
    return videos


def _video(face: Any, ending: str, codec: str, form: str) -> bytes:
    import av
    import numpy as np

    made = io.BytesIO()
    container_name = {".mkv": "matroska", ".ts": "mpegts"}.get(ending, ending[1:])
    with av.open(made, "w", format=container_name) as container:
        video: Any = container.add_stream(codec, rate=25)
        video.width = video.height = SIDE_PX
        video.pix_fmt = form
        video.thread_count = 1
        video.codec_context.options = (
            {"x265-params": "log-level=none:pools=none"} if codec == "libx265" else {}
        )
        for number in range(8):
            moved = np.ascontiguousarray(np.roll(np.asarray(face), 2 * number, 1))
            container.mux(video.encode(av.VideoFrame.from_ndarray(moved, "rgb24")))
        container.mux(video.encode())
    return made.getvalue()


def changed_video(good: Sequence[Made], dice: Dice) -> Made:
    ending, content = dice.choice(good)
    how = dice.randrange(5)
    if how <= 1:
        return ending, _remuxed(ending, content, dice.choice(good)[1], dice)
    changed = bytearray(content)
    words = ELEMENTS if ending in (".mkv", ".webm") else tuple(TABLES)
    if how in (2, 3) and ending in (".mkv", ".webm", ".mp4", ".mov"):
        for _ in range(dice.choice((1, 1, 2, 5))):
            places = [at for word in words if (at := changed.find(word, dice.randrange(200))) > 0]
            if places:
                put_number(changed, dice, dice.choice(places) + dice.randrange(-4, 40))
        return ending, bytes(changed)
    return ending, damaged(content, dice.choice(good)[1], dice, WORDS)


def _remuxed(ending: str, content: bytes, other: bytes, dice: Dice) -> bytes:
    """A whole container around packets of which some are damaged, lost, twice there, of another
    video, at odd times or out of order."""
    import av

    made = io.BytesIO()
    with av.open(io.BytesIO(content)) as source, av.open(io.BytesIO(other)) as strange:
        name = {".mkv": "matroska", ".ts": "mpegts"}.get(ending, ending[1:])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        foreign = [packet for packet in strange.demux(video=0) if packet.size]
        plan = []
        for packet in packets:
            fate = dice.random()
            if fate < 0.1:
                continue
            data = bytes(packet)
            if fate < 0.3:
                data = damaged(data, bytes(dice.choice(foreign)), dice)
            elif fate < 0.35:
                data = bytes(dice.choice(foreign))
            plan += [(packet, data)] * dice.choice((1, 1, 1, 1, 2))
        with av.open(made, "w", format=name) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            shift = dice.choice((0, 0, 0, 10**6, -(10**6), 2**40))
            for packet, data in plan:
                one = av.Packet(data or b"\0")
                one.stream, one.time_base = stream, packet.time_base or Fraction(1, 25)
                pts, dts = packet.pts, packet.dts
                one.pts = (
                    None
                    if dice.random() < 0.05
                    else (pts or 0) + shift + dice.choice((0,) * 9 + (-7, 10**5))
                )
                one.dts = None if one.pts is None else min(one.pts, (dts or 0) + shift)
                one.is_keyframe = packet.is_keyframe or dice.random() < 0.1
                try:
                    target.mux(one)
                except (OSError, ValueError):
                    continue
    return made.getvalue()
