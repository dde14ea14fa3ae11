"""The target's light and color on the swapped face."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.blending import color_transfer
from sosie.blending.color_transfer import in_range, match_skin, meet_edges, transfer_light

SIDE, SIZE_PX = 160, 130.0
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def face_weight() -> np.ndarray:
    y, x = np.indices((SIDE, SIDE)) / (SIDE - 1) * 2 - 1
    return np.clip((1 - np.hypot(x / 0.75, y / 0.9)) * 8, 0, 1).astype(np.float32)


WEIGHT = face_weight()


def feature_weight() -> np.ndarray:
    """Where `skin` draws eyes and a mouth, and a little about them."""
    there = np.zeros((SIDE, SIDE), np.float32)
    for x, y, radius in ((52, 66, 9), (108, 66, 9), (80, 118, 14)):
        cv2.ellipse(there, (x, y), (radius + 4, radius // 2 + 4), 0, 0, 360, 1, -1)
    return there


FEATURES = feature_weight()


def skin(seed: int = 0, tone: tuple[float, float, float] = (0.62, 0.46, 0.38)) -> np.ndarray:
    """A face of one tone with pores, and eyes and a mouth that are darker."""
    picture = np.ones((SIDE, SIDE, 3)) * tone
    for x, y, radius in ((52, 66, 9), (108, 66, 9), (80, 118, 14)):
        cv2.ellipse(picture, (x, y), (radius, radius // 2), 0, 0, 360, (0.2, 0.1, 0.1), -1)
    noise = np.random.default_rng(seed).normal(0, 0.02, (SIDE, SIDE, 1))
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 1.2) + noise, 0, 1).astype(np.float32)


def side_light(strength: float = 0.5) -> np.ndarray:
    """1 on the left, falling to `strength` on the right."""
    ramp = np.linspace(1, strength, SIDE, dtype=np.float32)
    return np.tile(ramp[None, :, None], (SIDE, 1, 3))


def cheeks(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean color of the left and of the right cheek."""
    return picture[80:105, 35:55].mean((0, 1)), picture[80:105, 105:125].mean((0, 1))


def test_strong_side_light_carries_over() -> None:
    target = skin(1, (0.55, 0.4, 0.33)) * side_light(0.4)
    lit = transfer_light(skin(2), target, WEIGHT, SIZE_PX)
    left, right = cheeks(lit)
    left_target, right_target = cheeks(target)
    # Stops of light between the cheeks.
    asked, given_ = np.log2(left_target / right_target), np.log2(left / right)
    assert asked[0] > 0.5
    assert (given_ > 0.93 * asked).all()
    assert (given_ < 1.05 * asked).all()
    # Before, the source was lit evenly, and moments alone cannot tell left from right.
    flat = np.divide(*cheeks(skin(2)))[0]
    matched = np.divide(*cheeks(color_transfer.match_moments(skin(2), target, WEIGHT)))[0]
    assert flat == pytest.approx(1, abs=0.02)
    assert matched == pytest.approx(1, abs=0.05)


def test_a_slope_of_light_goes_on_to_the_very_edge() -> None:
    """Half of what a mean would look at lies outside the face there."""
    target = np.full((SIDE, SIDE, 3), (0.55, 0.4, 0.33), np.float32) * side_light(0.4)
    flat = np.full((SIDE, SIDE, 3), (0.62, 0.46, 0.38), np.float32)
    lit = transfer_light(flat, target, WEIGHT, SIZE_PX)
    off = np.abs(lit / target - 1).max(2)[WEIGHT > 0.5]
    assert np.percentile(off, 95) < 0.06
    assert off.max() < 0.12


def test_the_sources_own_side_light_does_not_remain() -> None:
    target = skin(1)
    lit = transfer_light(skin(2) * side_light(0.5), target, WEIGHT, SIZE_PX)
    own = np.log2(np.divide(*cheeks(skin(2) * side_light(0.5))))
    left = np.log2(np.divide(*cheeks(lit)))
    assert own[0] > 0.35
    assert (np.abs(left) < 0.1 * own).all()


def test_warm_light_carries_over() -> None:
    target = skin(1) * np.array([1, 0.7, 0.4], np.float32)
    lit = transfer_light(skin(2), target, WEIGHT, SIZE_PX)
    for ours, theirs in zip(cheeks(lit), cheeks(target), strict=True):
        assert ours[0] / ours[2] == pytest.approx(theirs[0] / theirs[2], rel=0.08)
        assert np.allclose(ours, theirs, atol=0.04)


