"""`sosie source`: the sheet, what it says, and the file for later."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image


def test_a_sheet_shows_what_is_made_of_each_photo(sosie, astronaut, tmp_path):
    worn = astronaut.copy()
    for x in (195, 250):
        cv2.circle(worn, (x, 118), 24, (10, 10, 10), 5)
    cv2.line(worn, (214, 116), (232, 116), (10, 10, 10), 5)
    for name, pixels in (("bare", astronaut), ("worn", worn)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    photos = (tmp_path / "bare.png", tmp_path / "worn.png")
    result = sosie("source", *photos, "-o", tmp_path / "sheet.png", "--json")
    assert result.code == 0, result.err
    bare, glasses = result.json["photos"]
    assert glasses["on_it"]["spectacles"] > bare["on_it"]["spectacles"] + 0.02
    assert glasses["filled"] > bare["filled"] + 0.05
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[0] > 2 * 300
    assert sheet.shape[1] > 5 * 300
    # What is kept on is not filled.
    kept = sosie("source", photos[1], "-o", tmp_path / "k.png", "--keep", "spectacles", "--json")
    assert kept.json["photos"][0]["filled"] < glasses["filled"] - 0.05


def test_a_source_is_saved_for_later(sosie, small_path, tmp_path):
    result = sosie("source", small_path, "--save", tmp_path / "me.sosie")
    assert result.code == 0, result.err
    assert (tmp_path / "me.sosie").exists()


def test_it_says_what_it_needs(sosie, small_path, tmp_path):
    result = sosie("source", small_path)
    assert result.code == 2
    assert "--save" in result.err
    unknown = sosie("source", small_path, "-o", tmp_path / "a.png", "--keep", "beard")
    assert unknown.code == 2
    assert "spectacles" in unknown.err
