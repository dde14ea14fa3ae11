"""Photos from end to end: the face changes, and nothing else does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.analysis import occlusion
from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.analysis.landmarker import EXPRESSIONS
from sosie.errors import InputError, NoFaceError, OutputError, UnavailableError, UsageError
from sosie.options import BLENDS, COLORS, SwapOptions
from sosie.pipeline import FaceSwapper, swap_image
from sosie.types import Face, ImageResult

Pixels = np.ndarray


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return create_analyzer(2)


@pytest.fixture(scope="module")
def face_of(analyzer: Analyzer) -> Callable[[Pixels], Face]:
    def find(pixels: Pixels) -> Face:
        (face,) = analyzer.analyze(pixels)
        return face

    return find


@pytest.fixture(scope="module")
def by_hopper(hopper_path: Path) -> FaceSwapper:
    return FaceSwapper(hopper_path)


@pytest.fixture(scope="module")
def swapped(by_hopper: FaceSwapper, astronaut: Pixels) -> ImageResult:
    """Grace Hopper's face on Eileen Collins."""
    return by_hopper.image(astronaut)


@pytest.fixture(scope="module")
def pair(astronaut: Pixels, hopper: Pixels) -> Pixels:
    """Two people side by side: the astronaut left, the smaller admiral right; 300 x 520."""
    picture = np.full((300, 520, 3), (130, 140, 150), np.uint8)
    picture[20:280, 10:270] = astronaut[20:280, 90:350]
    small = cv2.resize(hopper[60:420, 90:450], (160, 160), interpolation=cv2.INTER_AREA)
    picture[60:220, 320:480] = small
    return picture


def region(face: Face, shape: tuple[int, ...], grow: float = 0.08) -> np.ndarray:
    """bool: the box of a face and a little around it."""
    inside = np.zeros(shape[:2], bool)
    pad = grow * face.size_px
    x0, y0 = np.maximum(np.floor(face.box[:2] - pad), 0).astype(int)
    x1, y1 = np.ceil(face.box[2:] + pad).astype(int)
    inside[y0:y1, x0:x1] = True
    return inside


def changed(a: Pixels, b: Pixels) -> np.ndarray:
    return (a[..., :3] != b[..., :3]).any(-1)


# What changes and what does not.


def test_only_the_face_changes(swapped: ImageResult, astronaut: Pixels) -> None:
    (face,) = swapped.faces
    assert swapped.image.shape == astronaut.shape
    assert swapped.image.dtype == np.uint8
    different = changed(swapped.image, astronaut)
    assert not different[~region(face, astronaut.shape)].any()
    # Most of the face's surface, by much.
    x, y = np.round(face.landmarks[[50, 280, 152, 6, 205, 425], :2].T).astype(int)
    assert different[y, x].mean() > 0.6
    difference = np.abs(swapped.image.astype(int) - astronaut)[region(face, astronaut.shape, 0)]
    assert difference.mean() > 5


def test_and_the_other_way_round(astronaut_path: Path, hopper_path: Path, hopper: Pixels) -> None:
    result = sosie.swap_image(astronaut_path, hopper_path)
    (face,) = result.faces
    assert not changed(result.image, hopper)[~region(face, hopper.shape)].any()
    # The spectacles' dark rims and the bridge stay, and the cheeks below them change.
    differs = np.abs(result.image.astype(int) - hopper).mean(2)
    for bar in ((slice(172, 182), slice(182, 248)), (slice(165, 179), slice(282, 350))):
        dark = hopper[bar].mean(2) < 50
        assert dark.sum() > 200
        assert not differs[bar][dark].any()
    assert differs[182:188, 250:276].mean() < 1
    before, after = (p[230:250, 230:290].astype(int) for p in (hopper, result.image))
    assert np.abs(after - before).mean() > 10
    assert result.report.target == str(hopper_path)


def test_a_targets_spectacles_can_be_taken_off(
    astronaut_path: Path, hopper_path: Path, hopper: Pixels, analyzer: Analyzer
) -> None:
    kept, bare = (
        sosie.swap_image(astronaut_path, hopper_path, remove=remove)
        for remove in (None, "spectacles")
    )
    worn = []
    for pixels in (kept.image, bare.image):
        (face,) = analyzer.analyze(pixels)
        worn.append(occlusion.shares(analyzer.parts(pixels, face.landmarks), face.landmarks))
    assert worn[0]["spectacles"] > 0.03
    assert worn[1]["spectacles"] < 0.1 * worn[0]["spectacles"]
    # Beside the face the arms are gone, and away from them nothing changes.
    (face,) = kept.faces
    differs = changed(bare.image, kept.image)
    assert not differs[~region(face, hopper.shape, 0.25)].any()
    # Who wears none is swapped as ever.
    plain, same = (
        sosie.swap_image(hopper_path, astronaut_path, remove=remove)
        for remove in (None, "spectacles")
    )
    assert np.array_equal(plain.image, same.image)


