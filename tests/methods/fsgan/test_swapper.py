"""An FSGAN swap: its stages in order, its views, and what it shows and refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import sosie
from sosie.errors import InputError, UsageError
from sosie.geometry import alignment
from sosie.geometry.face_types import box_matrix
from sosie.methods import load_method
from sosie.methods.fsgan import stages
from sosie.methods.fsgan.swapper import SHOWN, upright_view
from sosie.options import SwapOptions
from sosie.types import Pose


class Knowing:
    """Networks whose answers are known: reenactment adds 0.1, completion 0.01, blending 0.001; the
    face is where a picture is brighter than -0.5."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def reenact(self, views: Any, points: Any) -> list[Any]:
        self.asked.append(("reenact", points))
        return [view + np.float32(0.1) for view in views]

    def face(self, picture: Any) -> Any:
        return picture[0] > -0.5

    def complete(self, face: Any, mask: Any) -> Any:
        self.asked.append(("complete", (face, mask)))
        return face + np.float32(0.01)

    def blend(self, laid: Any, target: Any, mask: Any) -> Any:
        self.asked.append(("blend", (laid, target, mask)))
        return laid + np.float32(0.001)


def test_the_stages_follow_one_another_as_published():
    target = np.full((3, 64, 64), -1, np.float32)
    target[:, 16:48, 16:48] = 0
    views = [np.full((3, 64, 64), level, np.float32) for level in (0.2, 0.6)]
    views[0][:, :8] = views[1][:, :8] = -1
    networks: Any = Knowing()
    made = stages.swap(networks, target, np.zeros((98, 2), np.float32), views, [0.75, 0.25])
    assert [name for name, _ in networks.asked] == ["reenact", "complete", "blend"]
    assert np.allclose(made.reenacted[:, 20:], 0.75 * 0.3 + 0.25 * 0.7)
    # What the segmentation takes for no face is black before it is completed.
    face, hard = networks.asked[1][1]
    assert (face[:, :8] == -1).all()
    assert np.allclose(face[:, 20:], 0.4)
    # The hard mask lies within the target's face, and only there is the face laid on.
    assert hard[24:40, 24:40].all()
    assert not (hard & ~made.target_mask).any()
    assert np.allclose(made.transfer[:, hard], 0.41)
    assert (made.transfer[:, ~hard] == target[:, ~hard]).all()
    laid, beside, mask = networks.asked[2][1]
    assert np.array_equal(laid, made.transfer)
    assert np.array_equal(beside, target)
    assert np.array_equal(mask, hard)
    assert np.allclose(made.result[:, 32, 32], 0.411)
    outside = made.soft_mask == 0
    assert outside.any()
    assert (made.result[:, outside] == target[:, outside]).all()


@pytest.mark.parametrize("roll", [0, 35, -170])
def test_a_view_tilts_like_the_target(model_face, paint, source_of, roll):
    """What is seen of a tilted photo is what would be seen of an upright one."""
    views = []
    for own in (0, 50):
        face = model_face(roll=own, unit_px=40)
        shades = np.random.default_rng(0).uniform(60, 240, (478, 3))
        views.append(upright_view(source_of(paint(face, shades), face), roll, 64))
    mean = [cv2.GaussianBlur(view, (0, 0), 2).astype(float) for view in views]
    assert np.abs(mean[0] - mean[1]).mean() < 4
    head = model_face(roll=roll, unit_px=40)
    there = alignment.transform_points(head.landmarks, box_matrix(head.landmarks, 64))
    wanted = paint(head, np.random.default_rng(0).uniform(60, 240, (478, 3)))
    crop = alignment.crop(wanted, box_matrix(head.landmarks, 64), 64)
    assert there[:, 0].min() > 0
    assert np.abs(cv2.GaussianBlur(crop, (0, 0), 2).astype(float) - mean[0]).mean() < 6


@pytest.fixture(scope="module")
def weights(untrained) -> Path:
    pytest.importorskip("torch", exc_type=ImportError)
    return untrained("fsgan")


def test_several_photos_are_mixed_about_the_targets_pose(
    weights, model_face, paint, source_of, crop_for
):
    swapper = load_method("fsgan")(SwapOptions(method="fsgan", weights=str(weights)))
    faces = [model_face(yaw, unit_px=50) for yaw in (-30, 30)]
    photos = [
        source_of(paint(face, color), face)
        for face, color in zip(faces, ((220, 40, 40), (40, 220, 40)), strict=True)
    ]
    prepared = swapper.prepare(photos)
    assert [k for k, _ in prepared.appearance.mix(Pose(0, faces[0].pose.pitch, 0))] == [0, 1]
    target = model_face(0, unit_px=50)
    crop = crop_for(paint(target, (120, 120, 120)), target, swapper.card)
    both = swapper.swap(prepared, [crop])[0]
    alone = [swapper.swap(swapper.prepare([one]), [crop])[0] for one in photos]
    assert not np.array_equal(both.pixels, alone[0].pixels)
    assert not np.array_equal(both.pixels, alone[1].pixels)
    assert both.stages == {}


def test_the_stages_of_a_photo_can_be_looked_at(weights, hopper, astronaut, tmp_path):
    target, source = tmp_path / "target.png", tmp_path / "source.png"
    for file, pixels in ((target, astronaut), (source, hopper)):
        cv2.imwrite(str(file), pixels[:, :, ::-1])
    options = {"method": "fsgan", "weights": str(weights), "stages": str(tmp_path / "look")}
    swapper = sosie.FaceSwapper(source, SwapOptions(**options))
    swapper.photo(target, tmp_path / "out.png")
    files = sorted(file.name for file in (tmp_path / "look/target.png").iterdir())
    assert files == sorted(f"1-{k}-{name}.png" for k, name in enumerate(SHOWN, 1))
    shapes = {cv2.imread(str(file)).shape for file in (tmp_path / "look/target.png").iterdir()}
    assert shapes == {(64, 64, 3)}
    with pytest.raises(sosie.SosieError, match="overwrite"):
        swapper.photo(target, tmp_path / "again.png")
    assert not (tmp_path / "again.png").exists()


def test_other_methods_have_no_stages(hopper, astronaut, tmp_path):
    with pytest.raises(UsageError, match="method mesh has no stages"):
        sosie.swap_image(hopper, astronaut, method="mesh", stages=str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_lacks_a_network_says_which_and_how_to_get_it(weights, tmp_path):
    for file in weights.glob("*.onnx"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "fsgan_inpainting.onnx").unlink()
    options = SwapOptions(method="fsgan", weights=str(tmp_path))
    with pytest.raises(InputError, match=r"no fsgan_inpainting\.onnx in .*sosie train fsgan_inp"):
        load_method("fsgan")(options)
    blending = (tmp_path / "fsgan_blending.onnx").read_bytes()
    (tmp_path / "fsgan_inpainting.onnx").write_bytes(blending)
    with pytest.raises(InputError, match="is no inpainting of FSGAN"):
        load_method("fsgan")(options)
    (tmp_path / "another").mkdir()
    (tmp_path / "another/fsgan_blending.onnx").write_bytes(blending)
    with pytest.raises(InputError, match="more than once"):
        load_method("fsgan")(options)
