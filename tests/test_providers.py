"""Every network runs where it was asked to, or an error says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sosie import FaceSwapper, UnavailableError, UsageError, swap_image
from sosie.models import session
from sosie.models.session import Session, available_providers, recorded_runs
from sosie.models.zoo import open_network

NETWORKS = {"detector", "landmarks", "identity", "parser", "swap"}

needs_openvino = pytest.mark.skipif(
    "openvino" not in available_providers(),
    reason="needs the OpenVINO build of ONNX Runtime: make test-openvino",
)


def test_the_report_says_where_each_network_ran(hopper_path: Path, astronaut_path: Path) -> None:
    report = swap_image(hopper_path, astronaut_path, reference=astronaut_path).report
    assert report.networks == dict.fromkeys(NETWORKS, "cpu")
    plain = swap_image(hopper_path, astronaut_path, method="mesh").report
    assert set(plain.networks) == NETWORKS - {"swap"}


def test_a_network_is_opened_once_for_a_provider() -> None:
    assert open_network("identity", threads=1) is open_network("identity", threads=1)
    assert open_network("identity", threads=2) is not open_network("identity", threads=1)
    with recorded_runs():
        assert open_network("identity", threads=1) is not open_network("identity", threads=1)


@pytest.fixture
def broken_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """An accelerator that is built in, and starts for no network."""
    real = session._open

    def open_on(model: Any, provider: str, *rest: Any) -> Session:
        if provider == "cuda":
            raise UnavailableError("The provider 'cuda' did not run the network.")
        return real(model, provider, *rest)

    monkeypatch.setattr(session, "available_providers", lambda: ["cuda", "cpu"])
    monkeypatch.setattr(session, "_open", open_on)


@pytest.mark.usefixtures("broken_accelerator")
def test_nothing_falls_back_to_the_processor_unless_asked(
    hopper_path: Path, astronaut_path: Path
) -> None:
    with pytest.raises(UnavailableError, match="'cuda' did not run"):
        swap_image(hopper_path, astronaut_path, provider="cuda")
    report = swap_image(hopper_path, astronaut_path, provider="auto").report
    assert set(report.networks.values()) == {"cpu"}


def test_an_unknown_provider_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"did you mean 'auto'"):
        FaceSwapper(tmp_path / "absent.jpg", provider="aut")


@needs_openvino
@pytest.mark.parametrize("method", ["graft", "mesh"])
def test_the_whole_product_on_openvino(
    method: str, hopper_path: Path, astronaut_path: Path, tmp_path: Path
) -> None:
    """Photo, video and stream: every network runs there, with equal results within rounding."""
    import av

    here, there = (
        FaceSwapper(hopper_path, method=method, provider=name, codec="ffv1", reference=None)
        for name in ("cpu", "openvino")
    )
    photos = [one.image(astronaut_path) for one in (here, there)]
    assert set(photos[1].report.networks.values()) == {"openvino"}
    require_alike(photos[0].image, photos[1].image)

    frame = np.ascontiguousarray(here.image(astronaut_path).image[:384, :384])
    video = tmp_path / "in.mkv"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 384, 384, "bgr0"
        for number in range(6):
            moved = np.ascontiguousarray(np.roll(frame, 2 * number, 1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, "rgb24")))
        container.mux(stream.encode())
    reports = [one.video(video, tmp_path / f"{k}.mkv") for k, one in enumerate((here, there))]
    assert set(reports[1].networks.values()) == {"openvino"}
    assert reports[0].swapped_frames == reports[1].swapped_frames == 6
    made = [decoded(tmp_path / f"{k}.mkv") for k in (0, 1)]
    for one, other in zip(*made, strict=True):
        require_alike(one, other)

    pushed = [one.stream(10).push(frame) for one in (here, there)]
    assert pushed[0] is not None
    assert pushed[1] is not None
    require_alike(pushed[0], pushed[1])


@needs_openvino
def test_identities_on_openvino(hopper_path: Path, astronaut_path: Path) -> None:
    report = swap_image(
        hopper_path, astronaut_path, reference=astronaut_path, provider="openvino"
    ).report
    assert report.networks == dict.fromkeys(NETWORKS, "openvino")
    assert report.faces[0].similarity == pytest.approx(1, abs=0.01)


def require_alike(one: np.ndarray, other: np.ndarray) -> None:
    """Equal but for rounding, which may decide on which side of an edge single pixels lie."""
    apart = np.abs(one.astype(int) - other)
    assert apart.mean() < 0.05
    assert (apart > 2).mean() < 1e-3


def decoded(path: Path) -> list[np.ndarray]:
    import av

    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
