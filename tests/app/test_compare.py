"""A result beside its target: `sosie compare`, and `sosie swap --compare`."""

from __future__ import annotations

import av
import numpy as np
import pytest
from PIL import Image

BEFORE, AFTER = (200, 60, 40), (30, 90, 210)


def frames_of(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def is_like(pixels, color):
    return (np.abs(pixels.astype(int) - color).max(-1) < 12).mean() > 0.98


@pytest.fixture
def pair(make_video, tmp_path):
    """Fifty frames of one color, and of another."""
    return [
        make_video(tmp_path / name, [np.full((64, 96, 3), color, np.uint8)] * 50)
        for name, color in (("target.mp4", BEFORE), ("result.mp4", AFTER))
    ]


def test_side_by_side(sosie, pair, tmp_path):
    output = tmp_path / "side.mp4"
    result = sosie("compare", *pair, "-o", output)
    assert result.code == 0, result.err
    shown = frames_of(output)
    assert len(shown) == 50
    assert shown[0].shape == (64, 192, 3)
    for frame in (shown[0], shown[-1]):
        assert is_like(frame[:, :88], BEFORE)
        assert is_like(frame[:, 104:], AFTER)


def test_a_border_that_goes_over_the_picture_and_back(sosie, pair, tmp_path):
    output = tmp_path / "wipe.mp4"
    result = sosie("compare", *pair, "-o", output, "--layout", "wipe")
    assert result.code == 0, result.err
    shown = frames_of(output)
    reds = np.array([(frame[..., 0] > 115).mean() for frame in shown])
    assert is_like(shown[0], BEFORE)
    assert is_like(shown[25], AFTER)
    assert reds[-1] > 0.9
    assert (np.diff(reds[:25]) <= 0.02).all()
    assert (np.diff(reds[26:]) >= -0.02).all()
    middle = shown[12]
    assert is_like(middle[:, :36], BEFORE)
    assert is_like(middle[:, 60:], AFTER)


def test_a_longer_target_is_told(sosie, pair, make_video, tmp_path):
    part = make_video(tmp_path / "part.mp4", [np.full((64, 96, 3), AFTER, np.uint8)] * 20)
    result = sosie("compare", pair[0], part, "-o", tmp_path / "out.mp4")
    assert result.code == 0, result.err
    assert "has 20 frames" in result.out
    assert "target.mp4 has more" in result.out
    assert len(frames_of(tmp_path / "out.mp4")) == 20
    cut = sosie("compare", pair[0], part, "-o", tmp_path / "cut.mp4", "--end", "0.8")
    assert "more of them" not in cut.out


def test_sound_depth_and_turn_of_the_result(sosie, make_video, tmp_path):
    """A turned video of 10 bits is shown upright, in 10 bits, with the sound."""
    path = tmp_path / "phone.mov"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx265", rate=25, options={"x265-params": "log-level=none"})
        video.width, video.height, video.pix_fmt = 128, 64, "yuv420p10le"
        video.set_display_matrix((0, 65536, 0, -65536, 0, 0, 64 << 16, 0, 1 << 30))
        sound = container.add_stream("aac", rate=48000)
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((64, 128, 3), BEFORE, np.uint8), "rgb24")
            frame.pts = number
            container.mux(video.encode(frame.reformat(format="yuv420p10le")))
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 19200), np.float32), "fltp", "stereo")
        silence.sample_rate, silence.pts = 48000, 0
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
        container.mux(video.encode(None))
    output = tmp_path / "out.mov"
    result = sosie("compare", path, path, "-o", output)
    assert result.code == 0, result.err
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (128, 128)
        assert stream.codec_context.format.name == "yuv420p10le"
        assert len(container.streams.audio) == 1
        assert next(container.decode(stream)).rotation == 0


