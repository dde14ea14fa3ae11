"""Processors act in photos, videos and streams alike, on the swapped faces and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sosie import FaceSwapper, SosieError, UsageError, swap_image

CODE = """
from dataclasses import replace
from types import SimpleNamespace as Card

class White:
    card = Card(name="white", summary="white faces", license="CC0", stage="face", template=None,
                size_px=None)
    providers = {}
    def process(self, crops, faces):
        return [replace(face, pixels=face.pixels * 0 + 1) for face in faces]

class Corner:
    card = Card(name="corner", summary="a mark", license="MIT", stage="frame", template=None,
                size_px=None)
    providers = {"marker": "cpu"}
    def process(self, frames, faces):
        made = []
        for frame, found in zip(frames, faces):
            frame = frame.copy()
            frame[:8, : 8 * len(found)] = 255
            made.append(frame)
        return made

class Cropped(Corner):
    def process(self, frames, faces):
        return [frame[1:] for frame in frames]

class Lost(Corner):
    card = Card(name="lost", summary="", license="", stage="sound", template=None, size_px=None)

white, corner = lambda request, options: White(), lambda request, options: Corner()
cropped, lost = lambda request, options: Cropped(), lambda request, options: Lost()
"""
POINTS = "[sosie.processors]\n" + "".join(
    f"{name} = brought:{name}\n" for name in ("white", "corner", "cropped", "lost")
)


@pytest.fixture
def package(other_package: Callable[[str, str], None]) -> None:
    other_package(CODE, POINTS)


@pytest.fixture(scope="module")
def portrait(astronaut: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(astronaut[:384, :384])


@pytest.mark.usefixtures("package")
def test_processors_of_both_stages_act_in_order_and_are_reported(
    hopper_path: Path, portrait: np.ndarray
) -> None:
    plain = swap_image(hopper_path, portrait, method="mesh", color="none")
    done = swap_image(
        hopper_path, portrait, method="mesh", color="none", processors=("white", "corner")
    )
    assert (done.image[:8, :8] == 255).all()
    assert (done.image == 255).all(2).sum() > 2000
    changed = (plain.image != portrait).any(2).astype(np.uint8)
    changed = cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))
    changed[:8, :8] = 1
    assert np.array_equal(done.image[changed == 0], portrait[changed == 0])
    assert [(one.name, one.stage, one.license) for one in done.report.processors] == [
        ("white", "face", "CC0"),
        ("corner", "frame", "MIT"),
    ]
    assert done.report.networks["marker"] == "cpu"
    assert "process" in done.report.seconds
    assert "process" not in plain.report.seconds


@pytest.mark.usefixtures("package")
def test_a_stream_and_a_video_are_processed_as_a_photo_is(
    hopper_path: Path, portrait: np.ndarray, tmp_path: Path
) -> None:
    import av

    video, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 384, 384, "bgr0"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(portrait, "rgb24")))
        container.mux(stream.encode())
    swapper = FaceSwapper(
        hopper_path, method="mesh", codec="ffv1", processors=("sharpen", "corner")
    )
    photo = swapper.image(portrait).image
    report = swapper.video(video, output)
    with av.open(str(output)) as container:
        film = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.array_equal(photo, swapper.stream(10).push(portrait))
    assert np.array_equal(photo, film)
    assert [one.name for one in report.processors] == ["sharpen", "corner"]
    assert not np.array_equal(photo, swap_image(hopper_path, portrait, method="mesh").image)


@pytest.mark.usefixtures("package")
def test_a_processor_that_breaks_its_contract_is_named(
    hopper_path: Path, portrait: np.ndarray
) -> None:
    for name, words in (("cropped", "corner gives a frame of another shape"), ("lost", "'sound'")):
        with pytest.raises(SosieError, match=words):
            swap_image(hopper_path, portrait, method="mesh", processors=(name,))
    with pytest.raises(UsageError, match=r"a list of names.*\('sharpen',\)"):
        swap_image(hopper_path, portrait, processors="sharpen")  # type: ignore[arg-type]


def test_what_a_small_network_made_is_restored_at_the_frames_resolution(
    color_swapper_128: dict[str, str], hopper_path: Path, astronaut: np.ndarray, detailed: Path
) -> None:
    """The restoration has finer detail than the swapper's crop can show, and it is seen."""
    large = cv2.resize(astronaut, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    options: Any = {"method": "inswapper", **color_swapper_128}
    plain = swap_image(hopper_path, large, **options)
    done = swap_image(hopper_path, large, processors=(f"onnx:{detailed},weight=1",), **options)
    x0, y0, x1, y1 = (int(v) for v in plain.faces[0].box)
    third = slice(y0 + (y1 - y0) // 3, y1 - (y1 - y0) // 3)
    middle = slice(x0 + (x1 - x0) // 3, x1 - (x1 - x0) // 3)

    def finest(pixels: np.ndarray) -> float:
        gray = pixels[third, middle].astype(np.float32).mean(2)
        return float((gray - cv2.GaussianBlur(gray, (0, 0), 1)).std())

    assert finest(done.image) > 2 * finest(plain.image) + 1
    assert np.array_equal(done.image[: y0 // 2], large[: y0 // 2])


@pytest.fixture(scope="module")
def color_swapper_128(imported: Callable[[str], dict[str, str]]) -> dict[str, str]:
    return imported("inswapper_reswapper_128")


@pytest.fixture(scope="module")
def detailed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that adds stripes of two pixels to its picture."""
    pytest.importorskip("onnx", exc_type=ImportError)
    from onnx import TensorProto, helper, numpy_helper

    shape = [1, 3, 512, 512]
    stripes = np.tile(np.float32([0.3, 0.3, -0.3, -0.3]), 128)[None, None, None]
    graph = helper.make_graph(
        [helper.make_node("Add", ["input", "stripes"], ["output"])],
        "stripes",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(stripes, "stripes")],
    )
    opsets = [helper.make_opsetid("", 17)]
    file = tmp_path_factory.mktemp("restorer") / "stripes.onnx"
    file.write_bytes(
        helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    )
    return file
