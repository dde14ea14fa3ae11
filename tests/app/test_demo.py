"""`sosie demo`, its contact sheet and the sample portraits."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sosie as sosie_package
from sosie.app import samples
from sosie.app.sheets import Row, draw_contact_sheet
from sosie.errors import UnavailableError
from sosie.types import Face, Pose


def face_at(x0: float, y0: float, x1: float, y1: float) -> Face:
    return Face(
        box=np.float32([x0, y0, x1, y1]),
        points5=np.zeros((5, 2), np.float32),
        landmarks=np.zeros((478, 3), np.float32),
        pose=Pose(0, 0, 0),
        score=1.0,
    )


def test_demo_writes_both_swaps_and_a_sheet(sosie, tmp_path, astronaut, hopper):
    out = tmp_path / "new" / "demo"
    result = sosie("demo", "--out", out, "--json")
    assert result.code == 0, result.err
    names = ["astronaut-on-hopper.png", "contact-sheet.png", "hopper-on-astronaut.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert result.json["sheet"] == str(out / "contact-sheet.png")
    assert [report["face_count"] for report in result.json["reports"]] == [1, 1]
    for name, target in (("astronaut-on-hopper", hopper), ("hopper-on-astronaut", astronaut)):
        with Image.open(out / f"{name}.png") as picture:
            swapped = np.array(picture)
        assert swapped.shape == target.shape
        share = (np.abs(swapped.astype(int) - target).max(axis=2) > 8).mean()
        assert 0.01 < share < 0.3

    again = sosie("demo", "--out", out)
    assert again.code == 1
    assert "exists already" in again.err
    jpeg = tmp_path / "sheet.jpg"
    assert sosie("demo", "--out", out, "--sheet", jpeg, "--overwrite").code == 0
    with Image.open(jpeg) as picture:
        assert picture.format == "JPEG"


def test_demo_into_a_file_is_refused(refused, tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be created" in refused(1, "demo", "--out", tmp_path / "file")


def test_the_sheet_shows_the_face_of_each_picture():
    """Each picture is gray but for its face, which must fill the same part of its tile."""
    pictures = []
    for number, color in enumerate([(250, 0, 0), (0, 250, 0), (0, 0, 250)]):
        pixels = np.full((400, 600, 3), 128, np.uint8)
        left = 100 + 60 * (number > 0)
        pixels[150:250, left : left + 100] = color
        pictures.append(pixels)
    row = Row(
        source=pictures[0],
        source_face=face_at(100, 150, 200, 250),
        target=pictures[1],
        result=pictures[2],
        target_face=face_at(160, 150, 260, 250),
    )
    sheet = draw_contact_sheet([row, dataclasses.replace(row, source=pictures[2])]).astype(int)
    tile = sheet.shape[1] // 3
    shares = []
    for column in range(3):
        part = sheet[: sheet.shape[0] // 2, tile * column : tile * (column + 1)]
        others = [channel for channel in range(3) if channel != column]
        shares.append((part[..., column] - part[..., others].max(axis=2) > 100).mean())
    assert all(0.1 < share < 0.3 for share in shares)
    assert max(shares) / min(shares) < 1.1
    lower = sheet[sheet.shape[0] // 2 :, :tile]
    assert (lower[..., 2] - lower[..., 0] > 100).mean() > 0.08


def test_a_missing_portrait_is_named_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(samples, "_FOLDER", tmp_path)
    with pytest.raises(UnavailableError, match=r"astronaut\.png is missing.*install Sosie again"):
        samples.sample_portraits()


def test_the_portraits_come_with_the_package():
    """The demo ended with an error where matplotlib and scikit-image were not installed."""
    package = Path(sosie_package.__file__).parent
    assert all(path.is_relative_to(package) for path in samples.sample_portraits().values())
