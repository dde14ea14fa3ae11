"""Whole extractions: what is on disk afterwards, however they were stopped."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sosie.datasets.extract import job, videos, writer
from sosie.datasets.extract.inputs import Input
from sosie.datasets.extract.job import extract
from sosie.datasets.extract.options import ExtractOptions
from sosie.datasets.face_rows import FaceRow
from sosie.datasets.store import FaceStore
from sosie.datasets.transactions import held
from sosie.errors import InterruptedDatasetError, OutputError, UsageError
from sosie.geometry import alignment

OPTIONS = ExtractOptions(size_px=112, every=4, min_face=40, per_second=None, min_distance=0)


def of_paths(*paths):
    return [Input(p, "video" if p.suffix == ".mp4" else "photo") for p in paths]


def state(folder):
    """All pictures, to the bit, and all rows, with nothing that tells of the way there."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in (".png", ".jpg", ".webp")
    }
    rows = [
        {f.name: np.array(getattr(row, f.name)).tobytes() for f in dataclasses.fields(FaceRow)}
        for row in FaceStore.open(folder).rows()
    ]
    settings = json.loads((folder / "set.json").read_text())
    return files, rows, settings


@pytest.fixture(scope="module")
def whole(video_path, photos_path, tmp_path_factory):
    """A set of the video and both photos, made in one go."""
    folder = tmp_path_factory.mktemp("whole") / "set"
    return extract(inputs_of(video_path, photos_path), folder, OPTIONS), folder


def inputs_of(video_path, photos_path):
    return of_paths(video_path, photos_path / "astronaut.png", photos_path / "inner" / "hopper.jpg")


def test_a_video_and_photos_become_a_set(whole, video_path):
    report, folder = whole
    store = FaceStore.open(folder)
    assert (report.inputs, report.frames, report.faces, report.total) == (3, 80, 22, 22)
    assert report.failures == ()
    read = store.read(["input", "frame", "time_s", "scene", "track", "file", "size_px"])
    assert read["input"].tolist() == ["two people.mp4"] * 20 + ["astronaut.png", "hopper.jpg"]
    assert read["frame"].tolist() == [*range(0, 80, 4), -1, -1]
    assert read["time_s"][:20] == pytest.approx(np.arange(0, 80, 4) / 25)
    assert np.isnan(read["time_s"][20:]).all()
    assert read["scene"].tolist() == [0] * 10 + [1] * 10 + [0, 0]
    assert read["track"].tolist() == [0] * 10 + [1] * 10 + [-1, -1]
    assert {file.split("/")[1] for file in read["file"][:20]} == {"two people"}
    for file, size_px in zip(read["file"], read["size_px"], strict=True):
        with Image.open(folder / file) as picture:
            assert picture.size == (size_px, size_px)


def test_the_matrix_leads_from_the_photo_to_the_picture(whole, astronaut):
    _, folder = whole
    row = next(row for row in FaceStore.open(folder).rows() if row.input == "astronaut.png")
    with Image.open(folder / row.file) as picture:
        pixels = np.asarray(picture)
    np.testing.assert_array_equal(pixels, alignment.crop(astronaut, row.matrix, row.size_px))
    points = alignment.transform_points(row.points5, row.matrix)
    assert np.abs(points - alignment.template_points("ffhq", 112)).max() < 6
    assert (row.frame_width, row.frame_height) == (512, 512)
    assert np.linalg.norm(row.identity) == pytest.approx(1, abs=1e-5)


def test_the_same_person_has_one_identity_and_the_other_another(whole):
    _, folder = whole
    read = FaceStore.open(folder).read(["identity"])["identity"]
    alike = read @ read.T
    assert alike[:10, 20].min() > 0.5 > alike[:10, 10:20].max()


def test_a_second_run_changes_nothing(whole, video_path, photos_path, tmp_path):
    _, folder = whole
    again = tmp_path / "set"
    shutil.copytree(folder, again)
    before = state(again)
    report = extract(inputs_of(video_path, photos_path), again, OPTIONS)
    assert (report.inputs, report.skipped, report.faces, report.total) == (0, 3, 0, 22)
    assert state(again) == before


class Stop:
    """Ctrl-C at the so-manieth call of a function, before or after it did its work."""

    def __init__(self, function, at, before):
        self.function, self.left, self.before = function, at, before

    def __call__(self, *arguments):
        self.left -= 1
        if self.left == 0 and self.before:
            raise KeyboardInterrupt
        result = self.function(*arguments)
        if self.left == 0:
            raise KeyboardInterrupt
        return result


