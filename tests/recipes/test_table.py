"""The plan of a training, and the table of recipes."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from sosie import recipes
from sosie.errors import UnavailableError, UsageError
from sosie.training.recipe import Plan

PLAN = Plan(samples=1000, batch=10, lr=1e-3)


def test_settings_are_numbers_of_the_fields_own_kind():
    changed = PLAN.changed({"samples": "2e4", "lr": "3e-4", "seed": "7"})
    assert (changed.samples, changed.lr, changed.seed) == (20_000, 3e-4, 7)
    assert isinstance(changed.samples, int)
    assert changed.batch == PLAN.batch
    assert PLAN.changed({}) == PLAN


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bach": "4"}, "did you mean 'batch'?"),
        ({"lr": "fast"}, "lr must be a number, not 'fast'"),
        ({"batch": "0"}, "must be 1 or more"),
        ({"samples": "-5"}, "must be 1 or more"),
        ({"validate_every": "0"}, "must be 1 or more"),
        ({"samples": "inf"}, "samples must be a whole number"),
        ({"batch": "2.5"}, "batch must be a whole number"),
        ({"lr": "nan"}, "lr must be a number"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_wrong_usage(settings, words):
    with pytest.raises(UsageError) as caught:
        PLAN.changed(settings)
    assert words in str(caught.value)


def test_an_unknown_network_names_the_nearest():
    with pytest.raises(UsageError, match=r"did you mean 'landmarks'\?"):
        recipes.load_recipe("landmark")


@pytest.mark.parametrize("name", sorted(recipes.TABLE))
def test_every_recipe_can_be_loaded_and_tells_what_a_card_needs(name):
    pytest.importorskip("torch", exc_type=ImportError)
    from sosie.recipes import card

    recipe = recipes.load_recipe(name)
    assert recipe.name == name
    assert recipe.summary.endswith(".")
    data, teachers = card.origins(recipe.origins)
    assert data or teachers
    assert recipe.plan.changed({}) == recipe.plan


@pytest.mark.parametrize("package", ["torch", "safetensors", "onnx"])
def test_without_a_package_of_the_extra_it_is_named(monkeypatch, package):
    pytest.importorskip("torch", exc_type=ImportError)
    for name in [
        name for name in sys.modules if name.startswith(("sosie.recipes.", "sosie.training."))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with (
        pytest.raises(UnavailableError, match=rf"{package}.* `pip install '\.\[train\]'`"),
        recipes.extra_packages(),
    ):
        for name in ("sosie.training.export", "sosie.recipes.train"):
            import_module(name)


def test_a_part_of_an_absent_package_is_told_by_its_name():
    with (
        pytest.raises(UnavailableError, match="the package lightning_fabric, which"),
        recipes.extra_packages(),
    ):
        raise ImportError(name="lightning_fabric.plugins")


def test_a_package_that_lacks_a_library_is_told_with_the_reason():
    reason = "libsome.so.9: cannot open shared object file"
    with (
        pytest.raises(UnavailableError, match=r"torch cannot be loaded \(libsome"),
        recipes.extra_packages(),
    ):
        raise ImportError(reason, name="_C", path="/site-packages/torch/_C.so")


def test_a_fault_of_sosies_own_is_not_taken_for_an_absent_package():
    with pytest.raises(ModuleNotFoundError, match="nowhere"), recipes.extra_packages():
        import sosie.nowhere  # noqa: F401


def test_the_table_is_read_without_torch(run_python):
    loaded = run_python(
        "import sys, sosie.recipes, sosie.training.recipe, sosie.recipes.evaluate, "
        "sosie.app.cli; print('torch' in sys.modules, 'onnx' in sys.modules)"
    )
    assert loaded.split() == ["False", "False"]
