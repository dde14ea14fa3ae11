"""`sosie doctor` says what works because it tried it."""

from __future__ import annotations

import pytest

from sosie.app import checks
from sosie.errors import UnavailableError
from sosie.models import session


@pytest.fixture
def quick(monkeypatch):
    """The slow findings replaced, where a test is about others."""
    good = checks.Check("swap", "sample portraits", True, "1 face swapped in 1.0 s")
    monkeypatch.setattr(checks, "_sample_swap", lambda: good)


def findings(result, group):
    return {check["name"]: check for check in result.json["checks"] if check["group"] == group}


def test_a_sound_installation_is_exit_code_0(sosie):
    result = sosie("doctor", "--json")
    assert result.code == 0, result.out
    assert result.err == ""
    assert result.json["ok"] is True
    assert findings(result, "provider")["cpu"]["works"]
    encoders = findings(result, "encoder")
    assert encoders["libx264"]["works"]
    assert encoders["libx264"]["needed"]
    assert not encoders["libvpx-vp9"]["needed"]
    assert findings(result, "swap")["sample portraits"]["detail"].startswith("1 face swapped")
    assert set(findings(result, "package")) == set(checks.DEPENDENCIES)


def test_what_is_needed_and_broken_is_exit_code_1_with_the_remedy(sosie, quick, monkeypatch):
    def fail(encoder):
        error = RuntimeError("no")
        error.log = (16, encoder, "cannot load it\n")
        raise error

    monkeypatch.setattr(checks, "_encode_two_frames", fail)
    result = sosie("doctor")
    assert result.code == 1
    assert "BROKEN libx264" in result.out
    assert "libx264 does not work: run `pip install --force-reinstall av`." in result.out
    assert "no     libvpx-vp9              cannot load it\n" in result.out
    assert "libvpx-vp9 does not work" not in result.out


def test_a_provider_that_is_built_in_but_broken_is_no_fault(sosie, quick, monkeypatch):
    real = session.probe_provider

    def probe(name):
        if name == "cuda":
            raise UnavailableError("The provider 'cuda' did not start.")
        real(name)

    monkeypatch.setattr(session, "available_providers", lambda: ["cuda", "cpu"])
    monkeypatch.setattr(session, "probe_provider", probe)
    result = sosie("doctor", "--json")
    assert result.code == 0
    cuda = findings(result, "provider")["cuda"]
    assert (cuda["works"], cuda["detail"]) == (False, "The provider 'cuda' did not start.")


def test_a_missing_package_is_found(sosie, quick, monkeypatch):
    monkeypatch.setattr(checks, "DEPENDENCIES", ("numpy", "no-such-package"))
    result = sosie("doctor", "--json")
    assert result.code == 1
    missing = findings(result, "package")["no-such-package"]
    assert missing["works"] is False
    assert missing["remedy"] == "run `pip install no-such-package`"


def test_another_make_of_a_package_will_do(sosie, quick, monkeypatch):
    """Those of ONNX Runtime must not be installed beside one another."""
    monkeypatch.setattr(checks, "DEPENDENCIES", ("onnxruntime",))
    monkeypatch.setattr(checks, "_OTHER_MAKES", {"onnxruntime": ("no-such-make", "numpy")})
    own = checks.metadata.version

    def version(name):
        if name == "onnxruntime":
            raise checks.metadata.PackageNotFoundError
        return own(name)

    monkeypatch.setattr(checks.metadata, "version", version)
    result = sosie("doctor", "--json")
    assert result.code == 0
    found = findings(result, "package")["onnxruntime"]
    assert (found["works"], found["detail"]) == (True, f"{own('numpy')} (numpy)")


def test_a_swap_that_fails_is_found(sosie, monkeypatch):
    from sosie import pipeline

    def fail(*_):
        raise RuntimeError("the library is broken")

    monkeypatch.setattr(pipeline, "swap_image", fail)
    result = sosie("doctor")
    assert result.code == 1
    assert "the library is broken" in result.out
