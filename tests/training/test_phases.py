"""Steps of several phases, and what becomes of a run that goes wrong."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from torch import nn  # noqa: E402

import sosie  # noqa: E402
from sosie.errors import OutputError, SosieError, UsageError  # noqa: E402
from sosie.training import checkpoint, loop  # noqa: E402
from sosie.training.checkpoint import load_tensors  # noqa: E402
from sosie.training.log import RunLog, grid  # noqa: E402
from sosie.training.loop import BEST, LOG, STATE, train  # noqa: E402
from sosie.training.optimizer_steps import LostTrainingError, Steps  # noqa: E402
from sosie.training.recipe import Phase, Plan  # noqa: E402

PLAN = Plan(samples=64, batch=4, lr=0.1, weight_decay=0.0, clip=1e9)


@pytest.fixture
def two():
    """A network of two parts, of which each wants what the other does not."""
    return nn.ModuleDict({"maker": nn.Linear(2, 1), "judge": nn.Linear(1, 1)})


def phases(**changes):
    def made(network, batch, progress):
        return {"made": network["judge"](network["maker"](batch["x"])).mean()}

    def judged(network, batch, progress):
        return {"judged": -network["judge"](network["maker"](batch["x"])).mean()}

    rule = {"steady": True} | changes
    return (Phase("make", made, ("maker",), **rule), Phase("judge", judged, ("judge",), **rule))


def copies(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_each_phase_moves_its_own_networks_alone(two):
    only_making = Steps(two, phases()[:1], PLAN)
    before = copies(two)
    terms = only_making.take([{"x": torch.ones(4, 2)}], 0.0)
    after = copies(two)
    assert set(terms) == {"make/made"}
    assert not torch.equal(before["maker.weight"], after["maker.weight"])
    assert torch.equal(before["judge.weight"], after["judge.weight"])
    assert all(p.requires_grad for p in two.parameters())
    both = Steps(two, phases(), PLAN)
    assert set(both.take([{"x": torch.ones(4, 2)}], 0.0)) == {"make/made", "judge/judged"}
    assert not torch.equal(after["judge.weight"], two.state_dict()["judge.weight"])


def test_a_phase_rests_in_steps_that_are_not_its_turn(two):
    making, judging = phases()
    judging = dataclasses.replace(judging, due=lambda progress: progress < 0.5)
    steps = Steps(two, (making, judging), PLAN)
    assert "judge/judged" in steps.take([{"x": torch.ones(4, 2)}], 0.4)
    before = copies(two)
    assert set(steps.take([{"x": torch.ones(4, 2)}], 0.5)) == {"make/made"}
    after = copies(two)
    assert torch.equal(before["judge.weight"], after["judge.weight"])
    assert not torch.equal(before["maker.weight"], after["maker.weight"])


def test_a_phase_whose_network_is_not_there(two):
    phase = dataclasses.replace(phases()[0], trains=("critic",))
    with pytest.raises(UsageError, match="trains critic, which the network lacks"):
        Steps(two, (phase,), PLAN)


def test_a_batch_in_parts_gives_the_same_step(two):
    x = torch.randn(8, 2)
    first = copies(two)
    whole = Steps(two, phases(decoupled=False), PLAN).take([{"x": x}], 0.0)
    expected = copies(two)
    two.load_state_dict(first)
    parts = Steps(two, phases(decoupled=False), PLAN).take([{"x": x[:4]}, {"x": x[4:]}], 0.0)
    for name, value in two.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert parts == pytest.approx(whole, rel=1e-5)


def test_a_steady_rate_stays_and_another_follows_the_plan(two):
    steady, moving = (Steps(two, phases(steady=kind), PLAN) for kind in (True, False))
    for steps in (steady, moving):
        steps.take([{"x": torch.ones(4, 2)}], 0.9)
    assert steady.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1)
    assert moving.optimizers[0].param_groups[0]["lr"] < 0.01


def test_statistics_that_are_no_numbers_end_it_at_once():
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))
    steps = Steps(network, (Phase("", lambda n, b, p: {"x": n(b["x"]).mean()}),), PLAN)
    with pytest.raises(LostTrainingError, match="running_mean holds no numbers"):
        steps.take([{"x": torch.full((4, 2), math.nan)}], 0.0)


# What becomes of a run.


@pytest.fixture
def short(brightness):
    return dataclasses.replace(brightness.plan, samples=240, validate_every=80)


def entries(run, key):
    log = [json.loads(line) for line in (run / LOG).read_text().splitlines()]
    return [entry for entry in log if key in entry]


def test_losses_that_stay_no_numbers_end_the_run_in_clear_words(
    recipe_that, short, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "_SAVE_EVERY_S", 0.0)

    def losses(self, network, batch, progress):
        terms = super(type(self), self).losses(network, batch, progress)
        return {k: v * (math.nan if progress >= 0.5 else 1.0) for k, v in terms.items()}

    words = r"came to nothing after 1\d\d samples.*last good state.*lower rate.*--set lr=0\.005"
    with pytest.raises(SosieError, match=words):
        train(recipe_that(losses=losses), short, tmp_path)
    for file in (STATE, BEST):
        tensors, _ = load_tensors(tmp_path / file)
        assert all(torch.isfinite(v).all() for v in tensors.values() if v.is_floating_point())


def test_a_full_disk_leaves_the_last_state(recipe_that, short, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_SAVE_EVERY_S", 0.0)
    real, left = checkpoint.save_file, [8]

    def save(tensors, file, metadata):
        left[0] -= 1
        if left[0] < 0:
            file.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(tensors, file, metadata)

    monkeypatch.setattr(checkpoint, "save_file", save)
    with pytest.raises(OutputError, match=r"No space left on device.*make room.*--resume"):
        train(recipe_that(), short, tmp_path)
    kept = load_tensors(tmp_path / STATE)[1]["step"]
    assert kept > 0
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    monkeypatch.setattr(checkpoint, "save_file", real)
    train(recipe_that(), short, tmp_path, resume=True)
    assert load_tensors(tmp_path / STATE)[1]["step"] == 30


def test_previews_are_kept(recipe_that, short, tmp_path):
    import cv2
    import numpy as np

    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    recipe = recipe_that(preview=lambda self, network: grid([[red, red]]))
    train(recipe, short, tmp_path)
    found = sorted((tmp_path / "previews").iterdir())
    assert [file.name for file in found] == ["000000080.png", "000000160.png", "000000240.png"]
    picture = cv2.imread(str(found[0]))
    assert picture.shape == (4, 8, 3)
    assert picture[0, 0].tolist() == [0, 0, 255]


def test_the_log_tells_speed_and_waiting(recipe_that, short, tmp_path):
    train(recipe_that(), short, tmp_path)
    last = entries(tmp_path, "rate")[-1]
    assert last["rate"] > 0
    assert 0 <= last["waiting"] <= 1


def test_entries_that_come_again_are_not_twice_in_the_log(tmp_path):
    run_log = RunLog(tmp_path, None)
    for samples in (8, 16, 24):
        run_log.note(samples, {"rate": 1.0})
    with (tmp_path / LOG).open("a") as log:
        log.write('{"samples": 32, "ra')
    RunLog(tmp_path, 16).note(24, {"rate": 2.0})
    assert [(e["samples"], e["rate"]) for e in entries(tmp_path, "rate")] == [
        (8, 1.0), (16, 1.0), (24, 2.0),
    ]  # fmt: skip


_SCRIPT = """
import dataclasses, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.fixtures.training import BrightnessRecipe
from sosie.training import loop
from sosie.training.recipe import Materials
loop._SAVE_EVERY_S = 0.0
place = Path(sys.argv[1])
recipe = BrightnessRecipe(Materials(place, place, place / "cache", 0))
plan = dataclasses.replace(recipe.plan, samples=1200, validate_every=160)
loop.train(recipe, plan, place / "run", resume="--resume" in sys.argv)
"""


def started(tmp_path, place, *words, launcher=()):
    script = tmp_path / "train.py"
    script.write_text(_SCRIPT.format(root=str(Path(__file__).parents[2])))
    env = {**os.environ, "PYTHONPATH": str(Path(sosie.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    place.mkdir(exist_ok=True)
    command = [sys.executable, *launcher, str(script), str(place), *words]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(tmp_path):
    whole = started(tmp_path, tmp_path / "whole")
    with started(tmp_path, tmp_path / "killed") as process:
        state, until = tmp_path / "killed" / "run" / STATE, time.monotonic() + 120
        while not state.exists() and time.monotonic() < until:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    stopped_at = load_tensors(state)[1]["step"]
    assert 0 < stopped_at < 150
    with started(tmp_path, tmp_path / "killed", "--resume") as process:
        assert process.wait(120) == 0, process.stderr.read()
    with whole:
        assert whole.wait(120) == 0, whole.stderr.read()
    for file in (STATE, BEST):
        expected, facts = load_tensors(tmp_path / "whole" / "run" / file)
        found, resumed = load_tensors(tmp_path / "killed" / "run" / file)
        assert facts == resumed
        assert all(torch.equal(value, found[name]) for name, value in expected.items())
    figures = [
        [entry["figures"] for entry in entries(tmp_path / name / "run", "figures")]
        for name in ("whole", "killed")
    ]
    assert figures[0] == figures[1]


def test_two_processes_share_a_batch(tmp_path):
    """By torchrun, on the processor: both hold the weights of the mean gradient."""
    pytest.importorskip("torch.distributed.run")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    with started(tmp_path, tmp_path / "several", launcher=launcher) as process:
        assert process.wait(200) == 0, process.stderr.read()
    tensors, facts = load_tensors(tmp_path / "several" / "run" / STATE)
    assert facts["step"] == 150
    figures = entries(tmp_path / "several" / "run", "figures")
    assert figures[-1]["figures"]["error"] < 0.5 * figures[0]["figures"]["error"]
    assert all(torch.isfinite(v).all() for v in tensors.values() if v.is_floating_point())
