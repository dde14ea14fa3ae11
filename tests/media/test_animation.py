"""Animations in and out: their pictures, transparency and times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from sosie.errors import OutputError
from sosie.media.animation import is_animation
from sosie.media.targets import open_target, pending_result

TIMES = [80, 120, 40, 500]
FORMATS = [".gif", ".webp", ".apng", *([".avif"] if features.check("avif") else [])]


def pictures(mode: str) -> list[Image.Image]:
    y, x = np.mgrid[:40, :60]
    made = []
    for number in range(4):
        bands = [x * 4 % 256, y * 6 % 256, np.full_like(x, 60 * number)]
        if mode == "RGBA":
            bands.append(np.where(x + y > 40 + 8 * number, 255, 0))
        made.append(Image.fromarray(np.stack(bands, -1).astype(np.uint8)))
    return made


def save(path: Path, mode: str = "RGB") -> Path:
    first, *rest = pictures(mode)
    kind = {".apng": "PNG"}.get(path.suffix)
    options: dict[str, Any] = {} if path.suffix == ".gif" else {"lossless": True, "quality": 100}
    first.save(
        path, kind, save_all=True, append_images=rest, duration=TIMES, loop=3, disposal=2, **options
    )
    return path


def shown(path: Path) -> tuple[list[Image.Image], list[float]]:
    with Image.open(path) as image:
        found, times = [], []
        for number in range(image.n_frames):
            image.seek(number)
            image.load()
            times.append(image.info["duration"])
            found.append(image.convert("RGBA"))
    return found, times


def rewrite(target: Path, output: Path, **options: Any) -> tuple[str, ...]:
    with (
        open_target(target, **options) as video,
        pending_result(output, True) as pending,
        video.writer(pending.path) as writer,
    ):
        for frame in video.frames():
            writer.write(frame)
    return writer.notes


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_times_and_pictures_are_kept(tmp_path: Path, source: str, suffix: str) -> None:
    path = save(tmp_path / f"in{source}")
    assert is_animation(path)
    with open_target(path) as video:
        assert (video.info.frame_count, video.info.duration_s) == (4, 0.74)
        assert [round(frame.time_s * 1000) for frame in video.frames()] == [0, 80, 200, 240]
    rewrite(path, tmp_path / f"out{suffix}")
    before, _ = shown(path)
    after, times = shown(tmp_path / f"out{suffix}")
    assert [round(time) for time in times] == TIMES
    for one, two in zip(before, after, strict=True):
        apart = np.abs(np.asarray(one).astype(int) - np.asarray(two))
        assert apart.mean() < (8 if suffix == ".gif" else 3)
    if ".avif" not in (source, suffix):
        with Image.open(tmp_path / f"out{suffix}") as image:
            assert image.info["loop"] == 3


@pytest.mark.parametrize("suffix", FORMATS)
def test_transparency_is_kept(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"in{suffix}", "RGBA")
    rewrite(path, tmp_path / f"out{suffix}")
    for one, two in zip(shown(path)[0], shown(tmp_path / f"out{suffix}")[0], strict=True):
        opacities = [np.asarray(image)[..., 3].astype(int) for image in (one, two)]
        assert np.abs(opacities[0] - opacities[1]).mean() < 1
        assert opacities[1].min() < 9


def test_apng_without_a_loss(tmp_path: Path) -> None:
    rewrite(save(tmp_path / "in.apng", "RGBA"), tmp_path / "out.apng")
    for one, two in zip(pictures("RGBA"), shown(tmp_path / "out.apng")[0], strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(two))


def test_a_part_and_a_video_of_an_animation(tmp_path: Path) -> None:
    path = save(tmp_path / "in.webp")
    with open_target(path, start_s=0.1, end_s=0.22) as video:
        assert [round(frame.time_s * 1000) for frame in video.frames()] == [200]
    rewrite(path, tmp_path / "out.mkv")
    with open_target(tmp_path / "out.mkv") as video:
        assert [round(frame.time_s * 1000) for frame in video.frames()] == [0, 80, 200, 240]


def test_a_video_becomes_an_animation(make_clip: Any, tmp_path: Path, kinds: Any) -> None:
    path = make_clip(frames=6, sounds=(kinds.sound(),))
    notes = rewrite(path, tmp_path / "out.gif")
    assert any("holds no sound" in note for note in notes)
    assert shown(tmp_path / "out.gif")[1] == [40] * 6


def test_too_long_for_an_animation(
    make_clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sosie.media.animation_write._MOST_BYTES", 100_000)
    with pytest.raises(OutputError, match=r"12 frames of 160 x 120 .* write a \.mp4"):
        rewrite(make_clip(), tmp_path / "out.gif")
    assert not (tmp_path / "out.gif").exists()


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_times_too_long_for_an_animation(tmp_path: Path, suffix: str) -> None:
    for number in (1, 99_999_999):
        pictures("RGB")[0].save(tmp_path / f"{number}.png")
    with pytest.raises(OutputError, match=r"does not hold these .* write a \.mp4"):
        rewrite(tmp_path, tmp_path / f"out{suffix}")
    assert not (tmp_path / f"out{suffix}").exists()


def test_a_picture_of_one_frame_is_none(tmp_path: Path) -> None:
    for name in ("a.gif", "a.png", "a.webp", "a.jpg"):
        pictures("RGB")[0].save(tmp_path / name)
        assert not is_animation(tmp_path / name)
    (tmp_path / "broken.gif").write_bytes(b"GIF89a")
    assert not is_animation(tmp_path / "broken.gif")
