"""What figures depend on is told, and what swaps depend on."""

from __future__ import annotations

from pathlib import Path

import pytest

from sosie.errors import UnavailableError
from sosie.evaluation import environment
from sosie.evaluation.environment import extra_packages, made_by, user_folder, weight_digests
from sosie.swapping.sameness import swap_code


def test_the_code_of_swaps_is_not_that_of_figures(monkeypatch):
    assert {"detector", "identity", "landmarks"} <= set(weight_digests())
    read, before = Path.read_bytes, made_by()
    parts = {"metrics/identity.py": False, "swapping/assignment.py": True, "generators.py": True}
    for part, changes in parts.items():
        with monkeypatch.context() as patch:
            changed = lambda p, end=part: read(p) + (b"#" if str(p).endswith(end) else b"")  # noqa: E731
            patch.setattr(Path, "read_bytes", changed)
            patch.setattr(environment, "swap_code", swap_code.__wrapped__)
            assert (made_by.__wrapped__() != before) is changes, part


def test_an_absent_package_of_the_extra_is_said():
    with pytest.raises(UnavailableError, match=r"jinja2.*eval"), extra_packages():
        raise ModuleNotFoundError("No module named 'jinja2'", name="jinja2")
    with pytest.raises(ModuleNotFoundError), extra_packages():
        raise ModuleNotFoundError("No module named 'sosi'", name="sosi")


def test_the_machine_is_named():
    assert {"system", "processor", "threads", "python", "sosie"} == set(environment.machine())


def test_the_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_folder() == tmp_path / "sosie" / "evaluation"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_folder() == tmp_path / "home" / ".cache" / "sosie" / "evaluation"