def test_a_mouth_that_is_kept_is_the_targets_to_the_bit(
    hopper_path: Path, astronaut: Pixels
) -> None:
    """And the rest of the face is swapped."""
    swapped = sosie.swap_image(hopper_path, astronaut, keep="mouth")
    points = swapped.faces[0].landmarks
    x, y = np.rint(points[[13, 14, 78, 308], :2].mean(0)).astype(int)
    lips = np.s_[y - 3 : y + 4, x - 8 : x + 9]
    np.testing.assert_array_equal(swapped.image[lips], astronaut[lips])
    nose = np.rint(points[4, :2]).astype(int)
    changed = swapped.image.astype(int) - astronaut
    assert np.abs(changed[nose[1] - 5 : nose[1] + 5, nose[0] - 5 : nose[0] + 5]).mean() > 3


def test_the_sources_expression(astronaut_path: Path, hopper: Pixels) -> None:
    """The astronaut shows her teeth, the admiral does not."""
    analyzer = create_analyzer(threads=1)
    smiles = {}
    for expression in ("target", "0.5", "source"):
        swapped = sosie.swap_image(astronaut_path, hopper, expression=expression).image
        weights = analyzer.analyze(swapped)[0].expression
        smiles[expression] = float(
            np.mean([weights[EXPRESSIONS.index(f"mouthSmile{side}")] for side in ("Left", "Right")])
        )
    assert smiles["target"] < smiles["0.5"] < smiles["source"]
    assert smiles["source"] > smiles["target"] + 0.3


def test_the_face_becomes_more_like_the_source(
    astronaut: Pixels,
    hopper: Pixels,
    face_of: Callable[[Pixels], Face],
) -> None:
    """Of aligned faces without their low frequencies: with the pose and the light of the target,
    the texture is nearer to the source's than the target's was. Her spectacles are part of it."""
    from sosie.geometry.alignment import align_matrix, crop

    def texture(pixels: Pixels, face: Face) -> np.ndarray:
        gray = crop(pixels, align_matrix(face.points5, "arcface", 96), 96).mean(2)
        inner = (gray - cv2.GaussianBlur(gray, (0, 0), 8))[34:90, 20:76]
        return inner / np.linalg.norm(inner)

    target, source = (texture(p, face_of(p)) for p in (astronaut, hopper))
    swapped = swap_image(hopper, astronaut, keep="spectacles,hat,hair").image
    result = texture(swapped, face_of(swapped))
    assert (result * source).sum() > (target * source).sum() + 0.1


def test_pose_and_place_are_the_targets(
    swapped: ImageResult, face_of: Callable[[Pixels], Face]
) -> None:
    before, after = swapped.faces[0], face_of(swapped.image)
    assert np.hypot(*np.subtract(before.center, after.center)) < 0.03 * before.size_px
    assert after.size_px == pytest.approx(before.size_px, rel=0.06)
    for angle in ("yaw", "pitch", "roll"):
        assert getattr(after.pose, angle) == pytest.approx(getattr(before.pose, angle), abs=5)


def test_the_same_twice(by_hopper: FaceSwapper, swapped: ImageResult, astronaut: Pixels) -> None:
    again = by_hopper.image(astronaut)
    assert np.array_equal(again.image, swapped.image)


def test_a_swap_keeps_nothing_of_the_photos_before(
    by_hopper: FaceSwapper, pair: Pixels, swapped: ImageResult, astronaut: Pixels
) -> None:
    by_hopper.image(pair)
    assert np.array_equal(by_hopper.image(astronaut).image, swapped.image)


def test_arrays_handed_in_are_not_written_to(astronaut: Pixels, hopper: Pixels) -> None:
    source, target = hopper.copy(), astronaut[:300].copy()
    result = swap_image(source, target)
    assert np.array_equal(source, hopper)
    assert np.array_equal(target, astronaut[:300])
    assert not np.shares_memory(result.image, target)


@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("color", COLORS)
def test_every_blend_and_color(hopper: Pixels, astronaut: Pixels, blend: str, color: str) -> None:
    target = astronaut[:260, 90:350]
    result = swap_image(hopper, target, blend=blend, color=color)
    (face,) = result.faces
    different = changed(result.image, target)
    assert not different[~region(face, target.shape)].any()
    assert different[region(face, target.shape, -0.15)].mean() > 0.6