@pytest.mark.parametrize(
    ("name", "calls", "before"),
    [
        ("add", (1, 2, 9, 6), True),
        ("commit", (1, 6, 9, 7), True),
        ("commit", (3, 9, 8, 1), False),
    ],
)
def test_a_run_that_is_stopped_again_and_again_makes_the_same_set(
    whole, video_path, photos_path, tmp_path, monkeypatch, name, calls, before
):
    monkeypatch.setattr(videos, "COMMIT_S", 0.0)
    monkeypatch.setattr(job, "COMMIT_S", 0.0)
    _, folder = whole
    inputs = inputs_of(video_path, photos_path)
    done = tmp_path / "set"
    for call in calls:
        function = getattr(writer.FaceWriter, name)
        stop = Stop(function, call, before)
        monkeypatch.setattr(writer.FaceWriter, name, lambda *given, stop=stop: stop(*given))
        with pytest.raises(InterruptedDatasetError, match="to go on"):
            extract(inputs, done, OPTIONS)
        monkeypatch.setattr(writer.FaceWriter, name, function)
    extract(inputs, done, OPTIONS)
    assert state(done) == state(folder)


def test_a_video_is_taken_up_where_it_was_left(video_path, tmp_path, monkeypatch):
    monkeypatch.setattr(videos, "COMMIT_S", 0.0)
    stop = Stop(writer.FaceWriter.commit, 12, True)
    monkeypatch.setattr(writer.FaceWriter, "commit", lambda *given: stop(*given))
    with pytest.raises(InterruptedDatasetError):
        extract(of_paths(video_path), tmp_path / "set", OPTIONS)
    monkeypatch.undo()
    report = extract(of_paths(video_path), tmp_path / "set", OPTIONS)
    assert 20 < report.frames < 50
    assert report.total == 20
    assert report.faces < 12


def test_other_options_are_refused_in_the_middle_and_noted_at_the_end(
    whole, video_path, tmp_path, monkeypatch
):
    monkeypatch.setattr(videos, "COMMIT_S", 0.0)
    stop = Stop(writer.FaceWriter.commit, 4, False)
    monkeypatch.setattr(writer.FaceWriter, "commit", lambda *given: stop(*given))
    with pytest.raises(InterruptedDatasetError):
        extract(of_paths(video_path), tmp_path / "set", OPTIONS)
    monkeypatch.undo()
    other = dataclasses.replace(OPTIONS, every=2)
    with pytest.raises(UsageError, match="half done with every 4"):
        extract(of_paths(video_path), tmp_path / "set", other)
    _, folder = whole
    shutil.copytree(folder, tmp_path / "done")
    report = extract(of_paths(video_path), tmp_path / "done", other)
    assert report.notes == (f"{video_path} was done before with every 4; it is not read again.",)
    with pytest.raises(UsageError, match="made with size_px 112, not 256"):
        extract(of_paths(video_path), folder, dataclasses.replace(OPTIONS, size_px=256))


def test_near_identical_pictures_are_thinned(video_path, tmp_path):
    thin = dataclasses.replace(OPTIONS, per_second=2.0)
    report = extract(of_paths(video_path), tmp_path / "a", thin)
    # Half seconds in which either person is seen: three of the first, four of the second.
    assert report.faces == 7
    assert report.thinned == 13
    thin = dataclasses.replace(OPTIONS, min_distance=64)
    report = extract(of_paths(video_path), tmp_path / "b", thin)
    assert report.faces == 2


def test_frames_by_rate(video_path, tmp_path):
    extract(of_paths(video_path), tmp_path / "a", dataclasses.replace(OPTIONS, fps=5.0))
    assert FaceStore.open(tmp_path / "a").read(["frame"])["frame"].tolist() == list(range(0, 80, 5))


def test_nothing_is_enlarged_unless_told(astronaut_path, tmp_path):
    large = dataclasses.replace(OPTIONS, size_px=1024)
    extract(of_paths(astronaut_path), tmp_path / "a", large)
    row = next(FaceStore.open(tmp_path / "a").rows())
    assert 150 < row.size_px < 512
    assert 0.98 < alignment.scale_of(row.matrix) <= 1
    extract(of_paths(astronaut_path), tmp_path / "b", dataclasses.replace(large, enlarge=True))
    row = next(FaceStore.open(tmp_path / "b").rows())
    assert row.size_px == 1024
    with Image.open(tmp_path / "b" / row.file) as picture:
        assert picture.size == (1024, 1024)


def test_rejected_faces_are_put_aside_with_their_reason(astronaut_path, tmp_path):
    report = extract(
        of_paths(astronaut_path), tmp_path / "a", dataclasses.replace(OPTIONS, max_blur_px=0.5)
    )
    assert report.rejected == {"blurred": 1}
    row = next(FaceStore.open(tmp_path / "a").rows())
    assert row.rejected == "blurred"
    assert row.file.startswith("rejected/blurred/")
    assert (tmp_path / "a" / row.file).is_file()


@pytest.mark.parametrize("kind", ["jpg", "webp"])
def test_other_formats(astronaut_path, tmp_path, kind):
    extract(of_paths(astronaut_path), tmp_path / "a", dataclasses.replace(OPTIONS, picture=kind))
    row = next(FaceStore.open(tmp_path / "a").rows())
    assert row.file.endswith(f".{kind}")
    with Image.open(tmp_path / "a" / row.file) as picture:
        assert picture.format == {"jpg": "JPEG", "webp": "WEBP"}[kind]


