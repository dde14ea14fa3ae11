"""Input that cannot be swapped, or only with care: the sentence, the exit code, nothing written."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageCms


@pytest.fixture
def swap_refused(refused, hopper_path, tmp_path):
    """Try to swap into a target, and return the sentence of the refusal."""

    def call(code, target, *arguments, source=hopper_path, output="out.png"):
        return refused(
            code, "swap", "-s", source, "-t", target, "-o", tmp_path / output, *arguments
        )

    return call


@pytest.fixture
def swapped(sosie, hopper_path, tmp_path):
    """Swap into a target that must be taken, and return the path of the result."""

    def call(target, name="out.png"):
        output = tmp_path / name
        result = sosie("swap", "-s", hopper_path, "-t", target, "-o", output, "--json")
        assert result.code == 0, result.err
        assert result.json["face_count"] == result.json["swapped_frames"] > 0
        return output

    return call


def opened(path):
    with Image.open(path) as picture:
        picture.load()
        return picture


def changed_share(before, after):
    """Share of the pixels that are visibly another color."""
    difference = np.abs(np.asarray(before, float) - np.asarray(after, float)).max(axis=2)
    return float((difference > 8).mean())


# No face to swap


def test_a_target_photo_without_a_face(swap_refused, scenery, tmp_path):
    Image.fromarray(scenery).save(tmp_path / "hill.png")
    assert "hill.png" in swap_refused(3, tmp_path / "hill.png")


def test_a_source_photo_without_a_face(swap_refused, scenery, small_path, tmp_path):
    Image.fromarray(scenery).save(tmp_path / "hill.png")
    assert "hill.png" in swap_refused(3, small_path, source=tmp_path / "hill.png")


def test_a_video_without_a_face(swap_refused, scenery, make_video, tmp_path):
    video = make_video(tmp_path / "hills.mp4", [scenery] * 5)
    assert "hills.mp4" in swap_refused(3, video, output="out.mp4")


def test_a_face_that_is_too_small(swap_refused, astronaut, tmp_path):
    tiny = Image.fromarray(astronaut).resize((90, 90), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (400, 400), (90, 110, 130))
    canvas.paste(tiny, (150, 150))
    canvas.save(tmp_path / "far.png")
    message = swap_refused(3, tmp_path / "far.png")
    assert "far.png" in message
    assert "small" in message or "no face" in message.lower()


def test_a_position_where_no_face_is(swap_refused, small_path):
    message = swap_refused(3, small_path, "--faces", "0,4")
    assert "4" in message


# Files that cannot be read


@pytest.mark.parametrize("name", ["absent.png", "absent.mp4", "absent"])
def test_an_absent_target(swap_refused, tmp_path, name):
    assert f"{name} does not exist" in swap_refused(1, tmp_path / name)


def test_an_absent_source(swap_refused, small_path, tmp_path):
    message = swap_refused(1, small_path, source=tmp_path / "absent.png")
    assert "absent.png does not exist" in message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("target.jpg", "not a picture"),
        ("target.mp4", "not a video"),
        ("target.txt", "neither a photo nor a video"),
    ],
)
def test_a_text_is_neither_a_photo_nor_a_video(swap_refused, tmp_path, name, words):
    (tmp_path / name).write_text("This is a text.\n" * 50)
    assert words in swap_refused(1, tmp_path / name, output=f"out{Path(name).suffix}")


@pytest.mark.parametrize("name", ["target.jpg", "target.mp4", "target"])
def test_an_empty_file(swap_refused, tmp_path, name):
    (tmp_path / name).touch()
    assert name in swap_refused(1, tmp_path / name, output=f"out{Path(name).suffix}")


@pytest.mark.parametrize("name", ["cut.png", "cut.jpg"])
def test_a_truncated_photo(swap_refused, small_path, tmp_path, name):
    whole = tmp_path / name
    opened(small_path).save(whole)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert "cut short" in swap_refused(1, whole)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_truncated_video(swap_refused, small, make_video, tmp_path, suffix):
    whole = make_video(tmp_path / f"whole{suffix}", [small] * 50)
    content = whole.read_bytes()
    whole.unlink()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(content[: len(content) // 2])
    assert "cut short" in swap_refused(1, cut, output="out.mp4")


def test_a_video_cut_short_after_its_index(swap_refused, small, make_video, tmp_path):
    options = {"options": {"movflags": "faststart"}}
    video = make_video(tmp_path / "video.mp4", [small] * 50, **options)
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 3 // 4])
    assert "cut short" in swap_refused(1, video, output="out.mp4")


def test_a_video_without_frames(swap_refused, tmp_path):
    video = tmp_path / "blank.mkv"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    assert "no frames" in swap_refused(1, video, output="out.mp4")


def test_a_video_without_a_video_stream(swap_refused, tmp_path):
    video = tmp_path / "sound.mp4"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate, sound.time_base, sound.pts = 44100, Fraction(1, 44100), 0
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    assert "no video stream, only audio" in swap_refused(1, video, output="out.mp4")


def test_a_part_after_the_end_of_a_video(swap_refused, video_path):
    message = swap_refused(2, video_path, "--start", "1:00", output="out.mp4")
    assert "no frame at 60" in message


# Places that cannot be written


def test_an_output_folder_that_does_not_exist(swap_refused, small_path):
    message = swap_refused(1, small_path, output="absent/out.png")
    assert "does not exist" in message


def test_an_output_below_a_file(swap_refused, small_path, tmp_path):
    (tmp_path / "file").touch()
    assert "is not a folder" in swap_refused(1, small_path, output="file/out.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(swap_refused, small_path, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "cannot be written" in swap_refused(1, small_path, output="locked/out.png")


@pytest.fixture
def mounted(tmp_path):
    """`mounted(options)`: a small file system in memory, or a skip where that is not allowed."""
    places = []

    def mount(options):
        place = tmp_path / f"disk{len(places)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("needs the right to mount a file system")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", str(place)], check=True)


def test_a_read_only_disk(swap_refused, small_path, mounted):
    disk = mounted("ro,size=1m")
    assert "cannot be written" in swap_refused(1, small_path, output=disk / "out.png")


@pytest.mark.parametrize("kind", ["photo", "video"])
def test_a_full_disk(swap_refused, small_path, video_path, mounted, kind):
    disk = mounted("size=16k")
    target, name = (small_path, "out.png") if kind == "photo" else (video_path, "out.mp4")
    assert "disk is full" in swap_refused(1, target, output=disk / name)


@pytest.mark.parametrize("name", ["out", "out.mpg"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    swap_refused, video_path, tmp_path, monkeypatch, name
):
    monkeypatch.setattr("sosie.pipeline.read_roles", None)  # no source could be looked at
    assert "no extension of a video" in swap_refused(2, video_path, output=name)
    (tmp_path / name).mkdir()
    assert "is a folder; give the name of a file" in swap_refused(1, video_path, output=name)


@pytest.mark.parametrize("which", ["target", "source", "link"])
def test_an_output_that_is_an_input(refused, hopper_path, small_path, video_path, tmp_path, which):
    source, target = tmp_path / "source.jpg", tmp_path / "target.png"
    shutil.copy(hopper_path, source)
    shutil.copy(small_path, target)
    (tmp_path / "link.png").symlink_to(target)
    output = {"target": target, "source": source, "link": tmp_path / "link.png"}[which]
    message = refused(2, "swap", "-s", source, "-t", target, "-o", output, "--overwrite")
    assert "is also an input" in message


def test_an_output_that_exists(swap_refused, small_path, video_path, tmp_path):
    for name, target in (("out.png", small_path), ("out.mp4", video_path)):
        (tmp_path / name).write_text("mine")
        assert "exists already" in swap_refused(1, target, output=name)


def test_an_output_that_is_a_folder(swap_refused, small_path, tmp_path):
    (tmp_path / "out.png").mkdir()
    assert "is a folder" in swap_refused(1, small_path)


@pytest.mark.parametrize("name", ["out", "out.txt", "out.gif", "out.mp4"])
def test_an_output_that_no_photo_can_be(swap_refused, small_path, name):
    assert "extension" in swap_refused(2, small_path, output=name)


@pytest.mark.parametrize("name", ["out", "out.txt", "out.png"])
def test_an_output_that_no_video_can_be(swap_refused, video_path, name):
    assert "extension" in swap_refused(2, video_path, output=name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "mash"], "did you mean 'mesh'?"),
        (["--provider", "cuba"], "did you mean 'cuda'?"),
        (["--codec", "x264"], "did you mean 'libx264'?"),
        (["--preset", "veryfest"], "did you mean 'veryfast'?"),
        (["--crf", "60"], "crf"),
    ],
)
def test_unknown_values_name_the_nearest(swap_refused, video_path, arguments, words):
    assert words in swap_refused(2, video_path, *arguments, output="out.mp4")


def test_a_provider_that_is_not_installed(swap_refused, small_path):
    from sosie.models.session import available_providers

    if "qnn" in available_providers():
        pytest.skip("this ONNX Runtime has the provider that is used as the absent one")
    message = swap_refused(1, small_path, "--provider", "qnn")
    assert "'qnn' is not in the installed onnxruntime" in message


# Folders


def test_a_folder_into_a_file(refused, hopper_path, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out.png").touch()
    message = refused(
        2, "swap", "-s", hopper_path, "-t", tmp_path / "in", "-o", tmp_path / "out.png"
    )
    assert "give a folder" in message


def test_a_folder_into_itself(refused, hopper_path, tmp_path):
    message = refused(
        2, "swap", "-s", hopper_path, "-t", tmp_path, "-o", f"{tmp_path}/../{tmp_path.name}"
    )
    assert "target's own folder" in message


def test_a_folder_without_media(refused, hopper_path, tmp_path):
    (tmp_path / "notes.txt").write_text("notes")
    message = refused(1, "swap", "-s", hopper_path, "-t", tmp_path, "-o", tmp_path / "out")
    assert "holds no photo and no video" in message


def test_a_source_without_a_face_leaves_no_folder(refused, scenery, small_path, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(small_path, tmp_path / "in")
    Image.fromarray(scenery).save(tmp_path / "hill.png")
    refused(3, "swap", "-s", tmp_path / "hill.png", "-t", tmp_path / "in", "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Photos of unusual kinds


def test_a_picture_of_100_megapixels(swap_refused, tmp_path):
    Image.new("1", (10_000, 10_000)).save(tmp_path / "huge.png")
    assert "100 megapixels" in swap_refused(1, tmp_path / "huge.png")


def test_a_picture_of_one_pixel(swap_refused, tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    assert "too small" in swap_refused(1, tmp_path / "dot.png")


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_an_animated_picture(swap_refused, small, tmp_path, suffix):
    first, second = Image.fromarray(small), Image.fromarray(small[:, ::-1].copy())
    path = tmp_path / f"moving{suffix}"
    first.save(path, save_all=True, append_images=[second])
    assert "for numbered frames write out.%04d.png" in swap_refused(2, path)


def test_a_photo_of_16_bits_stays_one(swapped, small, tmp_path):
    import cv2

    rng = np.random.default_rng(1)
    deep = small.astype(np.uint16) * 256 + rng.integers(0, 256, small.shape, np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    result = cv2.imread(str(swapped(tmp_path / "deep.png")), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert result.dtype == np.uint16
    assert 0.02 < changed_share(deep / 256, result / 256) < 0.4
    np.testing.assert_array_equal(result[:20], deep[:20])


def test_a_gray_photo(swapped, small, tmp_path):
    gray = Image.fromarray(small).convert("L")
    gray.save(tmp_path / "gray.png")
    result = opened(swapped(tmp_path / "gray.png")).convert("RGB")
    assert 0.02 < changed_share(gray.convert("RGB"), result) < 0.4


def test_alpha_is_kept_to_the_bit(swapped, small, tmp_path):
    alpha = np.random.default_rng(2).integers(0, 256, small.shape[:2], np.uint8)
    Image.fromarray(np.dstack([small, alpha])).save(tmp_path / "clear.png")
    result = opened(swapped(tmp_path / "clear.png"))
    assert result.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(result)[..., 3], alpha)
    assert changed_share(small, np.asarray(result)[..., :3]) > 0.02


def test_a_cmyk_photo(swapped, small, tmp_path):
    print_ = Image.fromarray(small).convert("CMYK")
    print_.save(tmp_path / "print.jpg", quality=95)
    result = opened(swapped(tmp_path / "print.jpg"))
    assert result.mode == "RGB"
    # Far from the face it is still the same picture, in RGB.
    corner = np.asarray(result, float)[:60, :60] - small[:60, :60]
    assert np.abs(corner).mean() < 6


def test_a_turned_photo_becomes_upright(swapped, small, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a portrait"
    tall = small[:, :240]
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(tall)))
    stored.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    result = opened(swapped(tmp_path / "turned.jpg", "out.jpg"))
    assert result.size == (240, 288)
    assert result.getexif().get(0x0112, 1) == 1
    assert result.getexif()[0x010E] == "a portrait"
    assert 0.02 < changed_share(tall, result) < 0.4


def test_the_icc_profile_is_kept(swapped, small, tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(small).save(tmp_path / "tagged.png", icc_profile=profile)
    assert opened(swapped(tmp_path / "tagged.png")).info["icc_profile"] == profile


# Videos of unusual kinds


def test_a_video_of_odd_size(swapped, small, make_video, tmp_path):
    video = make_video(tmp_path / "odd.mp4", [small[:281, :283]] * 3)
    with av.open(str(swapped(video, "out.mp4"))) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (283, 281)


def test_a_video_that_changes_its_size(swap_refused, small, make_video, tmp_path):
    parts = [make_video(tmp_path / f"{n}.ts", [small[:n, :n]] * 5) for n in (288, 256)]
    video = tmp_path / "changing.ts"
    video.write_bytes(b"".join(part.read_bytes() for part in parts))
    message = swap_refused(1, video, output="out.mp4")
    assert "changes from 288 x 288 to 256 x 256" in message


@pytest.mark.parametrize("long", ["n" * 300, "d/" * 2100], ids=["name", "path"])
@pytest.mark.parametrize(
    "words",
    [
        ("swap", "-s", "{hopper}", "-t", "{hopper}", "-o", "{long}/o.png"),
        ("swap", "-s", "{hopper}", "-t", "{long}", "-o", "o.png"),
        ("inspect", "{long}"),
        ("source", "{hopper}", "-o", "{long}/s.png"),
        ("dataset", "extract", "{long}", "--out", "set"),
        ("dataset", "extract", "{hopper}", "--out", "{long}/set"),
        ("dataset", "report", "{long}"),
        ("dataset", "verify", "{long}"),
        ("eval", "run", "-m", "graft", "--pairs", "{long}", "--out", "r"),
        ("eval", "video", "{long}", "{hopper}", "-s", "{hopper}"),
        ("weights", "import", "simswap", "{long}"),
        ("train", "parser", "--data", "{long}", "--teachers", "{long}", "--run", "{long}"),
    ],
    ids=lambda words: " ".join(words[:2]) + f" {len(words)}",
)
def test_a_path_that_no_file_can_have(refused, hopper_path, tmp_path, monkeypatch, words, long):
    monkeypatch.chdir(tmp_path)
    sentence = refused(1, *(word.format(hopper=hopper_path, long=long) for word in words))
    assert "fault in Sosie" not in sentence
    assert not list(tmp_path.iterdir())


def test_no_folder_for_temporary_files(refused, hopper_path, tmp_path, monkeypatch):
    """As where no file may be larger than nothing."""

    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(hopper_path, "a.png")
    with monkeypatch.context() as there:
        there.setattr(tempfile, "gettempdir", nowhere)
        sentence = refused(1, "dataset", "extract", tmp_path / "a.zip", "--out", tmp_path / "set")
    assert "TMPDIR" in sentence
