"""`sosie inspect`: what it says of a photo and of a video."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def two_faces_path(astronaut, hopper, tmp_path_factory):
    """Hopper to the left of the astronaut, 1024 x 512."""
    path = tmp_path_factory.mktemp("two") / "two.png"
    Image.fromarray(np.hstack([hopper[:512], astronaut])).save(path)
    return path


def test_the_faces_of_a_photo_from_left_to_right(sosie, two_faces_path):
    result = sosie("inspect", two_faces_path, "--json")
    assert result.code == 0, result.err
    found = result.json
    assert (found["kind"], found["width"], found["height"], found["bits"]) == (
        "photo",
        1024,
        512,
        8,
    )
    left, right = found["faces"]
    assert (left["position"], right["position"]) == (0, 1)
    assert left["box"][2] < 512 < right["box"][0]
    for face in (left, right):
        x0, y0, x1, y1 = face["box"]
        assert face["size_px"] == pytest.approx(max(x1 - x0, y1 - y0), abs=0.2)
        assert len(face["points5"]) == 5
        assert all(x0 < x < x1 and y0 < y < y1 for x, y in face["points5"])
        assert abs(face["pose"]["yaw"]) < 40
        assert 0 < face["score"] <= 1
        assert face["sharpness"] > 0
        assert "landmarks" not in face


def test_landmarks_are_there_when_asked_for(sosie, small_path):
    (face,) = sosie("inspect", small_path, "--json", "--landmarks").json["faces"]
    assert np.array(face["landmarks"]).shape == (478, 3)


def test_what_lies_over_a_face(sosie, astronaut, tmp_path):
    """A mask over the mouth is told, in numbers and words, and drawn; skin takes another color."""
    Image.fromarray(astronaut).save(tmp_path / "bare.png")
    (face,) = sosie("inspect", tmp_path / "bare.png", "--json").json["faces"]
    assert set(face["over_the_face"]) == {"hair", "spectacles", "hat", "thing", "beard"}
    assert face["over_the_face"]["spectacles"] < 0.02
    assert face["over_the_face"]["thing"] < 0.05
    assert face["over_the_face"]["beard"] == 0
    x0, y0, x1, y1 = np.round(face["box"]).astype(int)
    covered = astronaut.copy()
    covered[(y0 + 2 * y1) // 3 : y1, x0:x1] = (40, 150, 60)
    Image.fromarray(covered).save(tmp_path / "covered.png")
    drawing = tmp_path / "drawing.png"
    result = sosie("inspect", tmp_path / "covered.png", "--drawing", drawing)
    assert result.code == 0, result.err
    assert "thing over " in result.out
    drawn = np.asarray(Image.open(drawing))
    assert drawn.shape == astronaut.shape
    apart = np.abs(drawn.astype(int) - covered).max(-1)
    assert (apart[y0:y1, x0:x1] > 20).mean() > 0.5
    assert apart[: y0 // 3].max() <= 2
    again = sosie("inspect", tmp_path / "covered.png", "--drawing", drawing)
    assert again.code == 1
    assert "--overwrite" in again.err


def test_a_video_is_not_drawn(sosie, small, make_video, tmp_path):
    video = make_video(tmp_path / "video.mp4", [small[:256, :256]] * 2)
    result = sosie("inspect", video, "--drawing", tmp_path / "drawing.png")
    assert result.code == 2
    assert "--drawing" in result.err
    assert not (tmp_path / "drawing.png").exists()


def test_a_blurred_face_is_less_sharp(sosie, small, tmp_path):
    from PIL import ImageFilter

    Image.fromarray(small).save(tmp_path / "sharp.png")
    Image.fromarray(small).filter(ImageFilter.GaussianBlur(3)).save(tmp_path / "soft.png")
    sharp, soft = (
        sosie("inspect", tmp_path / f"{name}.png", "--json").json["faces"][0]["sharpness"]
        for name in ("sharp", "soft")
    )
    assert soft < sharp / 2


def test_a_photo_in_words(sosie, small_path):
    result = sosie("inspect", small_path)
    assert result.code == 0
    first, second = result.out.splitlines()
    assert first == f"{small_path}: 288 x 288, 8 bits, 1 face"
    assert second.startswith("  face 0: ")


def test_no_face_is_exit_code_3_with_an_empty_list(sosie, scenery, tmp_path):
    Image.fromarray(scenery).save(tmp_path / "hill.png")
    result = sosie("inspect", tmp_path / "hill.png", "--json")
    assert result.code == 3
    assert result.json["faces"] == []


def test_a_video_with_a_cut(sosie, small, hopper, make_video, tmp_path):
    """Ten frames of one person, then eight of another: two scenes, a track in each."""
    first = [small[k : k + 256, k : k + 256] for k in range(10)]
    second = [hopper[60 + k : 316 + k, 120:376] for k in range(8)]
    video = make_video(tmp_path / "cut.mp4", first + second)
    result = sosie("inspect", video, "--json")
    assert result.code == 0, result.err
    assert result.err == ""
    found = result.json
    assert (found["kind"], found["width"], found["height"]) == ("video", 256, 256)
    assert (found["frames"], found["fps"]) == (18, 25.0)
    assert [scene["start_s"] for scene in found["scenes"]] == [0.0, 0.4]
    assert [scene["end_s"] for scene in found["scenes"]] == [0.4, 0.72]
    one, other = found["tracks"]
    assert (one["first_s"], one["last_s"], one["frames"]) == (0.0, 0.36, 10)
    assert (other["first_s"], other["last_s"], other["frames"]) == (0.4, 0.68, 8)
    for track in (one, other):
        assert 60 < track["mean_size_px"] < 256
        assert all(low <= high for low, high in track["pose"].values())
    assert "2 scenes from 0.00, 0.40 s" in sosie("inspect", video).out


@pytest.mark.parametrize("name", ["absent.png", "absent.mp4"])
def test_an_absent_file(refused, tmp_path, name):
    assert "does not exist" in refused(1, "inspect", tmp_path / name)
