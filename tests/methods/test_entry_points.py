"""A method that another package brings is a name like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sosie import UsageError, swap_image
from sosie.errors import UnavailableError
from sosie.methods import load_method, method_names

MODULE = """
import numpy as np
from sosie.methods.base import Card
from sosie.types import SwappedCrop

class White:
    card = Card("white", "paints faces white", "CC0", "none", None, None, drafts=0)
    providers = {}

    def __init__(self, options): pass
    def prepare(self, sources): return None
    def choose(self, prepared, crop, before=None): return 0
    def swap(self, prepared, crops):
        ones = [np.ones(crop.pixels.shape[:2], np.float32) for crop in crops]
        return [SwappedCrop(np.dstack([one] * 3), one, one) for one in ones]
"""


@pytest.fixture
def package(other_package: Callable[[str, str], None]) -> None:
    """Two files: a method is added by no more."""
    other_package(MODULE, "[sosie.methods]\nwhite = brought:White\nlost = brought:Absent\n")


@pytest.mark.usefixtures("package")
def test_a_method_of_another_package_swaps(hopper_path: Path, astronaut_path: Path) -> None:
    result = swap_image(hopper_path, astronaut_path, method="white")
    assert (result.image == 255).all(2).sum() > 2000
    assert result.report.method == "white"
    assert result.report.license == "CC0"
    assert np.array_equal(
        result.image[:40], swap_image(hopper_path, astronaut_path, method="mesh").image[:40]
    )


@pytest.mark.usefixtures("package")
def test_an_unknown_name_is_told_what_the_packages_have() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'white'"):
        load_method("whit")
    assert "white" in method_names()
    with pytest.raises(UnavailableError, match="of the package brought, cannot be loaded"):
        load_method("lost")


def test_without_the_package_there_is_no_such_method() -> None:
    with pytest.raises(UsageError, match="Unknown method 'white'"):
        load_method("white")
