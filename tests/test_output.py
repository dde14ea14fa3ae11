"""Results appear whole under their name or not at all, and nothing of the user's is lost."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sosie.errors import OutputError, UsageError
from sosie.output import PendingOutput, atomic_output, check_output


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_under_the_final_name_only_at_the_end(tmp_path: Path) -> None:
    with atomic_output(tmp_path / "out.mp4") as pending:
        pending.path.write_bytes(b"film")
        assert pending.path.parent == tmp_path
        assert pending.path.name.startswith(".")
        assert pending.path.suffix == ".mp4"
        assert not (tmp_path / "out.mp4").exists()
    assert (tmp_path / "out.mp4").read_bytes() == b"film"
    assert names(tmp_path) == ["out.mp4"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_an_exception_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), atomic_output(tmp_path / "out.mp4") as pending:
        pending.path.write_bytes(b"half")
        raise error
    assert names(tmp_path) == []


def test_an_exception_leaves_the_earlier_result(tmp_path: Path) -> None:
    (tmp_path / "out.png").write_bytes(b"old")
    with pytest.raises(ValueError, match="x"), atomic_output(tmp_path / "out.png", True) as pending:
        pending.path.write_bytes(b"half")
        raise ValueError("x")
    assert (tmp_path / "out.png").read_bytes() == b"old"


def test_partial_results_get_names_that_say_so(tmp_path: Path) -> None:
    for expected in ("out.partial.mp4", "out.partial-2.mp4"):
        with pytest.raises(KeyboardInterrupt), atomic_output(tmp_path / "out.mp4") as pending:
            pending.path.write_bytes(expected.encode())
            assert pending.keep_partial() == tmp_path / expected
            raise KeyboardInterrupt
    assert names(tmp_path) == ["out.partial-2.mp4", "out.partial.mp4"]
    assert (tmp_path / "out.partial.mp4").read_bytes() == b"out.partial.mp4"


def test_keeping_nothing_is_no_partial_result(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_output(tmp_path / "out.mp4") as pending:
        assert pending.keep_partial() is None
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_partial_result_kept_without_an_exception_is_not_committed(tmp_path: Path) -> None:
    with atomic_output(tmp_path / "out.mp4") as pending:
        pending.path.write_bytes(b"half")
        pending.keep_partial()
    assert names(tmp_path) == ["out.partial.mp4"]


def test_a_new_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    with atomic_output(tmp_path / "out.png") as pending:
        pending.path.write_bytes(b"x")
    assert (tmp_path / "out.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "out.png").write_bytes(b"old")
    (tmp_path / "out.png").chmod(0o640)
    with atomic_output(tmp_path / "out.png", overwrite=True) as pending:
        pending.path.write_bytes(b"new")
    assert (tmp_path / "out.png").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "out.png").read_bytes() == b"new"


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"disk is full.*free some space"),
        atomic_output(tmp_path / "out.png") as pending,
    ):
        pending.path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == []


def test_a_full_disk_met_in_writing(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with (
        pytest.raises(OutputError, match="disk is full"),
        atomic_output(tmp_path / "out.png") as pending,
    ):
        pending.path.unlink()
        pending.path.symlink_to("/dev/full")
        pending.path.write_bytes(b"x")
    assert names(tmp_path) == []


@pytest.mark.parametrize("gone", ["the file", "the folder"])
def test_a_file_removed_while_it_is_written_is_an_error(tmp_path: Path, gone: str) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    with (
        pytest.raises(OutputError, match=r"out\.png was removed.*no result; write it again"),
        atomic_output(folder / "out.png") as pending,
    ):
        pending.path.write_bytes(b"x")
        pending.require()
        if gone == "the file":
            pending.path.unlink()
        else:
            shutil.rmtree(folder)
        with pytest.raises(OutputError, match="was removed"):
            pending.require()


def test_a_folder_removed_before_anything_was_written_is_told_by_the_outputs_name(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    with (
        pytest.raises(OutputError, match=r"results/out\.png was removed"),
        atomic_output(folder / "out.png") as pending,
    ):
        shutil.rmtree(folder)
        pending.path.write_bytes(b"x")


def test_an_output_that_became_a_folder_meanwhile(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"created by another program.*another name\."),
        atomic_output(tmp_path / "out.png", overwrite=True) as pending,
    ):
        pending.path.write_bytes(b"x")
        (tmp_path / "out.png").mkdir()
    assert names(tmp_path) == ["out.png"]


KILLED = """
import os, signal, sys
from sosie.output import atomic_output
with atomic_output(sys.argv[1]) as pending:
    pending.path.write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.readline()
"""


def writing(path: Path) -> subprocess.Popen[str]:
    """Another process that has written a half of `path`."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1] / "src")},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no locks of this kind")