def test_light_that_turns_from_warm_to_cold_over_the_face() -> None:
    ramp = np.linspace(0, 1, SIDE)[None, :, None]
    cast = ((1 - ramp) * (1, 0.75, 0.5) + ramp * (0.6, 0.8, 1)).astype(np.float32)
    target = skin(1) * cast
    lit = transfer_light(skin(2), target, WEIGHT, SIZE_PX)
    left, right = cheeks(lit)
    assert left[0] / left[2] > 1.25 * right[0] / right[2]


def detail(picture: np.ndarray) -> np.ndarray:
    return (picture - cv2.GaussianBlur(picture, (0, 0), 3))[80:105, 35:125]


def test_pores_and_features_are_the_sources() -> None:
    source = skin(2)
    lit = transfer_light(source, skin(1), WEIGHT, SIZE_PX)
    alike = np.corrcoef(detail(lit).ravel(), detail(source).ravel())[0, 1]
    assert alike > 0.99
    assert detail(lit).std() == pytest.approx(detail(source).std(), rel=0.1)
    # A dark eye stays as dark against its surroundings.
    assert lit[66, 52, 0] / lit[66, 80, 0] == pytest.approx(
        source[66, 52, 0] / source[66, 80, 0], rel=0.15
    )


def test_a_dark_source_leaves_no_colored_stains_on_a_pale_target() -> None:
    """Folds and warm gloss of dark skin, narrower than light is."""
    dark = skin(1, tone=(0.30, 0.17, 0.10))
    cv2.ellipse(dark, (48, 95), (4, 14), 0, 0, 360, (0.18, 0.07, 0.02), -1)
    cv2.ellipse(dark, (112, 95), (6, 10), 0, 0, 360, (0.45, 0.24, 0.10), -1)
    pale = skin(2, tone=(0.80, 0.74, 0.72))
    lit = transfer_light(dark, pale, WEIGHT, SIZE_PX)

    def colored(picture: np.ndarray) -> float:
        part = picture[75:112, 35:125]
        return float((part[..., 0] - part[..., 2]).std())

    assert colored(lit) < 0.6 * colored(dark)
    # And the relief of its skin is not carved.
    between = (slice(0, 20), slice(25, 60))
    assert detail(lit)[between].std() < 1.2 * detail(dark)[between].std()


def test_what_leaves_the_range_keeps_its_hue() -> None:
    bright = np.array([[[1.3, 1.1, 0.9], [-0.05, 0.1, 0.3], [0.2, 0.5, 0.7]]], np.float32)
    kept = in_range(bright)
    assert kept.min() >= 0
    assert kept.max() <= 1
    assert np.ptp(kept[0, 0]) < 0.01  # white, not yellow
    assert kept[0, 1, 2] > kept[0, 1, 1] > kept[0, 1, 0] - 1e-6
    np.testing.assert_allclose(kept[0, 2], bright[0, 2], atol=1e-6)


def test_a_feature_of_the_target_alone_is_not_taken_for_shadow() -> None:
    """Dark spectacle rims over the eyes: the skin beside them must not darken."""
    target = skin(1)
    rims = target.copy()
    for x in (52, 108):
        cv2.circle(rims, (x, 66), 20, (0.02, 0.02, 0.02), 4)
    lit = transfer_light(skin(2), rims, WEIGHT, SIZE_PX)
    plain = transfer_light(skin(2), target, WEIGHT, SIZE_PX)
    beside = (slice(95, 105), slice(40, 60))
    assert lit[beside].mean() > 0.9 * plain[beside].mean()


@pytest.mark.parametrize("tone", [0.0, 1.0])
@pytest.mark.parametrize("source_tone", [0.0, 1.0])
def test_black_and_white_neither_blow_up_nor_turn_to_noise(tone: float, source_tone: float) -> None:
    flat = np.full((SIDE, SIDE, 3), source_tone, np.float32)
    target = np.full((SIDE, SIDE, 3), tone, np.float32)
    for change in (
        color_transfer.match_moments(flat, target, WEIGHT),
        transfer_light(flat, target, WEIGHT, SIZE_PX),
    ):
        assert np.isfinite(change).all()
        assert change.min() >= 0
        assert change.max() <= 1
        inside = change[WEIGHT > 0.9]
        assert np.ptp(inside) < 0.01
        # Towards the target, not away.
        assert abs(inside.mean() - tone) <= abs(source_tone - tone) + 1e-3


def test_a_black_part_of_the_target_does_not_turn_the_face_black() -> None:
    target = skin(1)
    target[:, :40] = 0
    lit = transfer_light(skin(2), target, WEIGHT, SIZE_PX)
    assert np.allclose(cheeks(lit)[1], cheeks(target)[1], atol=0.05)


def test_an_empty_weight_is_harmless() -> None:
    nothing = np.zeros((SIDE, SIDE), np.float32)
    for change in (
        transfer_light(skin(1), skin(2), nothing, SIZE_PX),
        color_transfer.match_moments(skin(1), skin(2), nothing),
    ):
        assert np.isfinite(change).all()