def test_options_change_the_result(
    hopper_path: Path, swapped: ImageResult, astronaut: Pixels
) -> None:
    for other in ({"shape": 0.0}, {"color": "none"}, {"mask_feather": 0.2}, {"blend": "alpha"}):
        result = swap_image(hopper_path, astronaut, **other)
        assert not np.array_equal(result.image, swapped.image)


# Depth, alpha, gray.


def test_transparency_is_kept(
    by_hopper: FaceSwapper, astronaut: Pixels, swapped: ImageResult
) -> None:
    alpha = np.random.default_rng(0).integers(0, 255, astronaut.shape[:2], np.uint8)
    result = by_hopper.image(np.dstack([astronaut, alpha]))
    assert result.image.shape == (*astronaut.shape[:2], 4)
    assert np.array_equal(result.image[..., 3], alpha)
    assert np.array_equal(result.image[..., :3], swapped.image)


def test_sixteen_bits_stay_sixteen_bits(by_hopper: FaceSwapper, astronaut: Pixels) -> None:
    noise = np.random.default_rng(1).integers(0, 257, astronaut.shape).astype(np.uint16)
    deep = (astronaut.astype(np.uint16) * 256 + noise).astype(np.uint16)
    deep = np.dstack([deep, np.full(deep.shape[:2], 40000, np.uint16)])
    result = by_hopper.image(deep)
    assert result.image.dtype == np.uint16
    assert (result.image[..., 3] == 40000).all()
    (face,) = result.faces
    different = changed(result.image, deep)
    assert not different[~region(face, deep.shape)].any()
    # Not eight bits in a larger coat: the low bytes of swapped pixels take on all values.
    low_bytes = result.image[..., :3][different] % 256
    assert len(np.unique(low_bytes)) == 256
    assert np.bincount((low_bytes // 32).ravel(), minlength=8).min() > 0.08 * low_bytes.size


def test_deep_and_shallow_agree(
    by_hopper: FaceSwapper, astronaut: Pixels, swapped: ImageResult
) -> None:
    """But for what the rounding of a draft does to its landmarks."""
    deep = by_hopper.image(astronaut.astype(np.uint16) * 257).image
    apart = np.abs(deep / 257 - swapped.image)[changed(swapped.image, astronaut)]
    assert apart.mean() < 1
    assert np.percentile(apart, 99) < 6


def test_a_gray_target_stays_gray(by_hopper: FaceSwapper, astronaut: Pixels) -> None:
    gray = cv2.cvtColor(np.ascontiguousarray(astronaut), cv2.COLOR_RGB2GRAY)
    result = by_hopper.image(gray)
    assert result.image.shape == astronaut.shape
    outside = ~region(result.faces[0], gray.shape)
    assert np.array_equal(result.image[outside], np.repeat(gray[..., None], 3, 2)[outside])
    # The target has no color in its light.
    inside = result.image[region(result.faces[0], gray.shape, -0.2)].astype(int)
    assert np.abs(inside.mean(0) - inside.mean()).max() < 12


# Which faces.


def test_all_faces_or_one_of_them(hopper_path: Path, pair: Pixels) -> None:
    everyone = swap_image(hopper_path, pair, faces="all")
    assert len(everyone.faces) == 2
    left, right = everyone.faces
    assert left.center[0] < 270 < right.center[0]
    here = [region(face, pair.shape) for face in everyone.faces]
    different = changed(everyone.image, pair)
    assert all(different[place].mean() > 0.2 for place in here)
    assert not different[~(here[0] | here[1])].any()
    for spec, place, other in (("0", *here), ("1", *here[::-1]), ("largest", *here)):
        result = swap_image(hopper_path, pair, faces=spec)
        assert len(result.faces) == 1
        different = changed(result.image, pair)
        assert different[place].mean() > 0.2
        assert not different[other].any()
        assert np.array_equal(result.image[place], everyone.image[place])
    named = swap_image(hopper_path, pair, faces="1,0")
    assert [face.center[0] > 270 for face in named.faces] == [True, False]
    assert np.array_equal(named.image, everyone.image)


def test_several_photos_of_the_source(hopper: Pixels) -> None:
    """Mirrored, a face that looks aside looks to the other side; the nearer one is taken, in
    whatever order they come."""
    photos = [hopper, np.ascontiguousarray(hopper[:, ::-1])]
    # With all kept on, nothing is filled in from the other photo.
    keep = "spectacles,hat,hair"
    both, backwards = (swap_image(given, hopper, keep=keep) for given in (photos, photos[::-1]))
    assert both.report.faces[0].source == 0
    assert backwards.report.faces[0].source == 1
    assert np.array_equal(both.image, backwards.image)
    # What one photo shows badly may come from the other.
    alone = swap_image(hopper, hopper, keep=keep).image
    assert np.abs(both.image.astype(int) - alone).mean() < 0.5


# The report.


def test_the_report_tells_what_was_done(hopper_path: Path, pair: Pixels) -> None:
    result = swap_image(hopper_path, pair, faces="all")
    report = result.report
    assert (report.frames, report.swapped_frames, report.face_count) == (1, 1, 2)
    assert report.method == "graft"
    assert report.output == ""
    for told, face in zip(report.faces, result.faces, strict=True):
        assert np.allclose(told.box, face.box, atol=0.006)
        assert told.pose == face.pose
        assert told.score == face.score
        assert told.source == 0
    stages = report.seconds
    assert {"analysis", "swap", "compose", "total"} <= set(stages)
    assert all(value >= 0 for value in stages.values())
    assert stages["analysis"] + stages["swap"] + stages["compose"] <= stages["total"]
    assert report.fps == pytest.approx(1 / stages["total"])
    json.dumps(dataclasses.asdict(report))


def test_a_photo_file_for_a_photo_file(
    by_hopper: FaceSwapper, astronaut_path: Path, swapped: ImageResult, tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    report = by_hopper.photo(astronaut_path, output)
    with Image.open(output) as picture:
        assert np.array_equal(np.array(picture), swapped.image)
    assert report.output == str(output)
    assert report.target == str(astronaut_path)
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


# What is refused.


def test_a_target_without_a_face_is_named(by_hopper: FaceSwapper, tmp_path: Path) -> None:
    y, x = np.indices((200, 240))
    scenery = np.stack([x, y, (x + y) // 2], -1).astype(np.uint8)
    path, output = tmp_path / "scenery.png", tmp_path / "out.png"
    Image.fromarray(scenery).save(path)
    with pytest.raises(NoFaceError, match=r"scenery\.png: No face was found"):
        by_hopper.photo(path, output)
    assert not output.exists()
    with pytest.raises(NoFaceError, match="the picture: No face"):
        by_hopper.image(scenery)
    with pytest.raises(NoFaceError, match=r"scenery\.png"):
        FaceSwapper(path)


def test_one_source_of_several_without_a_face_is_named(
    hopper: Pixels, hopper_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "wall.png"
    Image.fromarray(np.full((100, 100, 3), 120, np.uint8)).save(path)
    with pytest.raises(NoFaceError, match=r"wall\.png"):
        FaceSwapper([hopper_path, path])


def test_a_position_that_does_not_exist(
    by_hopper: FaceSwapper, hopper: Pixels, pair: Pixels
) -> None:
    with pytest.raises(NoFaceError, match=r"Position 2 .* only 2 faces"):
        swap_image(hopper, pair, faces="0,2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blend": "multibnd"}, "multiband"),
        ({"color": "lite"}, "light"),
        ({"method": "mash"}, "mesh"),
        ({"colr": "light"}, "color"),
        ({"shape": 1.5}, "between 0 and 1"),
        ({"faces": "left"}, "positions"),
    ],
)
def test_options_are_checked(
    hopper: Pixels, astronaut: Pixels, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        swap_image(hopper, astronaut, **options)


def test_a_provider_that_is_not_there(hopper: Pixels, astronaut: Pixels) -> None:
    with pytest.raises((UnavailableError, UsageError), match="provider"):
        swap_image(hopper, astronaut, provider="abacus")


def test_options_and_single_options_together(hopper_path: Path, pair: Pixels) -> None:
    options = SwapOptions(faces="all", color="none")
    result = swap_image(hopper_path, pair, options, faces="1")
    assert len(result.faces) == 1
    plain = swap_image(hopper_path, pair, SwapOptions(faces="1", color="none"))
    assert np.array_equal(result.image, plain.image)


def test_an_output_that_is_an_input_or_exists(
    hopper_path: Path, astronaut_path: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(astronaut_path.read_bytes())
    before = copy.read_bytes()
    with pytest.raises(UsageError, match="also an input"):
        FaceSwapper(hopper_path).photo(copy, copy)
    with pytest.raises(UsageError, match="also an input"):
        FaceSwapper(copy).photo(hopper_path, copy)
    with pytest.raises(OutputError, match="exists already"):
        FaceSwapper(hopper_path).photo(astronaut_path, copy)
    assert copy.read_bytes() == before


def test_arrays_that_are_no_pictures(hopper: Pixels) -> None:
    for wrong in (np.zeros((64, 64, 2), np.uint8), np.zeros((64, 64, 3)), np.zeros(9, np.uint8)):
        with pytest.raises(InputError, match="picture"):
            swap_image(hopper, wrong)
        with pytest.raises(InputError, match="picture"):
            swap_image(wrong, hopper)


def test_no_sources_at_all(astronaut: Pixels) -> None:
    with pytest.raises(UsageError, match="source"):
        swap_image([], astronaut)
