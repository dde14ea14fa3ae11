"""Frames pushed one by one come out as a photo's and as a video's do."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sosie import FaceSwapper, UsageError

MakeSwap = Any


@pytest.fixture(scope="module")
def swapper(hopper_path: Path) -> FaceSwapper:
    return FaceSwapper(hopper_path, method="mesh")


@pytest.fixture(scope="module")
def portrait(astronaut_path: Path) -> np.ndarray:
    import cv2

    return np.ascontiguousarray(cv2.imread(str(astronaut_path))[..., ::-1])


def moved(picture: np.ndarray, count: int) -> list[np.ndarray]:
    return [np.roll(picture, 2 * n, axis=1) for n in range(count)]


def test_the_first_frame_of_a_stream_is_the_photo(
    swapper: FaceSwapper, portrait: np.ndarray
) -> None:
    before = portrait.copy()
    pushed = swapper.stream(25).push(portrait)
    assert np.array_equal(portrait, before)
    assert pushed is not None
    assert np.array_equal(pushed, swapper.image(portrait).image)
    assert not np.array_equal(pushed, portrait)


def test_every_frame_comes_back_at_once_and_swapped(
    swapper: FaceSwapper, portrait: np.ndarray
) -> None:
    stream = swapper.stream(25)
    for frame in moved(portrait, 5):
        made = stream.push(frame)
        assert made is not None
        assert made.shape == frame.shape
        assert np.abs(made.astype(int) - frame).max() > 20
    assert stream.finish() == []


def test_a_stream_that_looks_far_ahead_is_the_video(
    swapper: FaceSwapper, portrait: np.ndarray, tmp_path: Path
) -> None:
    """Pushed with all that a video knows ahead, each frame has a video's pixels."""
    import av

    frames = [np.ascontiguousarray(one[:384, :384]) for one in moved(portrait, 8)]
    video, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 384, 384, "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    lossless = FaceSwapper(
        tmp_path / "me.sosie" if (tmp_path / "me.sosie").exists() else _saved(swapper, tmp_path),
        method="mesh",
        codec="ffv1",
    )
    lossless.video(video, output)
    with av.open(str(output)) as container:
        theirs = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    stream = lossless.stream(10, lookahead=40)
    ours = [made for frame in frames if (made := stream.push(frame)) is not None]
    ours += stream.finish()
    assert len(ours) == len(theirs) == 8
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(one, other)


def _saved(swapper: FaceSwapper, folder: Path) -> Path:
    swapper.save(folder / "me.sosie")
    return folder / "me.sosie"


def test_a_look_ahead_delays_by_as_many_frames(swapper: FaceSwapper, portrait: np.ndarray) -> None:
    stream = swapper.stream(25, lookahead=3)
    frames = moved(portrait, 5)
    made = [stream.push(frame) for frame in frames]
    assert [one is None for one in made] == [True, True, True, False, False]
    made += stream.finish()
    for one, frame in zip(made[3:], frames, strict=True):
        assert one is not None
        changed = np.abs(one.astype(int) - frame).max(2) > 0
        assert 0.001 < changed.mean() < 0.4


def test_a_frame_without_a_face_comes_back_as_it_was(swapper: FaceSwapper) -> None:
    plain = np.full((120, 160, 3), 90, np.uint8)
    made = swapper.stream(25).push(plain)
    assert np.array_equal(made, plain)
    assert made is not plain


def test_deep_frames_stay_deep(swapper: FaceSwapper, portrait: np.ndarray) -> None:
    made = swapper.stream(25).push(portrait.astype(np.uint16) * 257)
    assert made is not None
    assert made.dtype == np.uint16
    assert (made % 257 != 0).any()


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
        "frame.png",
    ],
)
def test_what_is_no_frame_is_refused(swapper: FaceSwapper, frame: Any) -> None:
    with pytest.raises(UsageError, match="h x w x 3"):
        swapper.stream(25).push(frame)


def test_a_stream_keeps_its_size_and_ends_once(swapper: FaceSwapper) -> None:
    stream = swapper.stream(25)
    stream.push(np.zeros((40, 60, 3), np.uint8))
    with pytest.raises(UsageError, match="another stream"):
        stream.push(np.zeros((60, 40, 3), np.uint8))
    stream.finish()
    with pytest.raises(UsageError, match="ended"):
        stream.push(np.zeros((40, 60, 3), np.uint8))


@pytest.mark.parametrize(("fps", "lookahead"), [(0, 0), (-1, 0), (float("nan"), 0), (25, -1)])
def test_rates_that_cannot_be_meant_are_refused(
    swapper: FaceSwapper, fps: float, lookahead: int
) -> None:
    with pytest.raises(UsageError):
        swapper.stream(fps, lookahead)


def test_a_second_thread_in_one_stream_is_told(
    swapper: FaceSwapper, portrait: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go_on = threading.Event(), threading.Event()
    stream = swapper.stream(25)
    real = stream._tracker.push

    def slow(frame: Any) -> Any:
        inside.set()
        go_on.wait(20)
        return real(frame)

    monkeypatch.setattr(stream._tracker, "push", slow)
    first = threading.Thread(target=stream.push, args=(portrait,))
    first.start()
    inside.wait(20)
    try:
        with pytest.raises(UsageError, match="thread"):
            stream.push(portrait)
    finally:
        go_on.set()
        first.join()


def test_threads_may_share_a_swapper(swapper: FaceSwapper, portrait: np.ndarray) -> None:
    alone = swapper.image(portrait).image
    made: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: made.append(swapper.image(portrait).image))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3
    assert all(np.array_equal(one, alone) for one in made)
