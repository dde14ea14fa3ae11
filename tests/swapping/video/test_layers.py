"""What a compositor gets: laid over the plate the layers give the result, and masks come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from sosie.errors import InputError, OutputError, UsageError
from sosie.media.exr import read_exr, write_exr
from sosie.media.linear import to_linear
from sosie.swapping.layers import face_layer


def read(path: Path) -> np.ndarray:
    """RGB or RGBA, or gray, in its depth."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return pixels


@pytest.fixture
def plates(studio: Any, head: np.ndarray, tmp_path: Path) -> Path:
    """Five PNGs of 8 bits with a head, numbered from 101."""
    folder = tmp_path / "plates"
    folder.mkdir()
    for number in range(5):
        pixels = studio.with_head(head, 64 + 2 * number)
        Image.fromarray(pixels).save(folder / f"p.{101 + number}.png")
    return folder


def over(layer: np.ndarray, plate: np.ndarray, top: int) -> np.ndarray:
    face, alpha = layer[..., :3] / 65535, layer[..., 3:] / 65535
    return np.rint((face + plate / top * (1 - alpha)) * top)


def test_layers_over_the_plate_are_the_result(
    make_swap: Any, plates: Path, tmp_path: Path, studio: Any
) -> None:
    swap = make_swap(layers=str(tmp_path / "comp" / "face.%04d.png"))
    swap.video(plates / "p.%d.png", tmp_path / "out" / "p.%d.png")
    names = sorted(path.name for path in (tmp_path / "comp").iterdir())
    numbers = range(101, 106)
    kinds = [f"{kind}.{n:04d}.png" for kind in ("face", "mask", "uv") for n in numbers]
    assert names == sorted([*kinds, "tracks.json"])
    tracks = json.loads((tmp_path / "comp" / "tracks.json").read_text())
    assert (tracks["width"], tracks["height"]) == (studio.WIDTH, studio.HEIGHT)
    for number, entry in zip(numbers, tracks["frames"], strict=True):
        plate, result = (read(tmp_path / f / f"p.{number}.png") for f in ("plates", "out"))
        layer, mask, uv = (read(tmp_path / "comp" / f"{kind}.{number:04d}.png")
                           for kind in ("face", "mask", "uv"))  # fmt: skip
        assert layer.dtype == mask.dtype == uv.dtype == np.uint16
        assert np.array_equal(over(layer, plate, 255), result)
        assert not np.array_equal(plate, result)
        # Premultiplied: no brighter than its alpha, and nothing where that is 0.
        assert (layer[..., :3] <= layer[..., 3:].astype(int) + 1).all()
        assert (plate == result)[layer[..., 3] == 0].all()
        # Soft, and the face's alone.
        assert len(np.unique(mask)) > 50
        assert (mask <= layer[..., 3]).all()
        face = entry["faces"][0]
        assert (entry["frame"], face["swapped"], face["track"]) == (number, True, 0)
        assert entry["time_s"] == pytest.approx((number - 101) / 24, abs=1e-6)
        x0, y0, x1, y1 = face["box"]
        rows, columns = np.nonzero(mask)
        assert x0 - 3 < columns.min() < columns.max() < x1 + 3
        assert y0 - 3 < rows.min() < rows.max() < y1 + 3
        assert np.shape(face["landmarks"]) == (478, 3)
        nose = np.array(face["landmarks"])[4, :2].round().astype(int)
        assert abs(uv[nose[1], nose[0], 0] / 65535 - 0.5) < 0.06
        assert uv[nose[1], nose[0], 2] == 65535
        assert not uv[:15].any()


