"""The identity recipe: what it shows, what it asks for, that it learns, and what it exports."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.analysis.embedder import NUMBERS, SIDE_PX, Embedder  # noqa: E402
from sosie.errors import InputError  # noqa: E402
from sosie.geometry.alignment import transform_points, warp  # noqa: E402
from sosie.models.session import create_session  # noqa: E402
from sosie.recipes.face_cache import FaceSet  # noqa: E402
from sosie.recipes.identity import answers as answers_module  # noqa: E402
from sosie.recipes.identity import recipe as recipe_module  # noqa: E402
from sosie.recipes.identity import samples as samples_module  # noqa: E402
from sosie.recipes.identity.losses import IdentityLearner, identity_losses  # noqa: E402
from sosie.recipes.identity.network import FrozenIdentity, IdentityNetwork, PixelIdentity  # noqa: E402
from sosie.recipes.identity.samples import MARGIN_PX, NOBODY, aligned, make_sample, views  # noqa: E402
from sosie.recipes.identity.teachers import STAGE_CHANNELS, IdentityTeachers, unit  # noqa: E402
from sosie.recipes.teachers_dlib import CHIP_PX, chip_matrix  # noqa: E402
from sosie.training.export import to_onnx  # noqa: E402
from sosie.training.recipe import Materials  # noqa: E402

CROP_PX, PEOPLE, PICTURES = 224, 60, 3
NOWHERE = Path("nowhere")


@pytest.fixture(scope="module")
def faces(model_face, face_set) -> FaceSet:
    """Faces of flat colors, a color a person, on noise."""
    rng, crops, points = np.random.default_rng(0), [], []
    for _ in range(PEOPLE):
        color = rng.integers(40, 216, 3).tolist()
        for _ in range(PICTURES):
            yaw, pitch, roll = rng.uniform(-1, 1, 3) * (25, 10, 15)
            landmarks = model_face(yaw, pitch, roll, unit_px=32, center=(112, 112)).landmarks
            crop = rng.integers(0, 256, (CROP_PX, CROP_PX, 3), np.uint8)
            cv2.fillConvexPoly(
                crop, cv2.convexHull(np.round(landmarks[:, :2]).astype(np.int32)), color
            )
            crops.append(crop)
            points.append(landmarks)
    people = np.repeat([f"lfw/person_{n}" for n in range(PEOPLE)], PICTURES)
    return face_set(crops, points, people=people)


class ColorTeachers(IdentityTeachers):
    """Teachers that know a face by the colors of its parts."""

    def __init__(self, *_) -> None:
        torch.nn.Module.__init__(self)
        generator = torch.Generator().manual_seed(0)
        for name, count in (("to_first", 256), ("to_second", 128)):
            self.register_buffer(name, torch.randn(48, count, generator=generator))
        self.register_buffer("mean", torch.zeros(128))

    def answers(self, faces, chips):
        def grid(pictures):
            x = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
            return torch.nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)

        x = faces.permute(0, 3, 1, 2).float()
        stages = [
            torch.nn.functional.adaptive_avg_pool2d(x.mean(1, keepdim=True), side).repeat(
                1, channels, 1, 1
            )
            for side, channels in zip((28, 14, 7, 4), STAGE_CHANNELS, strict=True)
        ]
        return unit(grid(faces) @ self.to_first), unit(grid(chips) @ self.to_second), stages


@pytest.fixture(scope="module")
def recipe(faces, tmp_path_factory) -> Iterator[recipe_module.IdentityRecipe]:
    """The recipe on those faces and teachers, with a network of an eighth of the channels."""
    folder = tmp_path_factory.mktemp("identity")
    (folder / "mobileface_v2.onnx").write_bytes(b"first")
    (folder / "second.dat").write_bytes(b"second")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe_module, "open_faces", lambda materials: faces)
        patch.setattr(answers_module, "find_dlib_file", lambda: folder / "second.dat")
        for module in (recipe_module, answers_module):
            patch.setattr(module, "IdentityTeachers", ColorTeachers)
        patch.setattr(recipe_module, "IdentityNetwork", lambda: IdentityNetwork((4, 8, 16, 32)))
        made = recipe_module.IdentityRecipe(Materials(NOWHERE, folder, folder / "cache", 0))
        made.prepare()
        yield made


@pytest.fixture(scope="module")
def fresh(recipe) -> torch.nn.Module:
    torch.manual_seed(0)
    return recipe.network()


@pytest.fixture
def learner(fresh) -> IdentityLearner:
    return copy.deepcopy(fresh)


@pytest.fixture(scope="module")
def exported(fresh, recipe, tmp_path_factory) -> tuple[IdentityLearner, Path]:
    """A network that has seen some faces, so that its batch norms know them, and its file."""
    learner = copy.deepcopy(fresh)
    pictures = torch.from_numpy(some_faces(recipe, 24))
    for _ in range(20):
        learner.network(pictures.permute(0, 3, 1, 2) / 127.5 - 1)
    for module in learner.modules():
        if isinstance(module, torch.nn.PReLU):
            torch.nn.init.uniform_(module.weight, 0.1, 0.4)
    file = tmp_path_factory.mktemp("file") / "identity.onnx"
    recipe.export(learner.eval(), file)
    return learner, file


def some_faces(recipe, count: int) -> np.ndarray:
    return np.stack([recipe._aligned(row) for row in range(count)])


def batch_of(recipe, indices: range) -> dict[str, torch.Tensor]:
    made = [recipe.sample(index, np.random.default_rng((0, index))) for index in indices]
    return {
        name: torch.stack([torch.as_tensor(sample[name]) for sample in made]) for name in made[0]
    }


def test_samples_are_those_of_their_seed_and_of_training_people(recipe, faces):
    first, again = (recipe.sample(5, np.random.default_rng((0, 5))) for _ in range(2))
    assert first["face"].shape == (SIDE_PX, SIDE_PX, 3)
    assert first["chip"].shape == (CHIP_PX, CHIP_PX, 3)
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
    other = recipe.sample(5, np.random.default_rng((1, 5)))
    assert (first["face"] != other["face"]).any()
    assert faces.train[recipe._rows].all()
    assert faces.validation[recipe._validation_rows].all()


def test_an_undisturbed_face_is_aligned(faces):
    face, _ = aligned(faces.crops[0], faces.landmarks[0])
    inside = faces.crops[0][112, 112].astype(int)
    assert np.abs(face[60, 56].astype(int) - inside).max() < 3


def test_both_teachers_see_one_picture():
    """What is in the face is at its place in the chip, and the chip reaches farther down."""
    canvas = np.zeros((SIDE_PX + 2 * MARGIN_PX, SIDE_PX + 2 * MARGIN_PX, 3), np.uint8)
    cv2.circle(canvas, (MARGIN_PX + 50, MARGIN_PX + 60), 8, (255, 200, 100), -1)
    canvas[MARGIN_PX + SIDE_PX + 2 :] = (0, 0, 255)
    face, chip = views(canvas)
    assert face[60, 50].tolist() == [255, 200, 100]
    x, y = np.round(transform_points([[50, 60]], chip_matrix())[0]).astype(int)
    assert chip[y, x].tolist() == [255, 200, 100]
    assert chip[-1, 75].tolist() == [0, 0, 255]
    back = warp(face, chip_matrix(), CHIP_PX, CHIP_PX)
    assert np.abs(back[20:120, 20:130].astype(int) - chip[20:120, 20:130]).mean() < 1


def test_a_picture_of_two_people_shows_nobody(faces, monkeypatch):
    def person_with(share: float) -> int:
        for name in ("_BENT", "_HIDDEN", "_CHANGED"):
            monkeypatch.setattr(f"sosie.recipes.identity.samples.{name}", 0.0)
        monkeypatch.setattr("sosie.recipes.identity.samples._OF_TWO", share)
        other = (faces.crops[9], faces.landmarks[9])
        rng = np.random.default_rng(0)
        return int(make_sample(faces.crops[0], faces.landmarks[0], 7, other, rng)["person"])

    assert person_with(0.0) == 7
    assert person_with(1.0) == NOBODY


def dotted(points: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """A dark canvas with a dot at each point, N x 2."""
    side = SIDE_PX + 2 * MARGIN_PX
    canvas = np.full((side, side, 3), 20, np.uint8)
    for x, y in np.round(points).astype(int):
        cv2.circle(canvas, (int(x), int(y)), 2, color, -1)
    return canvas


class Shares:
    """Random numbers that were chosen."""

    def __init__(self, *shares: float) -> None:
        self.uniform = lambda *_: np.array(shares)


def test_a_morph_has_the_shape_of_one_and_the_skin_of_the_other():
    """Dots stand for features; the second face's lie 6 px to the right of the first's, and lower
    the lower they are."""
    here = np.stack(np.meshgrid([48, 68, 88], [48, 68, 88]), -1).reshape(-1, 2).astype(np.float32)
    there = here + np.float32([6, 0]) + np.float32([0, 0.1]) * here[:, 1:]
    red, blue = (dotted(here, (250, 20, 20)), here), (dotted(there, (20, 20, 250)), there)

    def colors(of_shape: float, of_skin: float, places: np.ndarray) -> np.ndarray:
        made = samples_module._morph(red, blue, Shares(of_shape, of_skin))
        x, y = np.round(places).astype(int).T
        return made[y, x].astype(int)

    for of_shape, places in ((0.0, here), (0.5, (here + there) / 2), (1.0, there)):
        assert colors(of_shape, 0.0, places)[:, 0].min() > 170
        assert colors(of_shape, 0.0, places)[:, 2].max() < 60
        assert colors(of_shape, 1.0, places)[:, 2].min() > 170
        both = colors(of_shape, 0.5, places)
        assert both[:, [0, 2]].min() > 85 and both[:, [0, 2]].max() < 150


def test_the_other_face_looks_the_same_way(recipe, faces):
    rows = np.arange(20, 60)
    forward = faces.rotation[:, :, 2]
    for row in range(5):
        chosen = recipe._turned_alike(row, rows)
        assert chosen in rows
        apart = np.linalg.norm(forward[rows] - forward[row], axis=1)
        assert np.linalg.norm(forward[chosen] - forward[row]) == pytest.approx(apart.min())


def test_teachers_are_asked_once(recipe, faces, monkeypatch):
    first = answers_module.open_answers(recipe.materials, faces)
    monkeypatch.setattr(answers_module, "_asked", None)
    again = answers_module.open_answers(recipe.materials, faces)
    np.testing.assert_array_equal(first.first, again.first)
    pictures = [aligned(faces.crops[row], faces.landmarks[row]) for row in (3, 4)]
    seen, chips = (
        torch.from_numpy(np.stack(p)[:, :, ::-1].copy()) for p in zip(*pictures, strict=True)
    )
    mirrored, _, _ = ColorTeachers().answers(seen, chips)
    np.testing.assert_allclose(first.first[3:5, 1], mirrored.numpy(), atol=1e-5)


def test_the_teachers_own_numbers_cost_nothing(learner):
    target = unit(torch.randn(6, 384))
    numbers = torch.nn.functional.pad(target, (0, NUMBERS - 384))
    stages = [torch.randn(6, c, 4, 4) for c in STAGE_CHANNELS]
    person = torch.full((6,), NOBODY)
    terms = identity_losses(learner, numbers, stages, target, stages, person, 0.5)
    assert all(abs(float(term)) < 1e-5 for term in terms.values()), terms
    mixed = identity_losses(learner, numbers.roll(1, 0), stages, target, stages, person, 0.5)
    assert mixed["vector"] > 3
    # Whose numbers are swapped all round are still as alike and unlike as before, but to others.
    turned = torch.linalg.qr(torch.randn(NUMBERS, NUMBERS))[0]
    rotated = identity_losses(learner, numbers @ turned, stages, target, stages, person, 0.5)
    assert rotated["vector"] > 3
    assert rotated["likeness"] < 1e-4


def test_a_known_person_is_pulled_to_the_own_prototype(learner):
    own = torch.nn.functional.normalize(learner.people.detach(), dim=1)
    stages = [torch.randn(4, c, 4, 4) for c in STAGE_CHANNELS]
    target = own[:4, :384]

    def people_term(person: list[int]) -> float:
        terms = identity_losses(learner, own[:4], stages, target, stages, torch.tensor(person), 1.0)
        return float(terms["people"].detach())

    assert people_term([0, 1, 2, 3]) < people_term([1, 2, 3, 0])
    assert people_term([NOBODY] * 4) == 0


def test_a_few_steps_learn(recipe, learner, taught):
    first, *_, last = taught(recipe, learner, batch_of(recipe, range(16)), 3e-3, 12)
    assert last["vector"] < 0.75 * first["vector"]
    assert last["stages"] < first["stages"]


def test_the_network_is_fast_and_its_losses_are_exact(recipe, learner, precisions):
    inside, given = precisions(recipe, learner, batch_of(recipe, range(4)), "identity_losses")
    assert inside == {torch.bfloat16}
    assert given == {torch.float32}


def test_validation_scores_the_better_network_higher(recipe, learner, faces, monkeypatch):
    """On faces whose people have a color each: numbers of the teachers against none."""
    rows = np.arange(len(faces.people))
    monkeypatch.setitem(recipe.__dict__, "_validation_rows", rows)
    with torch.no_grad():
        plain = recipe.validate(learner.eval())
    assert -1 <= plain["agreement"] < 0.5
    targets = torch.nn.functional.pad(torch.from_numpy(recipe._targets), (0, NUMBERS - 384))

    class Perfect(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.start = torch.nn.Parameter(torch.zeros(1)), 0

        def forward(self, x):
            # Called with a batch, then with its mirror images.
            start = self.start // 2
            self.start += len(x)
            batch = recipe_module._BATCH
            place = start // batch * batch
            return targets[place : place + len(x)]

    perfect = torch.nn.Module()
    perfect.network = Perfect()
    with torch.no_grad():
        best = recipe.validate(perfect)
    assert best["agreement"] == pytest.approx(1, abs=1e-4)
    assert best["score"] > plain["score"]
    assert best["accuracy"] > 0.9


def test_the_exported_network_is_the_one_that_learned(exported, recipe):
    learner, file = exported
    pictures = some_faces(recipe, 5)
    found = create_session(file, threads=1).run({"pixels": pictures})["identity"]
    with torch.no_grad():
        expected = PixelIdentity(learner.network)(torch.from_numpy(pictures)).numpy()
    assert found.shape == (5, NUMBERS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found * expected).sum(1).min() > 0.999
    numbers = Embedder(create_session(file, threads=1)).embed(pictures)
    assert numbers.shape == (5, NUMBERS)


def test_the_file_is_a_differentiable_network(exported, recipe):
    _, file = exported
    pictures = some_faces(recipe, 2)
    x = (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1).requires_grad_()
    frozen = FrozenIdentity(file.read_bytes())
    numbers = frozen(x)
    expected = create_session(file, threads=1).run({"pixels": pictures})["identity"]
    np.testing.assert_allclose(numbers.detach().numpy(), expected, atol=1e-4)
    (numbers[0] @ numbers[1]).backward()
    assert x.grad.abs().sum() > 0
    assert list(frozen.parameters()) == []


def test_training_goes_on_from_a_file(exported, recipe, learner):
    before, file = exported
    weights = recipe.weights_from(file)
    own = learner.state_dict()
    assert {name for name in own if name.startswith("network.")} == set(weights)
    learner.load_state_dict(own | weights)
    pictures = torch.from_numpy(some_faces(recipe, 5)).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        found, expected = (net.eval().network(pictures) for net in (learner, before))
    assert (found * expected).sum(1).min() > 0.998


def test_a_file_of_another_network_is_refused(recipe, tmp_path):
    file = tmp_path / "other.onnx"
    other = PixelIdentity(IdentityNetwork((4, 8, 16, 24)))
    example = torch.zeros(1, SIDE_PX, SIDE_PX, 3, dtype=torch.uint8)
    to_onnx(other, example, file, outputs=("identity",))
    with pytest.raises(InputError, match="another architecture"):
        recipe.weights_from(file)


def test_the_shipped_size_keeps_its_bounds():
    """12 MB in the package, in int8; 350 MMAC are what 15 ms allow."""
    network = IdentityNetwork()
    macs = []

    def count(module, inputs, output):
        macs.append(module.weight.numel() * output[0, 0].numel() if output.ndim == 4 else 0)

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        numbers = network.eval()(torch.zeros(1, 3, SIDE_PX, SIDE_PX))
    assert numbers.shape == (1, NUMBERS)
    assert sum(p.numel() for p in network.parameters()) < 11e6
    assert sum(macs) < 350e6