def test_what_a_killed_process_left_is_removed_by_the_next_that_writes_the_same(
    tmp_path: Path,
) -> None:
    with writing(tmp_path / "out.mp4") as alive, writing(tmp_path / "out.mp4") as killed:
        first, _ = names(tmp_path)
        killed.kill()
        killed.wait()
        (tmp_path / ".other.1.tmp.mp4").touch()
        with atomic_output(tmp_path / "out.mp4") as pending:
            pending.path.write_bytes(b"film")
        # The one that is being written is left alone, and so is that of another output.
        assert names(tmp_path) == [".other.1.tmp.mp4", first, "out.mp4"]
        alive.kill()
        alive.wait()
    with atomic_output(tmp_path / "out.mp4", overwrite=True) as pending:
        pending.path.write_bytes(b"film")
    assert names(tmp_path) == [".other.1.tmp.mp4", "out.mp4"]


def test_a_hidden_name_that_another_has_taken_since_is_left_alone(tmp_path: Path) -> None:
    pending = PendingOutput(tmp_path / "out.mp4")
    pending.path.write_bytes(b"mine")
    pending.commit(overwrite=False)
    pending.path.write_bytes(b"of the next run")
    pending.release()
    assert names(tmp_path) == [pending.path.name, "out.mp4"]


def test_two_that_write_the_same_do_not_write_the_same_file(tmp_path: Path) -> None:
    with (
        atomic_output(tmp_path / "out.png", overwrite=True) as one,
        atomic_output(tmp_path / "out.png", overwrite=True) as other,
    ):
        one.path.write_bytes(b"one")
        other.path.write_bytes(b"other")
    assert (tmp_path / "out.png").read_bytes() == b"one"
    assert names(tmp_path) == ["out.png"]


def test_ctrl_c_while_the_result_gets_its_name_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = os.fsync

    def interrupted(descriptor: int) -> None:
        signal.raise_signal(signal.SIGINT)
        synced(descriptor)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), atomic_output(tmp_path / "out.png") as pending:
            pending.path.write_bytes(b"whole")
            monkeypatch.setattr(os, "fsync", interrupted)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "out.png").read_bytes() == b"whole"
    assert names(tmp_path) == ["out.png"]


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"aaa\.\.\. is no name that a file can have"):
        check_output(tmp_path / f"{'a' * 300}.png")


def test_an_output_created_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="meanwhile"),
        atomic_output(tmp_path / "out.png") as pending,
    ):
        pending.path.write_bytes(b"mine")
        (tmp_path / "out.png").write_bytes(b"theirs")
    assert (tmp_path / "out.png").read_bytes() == b"theirs"
    assert names(tmp_path) == ["out.png"]


def test_an_existing_output_needs_overwrite(tmp_path: Path) -> None:
    (tmp_path / "out.png").write_bytes(b"old")
    with pytest.raises(OutputError, match=r"exists already.*--overwrite"):
        check_output(tmp_path / "out.png")
    assert check_output(tmp_path / "out.png", overwrite=True) == tmp_path / "out.png"


def test_output_equal_to_an_input_by_any_spelling(tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(b"x")
    (tmp_path / "link.png").symlink_to(photo)
    os.link(photo, tmp_path / "hard.png")
    (tmp_path / "sub").mkdir()
    for spelling in (
        photo,
        tmp_path / "link.png",
        tmp_path / "hard.png",
        tmp_path / "sub/../a.png",
    ):
        with pytest.raises(UsageError, match="also an input"):
            check_output(spelling, [tmp_path / "other.png", photo], overwrite=True)


def test_output_equal_to_an_input_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="also an input"):
        check_output(tmp_path / "a.png", [tmp_path / "a.png"])


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    with atomic_output(tmp_path / "link.png", overwrite=True) as pending:
        pending.path.write_bytes(b"new")
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "real.png").read_bytes() == b"new"


def test_folders_and_devices_are_no_outputs(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="not a regular file"):
        check_output("/dev/null", overwrite=True)
    with pytest.raises(OutputError, match=r"does not exist; create it"):
        check_output(tmp_path / "absent" / "out.png")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="not a folder"):
        check_output(tmp_path / "file" / "out.png")


def test_an_unwritable_folder(tmp_path: Path, as_nobody: None) -> None:
    folder = Path("/usr") if os.getuid() == 0 else tmp_path / "closed"
    if os.getuid() != 0:
        folder.mkdir(mode=0o500)
    with pytest.raises(OutputError, match=r"cannot be written to; check its permissions"):
        check_output(folder / "out.png")


def test_a_folder_that_refuses_only_when_written_to() -> None:
    if not Path("/proc/self").exists():
        pytest.skip("no /proc on this system")
    with pytest.raises(OutputError), atomic_output("/proc/out.png"):
        pass