def test_a_photo_side_by_side_and_half_and_half(sosie, small, small_path, tmp_path):
    """The border goes through the middle of what was changed."""
    changed = small.copy()
    changed[100:150, 200:240] = 255 - changed[100:150, 200:240]
    Image.fromarray(changed).save(tmp_path / "result.png")
    for layout in ("side", "wipe"):
        output = tmp_path / f"{layout}.png"
        result = sosie(
            *("compare", small_path, tmp_path / "result.png", "-o", output, "--layout", layout)
        )
        assert result.code == 0, result.err
    side = np.asarray(Image.open(tmp_path / "side.png"))
    np.testing.assert_array_equal(side, np.hstack([small, changed]))
    wipe = np.asarray(Image.open(tmp_path / "wipe.png"))
    np.testing.assert_array_equal(wipe[:, :215], small[:, :215])
    np.testing.assert_array_equal(wipe[:, 225:], changed[:, 225:])


def test_a_swap_writes_it_beside_the_result(sosie, hopper_path, video_path, small_path, tmp_path):
    plain = tmp_path / "plain.mp4"
    assert sosie("swap", "-s", hopper_path, "-t", video_path, "-o", plain).code == 0
    output = tmp_path / "out.mp4"
    command = ("swap", "-s", hopper_path, "-t", video_path, "-o", output, "--compare", "side")
    result = sosie(*command)
    assert result.code == 0, result.err
    comparison = tmp_path / "out.compare.mp4"
    assert f"compared in {comparison}" in result.out
    assert output.read_bytes() == plain.read_bytes()
    (first, *_), (target, *_), (swapped, *_) = map(frames_of, (comparison, video_path, output))
    assert first.shape == (256, 512, 3)
    assert np.abs(first[:, :256].astype(int) - target).mean() < 4
    assert np.abs(first[:, 256:].astype(int) - swapped).mean() < 4
    output.unlink()
    again = sosie(*command)
    assert again.code == 1
    assert "out.compare.mp4 exists already" in again.err
    assert not output.exists()
    photo = sosie(
        *("swap", "-s", hopper_path, "-t", small_path, "-o", tmp_path / "p.png"),
        *("--compare", "wipe", "--json"),
    )
    assert photo.json["comparison"] == str(tmp_path / "p.compare.png")
    assert (tmp_path / "p.compare.png").exists()


def test_frames_in_a_folder_are_compared_in_a_video_beside_it(sosie, hopper_path, small, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.fromarray(small).save(tmp_path / "in" / f"{number:04}.png")
    result = sosie(
        *("swap", "-s", hopper_path, "-t", tmp_path / "in", "--sequence", "24"),
        *("-o", tmp_path / "out", "--compare", "side", "--json"),
    )
    assert result.code == 0, result.err
    assert result.json["comparison"] == str(tmp_path / "out.compare.mp4")
    assert len(frames_of(tmp_path / "out.compare.mp4")) == 3


def test_what_cannot_be_compared(refused, pair, make_video, small_path, tmp_path):
    small = make_video(tmp_path / "small.mp4", [np.zeros((32, 96, 3), np.uint8)] * 3)
    output = tmp_path / "out.mp4"
    assert "96 x 32" in refused(1, "compare", pair[0], small, "-o", output)
    assert "a photo; give" in refused(1, "compare", pair[0], small_path, "-o", output)
    words = refused(2, "compare", *pair, "-o", output, "--layout", "wip")
    assert "did you mean 'wipe'" in words
    assert "also an input" in refused(2, "compare", *pair, "-o", pair[1], "--overwrite")
    assert "--overwrite" in refused(1, "compare", *pair, "-o", small)
    assert "extension of a video" in refused(2, "compare", *pair, "-o", tmp_path / "out.txt")


def test_a_wrong_layout_is_refused_before_the_work(refused, hopper_path, video_path, tmp_path):
    words = refused(
        *(2, "swap", "-s", hopper_path, "-t", video_path, "-o", tmp_path / "out.mp4"),
        *("--compare", "sides"),
    )
    assert "did you mean 'side'" in words
