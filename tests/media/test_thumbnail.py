from __future__ import annotations

import numpy as np
import pytest

from sosie.media.thumbnail import Shrinker
from sosie.media.video import open_video


@pytest.mark.parametrize(("width", "height", "small"), [(640, 320, (128, 64)), (96, 64, (96, 64))])
def test_a_small_copy_shows_what_the_frame_shows(tmp_path, width, height, small):
    import av

    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2] = (200, 40, 40)
    pixels[:, width // 2 :] = (30, 60, 180)
    path = tmp_path / "video.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        stream.options = {"crf": "4"}
        for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
            container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    shrinker = Shrinker()
    with open_video(path) as video:
        for frame in video.frames():
            shown = shrinker.small_rgb(frame)
            assert shown.shape == (small[1], small[0], 3)
            assert shown.dtype == np.uint8
            quarter = small[0] // 4
            assert np.abs(shown[4:-4, quarter].astype(int) - (200, 40, 40)).max() < 12
            assert np.abs(shown[4:-4, -quarter].astype(int) - (30, 60, 180)).max() < 12
