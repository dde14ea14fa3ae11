"""Videos and photos that worker processes make: to the byte what one process makes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sosie import cluster
from sosie.app.cli.entry import run
from sosie.cluster import close_clusters, open_cluster
from sosie.errors import InputError, InterruptedSwapError, UnavailableError, UsageError
from sosie.options import SwapOptions
from sosie.pipeline import FaceSwapper
from sosie.swapping import segment_tasks, video_analysis
from sosie.types import Progress

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
FRAMES, CUT = 24, 11
WORKERS = SwapOptions(workers=2)
MakeSwap = Callable[..., FaceSwapper]


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 7 frames of a video, and at least 3."""
    monkeypatch.setattr(video_analysis, "_LEAST_S", 0.12)
    monkeypatch.setattr(video_analysis, "_MOST_S", 0.28)


@pytest.fixture(scope="module", autouse=True)
def workers() -> Iterator[Any]:
    yield open_cluster(WORKERS)
    close_clusters()


@pytest.fixture(scope="module")
def material(
    studio: Any, head: np.ndarray, hopper: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two people, a cut, and a while in which nobody is there: a video with sound, and frames."""
    folder = tmp_path_factory.mktemp("material")
    other = np.ascontiguousarray(hopper[60:330:2, 120:390:2])

    def frame(number: int) -> np.ndarray:
        if 19 <= number < 21:
            return np.ascontiguousarray(studio.background(0)[:, ::-1])
        picture = studio.with_head(head, 4 + 10 * np.sin(number / 4))
        picture[90 : 90 + len(other), 180 : 180 + other.shape[1]] = other
        return picture if number < CUT else np.ascontiguousarray(picture[:, ::-1])

    pictures = [frame(number) for number in range(FRAMES)]
    studio.write(
        folder / "clip.mp4", pictures, codec="libx264", pix_fmt="yuv420p", sound_s=FRAMES / 25
    )
    (folder / "frames").mkdir()
    for number, pixels in enumerate(pictures[:16]):
        Image.fromarray(pixels).save(folder / "frames" / f"p.{101 + number}.png")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


KINDS: dict[str, tuple[str, str, dict[str, str]]] = {
    "video": ("clip.mp4", "out.mp4", {"codec": "libx264", "preset": "ultrafast", "faces": "all"}),
    "layers": ("frames/p.%d.png", "out/p.%d.png", {"layers": "comp/face.mov"}),
    "animation": ("clip.mp4", "out.gif", {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_workers_make_what_one_process_makes(
    kind: str, make_swap: MakeSwap, material: Path, tmp_path: Path, workers: Any
) -> None:
    """One of them dies in the middle."""
    target, output, options = KINDS[kind]
    reports, told = [], []

    def note(progress: Progress) -> None:
        if sys.platform != "win32" and not told:
            pids = workers.client.run(os.getpid)
            os.kill(next(iter(pids.values())), signal.SIGKILL)
        told.append(progress.done)

    for name, more in (("one", {}), ("many", {"workers": 2})):
        folder = tmp_path / name
        folder.mkdir()
        given = {
            key: str(folder / value) if key == "layers" else value for key, value in options.items()
        }
        swapper = make_swap(**given, **more)
        reports.append(swapper.video(material / target, folder / output, note if more else None))
    assert content(tmp_path / "many") == content(tmp_path / "one")
    one, many = reports
    assert many.frames == one.frames
    assert (many.skipped, many.followed, many.notes) == (one.skipped, one.followed, one.notes)
    assert told == sorted(told)


def test_what_workers_began_one_process_ends_and_the_other_way_round(
    make_swap: MakeSwap, material: Path, tmp_path: Path
) -> None:
    options = KINDS["video"][2]
    outputs = [tmp_path / name / "out.mp4" for name in ("whole", "first", "second")]
    for output in outputs:
        output.parent.mkdir()
    alone, many = make_swap(**options), make_swap(**options, workers=2)
    alone.video(material / "clip.mp4", outputs[0])

    def stop(progress: Progress) -> None:
        if progress.done >= 12:
            raise KeyboardInterrupt

    for output, first, second in ((outputs[1], many, alone), (outputs[2], alone, many)):
        with pytest.raises(InterruptedSwapError, match="goes on after frame"):
            first.video(material / "clip.mp4", output, stop)
        report = second.video(material / "clip.mp4", output)
        assert any("from an earlier run" in note for note in report.notes)
        assert output.read_bytes() == outputs[0].read_bytes()
        assert not list(output.parent.glob(".*"))


def test_photos_of_a_folder_are_handed_out(
    hopper_path: Path, material: Path, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "in").mkdir()
    for number in (101, 104, 116):
        name = f"p.{number}.png"
        (tmp_path / "in" / name).write_bytes((material / "frames" / name).read_bytes())
    Image.new("RGB", (80, 80)).save(tmp_path / "in" / "p.102.png")
    words = ["swap", "-s", str(hopper_path), "-t", str(tmp_path / "in"), "-o"]
    told = []
    for name, more in (("one", []), ("many", ["--workers", "2"])):
        assert run([*words, str(tmp_path / name), *more]) == 3
        told.append(capsys.readouterr().err)
    assert content(tmp_path / "many") == content(tmp_path / "one")
    assert len(content(tmp_path / "one")) == 3
    assert told[0] == told[1]
    assert "p.102.png" in told[0]


def test_an_error_of_a_worker_is_told_as_here(
    make_swap: MakeSwap, material: Path, tmp_path: Path
) -> None:
    (tmp_path / "masks").mkdir()
    Image.new("L", (20, 20)).save(tmp_path / "masks" / "m.110.png")
    swapper = make_swap(workers=2, masks=str(tmp_path / "masks"))
    with pytest.raises(InputError, match=r"m\.110\.png has 20 x 20 pixels"):
        swapper.video(material / "frames" / "p.%d.png", tmp_path / "out" / "p.%d.png")
    assert not (tmp_path / "out").exists()


def test_a_worker_that_sees_no_work_folder_or_has_other_code_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="under one name, on a shared disk"):
        segment_tasks.swap_segment(str(tmp_path), "00", 0, None)
    spec = segment_tasks.SwapSpec(Path("a.mp4"), Path("b.mp4"), SwapOptions(), [], [])
    digest = spec.write(tmp_path)
    monkeypatch.setattr(segment_tasks, "swap_code", lambda: "another")
    with pytest.raises(UnavailableError, match="another version of Sosie"):
        segment_tasks.swap_segment(str(tmp_path), digest, 0, None)


def test_what_is_not_there_is_told(
    make_swap: MakeSwap, material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="either workers or scheduler"):
        SwapOptions(workers=2, scheduler="tcp://127.0.0.1:8786")
    monkeypatch.setattr(cluster, "_CONNECT_S", 0.5)
    swapper = make_swap(scheduler="tcp://127.0.0.1:9")
    with pytest.raises(UnavailableError, match=r"No Dask scheduler answers at tcp://127"):
        swapper.video(material / "clip.mp4", tmp_path / "out.mp4")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UnavailableError, match=r"pip install '\.\[cluster\]'"):
        swapper.video(material / "clip.mp4", tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_resources_name_graphics_cards(workers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work for one goes to workers that say that they have one, where any does."""
    asked: list[dict[str, Any]] = []

    class Client:
        def scheduler_info(self, n_workers: int) -> dict[str, Any]:
            return {"workers": {"a": {"resources": {"GPU": 1}}, "b": {"resources": {}}}}

        def submit(self, *_: Any, **options: Any) -> None:
            asked.append(options)

    some = cluster.Cluster(Client(), None, "")
    some.submit(abs, 1, on_gpu=True)
    some.submit(abs, 1)
    assert [one.get("resources") for one in asked] == [{"GPU": 1}, None]
    assert workers.result(workers.submit(abs, -3, on_gpu=True), lambda: None) == 3