def test_pixels_without_weight_have_no_say() -> None:
    target, other = skin(1), skin(1)
    other[WEIGHT == 0] = (0, 1, 0)
    source, hidden = skin(2), skin(2)
    hidden[WEIGHT == 0] = (1, 0, 1)
    inside = WEIGHT > 0.5
    for how in (
        lambda a, b: transfer_light(a, b, WEIGHT, SIZE_PX),
        lambda a, b: color_transfer.match_moments(a, b, WEIGHT),
    ):
        assert np.abs(how(source, target) - how(hidden, other))[inside].max() < 1e-4


@pytest.mark.parametrize("size_px", [20.0, 130.0, 2000.0])
def test_equal_light_changes_nothing(size_px: float) -> None:
    picture = skin(1)
    same = transfer_light(picture, picture.copy(), WEIGHT, size_px)
    assert np.abs(same - picture).max() < 1e-3


def moments(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    share = WEIGHT[..., None] / WEIGHT.sum()
    mean = (picture * share).sum((0, 1))
    return mean, np.sqrt(((picture - mean) ** 2 * share).sum((0, 1)))


@settings(max_examples=15)
@given(
    gains=st.tuples(*[st.floats(0.6, 1.6)] * 3),
    shifts=st.tuples(*[st.floats(-0.1, 0.1)] * 3),
)
def test_match_gives_the_moments_of_the_target(
    gains: tuple[float, ...], shifts: tuple[float, ...]
) -> None:
    random = np.random.default_rng(5)
    source = (0.5 + random.uniform(-0.1, 0.1, (SIDE, SIDE, 3))).astype(np.float32)
    target = ((source[::-1] - 0.5) * gains + 0.5 + shifts).astype(np.float32)
    matched = color_transfer.match_moments(source, target, WEIGHT)
    for ours, theirs in zip(moments(matched), moments(target), strict=True):
        assert np.allclose(ours, theirs, atol=1e-3)


def test_match_does_not_stretch_a_flat_face_into_noise() -> None:
    flat = np.full((SIDE, SIDE, 3), 0.5, np.float32)
    flat += np.random.default_rng(1).normal(0, 0.004, flat.shape).astype(np.float32)
    matched = color_transfer.match_moments(flat, skin(1), WEIGHT)
    # At most twice the contrast, whatever the target's.
    assert moments(matched)[1].max() < 0.009


@pytest.mark.parametrize("stain", ["lamp", "shade"])
def test_color_is_held_to_the_target_and_luma_stays(stain: str) -> None:
    """A colored lamp and a blue shade on a lit face go; brows, eyes and pores stay as dark."""
    target, stained = skin(1), skin(2)
    if stain == "lamp":
        place = slice(88, 100), slice(38, 50)
        stained = stained * np.array([1.12, 0.98, 0.8], np.float32)
    else:
        place = slice(96, 106), slice(110, 120)
        shade = np.zeros((SIDE, SIDE), np.float32)
        cv2.circle(shade, (115, 101), 9, 1, -1)
        shade = cv2.GaussianBlur(shade, (0, 0), 4)
        stained = stained + shade[..., None] * np.array([-0.1, 0, 0.12], np.float32)
    held = match_skin(stained, target, WEIGHT, FEATURES, SIZE_PX)
    colors = [picture[place].mean((0, 1)) for picture in (target, stained, held)]
    right, before, after = (color - color @ LUMA for color in colors)
    least = {"lamp": 0.1, "shade": 0.75}[stain]
    assert np.abs(after - right).max() < least * np.abs(before - right).max()
    inside = WEIGHT > 0.9
    # Pores that shine more than any of the target count as gloss.
    assert np.abs((held - stained) @ LUMA)[inside].max() < 0.01


def test_color_of_the_same_face_is_left_alone() -> None:
    face = skin(1) * side_light(0.6)
    assert np.abs(match_skin(face, face, WEIGHT, FEATURES, SIZE_PX) - face).max() < 1e-3


def test_highlights_are_held_to_the_targets() -> None:
    """Gloss on a cheek goes where the target is matt, and stays where the target shines too; what
    is dark stays."""
    shine = np.zeros((SIDE, SIDE), np.float32)
    cv2.circle(shine, (46, 92), 8, 0.25, -1)
    shine = cv2.GaussianBlur(shine, (0, 0), 3)[..., None]
    matt, face = skin(1), skin(2)
    glossy = np.asarray(face + shine, np.float32)
    place = slice(88, 97), slice(42, 51)
    held = match_skin(glossy, matt, WEIGHT, FEATURES, SIZE_PX)
    over = [(made - face)[place].mean() for made in (glossy, held)]
    assert over[1] < 0.6 * over[0]
    alike = match_skin(glossy, np.asarray(matt + shine, np.float32), WEIGHT, FEATURES, SIZE_PX)
    assert (alike - face)[place].mean() > 0.8 * over[0]
    mouth = slice(114, 122), slice(72, 88)
    assert np.abs(held - glossy)[mouth].max() < 0.01


def test_a_single_stain_on_bare_skin_goes_and_lips_keep_their_color() -> None:
    """A green light on a nose is no part of who somebody is; red lips are."""
    stained = skin(2)
    light = np.zeros((SIDE, SIDE), np.float32)
    cv2.circle(light, (80, 92), 4, 1, -1)
    light = cv2.GaussianBlur(light, (0, 0), 2)[..., None]
    stained = np.asarray(stained + light * np.array([-0.1, 0.08, -0.02], np.float32), np.float32)
    stained[115:122, 72:88] = (0.6, 0.2, 0.2)
    made = match_skin(stained, skin(1), WEIGHT, FEATURES, SIZE_PX)

    def redness(picture: np.ndarray, place: tuple[slice, slice]) -> float:
        return float((picture[..., 0] - picture[..., 1])[place].mean())

    nose, lips = (slice(89, 96), slice(77, 84)), (slice(116, 121), slice(74, 86))
    usual = redness(skin(1), nose)
    assert abs(redness(made, nose) - usual) < 0.5 * abs(redness(stained, nose) - usual)
    assert redness(made, lips) > 0.6 * redness(stained, lips)


def relief(depth: float) -> np.ndarray:
    """Folds as a hard lamp shows them: dark and bright bands over the cheeks and forehead."""
    x = np.indices((SIDE, SIDE))[1]
    return (1 + depth * np.sin(x / SIZE_PX * 2 * np.pi / 0.14))[..., None].astype(np.float32)


@pytest.mark.parametrize(("ours", "theirs", "left"), [(0.12, 0.05, 0.6), (0.09, 0.12, 0.75)])
def test_relief_is_as_deep_as_the_targets(ours: float, theirs: float, left: float) -> None:
    """A face out of hard light is not carved in soft light, nor washed out the other way round;
    color follows, so that a shade keeps its hue."""
    source, target = skin(1) * relief(ours), skin(2) * relief(theirs)
    made = match_skin(source, target, WEIGHT, FEATURES, SIZE_PX)
    cheek = slice(78, 108), slice(30, 130)
    depths = []
    for picture in (source, made, target):
        luma = cv2.GaussianBlur(picture @ LUMA, (0, 0), 2)[cheek].mean(0)
        depths.append(luma.std())
    before, after, wanted = depths
    assert abs(after - wanted) < left * abs(before - wanted)
    dark, bright = (made[cheek][mask].mean(0) for mask in split_by_luma(made[cheek]))
    assert np.abs(dark / dark.sum() - bright / bright.sum()).max() < 0.02


def split_by_luma(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a picture is darker and where it is brighter than usual."""
    luma = picture @ LUMA
    return luma < np.median(luma), luma >= np.median(luma)


def test_pores_gain_little_where_relief_gains() -> None:
    source, target = skin(1) * relief(0.05), skin(2) * relief(0.2)
    made = match_skin(source, target, WEIGHT, FEATURES, SIZE_PX)
    cheek = slice(78, 108), slice(30, 130)
    fine = [
        (luma - cv2.GaussianBlur(luma, (0, 0), 1.5))[cheek].std()
        for luma in (source @ LUMA, made @ LUMA)
    ]
    assert fine[1] < 1.15 * fine[0]


def test_the_edge_meets_the_targets_light_and_the_middle_stays() -> None:
    target = skin(1)
    darker = np.asarray(target - 0.08, np.float32)
    met = meet_edges(darker, target, WEIGHT, WEIGHT, SIZE_PX)
    apart = (target - met).mean(2)
    inside = (WEIGHT > 0.5).astype(np.uint8)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5) / SIZE_PX
    assert np.abs(apart[(depth > 0.01) & (depth < 0.03)]).mean() < 0.015
    middle = depth > 0.3
    assert np.abs(apart[middle] - 0.08).max() < 0.01
    # No step on the way.
    assert np.abs(np.diff(apart[SIDE // 2, 30:130])).max() < 0.01


def test_a_beard_at_the_edge_is_not_spread_over_the_face() -> None:
    """What differs by much more than light does counts as no more than that."""
    target = skin(1)
    target[100:] *= 0.1
    face = skin(1)
    met = meet_edges(face, target, WEIGHT, WEIGHT, SIZE_PX)
    assert np.abs(met - face).max() < 0.2
    assert np.abs(met - face)[:60].max() < 0.02