def test_names_that_clash_get_a_number(video_path, astronaut_path, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    shutil.copy(video_path, tmp_path / "a" / "Video.mp4")
    cut = video_path.read_bytes()
    (tmp_path / "b" / "video.mp4").write_bytes(cut + b"\0" * 64)
    shutil.copy(video_path, tmp_path / "b" / "copy.mp4")
    names = [
        tmp_path / "a" / "Video.mp4",
        tmp_path / "b" / "video.mp4",
        tmp_path / "b" / "copy.mp4",
    ]
    sparse = dataclasses.replace(OPTIONS, every=40)
    report = extract(of_paths(*names), tmp_path / "set", sparse)
    assert sorted(p.name for p in (tmp_path / "set" / "faces").iterdir()) == ["Video", "video-2"]
    # The copy has the content of the first.
    assert (report.inputs, report.skipped, report.total) == (2, 1, 4)


def test_one_bad_video_does_not_stop_the_others(video_path, astronaut_path, tmp_path):
    bad, cut = tmp_path / "bad.mp4", tmp_path / "cut.mp4"
    bad.write_bytes(b"no film at all")
    content = video_path.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    absent = tmp_path / "absent.mp4"
    photo = tmp_path / "photo.png"
    photo.write_bytes(astronaut_path.read_bytes()[:5000])
    paths = of_paths(bad, cut, absent, photo, astronaut_path)
    for _ in range(2):
        report = extract(paths, tmp_path / "set", OPTIONS)
        assert [Path(f.path).name for f in report.failures] == [
            "absent.mp4",
            "bad.mp4",
            "cut.mp4",
            "photo.png",
        ]
        assert all(f.error.endswith(".") and f.path in f.error for f in report.failures)
        assert report.total == 1


def test_what_was_read_before_the_damage_is_kept(video_path, tmp_path, monkeypatch):
    from sosie.errors import InputError
    from sosie.media.video import Video

    frames = Video.frames

    def damaged(self):
        for frame in frames(self):
            if frame.index == 30:
                raise InputError("two people.mp4 is damaged at 1.20 s.")
            yield frame

    monkeypatch.setattr(Video, "frames", damaged)
    for _ in range(2):
        report = extract(of_paths(video_path), tmp_path / "set", OPTIONS)
        assert [f.error for f in report.failures] == ["two people.mp4 is damaged at 1.20 s."]
        assert FaceStore.open(tmp_path / "set").read(["frame"])["frame"].tolist() == list(
            range(0, 29, 4)
        )


def test_a_full_disk_stops_the_run_and_it_goes_on_later(
    whole, video_path, photos_path, tmp_path, monkeypatch
):
    monkeypatch.setattr(videos, "COMMIT_S", 0.0)
    written = []
    real = Path.write_bytes

    def full(self, data):
        written.append(self)
        if len(written) > 9:
            real(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    inputs = inputs_of(video_path, photos_path)
    with pytest.raises(OutputError, match="disk is full"):
        extract(inputs, tmp_path / "set", OPTIONS)
    monkeypatch.undo()
    assert not list((tmp_path / "set").rglob("*.tmp*"))
    extract(inputs, tmp_path / "set", OPTIONS)
    _, folder = whole
    assert state(tmp_path / "set") == state(folder)


def test_two_runs_at_once_are_refused(astronaut_path, tmp_path):
    folder = tmp_path / "set"
    extract(of_paths(astronaut_path), folder, OPTIONS)
    with held(folder), pytest.raises(OutputError, match="Another run is at work"):
        extract(of_paths(astronaut_path), folder, OPTIONS)
    extract(of_paths(astronaut_path), folder, OPTIONS)
    assert not (folder / ".lock").exists()


def test_no_face_leaves_no_set(tmp_path):
    plain = tmp_path / "plain.png"
    Image.new("RGB", (200, 200), (90, 120, 90)).save(plain)
    report = extract(of_paths(plain), tmp_path / "set", OPTIONS)
    assert report.total == 0
    assert not (tmp_path / "set").exists()


def test_pictures_moved_by_hand_stay_where_they_are(whole, video_path, photos_path, tmp_path):
    _, folder = whole
    moved = tmp_path / "set"
    shutil.copytree(folder, moved)
    (moved / "faces" / "two people").rename(moved / "faces" / "both")
    report = extract(inputs_of(video_path, photos_path), moved, OPTIONS)
    assert report.synced.moved == 20
    assert set(FaceStore.open(moved).read(["person"])["person"][:20]) == {"both"}
    assert not (moved / "faces" / "two people").exists()


def test_threads_change_nothing(whole, video_path, photos_path, tmp_path):
    inputs = inputs_of(video_path, photos_path)
    extract(inputs, tmp_path / "set", dataclasses.replace(OPTIONS, threads=3))
    assert state(tmp_path / "set")[:2] == state(whole[1])[:2]
