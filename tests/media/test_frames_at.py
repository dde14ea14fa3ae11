"""Frames of a video by their times: the same ones as reading from the start gives."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sosie.errors import UsageError
from sosie.media.targets import open_target
from sosie.media.timecodes import timecode

# Longer than what a seek goes back by, so that a seek lands at a key frame in the middle.
FRAMES = 100
# A frame every 40 to 360 ms.
UNEVEN = list(accumulate([0, *(40 * (1 + number % 9) for number in range(FRAMES - 1))]))
TURNED = (0, 65536, 0, -65536, 0, 0, 160 << 16, 0, 1 << 30)

CLIPS: dict[str, tuple[str, dict[str, Any]]] = {
    "even": ("video.mp4", {}),
    "variable": ("video.mkv", {"pts": UNEVEN, "time_base": Fraction(1, 1000)}),
    "turned": ("video.mp4", {"matrix": TURNED}),
    "transport stream": ("video.ts", {}),
    "open groups": ("video.mp4", {"options": {"x264-params": "open-gop=1:bframes=3:keyint=12"}}),
    "one key frame": ("video.mp4", {"gop": 1000}),
    "MPEG-4": ("video.avi", {"codec": "mpeg4", "options": {}}),
}


@pytest.mark.parametrize("kind", sorted(CLIPS))
def test_a_frame_that_is_sought_is_the_one_that_is_shown_then(make_clip, kind):
    name, values = CLIPS[kind]
    path = make_clip(name, **({"frames": FRAMES} | values))
    with open_target(path) as video:
        read = [(frame.pts, frame.time_s, frame.to_rgb()) for frame in video.frames()]
    assert len(read) == FRAMES
    with open_target(path) as video:
        for number in range(0, FRAMES, 7):
            pts, time_s, pixels = read[number]
            after_s = read[number + 1][1] if number + 1 < FRAMES else time_s + 0.03
            for at_s in (time_s, (time_s + after_s) / 2):
                (frame,) = video.frames_at([at_s])
                assert (frame.pts, frame.time_s) == (pts, time_s)
                np.testing.assert_array_equal(frame.to_rgb(), pixels)
        wanted = [read[number][1] for number in (3, 50, FRAMES - 1)]
        counted = list(video.frames_at(wanted, counted=True))
        assert [(frame.index, frame.time_s) for frame in counted] == list(
            zip((3, 50, FRAMES - 1), wanted, strict=True)
        )


def test_a_time_code_names_the_frame_that_it_was_read_from(make_clip):
    """Of 24000/1001 frames a second hardly a time is whole in milliseconds."""
    path = make_clip(frames=30, fps=Fraction(24000, 1001))
    with open_target(path) as video:
        for frame in list(video.frames()):
            minutes, seconds = timecode(frame.time_s).split(":")
            (again,) = video.frames_at([60 * int(minutes) + float(seconds)])
            assert again.pts == frame.pts


def test_time_codes():
    assert timecode(0) == "0:00.000"
    assert timecode(67.2401) == "1:07.241"
    assert timecode(3723.5) == "1:02:03.500"


def test_times_outside_the_video_or_its_part_are_refused(make_clip):
    path = make_clip(frames=25)
    with open_target(path) as video:
        for time_s in (1.0, 1.5, 900.0):
            with pytest.raises(UsageError, match=r"video\.mp4 ends at .* s and has no frame"):
                list(video.frames_at([time_s]))
            with pytest.raises(UsageError, match="has no frame"):
                list(video.frames_at([time_s], counted=True))
        for time_s in (-0.1, float("nan")):
            with pytest.raises(UsageError, match="is not in the part"):
                list(video.frames_at([time_s]))
    with open_target(path, 0.2, 0.6) as part:
        for time_s in (0.1, 0.6):
            with pytest.raises(UsageError, match="is not in the part"):
                list(part.frames_at([time_s]))
        first, last = part.frames_at([0.2, 0.599])
        assert (first.time_s, last.time_s) == (0.2, 0.56)


def test_frames_are_spread_evenly_and_come_once(make_clip):
    path = make_clip(frames=25)
    with open_target(path) as video:
        times = [frame.time_s for frame in video.frames_at(video.spread_times(5))]
        assert times == pytest.approx([0.08, 0.28, 0.48, 0.68, 0.88])
        assert len(list(video.frames_at(video.spread_times(60)))) == 25
    with open_target(path, 0.4, 0.8) as part:
        (middle,) = part.frames_at(part.spread_times(1))
        assert middle.time_s == pytest.approx(0.6, abs=0.041)


def test_a_sequence_is_found_by_its_numbers(tmp_path):
    for number in (5, 6, 9):
        Image.fromarray(np.full((32, 32, 3), 10 * number, np.uint8)).save(
            tmp_path / f"s.{number:03}.png"
        )
    with open_target(tmp_path / "s.%03d.png", fps="10") as video:
        frames = list(video.frames_at([0.0, 0.25, 0.45]))
        # Between 6 and 9 the sequence goes on showing 6.
        assert [int(frame.to_rgb()[0, 0, 0]) for frame in frames] == [50, 60, 90]
        assert [frame.index for frame in frames] == [0, 1, 2]
        assert len(video.spread_times(10)) == 3
        with pytest.raises(UsageError, match=r"ends at 0\.50 s"):
            list(video.frames_at([0.5]))


def test_an_animation_by_the_time_of_its_pictures(tmp_path):
    pictures = [Image.fromarray(np.full((32, 32, 3), 60 * k, np.uint8)) for k in (1, 2, 3)]
    pictures[0].save(
        tmp_path / "a.webp",
        save_all=True,
        append_images=pictures[1:],
        duration=[100, 500, 100],
        lossless=True,
    )
    with open_target(tmp_path / "a.webp") as video:
        frames = list(video.frames_at([0.05, 0.55, 0.65]))
        assert [int(frame.to_rgb()[0, 0, 0]) for frame in frames] == [60, 120, 180]
