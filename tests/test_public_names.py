"""What `import sosie` offers, and what it costs."""

from __future__ import annotations

import dataclasses

import pytest

import sosie

NAMES = {
    "Face",
    "FaceSwapper",
    "ImageResult",
    "InputError",
    "InterruptedSwapError",
    "NoFaceError",
    "OutputError",
    "Pose",
    "Preview",
    "PreviewFrame",
    "Progress",
    "ReenactOptions",
    "ReenactReport",
    "SosieError",
    "SwapOptions",
    "SwapReport",
    "SwapStream",
    "UnavailableError",
    "UsageError",
    "__version__",
    "preview",
    "reenact",
    "swap_image",
    "swap_video",
}


def test_the_public_names_are_exactly_these():
    assert set(sosie.__all__) == NAMES
    assert len(sosie.__all__) == len(NAMES)


@pytest.mark.parametrize("name", sorted(NAMES - {"__version__"}))
def test_every_public_name_is_there_documented_and_listed(name):
    value = getattr(sosie, name)
    assert value.__doc__
    assert value.__name__ == name
    assert name in dir(sosie)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'swap_picture'"):
        sosie.swap_picture  # noqa: B018


def test_errors_form_one_tree_with_the_exit_codes_of_the_command_line():
    codes = {name: getattr(sosie, name).exit_code for name in NAMES if name.endswith("Error")}
    assert codes == {
        "SosieError": 1,
        "InputError": 1,
        "OutputError": 1,
        "UnavailableError": 1,
        "UsageError": 2,
        "NoFaceError": 3,
        "InterruptedSwapError": 4,
    }
    assert all(issubclass(getattr(sosie, name), sosie.SosieError) for name in codes)


@pytest.mark.parametrize(
    "name", ["Face", "ImageResult", "Pose", "Preview", "PreviewFrame", "Progress", "SwapOptions"]
)
def test_records_are_frozen(name):
    record = getattr(sosie, name)
    assert dataclasses.is_dataclass(record)
    assert record.__dataclass_params__.frozen


def test_import_loads_nothing_but_the_package_itself(run_python):
    """The 0.3 s promised for `import sosie` are kept by what it does not load."""
    loaded = run_python(
        "import sys; before = set(sys.modules); import sosie;"
        "print(*sorted({name for name in set(sys.modules) - before}))"
    ).split()
    ours = {name for name in loaded if name.split(".")[0] == "sosie"}
    assert ours == {"sosie"}
    outside = {name.split(".")[0] for name in loaded} - {"sosie"}
    heavy = {"numpy", "cv2", "av", "PIL", "mediapipe", "onnxruntime", "torch", "typer", "rich"}
    assert not outside & heavy
    assert len(outside) < 30


def test_options_and_errors_need_no_array_library(run_python):
    loaded = run_python(
        "import sys, sosie; sosie.SwapOptions(); sosie.InputError;"
        "print('numpy' in sys.modules, 'cv2' in sys.modules)"
    )
    assert loaded.split() == ["False", "False"]


def test_an_error_is_one_line_whatever_it_quotes():
    """A damaged file's own words may hold anything, and any amount of it."""
    said = str(
        sosie.InputError("f.onnx is damaged (a\x00b\x1b[31m\n" + "x" * 10_000 + "): copy it again.")
    )
    assert said.isprintable()
    assert len(said) < 1500
    assert said.startswith("f.onnx is damaged (a\\x00b\\x1b[31m x")
    assert said.endswith("): copy it again.")
