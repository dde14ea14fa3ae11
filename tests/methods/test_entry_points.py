"""A method that another package brings is a name like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sosie import UsageError, swap_image
from sosie.errors import UnavailableError
from sosie.methods import load_method

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
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "white_method.py").write_text(MODULE)
    facts = tmp_path / "white_method-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: white-method\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[sosie.methods]\nwhite = white_method:White\nlost = white_method:Absent\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


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
    with pytest.raises(UnavailableError, match="white-method"):
        load_method("lost")


def test_without_the_package_there_is_no_such_method() -> None:
    with pytest.raises(UsageError, match="Unknown method 'white'"):
        load_method("white")
