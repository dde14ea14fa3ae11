"""A folder of targets: order, names, failures, interruption."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from sosie.app.folder import (
    Failure,
    check_folders,
    collect,
    folder_exit_code,
    result_name,
    sequence_notes,
    swap_each,
)
from sosie.errors import InputError, InterruptedSwapError, NoFaceError, OutputError, UsageError
from sosie.types import SwapReport

MEDIA = [(Path(f"{name}.png"), "photo") for name in "abc"]


def report(target: Path, output: Path) -> SwapReport:
    return SwapReport(str(target), str(output), "mesh", frames=1, swapped_frames=1, face_count=1)


def outcomes(output: Path, error_at_b: BaseException | None) -> list[SwapReport | Failure]:
    def swap_file(target: Path, kind: str, result: Path) -> SwapReport:
        if target.name == "b.png" and error_at_b:
            raise error_at_b
        result.write_text("done")
        return report(target, result)

    return list(swap_each(MEDIA, output, swap_file))


def test_results_keep_their_names(tmp_path):
    done = outcomes(tmp_path / "results" / "inner", None)
    assert [type(outcome) for outcome in done] == [SwapReport] * 3
    assert sorted(p.name for p in (tmp_path / "results" / "inner").iterdir()) == [
        "a.png",
        "b.png",
        "c.png",
    ]


def test_one_bad_file_does_not_stop_the_others(tmp_path):
    first, second, third = outcomes(tmp_path / "results", NoFaceError("No face in b.png."))
    assert second == Failure("b.png", "No face in b.png.", 3)
    assert isinstance(first, SwapReport)
    assert isinstance(third, SwapReport)


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), InterruptedSwapError("Interrupted.")])
def test_an_interruption_stops_the_rest(tmp_path, stop):
    done = outcomes(tmp_path / "results", stop)
    assert len(done) == 2
    assert done[1] == Failure("b.png", "Interrupted.", 4)


def test_a_fault_does_not_stop_the_others_either_and_says_where(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SOSIE_DEBUG", "1")
    _, second, third = outcomes(tmp_path / "results", ZeroDivisionError("so it was"))
    assert second.exit_code == 1
    assert second.error.startswith(
        "b.png: Unexpected ZeroDivisionError (so it was); this is a fault"
    )
    assert "Traceback" in capsys.readouterr().err
    assert isinstance(third, SwapReport)


def test_an_empty_new_folder_is_not_left_behind(tmp_path):
    def fail(target: Path, kind: str, result: Path) -> SwapReport:
        raise NoFaceError("No face.")

    list(swap_each(MEDIA, tmp_path / "new", fail))
    (tmp_path / "old").mkdir()
    list(swap_each(MEDIA, tmp_path / "old", fail))
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_folder_that_cannot_be_created_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/results cannot be created"):
        outcomes(tmp_path / "file" / "results", None)


@pytest.mark.parametrize(
    ("codes", "expected"), [([], 0), ([3, 3], 3), ([3, 1], 1), ([2], 1), ([1, 4], 4), ([3, 4], 4)]
)
def test_the_exit_code_of_a_folder(codes, expected):
    assert folder_exit_code(Failure("x", "x", code) for code in codes) == expected


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("a.JPG", "photo", "a.JPG"),
        ("a.gif", "photo", "a.gif.png"),
        ("a", "photo", "a.png"),
        ("a.mov", "video", "a.mov"),
        ("a.ts", "video", "a.ts.mkv"),
    ],
)
def test_the_name_of_a_result(name, kind, expected):
    assert result_name(Path(name), kind) == expected


def photos(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        Image.new("RGB", (32, 32)).save(folder / name)
    return folder


def test_media_other_files_and_folders_are_told_apart(tmp_path):
    folder = photos(tmp_path / "in", "photo.png")
    (folder / "notes.txt").write_text("notes")
    for name in ("inner", "out", ".hidden"):
        (folder / name).mkdir()
    batch = collect([folder], folder / "out")
    assert batch.media == ((folder / "photo.png", "photo"),)
    assert batch.ignored == (folder / "notes.txt",)
    assert batch.folders == (folder / "inner",)
    assert batch.notes == ()


def test_files_and_folders_in_the_order_given(tmp_path):
    first, second = photos(tmp_path / "b", "x.png"), photos(tmp_path / "a", "z.png", "y.png")
    batch = collect([first / "x.png", second], tmp_path / "out")
    wanted = [first / "x.png", second / "y.png", second / "z.png"]
    assert [path for path, _ in batch.media] == wanted


def test_two_results_of_one_name_are_refused(tmp_path):
    first, second = photos(tmp_path / "a", "x.png"), photos(tmp_path / "b", "x.png")
    with pytest.raises(UsageError, match=r"a/x\.png and .*b/x\.png would both be called x\.png"):
        collect([first, second / "x.png"], tmp_path / "out")


def test_what_is_no_target_is_named_before_any_work(tmp_path):
    folder = photos(tmp_path / "in", "a.png")
    (folder / "notes.txt").write_text("notes")
    with pytest.raises(InputError, match=r"notes\.txt is neither"):
        collect([folder / "a.png", folder / "notes.txt"], tmp_path / "out")
    with pytest.raises(InputError, match=r"gone\.png does not exist"):
        collect([folder / "a.png", folder / "gone.png"], tmp_path / "out")


def test_a_folder_without_media_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(InputError, match="holds no photo and no video"):
        collect([tmp_path], tmp_path / "out")


def test_numbered_frames_are_offered_as_a_video(tmp_path):
    folder = photos(tmp_path / "a shot", *(f"take%_{n:04}.png" for n in range(7, 31)))
    (note,) = collect([folder], tmp_path / "out").notes
    assert "24 frames of one video" in note
    assert f"-start_number 7 -i '{folder}/take%%_%04d.png'" in note
    assert note.endswith("'a shot.mkv'")


@pytest.mark.parametrize(
    "names",
    [
        [f"{n:04}.png" for n in range(23)],
        [f"{n:04}.png" for n in range(0, 60, 2)],
        [f"{n:04}.png" for n in range(24)] + ["me.png"],
        [f"{'ab'[n % 2]}{n:04}.png" for n in range(30)],
    ],
)
def test_other_photos_are_not(tmp_path, names):
    assert sequence_notes(tmp_path, [tmp_path / name for name in names]) == []


def test_results_go_into_another_folder(tmp_path):
    folder = photos(tmp_path / "in", "a.png", "b.png")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file; give a folder"):
        check_folders([folder], tmp_path / "file")
    with pytest.raises(UsageError, match=r"several targets and .* is a file; give a folder"):
        check_folders([folder / "a.png", folder / "b.png"], tmp_path / "file")
    for target in (folder, folder / "a.png"):
        with pytest.raises(UsageError, match="target's own folder"):
            check_folders([target], folder / "x" / "..")
    check_folders([folder], tmp_path / "results")
