"""A folder of targets: order, names, failures, interruption."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from sosie.app.folder import (
    Failure,
    check_folders,
    folder_exit_code,
    media_in,
    result_name,
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
        ("a.mov", "film", "a.mov"),
        ("a.ts", "film", "a.ts.mkv"),
    ],
)
def test_the_name_of_a_result(name, kind, expected):
    assert result_name(Path(name), kind) == expected


def test_media_and_other_files_are_told_apart(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "photo.png")
    (tmp_path / "notes.txt").write_text("notes")
    media, ignored = media_in(tmp_path)
    assert media == [(tmp_path / "photo.png", "photo")]
    assert ignored == [tmp_path / "notes.txt"]


def test_a_folder_without_media_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(InputError, match="holds no photo and no film"):
        media_in(tmp_path)


def test_results_go_into_another_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file; give a folder"):
        check_folders(tmp_path, tmp_path / "file")
    with pytest.raises(UsageError, match="target's own folder"):
        check_folders(tmp_path, tmp_path / "x" / "..")
    check_folders(tmp_path, tmp_path / "results")
