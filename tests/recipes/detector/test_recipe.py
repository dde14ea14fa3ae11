"""The detector's network and losses: who answers for what, that it learns, and what is exported."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

import cv2  # noqa: E402

from sosie.analysis.detector import (  # noqa: E402
    BOX_UNIT,
    CHANNELS,
    OUTPUTS,
    POINT_UNIT,
    STRIDES,
    Detector,
    merged,
    read_cells,
)
from sosie.errors import InputError  # noqa: E402
from sosie.models.session import create_session  # noqa: E402
from sosie.recipes.detector import recipe as recipe_module  # noqa: E402
from sosie.recipes.detector.canvas import FACE, UNSURE, Canvas, found  # noqa: E402
from sosie.recipes.detector.losses import assign, detector_losses, grid_cells  # noqa: E402
from sosie.recipes.detector.network import DetectorNetwork  # noqa: E402
from sosie.recipes.detector.pictures import Labels  # noqa: E402
from sosie.recipes.detector.recipe import (  # noqa: E402
    DetectorRecipe,
    threshold,
    validation_figures,
)
from sosie.training.recipe import Materials  # noqa: E402

SIDE = 128


def empty_grids(side=SIDE, count=1):
    grids = [torch.zeros(count, -(-side // s), -(-side // s), CHANNELS) for s in STRIDES]
    for grid in grids:
        grid[..., 0] = -9.0
    return grids


def rows(*boxes, kinds=None):
    """Labels of one picture: boxes, points on them and kinds, as losses take them."""
    box = torch.tensor([boxes], dtype=torch.float32).reshape(1, -1, 4)
    share = torch.tensor([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
    points = box[..., None, :2] + share * (box[..., 2:] - box[..., :2])[..., None, :]
    kind = torch.tensor([kinds or [FACE] * len(boxes)])
    return box, points, kind


def perfect_grids(box, points, kind, side=SIDE):
    """Grids that say exactly what the labels are, in every cell that answers for a face."""
    grids = empty_grids(side)
    cells = grid_cells(grids)
    targets = assign(cells, box, kind)
    flat = torch.cat([grid.reshape(1, -1, CHANNELS) for grid in grids], 1)
    for cell in torch.nonzero(targets.face[0] >= 0)[:, 0].tolist():
        face, stride = int(targets.face[0, cell]), cells.strides[cell]
        own, middle = box[0, face], cells.centers[cell]
        flat[0, cell, 0] = 9.0
        flat[0, cell, 1:3] = ((own[:2] + own[2:]) / 2 - middle) / stride
        flat[0, cell, 3:5] = ((own[2:] - own[:2]) / (stride * BOX_UNIT)).log()
        flat[0, cell, 5:] = ((points[0, face] - middle) / (stride * POINT_UNIT)).flatten()
    sizes = [grid.shape[1] * grid.shape[2] for grid in grids]
    parts = flat.split(sizes, 1)
    return [part.reshape(grid.shape) for part, grid in zip(parts, grids, strict=True)]


@pytest.mark.parametrize("size", [5, 13, 20, 33, 47, 64, 90, 128, 200, 300, 500])
def test_every_face_has_cells_of_a_fitting_grid(size):
    side = 640
    cells = grid_cells(empty_grids(side))
    rng = np.random.default_rng(size)
    for x, y in rng.uniform(0, side - 1, (20, 2)):
        box, _, kind = rows((x - size * 0.35, y - size / 2, x + size * 0.35, y + size / 2))
        targets = assign(cells, box, kind)
        strides = cells.strides[targets.face[0] >= 0]
        assert len(strides) >= 1
        assert (strides == 8).all() if size < 40 else (size / strides > 2.5).all()
        assert (size / strides < 10).all()
        assert 0 < float(targets.weight.sum()) <= 10.01


def test_a_cell_within_two_faces_answers_for_the_smaller():
    cells = grid_cells(empty_grids())
    box, _, kind = rows((20, 20, 80, 80), (40, 40, 64, 64))
    targets = assign(cells, box, kind)
    inner = ((cells.centers - 52).abs() < 5).all(1) & (cells.strides == 8)
    assert inner.any() and (targets.face[0, inner] == 1).all()
    assert (targets.face == 0).any()


def test_an_unsure_face_silences_its_cells_and_no_others():
    cells = grid_cells(empty_grids())
    box, _, kind = rows((40, 40, 80, 80), kinds=[UNSURE])
    targets = assign(cells, box, kind)
    assert (targets.face < 0).all()
    inside = ((cells.centers - 60).abs() < 13).all(1)
    outside = ((cells.centers - 60).abs() > 24).any(1)
    assert targets.silent[0, inside].all() and not targets.silent[0, outside].any()


def test_rows_that_are_none_change_nothing():
    cells = grid_cells(empty_grids())
    box, _, kind = rows((20, 20, 60, 70))
    padded = torch.cat([box, torch.zeros(1, 3, 4)], 1), torch.cat([kind, torch.zeros(1, 3)], 1)
    for one, other in zip(
        vars(assign(cells, box, kind)).values(),
        vars(assign(cells, padded[0], padded[1].long())).values(),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_perfect_answers_cost_nothing_and_read_back_as_the_faces():
    labels = rows((10, 12, 40, 50), (70, 60, 120, 125))
    grids = perfect_grids(*labels)
    terms = detector_losses(grids, *labels)
    assert all(0 <= float(term) < 1e-3 for term in terms.values())
    answer = merged(read_cells([grid[0].numpy() for grid in grids], 0.5))
    order = np.argsort(answer.boxes[:, 0])
    assert np.allclose(answer.boxes[order], labels[0][0].numpy(), atol=1e-3)
    assert np.allclose(answer.points5[order], labels[1][0].numpy(), atol=1e-3)


@pytest.mark.parametrize(
    ("term", "channels", "by"), [("score", 0, -12.0), ("box", 3, 0.5), ("points", 9, 0.4)]
)
def test_each_error_raises_its_own_cost(term, channels, by):
    labels = rows((10, 12, 40, 50))
    grids = perfect_grids(*labels)
    right = detector_losses(grids, *labels)
    for grid in grids:
        grid[..., channels] += by
    wrong = detector_losses(grids, *labels)
    assert wrong[term] > right[term] + 0.01
    others = {"box", "points"} - {term}
    assert all(float(wrong[name]) == pytest.approx(float(right[name])) for name in others)


def test_a_face_seen_where_there_is_none_costs_and_where_unsure_does_not():
    labels = rows((10, 12, 40, 50), (80, 80, 110, 118), kinds=[FACE, UNSURE])
    grids = perfect_grids(*labels)
    right = float(detector_losses(grids, *labels)["score"])
    grids[0][0, 12, 11, 0] = 6.0
    assert float(detector_losses(grids, *labels)["score"]) == pytest.approx(right)
    grids[0][0, 2, 13, 0] = 6.0
    assert float(detector_losses(grids, *labels)["score"]) > right + 0.05


def test_a_picture_without_faces_has_finite_costs():
    grids = [grid.requires_grad_() for grid in empty_grids()]
    terms = detector_losses(grids, *rows((0, 0, 0, 0), kinds=[0]))
    sum(terms.values()).backward()
    assert all(torch.isfinite(grid.grad).all() for grid in grids)


class DiscScenes:
    """Stands for the scenes: gray, with a magenta disc as the face, or without."""

    with_faces = without = np.arange(3)

    def __init__(self, *_: object, **__: object) -> None: ...

    def scene(self, rng):
        canvas = self.covered(rng)
        x, y = rng.uniform(30, SIDE - 30, 2)
        radius = rng.uniform(10, 28)
        picture = np.full((64, 64, 3), 110, np.uint8)
        cv2.circle(picture, (32, 32), 20, (250, 0, 250), -1)
        cv2.circle(picture, (26, 26), 4, (250, 250, 0), -1)
        box, points, _ = rows((12, 12, 52, 52))
        labels = Labels(box[0].numpy(), points[0].numpy(), np.ones(1, bool))
        scale = radius / 20
        canvas.lay(
            picture, labels, np.array([[scale, 0, x - 32 * scale], [0, scale, y - 32 * scale]])
        )
        return canvas

    def placed(self, rng, *, turned):
        return self.scene(rng)

    def covered(self, rng):
        return Canvas(rng.integers(90, 130, (SIDE, SIDE, 3), np.uint8))


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe_module, "Scenes", DiscScenes)
    monkeypatch.setattr(recipe_module, "open_pictures", lambda _: None)
    monkeypatch.setattr(recipe_module, "open_hard_negatives", lambda _: None)
    return DetectorRecipe(Materials(tmp_path, tmp_path, tmp_path, 0))


def batch_of(recipe, numbers):
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in numbers]
    return {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}


def test_the_network_is_fast_and_its_losses_are_exact(recipe, precisions):
    batch = batch_of(recipe, range(2))
    inside, given = precisions(recipe, recipe.network(), batch, "detector_losses")
    assert inside == {torch.bfloat16}
    assert given == {torch.float32}


@pytest.fixture
def learnt(recipe):
    """A network that has seen some hundred discs."""
    torch.manual_seed(0)
    network = recipe.network().train()
    optimizer = torch.optim.AdamW(network.parameters(), 4e-3)
    for step in range(60):
        batch = batch_of(recipe, range(8 * step, 8 * step + 8))
        total = sum(recipe.losses(network, batch, step / 60).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return network.eval()


def test_it_learns_exports_and_goes_on_from_the_file(recipe, learnt, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe_module, "_PICTURES", 24)
    monkeypatch.setattr(recipe_module, "_FACELESS", 100)
    with torch.no_grad():
        figures = validation_figures(learnt, DiscScenes())
    assert figures["score"] > 0.9
    file = tmp_path / "detector.onnx"
    recipe.export(learnt, file)
    assert file.stat().st_size < 1_500_000
    detector = Detector(create_session(file, threads=1))
    canvas = DiscScenes().scene(np.random.default_rng(12345))
    seen = detector.detect(canvas.pixels, figures["min_score"])
    assert found(canvas.labels()[0].boxes, np.array([one.box for one in seen])).all()

    frames = np.random.default_rng(0).integers(0, 256, (2, 83, 131, 3), np.uint8)
    answers = create_session(file, threads=1).run({"pixels": frames})
    again = DetectorNetwork()
    again.load_state_dict(recipe.weights_from(file))
    for network in (learnt, again.eval()):
        with torch.no_grad():
            own = network(torch.from_numpy(frames))
        for name, grid in zip(OUTPUTS, own, strict=True):
            assert answers[name].shape == tuple(grid.shape)
            assert np.allclose(answers[name], grid, atol=0.03 * float(grid.abs().max()))
    # In training its batch norms meet what they were set by.
    batch = batch_of(recipe, range(32))
    with torch.no_grad():
        before = sum(recipe.losses(learnt, batch, 1.0).values())
        after = sum(recipe.losses(again.train(), batch, 1.0).values())
    assert float(after) < 1.6 * float(before) + 0.05


def test_a_file_of_another_network_is_not_gone_on_from(recipe, tmp_path):
    from torch import nn

    from sosie.nn.blocks import ConvUnit, PixelInput
    from sosie.training.export import to_onnx

    file = tmp_path / "other.onnx"
    network = nn.Sequential(PixelInput(), ConvUnit(3, 16))
    to_onnx(network, torch.zeros(1, 8, 8, 3, dtype=torch.uint8), file, outputs=("map",))
    with pytest.raises(InputError, match="another architecture"):
        recipe.weights_from(file)


def test_samples_are_alike_in_shape_and_the_same_for_the_same_numbers(recipe):
    one, same = (recipe.sample(k, np.random.default_rng(5)) for k in (1, 2))
    other = recipe.sample(1, np.random.default_rng(6))
    assert {k: (v.shape, v.dtype) for k, v in one.items()} == {
        k: (v.shape, v.dtype) for k, v in other.items()
    }
    assert all(np.array_equal(one[key], same[key]) for key in one)
    assert not np.array_equal(one["boxes"], other["boxes"])
    assert one["kinds"].tolist().count(FACE) == 1


def test_the_threshold_leaves_one_false_box_in_a_hundred_pictures():
    scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    least = threshold(scores, 300)
    assert sum(score > least for score in scores) == 3
    assert threshold([], 300) < 0.1


def test_the_grids_cover_a_frame_of_any_size():
    network = DetectorNetwork().eval()
    for height, width in ((64, 64), (83, 131), (361, 643), (1, 200)):
        with torch.no_grad():
            grids = network(torch.zeros(1, height, width, 3, dtype=torch.uint8))
        shapes = [tuple(grid.shape[1:3]) for grid in grids]
        assert shapes == [(-(-height // s), -(-width // s)) for s in STRIDES]


def test_the_recipe_names_what_it_is_made_from():
    from sosie.recipes import card

    data, teachers = card.origins(DetectorRecipe.origins)
    assert len(data) >= 6 and [origin.name for origin in teachers] == [card.TEACHERS["yunet"][0]]
