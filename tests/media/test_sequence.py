"""Sequences of numbered pictures in and out: numbers, gaps, depth and all that goes along."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from sosie.errors import InputError, OutputError, UsageError
from sosie.media.exr import read_exr, write_exr
from sosie.media.linear import to_linear, to_screen
from sosie.media.sequence_names import folder_sequence, parse_fps, sequence_name
from sosie.media.targets import open_target, pending_result, result_path
from sosie.media.writers import check_written
from sosie.types import Patch

SIZE = (48, 64)
WHERE = (slice(10, 30), slice(20, 40))


def changed(pixels: np.ndarray) -> Patch:
    """A patch over WHERE, of a middle gray."""
    part = np.full_like(pixels[WHERE], np.iinfo(pixels.dtype).max // 2)
    return Patch(WHERE[1].start, WHERE[0].start, part, np.ones(part.shape[:2], bool))


def rewrite(target: Path, output: Path, change: bool = True, **options: Any) -> tuple[str, ...]:
    """Writes a sequence, a video or an animation anew."""
    with (
        open_target(target, **options) as video,
        pending_result(output, True) as pending,
        video.writer(pending.path) as writer,
    ):
        for frame in video.frames():
            if change:
                frame.paste(changed(frame.to_rgb()))
            writer.write(frame)
    return writer.notes


def outside(array: np.ndarray) -> np.ndarray:
    """The samples that no patch covers, and the bits of floats."""
    kept = np.ones(SIZE, bool)
    kept[WHERE] = False
    part = np.ascontiguousarray(array[kept])
    return part.view(f"u{part.dtype.itemsize}") if part.dtype.kind == "f" else part


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """PNGs of 16 bits with numbers 998, 999, 1000 and, after a gap, 1003."""
    folder = tmp_path / "deep"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in (998, 999, 1000, 1003):
        pixels = rng.integers(0, 65536, (*SIZE, 3), np.uint16)
        cv2.imwrite(str(folder / f"shot_{number:04d}.png"), pixels)
    return folder


@pytest.mark.parametrize("given", ["deep", "deep/shot_%04d.png", "deep/shot_####.png"])
def test_numbers_and_gaps_are_kept_and_pixels_outside_stay_to_the_bit(
    deep: Path, tmp_path: Path, given: str
) -> None:
    output = result_path(tmp_path / given, tmp_path / "out")
    assert rewrite(tmp_path / given, output) == ()
    names = [path.name for path in sorted((tmp_path / "out").iterdir())]
    assert names == [path.name for path in sorted(deep.iterdir())]
    for name in names:
        before, after = (
            cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
            for folder in (deep, tmp_path / "out")
        )
        assert after.dtype == np.uint16
        assert np.array_equal(outside(before), outside(after))
        assert (after[WHERE] == 65535 // 2).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "out"]


def test_a_sequence_has_the_time_of_its_numbers(deep: Path) -> None:
    with open_target(deep, fps="23.976") as video:
        assert video.info.fps == Fraction(24000, 1001)
        times = [frame.time_s for frame in video.frames()]
    assert times == pytest.approx([n * 1001 / 24000 for n in (0, 1, 2, 5)])
    with open_target(deep, start_s=0.04, end_s=0.2, fps="25") as video:
        assert [frame.pts for frame in video.frames()] == [1, 2]
    with pytest.raises(UsageError, match="no frame at 7 s or later"):
        open_target(deep, start_s=7)


def test_what_goes_along_with_a_picture_stays(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        picture = Image.fromarray(np.full((*SIZE, 4), 40 * number + 20, np.uint8))
        exif = Image.Exif()
        exif[270] = f"frame {number}"
        picture.save(folder / f"{number}.png", exif=exif, dpi=(72, 72))
    rewrite(folder, tmp_path / "out" / "%d.png")
    for number in range(3):
        with Image.open(tmp_path / "out" / f"{number}.png") as picture:
            assert picture.getexif()[270] == f"frame {number}"
            assert picture.mode == "RGBA"
            assert (np.asarray(picture)[..., 3] == 40 * number + 20).all()


def linear(number: int) -> dict[str, np.ndarray]:
    """Channels of a linear frame: bright, negative and no numbers among them."""
    rng = np.random.default_rng(number)
    color = (rng.random((*SIZE, 3)) * 6 - 0.5).astype(np.float16 if number % 2 else np.float32)
    color[0, 0], color[0, 1] = np.nan, np.inf
    return {
        **{name: color[..., index] for index, name in enumerate("RGB")},
        "A": np.ones(SIZE, np.float16),
        "depth.Z": rng.random(SIZE).astype(np.float32),
    }


def test_a_linear_exr_changes_under_the_mask_alone(tmp_path: Path) -> None:
    exr = pytest.importorskip("OpenEXR")
    (tmp_path / "in").mkdir()
    for number in (7, 8):
        write_exr(tmp_path / "in" / f"a.{number}.exr", linear(number), {"owner": "me"})
    assert rewrite(tmp_path / "in" / "a.#.exr", tmp_path / "out" / "b.%03d.exr") == ()
    for number in (7, 8):
        file = exr.File(str(tmp_path / "out" / f"b.{number:03d}.exr"), separate_channels=True)
        assert file.header()["owner"] == "me"
        for name, before in linear(number).items():
            after = file.channels()[name].pixels
            assert after.dtype == before.dtype
            assert np.array_equal(outside(before), outside(after))
            if name in "RGB":
                gray = np.full((20, 20), float(to_linear(np.array(65535 // 2, np.uint16))))
                assert after[WHERE].astype(float) == pytest.approx(gray, abs=2e-3)
            else:
                assert np.array_equal(before, after)


def test_light_of_any_brightness_comes_back() -> None:
    light = np.concatenate([np.linspace(0, 1, 1000), np.geomspace(1, 60, 1000)])
    shown = to_screen(light.astype(np.float32))
    assert (np.diff(shown.astype(int)) >= 0).all()
    assert to_linear(shown) == pytest.approx(light, rel=0.04, abs=1e-4)
    assert to_screen(np.array([-1, np.nan, np.inf, 0], np.float32)).tolist() == [0, 0, 65535, 0]


@pytest.mark.parametrize("depth", [10, 12])
def test_dpx_keeps_its_depth_and_its_header(tmp_path: Path, depth: int) -> None:
    from sosie.media.dpx import read_dpx, write_dpx

    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(2)
    for number in (86400, 86401):
        frame = av.VideoFrame(SIZE[1], SIZE[0], f"gbrp{depth}le")
        for plane in frame.planes:
            values = rng.integers(0, 2**depth, plane.buffer_size // 2, np.uint16)
            plane.update(values.tobytes())
        path = tmp_path / "in" / f"x.{number}.dpx"
        write_dpx(path, frame, None)
        # The television part of the header begins with the time code.
        content = path.read_bytes()
        code = b"\x10\x11\x12\x13"
        head = bytearray(content[:1664] + bytes(256) + code + bytes(124))
        head[4:8] = (2048).to_bytes(4, "big")
        path.write_bytes(bytes(head) + content[1664:])
    rewrite(tmp_path / "in", tmp_path / "out" / "y.%d.dpx")
    for number in (86400, 86401):
        before = read_dpx(tmp_path / "in" / f"x.{number}.dpx")
        path = tmp_path / "out" / f"y.{number}.dpx"
        after = read_dpx(path)
        assert after.format.name == f"gbrp{depth}le"
        assert path.read_bytes()[1920:1924] == b"\x10\x11\x12\x13"
        for one, two in zip(before.planes, after.planes, strict=True):
            planes = [
                np.frombuffer(p, np.uint16).reshape(p.height, -1)[:, : p.width] for p in (one, two)
            ]
            assert np.array_equal(outside(planes[0]), outside(planes[1]))
            assert not np.array_equal(*planes)


def test_a_video_becomes_a_sequence_and_a_sequence_a_video(
    make_clip: Any, tmp_path: Path, deep: Path
) -> None:
    path = make_clip(frames=3, pix_fmt="yuv420p10le", size=(64, 48))
    assert rewrite(path, tmp_path / "out" / "f.%03d.tif", change=False) == ()
    with open_target(path) as video:
        for frame in video.frames():
            read = cv2.imread(str(tmp_path / "out" / f"f.{frame.index + 1:03d}.tif"), -1)
            assert np.array_equal(read[..., ::-1], frame.to_rgb())
    rewrite(deep, tmp_path / "deep.mkv", change=False, fps="25")
    with av.open(str(tmp_path / "deep.mkv")) as container:
        frames = list(container.decode(video=0))
    assert [frame.format.name for frame in frames] == ["gbrp16le"] * 4
    times = [float(frame.time) for frame in frames]
    assert times == pytest.approx([0, 0.04, 0.08, 0.2])


def test_an_exr_of_a_video_is_linear(make_clip: Any, tmp_path: Path) -> None:
    pytest.importorskip("OpenEXR")
    path = make_clip(frames=1, size=(64, 48))
    rewrite(path, tmp_path / "out" / "%d.exr", change=False)
    with open_target(path) as video:
        shown = next(video.frames()).to_rgb().astype(np.uint16) * 257
    light = read_exr(tmp_path / "out" / "1.exr")
    assert light == pytest.approx(to_linear(shown), abs=1e-3)


# What cannot be.


def test_frames_that_do_not_fit_together(deep: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(deep / "shot_1004.png")
    with pytest.raises(InputError, match=r"shot_1004\.png has 64 x 48 pixels \(gbrp\)"):
        rewrite(deep, tmp_path / "out" / "%d.png")
    assert not (tmp_path / "out").exists()
    Image.new("RGB", (64, 48)).save(deep / "other_1.png")
    with pytest.raises(InputError, match="frames of more than one name"):
        folder_sequence(deep)


def test_names_and_rates(tmp_path: Path) -> None:
    assert sequence_name(Path("a.mp4")) is None
    assert sequence_name(Path("100%.mp4")) is None
    (tmp_path / "a#1.png").touch()
    assert sequence_name(tmp_path / "a#1.png") is None
    name = sequence_name(tmp_path / "b_%05d.x.exr")
    assert name is not None
    assert (name.path(12).name, name.suffix) == ("b_00012.x.exr", ".exr")
    assert parse_fps("29.97") == Fraction(30000, 1001)
    assert parse_fps("30000/1001") == Fraction(30000, 1001)
    assert parse_fps("12.5") == Fraction(25, 2)
    assert parse_fps("12.34567890123456789").denominator <= 1_000_000
    assert parse_fps("0.004") == Fraction(1, 250)
    for text in ("x", "0", "-4", "1/0", "5000", "1e-9", "1/3000000000"):
        with pytest.raises(UsageError):
            parse_fps(text)


@pytest.mark.parametrize("suffix", [".exr", ".dpx", ".png"])
def test_files_that_are_no_frames(deep: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.1{suffix}"
    path.touch()
    with pytest.raises(InputError, match=r"a\.1\.\w+ is empty"):
        open_target(tmp_path / f"a.%d{suffix}")
    path.write_bytes(b"no frame " * 300)
    with pytest.raises(InputError, match=r"a\.1\.\w+ is (damaged|not a picture)"):
        open_target(tmp_path / f"a.%d{suffix}")
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"a\.1\.\w+ is a folder"):
        open_target(tmp_path / f"a.%d{suffix}")


def test_an_exr_that_is_cut_off_or_too_large(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.1.exr"
    write_exr(path, linear(1))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"a\.1\.exr is damaged"):
        read_exr(path)
    write_exr(path, {name: np.zeros((2000, 5001), np.float16) for name in "RGB"})
    with pytest.raises(InputError, match=r"5001 x 2000 pixels .* the limit is 10"):
        read_exr(path)
    assert capfd.readouterr().err == ""


def test_numbers_too_far_apart(tmp_path: Path) -> None:
    far = 10**40
    for number in (1, far):
        Image.new("RGB", (64, 48)).save(tmp_path / f"a.{number}.png")
    with pytest.raises(InputError, match="too far apart"):
        open_target(tmp_path)
    (tmp_path / "a.1.png").unlink()
    rewrite(tmp_path, tmp_path / "out" / "%d.png", change=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{far}.png"]


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    long = tmp_path / f"a.%0{'9' * 5000}d.png"
    assert sequence_name(long) is None
    assert sequence_name(tmp_path / "a.%0999999999d.png") is None
    with pytest.raises(InputError, match="too long"):
        open_target(long)


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    for target in (tmp_path, tmp_path / "a.%d.png"):
        with pytest.raises(InputError, match=r"cannot be read .* check its permissions"):
            open_target(target)


@pytest.mark.parametrize("name", ["out_%04d.dpx", "out.gif"])
def test_an_error_names_the_output_and_not_the_hidden_file(
    deep: Path, tmp_path: Path, name: str
) -> None:
    hidden, final = tmp_path / ".hidden" / name, tmp_path / "out" / name
    with (
        open_target(deep) as video,
        pytest.raises(OutputError) as caught,
        video.writer(hidden, shown=final) as writer,
    ):
        for frame in video.frames():
            writer.write(frame)
    assert str(final.with_name(name.replace("%04d", "0998"))) in str(caught.value)
    assert ".hidden" not in str(caught.value)


def test_an_output_that_is_there_or_no_video(deep: Path, tmp_path: Path) -> None:
    rest = ("keep", 18, "veryfast")
    with pytest.raises(OutputError, match=r"are frames of .* already"):
        check_written(deep / "shot_%04d.png", *rest, False)
    check_written(deep / "shot_%04d.png", *rest, True)
    with pytest.raises(UsageError, match=r"for numbered frames write out\.%04d\.png"):
        check_written(tmp_path / "out.png", *rest, False)
    with pytest.raises(UsageError, match="no extension of a video"):
        check_written(tmp_path / "out", *rest, False)
