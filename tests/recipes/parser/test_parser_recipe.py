"""The parser's recipe: it learns, judges itself rightly, and exports what it learned."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.analysis.parser import SIDE_PX, Parser  # noqa: E402
from sosie.datasets.split import is_validation  # noqa: E402
from sosie.geometry.morphable_model import silhouette  # noqa: E402
from sosie.models.session import create_session  # noqa: E402
from sosie.recipes.occlusion.compositing import SPRITE_PX  # noqa: E402
from sosie.recipes.occlusion.occluder_library import KINDS, Library  # noqa: E402
from sosie.recipes.parser import recipe as recipes  # noqa: E402
from sosie.recipes.parser.labels import PLANES, LabeledFaces  # noqa: E402
from sosie.recipes.parser.losses import TRUTH, overlap, parser_losses  # noqa: E402
from sosie.recipes.parser.network import CLASSES, ExportedParser, ParserNetwork  # noqa: E402
from sosie.training.recipe import Materials  # noqa: E402

COUNT, CROP_PX = 40, 224
SKIN, WALL = (210, 160, 130), (60, 90, 130)


@pytest.fixture(scope="module")
def labeled(model_face) -> LabeledFaces:
    """Heads before a wall, some with a band of spectacles: all for validation, a fifth at least."""
    rng = np.random.default_rng(0)
    crops, planes, landmarks = [], [], []
    for number in range(COUNT):
        yaw, pitch, roll = rng.uniform(-1, 1, 3) * (20, 10, 10)
        points = model_face(yaw, pitch, roll, unit_px=34, center=(112, 112)).landmarks
        skin = silhouette(points, CROP_PX, CROP_PX)
        crop = np.full((CROP_PX, CROP_PX, 3), WALL, np.uint8)
        crop[skin > 127] = SKIN
        plane = np.zeros((CROP_PX, CROP_PX, len(PLANES)), np.uint8)
        plane[..., 0] = skin
        if number % 5 == 0 or is_validation(f"lfw/person_{number}"):
            level = int(points[168, 1])
            crop[level - 8 : level + 8, 70:150] = (20, 20, 20)
            plane[level - 8 : level + 8, 70:150] = (0, 0, 255, 0)
        crops.append(crop)
        planes.append(plane)
        landmarks.append(points)
    people = np.array([f"lfw/person_{n}" for n in range(COUNT)])
    groups = np.array(["lfw"] * COUNT)
    return LabeledFaces(*map(np.stack, (crops, planes, landmarks)), people, groups)


@pytest.fixture
def recipe(labeled, tmp_path: Path) -> recipes.ParserRecipe:
    made = recipes.ParserRecipe(Materials(tmp_path, tmp_path, tmp_path, workers=0))
    rgba = np.zeros((len(KINDS), SPRITE_PX, SPRITE_PX, 4), np.uint8)
    rgba[:, 50:130, 40:150] = (20, 200, 40, 255)
    made._faces = labeled
    made._library = Library(
        rgba, rgba[..., 3].copy(), {name: np.array([n]) for n, name in enumerate(KINDS)}
    )
    return made


def batch_of(recipe: recipes.ParserRecipe, indices: range) -> dict[str, torch.Tensor]:
    found = [recipe.sample(i, np.random.default_rng((0, i))) for i in indices]
    return {key: torch.from_numpy(np.stack([s[key] for s in found])) for key in found[0]}


def test_a_network_learns_from_the_samples(recipe, taught):
    torch.manual_seed(0)
    network = ParserNetwork((8, 16, 16, 16)).train()
    first, *_, last = taught(recipe, network, batch_of(recipe, range(6)), 1e-2, 25)
    assert sum(last.values()) < 0.5 * sum(first.values())


def test_the_network_is_fast_and_its_losses_are_exact(recipe, precisions):
    network = ParserNetwork((8, 16, 16, 16)).train()
    inside, given = precisions(recipe, network, batch_of(recipe, range(2)), "parser_losses")
    assert inside == {torch.bfloat16}
    assert given == {torch.float32}


def test_the_held_out_are_not_learned_from_nor_lend_their_hair(labeled, recipe):
    held = labeled.test | labeled.validation
    for rows in (recipe._rows, *recipe._donors.rows.values()):
        assert not held[rows].any()
    assert len(recipe._rows) == labeled.train.sum()


def test_who_wears_something_is_shown_more(recipe):
    chances = np.diff(recipe._chances, prepend=0)
    worn = recipe._areas[recipe._rows, PLANES.index("spectacles")] > 0.008
    assert worn.any()
    assert chances[worn].min() > 2 * chances[~worn].max()
    assert recipe._chances[-1] < 1


def test_the_first_samples_are_small_and_each_batch_is_of_one_size(recipe):
    plan = recipe.chosen
    steps = plan.samples // plan.batch
    sides = []
    for step in (0, steps // 2, steps - 1):
        indices = (step * plan.batch, (step + 1) * plan.batch - 1)
        shapes = {recipe.sample(i, np.random.default_rng(i))["pixels"].shape for i in indices}
        assert len(shapes) == 1
        sides.append(shapes.pop()[0])
    assert sides[0] < sides[-1] == SIDE_PX


def test_validation_is_one_for_a_network_that_is_right(recipe):
    """Its truth, where that is known, gives a score of 1; skin everywhere, a low one."""
    kept = recipe._validation

    class Memory(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.truth = np.concatenate([kept.bare_truth, kept.covered_truth])
            self.given = 0

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            part = self.truth[self.given : self.given + len(pixels)].astype(np.float32)
            self.given += len(pixels)
            told = np.concatenate([part[:, : len(CLASSES)], part[:, :1]], 1)
            told[:, CLASSES.index("frame")] += part[:, TRUTH.index("frame/lens")]
            told[:, CLASSES.index("beyond")] += part[:, TRUTH.index("thing/beyond")]
            return torch.from_numpy(told)

    class Skin(Memory):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return 9 * torch.eye(8)[0][None, :, None, None].expand(len(pixels), 8, SIDE_PX, SIDE_PX)

    with torch.no_grad():
        right, wrong = recipe.validate(Memory()), recipe.validate(Skin())
    assert right["spectacles"] == pytest.approx(1, abs=0.01)
    assert right["seen"] == pytest.approx(1, abs=0.01)
    assert wrong["spectacles"] == 0
    assert wrong["seen"] < 0.97


def test_the_exported_file_answers_as_the_network(recipe, tmp_path):
    torch.manual_seed(0)
    network = recipe.network()
    last = recipe.chosen.samples - 4
    batch = batch_of(recipe, range(last, last + 4))
    for _ in range(3):
        recipe.losses(network.train(), batch, 0.0)  # gives batch norm something to know
    network.eval()
    file = tmp_path / "parser.onnx"
    recipe.export(network, file)
    assert file.stat().st_size < 4e6
    found = Parser(create_session(file, threads=1)).parts(batch["pixels"].numpy())
    with torch.no_grad():
        wanted = ExportedParser(network)(batch["pixels"]).numpy()
    for one, planes in zip(found, wanted, strict=True):
        told = np.stack(list(vars(one).values()))
        assert [field.name for field in dataclasses.fields(one)][:7] == list(CLASSES)
        assert np.abs(told - planes).max() < 0.06
        assert told[:7].sum(0) == pytest.approx(1, abs=1e-4)


def test_training_goes_on_from_a_weight_file(recipe, tmp_path):
    torch.manual_seed(0)
    network = recipe.network()
    batch = batch_of(recipe, range(4))
    for _ in range(3):
        recipe.losses(network.train(), batch, 0.0)
    file = tmp_path / "parser.onnx"
    recipe.export(network.eval(), file)
    other = recipe.network()
    other.load_state_dict(recipe.weights_from(file))
    with torch.no_grad():
        one, two = (net.eval()(batch["pixels"]) for net in (network, other))
    assert float((one - two).abs().max()) < 0.1 * float(one.abs().max())


def logits_of(truth: torch.Tensor, unsplit: dict[str, str]) -> torch.Tensor:
    """Sure answers that are right, with what is not split given to one of its group."""
    found = truth[:, : len(CLASSES)].clone()
    for group, name in unsplit.items():
        found[:, CLASSES.index(name)] += truth[:, TRUTH.index(group)]
    return torch.cat([found * 20, torch.zeros_like(found[:, :1])], 1)


def test_losses_ask_no_more_than_is_known():
    truth = torch.zeros(1, len(TRUTH), 32, 32)
    truth[:, TRUTH.index("skin"), :16] = 1
    truth[:, TRUTH.index("frame/lens"), 16:24] = 1
    truth[:, TRUTH.index("thing/beyond"), 24:] = 1
    glass, near = torch.zeros(1, 2, 32, 32), torch.ones(1, 32, 32)

    def pixel(unsplit: dict[str, str]) -> float:
        return float(parser_losses(logits_of(truth, unsplit), truth, glass, near)["pixel"])

    for spectacles in ("frame", "lens"):
        for rest in ("thing", "beyond"):
            assert pixel({"frame/lens": spectacles, "thing/beyond": rest}) < 0.01
    assert pixel({"frame/lens": "hair", "thing/beyond": "thing"}) > 1


def test_opacity_is_learned_where_there_is_glass():
    truth = torch.zeros(1, len(TRUTH), 16, 16)
    truth[:, 0] = 1
    glass = torch.zeros(1, 2, 16, 16)
    glass[:, :, :8] = 1
    logits = torch.zeros(1, 8, 16, 16)
    logits[:, -1, :8] = 20
    near = torch.ones(1, 16, 16)
    assert float(parser_losses(logits, truth, glass, near)["opacity"]) < 1e-3
    logits[:, -1, 8:] = 20
    assert float(parser_losses(logits, truth, glass, near)["opacity"]) < 1e-3
    logits[:, -1, :4] = -20
    assert float(parser_losses(logits, truth, glass, near)["opacity"]) > 1


def test_overlap():
    a = np.zeros((3, 4, 4), bool)
    b = np.zeros((3, 4, 4), bool)
    a[0, :2], b[0, 1:3] = True, True
    a[1] = b[1] = True
    assert overlap(a, b).tolist() == [pytest.approx(1 / 3), 1.0, 1.0]