def test_layers_of_a_linear_exr_and_of_a_video(
    make_swap: Any, plates: Path, tmp_path: Path, studio: Any
) -> None:
    exr = pytest.importorskip("OpenEXR")
    (tmp_path / "lin").mkdir()
    for number in (101, 102):
        light = to_linear(read(plates / f"p.{number}.png").astype(np.uint16) * 257)
        channels = {name: light[..., k].astype(np.float32) for k, name in enumerate("RGB")}
        write_exr(tmp_path / "lin" / f"p.{number}.exr", channels)
    swap = make_swap(layers=str(tmp_path / "comp" / "face.#.exr"))
    swap.video(tmp_path / "lin" / "p.#.exr", tmp_path / "out" / "p.#.exr")
    for number in (101, 102):
        plate, result = (read_exr(tmp_path / f / f"p.{number}.exr") for f in ("lin", "out"))
        file = exr.File(str(tmp_path / "comp" / f"face.{number}.exr"), separate_channels=True)
        layers = {name: one.pixels.astype(np.float64) for name, one in file.channels().items()}
        assert set(layers) == {"R", "G", "B", "A", "mask.Y", "uv.U", "uv.V"}
        face = np.stack([layers[name] for name in "RGB"], axis=-1)
        laid = face + plate * (1 - layers["A"][..., None])
        assert laid == pytest.approx(result, rel=2e-3, abs=2e-3)
        assert np.array_equal(plate[layers["A"] == 0], result[layers["A"] == 0])
    # ProRes, beside a video.
    video = studio.write(tmp_path / "video.mkv", [read(p) for p in sorted(plates.iterdir())])
    swap = make_swap(layers=str(tmp_path / "prores" / "face.mov"))
    swap.video(video, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "prores" / "face.mov")) as container:
        frames = list(container.decode(video=0))
    assert [float(frame.time) for frame in frames] == [float(t) for t in studio.times(video)]
    for frame, plate, result in zip(
        frames, studio.read(video), studio.read(tmp_path / "out.mkv"), strict=True
    ):
        assert frame.format.name == "yuva444p12le"
        layer = frame.to_ndarray(format="rgba64le")
        assert np.abs(over(layer, plate, 255) - result).mean() < 0.5
    assert len(list((tmp_path / "prores").glob("mask.*.png"))) == 5


def test_a_corrected_mask_is_taken(make_swap: Any, plates: Path, tmp_path: Path) -> None:
    swap = make_swap(layers=str(tmp_path / "comp" / "face.%04d.png"))
    swap.video(plates, tmp_path / "one" / "p.%d.png")
    # An artist takes the left half of one frame's face away.
    mask = read(tmp_path / "comp" / "mask.0102.png")
    middle = int(np.nonzero(mask)[1].mean())
    mask[:, :middle] = 0
    cv2.imwrite(str(tmp_path / "comp" / "mask.0102.png"), mask)
    (tmp_path / "comp" / "mask.0105.png").unlink()
    make_swap(masks=str(tmp_path / "comp")).video(plates, tmp_path / "two" / "p.%d.png")
    for number in range(101, 106):
        plate, one, two = (read(tmp_path / f / f"p.{number}.png") for f in ("plates", "one", "two"))
        assert not np.array_equal(two, plate)
        if number == 102:
            assert np.array_equal(two[:, :middle], plate[:, :middle])
            assert not np.array_equal(one[:, :middle], plate[:, :middle])
        elif number == 105:
            assert np.array_equal(one, two)
        else:
            assert np.abs(one.astype(int) - two).mean() < 0.5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_change_is_a_face_over_a_plate(dtype: type) -> None:
    rng = np.random.default_rng(0)
    top = np.iinfo(dtype).max
    plate, result = rng.integers(0, top + 1, (2, 40, 50, 3), dtype, endpoint=False)
    result[:10] = plate[:10]
    plate[10:12], plate[12:14] = 0, top
    matte = rng.random((40, 50)).astype(np.float32)
    face, alpha = face_layer(plate, result, matte)
    assert (alpha >= matte - 1e-5).all()
    assert face.min() >= 0
    assert (face <= alpha[..., None] + 1e-5).all()
    back = np.rint((face.astype(float) + plate / top * (1 - alpha[..., None].astype(float))) * top)
    assert np.abs(back - result).max() <= (0 if dtype is np.uint8 else 1)


def test_what_cannot_be(make_swap: Any, plates: Path, tmp_path: Path, hopper_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "mask.0001.png").touch()
    for layers, kind, words in (
        ("face.mp4", UsageError, r"a \.mov in ProRes 4444"),
        ("face.%04d.tif", UsageError, r"not as \.tif"),
        ("mask.%04d.png", UsageError, "belongs to another layer"),
        ("old/face.%04d.png", OutputError, "are layers in .* already"),
    ):
        with pytest.raises(kind, match=words):
            make_swap(layers=str(tmp_path / layers)).video(plates, tmp_path / "out" / "%d.png")
    Image.new("L", (20, 20)).save(tmp_path / "old" / "mask.0101.png")
    with pytest.raises(InputError, match=r"mask\.0101\.png has 20 x 20 pixels"):
        make_swap(masks=str(tmp_path / "old")).video(plates, tmp_path / "out" / "%d.png")
    with pytest.raises(UsageError, match="belong to videos"):
        make_swap(layers=str(tmp_path / "f.mov")).photo(hopper_path, tmp_path / "out.png")
    assert not (tmp_path / "out").exists()
