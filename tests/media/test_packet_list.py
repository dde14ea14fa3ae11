"""What a video's file holds, and how much of it another file has."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest

from sosie.errors import InputError
from sosie.media.packet_list import StreamPackets, kept_share, take_inventory


def packets(*hashes: bytes) -> StreamPackets:
    return StreamPackets("audio", "aac", None, hashes, 0.0, 1.0)


def remuxed(path, name, keep=lambda kind, number: True, delay_s=0.0):
    """The video again, packet by packet. delay_s: of the sound."""
    place = path.with_name(name)
    with av.open(str(path)) as source, av.open(str(place), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        counts = dict.fromkeys(streams, -1)
        for packet in source.demux():
            if packet.dts is None:
                continue
            index = packet.stream.index
            counts[index] += 1
            if not keep(packet.stream.type, counts[index]):
                continue
            if packet.stream.type == "audio":
                step = round(Fraction(delay_s).limit_denominator(1000) / packet.time_base)
                packet.pts, packet.dts = packet.pts + step, packet.dts + step
            packet.stream = streams[index]
            target.mux(packet)
    return place


def test_frames_and_sound_are_counted_and_timed(make_clip, kinds):
    video = make_clip(frames=10, sounds=(kinds.sound(), kinds.sound(language="deu")))
    found = take_inventory(video)
    assert found.frame_times_s == pytest.approx([number / 25 for number in range(10)], abs=1e-3)
    assert found.picture.kind == "video"
    assert len(found.picture.hashes) == 10
    assert found.picture.end_s == pytest.approx(0.4, abs=1e-3)
    assert [stream.language for stream in found.sounds] == ["eng", "deu"]
    assert all(stream.codec == "aac" for stream in found.sounds)


def test_a_copy_keeps_every_packet(make_clip, kinds):
    video = make_clip(frames=10, sounds=(kinds.sound(),))
    before, after = take_inventory(video), take_inventory(remuxed(video, "again.mp4"))
    assert kept_share(before.sounds[0], after.sounds) == 1
    assert before.picture.hashes == after.picture.hashes


def test_lost_sound_is_told_by_its_share(make_clip, kinds):
    video = make_clip(frames=25, sounds=(kinds.sound(),))
    before = take_inventory(video).sounds[0]
    half = remuxed(video, "half.mp4", lambda kind, number: kind == "video" or number % 2 == 0)
    share = kept_share(before, take_inventory(half).sounds)
    assert share == pytest.approx(0.5, abs=0.03)
    assert kept_share(before, ()) == 0


def test_a_delay_shows_in_the_start(make_clip, kinds):
    video = make_clip(frames=25, sounds=(kinds.sound(),))
    late, before = take_inventory(remuxed(video, "late.mp4", delay_s=0.2)), take_inventory(video)
    leads = [found.sounds[0].start_s - found.picture.start_s for found in (late, before)]
    assert leads[0] - leads[1] == pytest.approx(0.2, abs=2e-3)


def test_repeated_packets_must_be_found_as_often():
    wanted = packets(b"a", b"a", b"a", b"b")
    assert kept_share(wanted, [packets(b"a", b"b")]) == 0.5
    assert kept_share(wanted, [packets(b"a"), packets(b"a", b"a", b"b", b"c")]) == 0.75
    assert kept_share(packets(), []) == 1


def test_cover_art_is_no_stream_of_the_video(make_clip):
    cover = make_png()
    assert take_inventory(make_clip(cover=cover)).others == ()


def make_png() -> bytes:
    import cv2
    import numpy as np

    return cv2.imencode(".png", np.zeros((32, 32, 3), np.uint8))[1].tobytes()


def test_what_is_no_video_is_said_to_be_none(tmp_path):
    file = tmp_path / "video.mp4"
    file.write_bytes(b"no film at all" * 50)
    with pytest.raises(InputError, match=r"video\.mp4"):
        take_inventory(file)
