"""The training loop: it learns, it goes on where it stopped, and it keeps the best."""

from __future__ import annotations

import dataclasses
import json
import math
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from safetensors.torch import save  # noqa: E402

from sosie.errors import InputError, InterruptedTrainingError, UsageError  # noqa: E402
from sosie.training.checkpoint import load_tensors, save_tensors  # noqa: E402
from sosie.training.loop import BEST, LOG, STATE, train  # noqa: E402


@pytest.fixture
def short(brightness):
    """A plan of 12 steps."""
    return dataclasses.replace(brightness.plan, samples=96, validate_every=32)


def entries(run, key):
    log = [json.loads(line) for line in (run / LOG).read_text().splitlines()]
    return [entry for entry in log if key in entry]


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def stopping_in(step, times=1):
    """Losses during which, in a certain step (counted from 1), Ctrl-C is pressed."""
    left = [step]

    def losses(self, network, batch, progress):
        left[0] -= 1
        for _ in range(times if left[0] == 0 else 0):
            signal.raise_signal(signal.SIGINT)
        return super(type(self), self).losses(network, batch, progress)

    return losses


def test_a_network_learns(brightness, materials, tmp_path):
    recipe = brightness(materials)
    best = train(recipe, recipe.plan, tmp_path / "run")
    assert recipe.prepared == 1
    errors = [entry["figures"]["error"] for entry in entries(tmp_path / "run", "figures")]
    assert len(errors) == 4
    assert errors[-1] < 0.5 * errors[0]
    assert errors[-1] < 0.06
    tensors, facts = load_tensors(best)
    assert best == tmp_path / "run" / BEST
    assert facts["figures"]["error"] == min(errors)
    network = recipe.network()
    network.load_state_dict(tensors)
    with torch.no_grad():
        assert recipe.validate(network.eval()) == facts["figures"]


def test_a_second_ctrl_c_stops_at_once(recipe_that, short, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(recipe_that(losses=stopping_in(3, times=2)), short, tmp_path)
    assert not (tmp_path / STATE).exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_other_requests_to_stop_are_as_ctrl_c(recipe_that, short, tmp_path, name):
    number = getattr(signal, name)

    def losses(self, network, batch, progress):
        signal.raise_signal(number)
        return super(type(self), self).losses(network, batch, progress)

    usual = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(InterruptedTrainingError, match=r"after 8 samples"):
            train(recipe_that(losses=losses), short, tmp_path)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, usual)
    assert (tmp_path / STATE).exists()


def test_a_thread_of_its_own_can_train(recipe_that, short, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train, recipe_that(), short, tmp_path).result().is_file()


@pytest.mark.parametrize("step", [1, 2, 4, 5, 11, 12])
def test_a_run_that_stopped_ends_as_if_it_had_not(recipe_that, short, tmp_path, step):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(recipe_that(), short, whole)
    with pytest.raises(InterruptedTrainingError, match=f"after {step * 8} samples.*--resume") as e:
        train(recipe_that(losses=stopping_in(step)), short, parts)
    assert e.value.exit_code == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    # What other code draws meanwhile must not matter.
    torch.rand(3)
    train(recipe_that(), short, parts, resume=True)
    for file in (STATE, BEST):
        expected, facts = load_tensors(whole / file)
        found, resumed = load_tensors(parts / file)
        assert equal(expected, found)
        assert facts == resumed


def test_samples_do_not_depend_on_who_makes_them(brightness, materials, short, tmp_path):
    alone = brightness(materials)
    apart = brightness(dataclasses.replace(materials, workers=1))
    plan = dataclasses.replace(short, samples=32)
    train(alone, plan, tmp_path / "a")
    train(apart, plan, tmp_path / "b")
    assert equal(load_tensors(tmp_path / "a" / STATE)[0], load_tensors(tmp_path / "b" / STATE)[0])


def test_the_seed_decides(recipe_that, short, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(recipe_that(), dataclasses.replace(short, seed=seed), tmp_path / name)
    a, b, c = (load_tensors(tmp_path / name / STATE)[0] for name in "abc")
    assert equal(a, b)
    assert not equal(a, c)


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(recipe_that, short, tmp_path):
    train(recipe_that(), short, tmp_path)
    before = load_tensors(tmp_path / STATE)
    best = train(recipe_that(), short, tmp_path, resume=True)
    after = load_tensors(tmp_path / STATE)
    assert best.is_file()
    assert equal(before[0], after[0])
    assert before[1] == after[1]


def test_the_best_snapshot_is_kept_and_not_the_last(recipe_that, short, tmp_path):
    scores = iter([1.0, 3.0, 2.0])
    recipe = recipe_that(validate=lambda self, network: {"score": next(scores)})
    _, facts = load_tensors(train(recipe, short, tmp_path))
    assert facts.pop("plan")["batch"] == 8
    assert facts == {"name": "brightness", "samples": 64, "figures": {"score": 3.0}}


def test_a_better_score_before_the_stop_is_not_forgotten(recipe_that, short, tmp_path):
    first = iter([3.0])
    recipe = recipe_that(
        validate=lambda self, network: {"score": next(first)}, losses=stopping_in(5)
    )
    with pytest.raises(InterruptedTrainingError):
        train(recipe, short, tmp_path)
    worse = recipe_that(validate=lambda self, network: {"score": 2.0})
    _, facts = load_tensors(train(worse, short, tmp_path, resume=True))
    assert facts["samples"] == 32


def test_a_step_that_is_no_number_changes_nothing(recipe_that, short, tmp_path):
    def losses(self, network, batch, progress):
        terms = super(type(self), self).losses(network, batch, progress)
        factor = math.nan if progress >= 0.5 else 1.0
        return {name: term * factor for name, term in terms.items()}

    plan = dataclasses.replace(short, samples=48)
    train(recipe_that(), plan, tmp_path / "half")
    train(recipe_that(losses=losses), short, tmp_path / "whole")
    weights, _ = load_tensors(tmp_path / "whole" / STATE)
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_weights_decay_but_biases_and_norms_do_not(recipe_that, short, tmp_path):
    def losses(self, network, batch, progress):
        return {"nothing": 0.0 * sum(p.sum() for p in network.parameters())}

    plan = dataclasses.replace(short, weight_decay=1.0, lr=0.1)
    recipe = recipe_that(losses=losses)
    torch.manual_seed(plan.seed)
    before = dict(recipe.network().named_parameters())
    train(recipe, plan, tmp_path)
    after, _ = load_tensors(tmp_path / STATE)
    for name, value in before.items():
        change = after[f"network/{name}"] - value.detach()
        if value.ndim > 1:
            assert after[f"network/{name}"].norm() < 0.9 * value.detach().norm()
        else:
            assert change.abs().max() == 0


def test_the_gradient_is_clipped(recipe_that, short, tmp_path):
    """With plain averages off, a huge loss must not move weights further than a small one."""

    def losses(self, network, batch, progress):
        terms = super(type(self), self).losses(network, batch, progress)
        return {name: term * 1e6 for name, term in terms.items()}

    seen = []

    class Watch(torch.optim.AdamW):
        def step(self, *args, **kwargs):
            grads = [p.grad for group in self.param_groups for p in group["params"]]
            seen.append(float(torch.stack([g.norm() for g in grads]).norm()))
            return super().step(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "AdamW", Watch)
        train(recipe_that(losses=losses), dataclasses.replace(short, clip=0.5), tmp_path)
    assert len(seen) == 12
    assert max(seen) <= 0.5001


def test_the_averaged_weights_are_judged(recipe_that, short, tmp_path):
    train(recipe_that(), dataclasses.replace(short, ema=0.0), tmp_path / "off")
    train(recipe_that(), dataclasses.replace(short, ema=0.99), tmp_path / "on")
    for name, same in (("off", True), ("on", False)):
        state, _ = load_tensors(tmp_path / name / STATE)
        pairs = [
            (state[key], state["average/" + key.removeprefix("network/")])
            for key in state
            if key.startswith("network/") and key.endswith("weight")
        ]
        assert all(torch.allclose(a, b) for a, b in pairs) is same
    best, facts = load_tensors(tmp_path / "on" / BEST)
    if facts["samples"] == 96:
        assert all(torch.equal(best[key], state[f"average/{key}"]) for key in best)


def test_progress_runs_from_0_to_1_and_is_reported(recipe_that, short, tmp_path):
    seen, reports = [], []

    def losses(self, network, batch, progress):
        seen.append(progress)
        return super(type(self), self).losses(network, batch, progress)

    train(recipe_that(losses=losses), short, tmp_path, on_progress=reports.append)
    np.testing.assert_allclose(seen, np.arange(12) / 12)
    last = reports[-1]
    assert (last.samples, last.total) == (96, 96)
    assert last.rate > 0
    assert set(last.losses) == {"difference"}
    assert set(last.figures) == {"score", "error"}


def test_batches_are_whole(recipe_that, short, tmp_path):
    sizes = []

    def losses(self, network, batch, progress):
        sizes.append(len(batch["pixels"]))
        return super(type(self), self).losses(network, batch, progress)

    train(recipe_that(losses=losses), dataclasses.replace(short, samples=20), tmp_path)
    assert sizes == [8, 8, 8]


# Where a run begins.


def test_weights_to_begin_with_are_taken_where_they_fit(recipe_that, short, tmp_path):
    taken = {"5.bias": torch.tensor([7.0]), "5.weight": torch.zeros(3, 3), "other": torch.ones(1)}
    plan = dataclasses.replace(short, samples=8, lr=0.0)
    train(recipe_that(), plan, tmp_path, start=taken)
    state, _ = load_tensors(tmp_path / STATE)
    assert state["network/5.bias"] == 7
    assert state["average/5.bias"] == 7
    assert state["network/5.weight"].shape == (1, 16)


def test_weights_of_which_none_fits_are_refused(recipe_that, short, tmp_path):
    with pytest.raises(InputError, match="None of the weights to start from fits"):
        train(recipe_that(), short, tmp_path, start={"5.weight": torch.zeros(3, 3)})


def test_a_folder_with_a_run_is_not_overwritten(recipe_that, short, tmp_path):
    train(recipe_that(), short, tmp_path)
    before = (tmp_path / STATE).read_bytes()
    with pytest.raises(UsageError, match="holds a run already: give --resume"):
        train(recipe_that(), short, tmp_path)
    assert (tmp_path / STATE).read_bytes() == before


def test_nothing_to_resume(recipe_that, short, tmp_path):
    with pytest.raises(InputError, match="leave --resume out"):
        train(recipe_that(), short, tmp_path, resume=True)


def test_a_run_is_not_resumed_with_another_plan(recipe_that, short, tmp_path):
    train(recipe_that(), short, tmp_path)
    other = dataclasses.replace(short, lr=0.5, batch=4)
    with pytest.raises(UsageError, match=r"another plan \(batch, lr differ\)"):
        train(recipe_that(), other, tmp_path, resume=True)


def test_a_run_of_an_older_version_is_resumed(recipe_that, short, tmp_path):
    """Its plan lacks what that version did not know; it went by what is now the default."""
    train(recipe_that(), dataclasses.replace(short, samples=16), tmp_path)
    tensors, facts = load_tensors(tmp_path / STATE)
    facts["plan"]["samples"] = short.samples
    for name in ("accumulate", "clip"):
        del facts["plan"][name]
    save_tensors(tmp_path / STATE, tensors, facts)
    with pytest.raises(UsageError, match=r"another plan \(clip differ\)"):
        train(recipe_that(), dataclasses.replace(short, clip=7.0), tmp_path, resume=True)
    train(recipe_that(), short, tmp_path, resume=True)
    assert load_tensors(tmp_path / STATE)[1]["step"] * short.batch >= short.samples


def test_a_damaged_state_is_refused(recipe_that, short, tmp_path):
    train(recipe_that(), short, tmp_path)
    path = tmp_path / STATE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        train(recipe_that(), short, tmp_path, resume=True)


# What a run leaves on disk.


def without(key):
    return lambda tensors, facts: facts.pop(key)


TAMPERED = {
    "no step": without("step"),
    "no plan": without("plan"),
    "a step of text": lambda tensors, facts: facts.update(step="x"),
    "a best of null": lambda tensors, facts: facts.update(best=None),
    "a plan of a list": lambda tensors, facts: facts.update(plan=[1]),
    "a name of one part": lambda tensors, facts: tensors.update(weight=torch.zeros(1)),
    "no tensors": lambda tensors, facts: tensors.clear(),
    "other shapes": lambda tensors, facts: tensors.update(
        {name: value[..., None] for name, value in tensors.items() if name[:4] == "netw"}
    ),
    "other shapes of the optimizer": lambda tensors, facts: tensors.update(
        {name: torch.ones(7) for name in tensors if name.endswith("exp_avg")}
    ),
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED.keys())
def test_a_state_that_was_changed_is_refused(recipe_that, short, tmp_path, change):
    train(recipe_that(), short, tmp_path)
    tensors, facts = load_tensors(tmp_path / STATE)
    change(tensors, facts)
    save_tensors(tmp_path / STATE, tensors, facts)
    with pytest.raises(InputError, match="does not fit this training"):
        train(recipe_that(), short, tmp_path, resume=True)


def test_a_log_that_was_changed_is_kept_as_far_as_it_can_be_read(recipe_that, short, tmp_path):
    train(recipe_that(), short, tmp_path)
    whole = (tmp_path / LOG).read_bytes()
    (tmp_path / LOG).write_bytes(b"[" * 100_000 + b"\n\xff\xfe\n" + whole)
    train(recipe_that(), short, tmp_path, resume=True)
    assert entries(tmp_path, "figures")


def test_tensors_and_facts_come_back(tmp_path):
    file = tmp_path / "a.safetensors"
    tensors = {"x": torch.arange(6.0).reshape(2, 3).t(), "n": torch.tensor(3)}
    facts = {"name": "é", "figures": {"score": -0.25}, "list": [1, None]}
    save_tensors(file, tensors, facts)
    found, told = load_tensors(file)
    assert equal(found, tensors)
    assert told == facts
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\x08\0\0\0\0\0\0\0{}      "])
def test_another_file_is_no_snapshot(tmp_path, content):
    file = tmp_path / "a.safetensors"
    file.write_bytes(content)
    with pytest.raises(InputError, match="not a file of a training run, or it is damaged"):
        load_tensors(file)


@pytest.mark.parametrize("facts", ["[]", "1", "null", "{", "[" * 100_000, '{"a":' * 100_000])
def test_facts_of_another_form_are_refused(tmp_path, facts):
    file = tmp_path / "a.safetensors"
    file.write_bytes(save({"x": torch.ones(1)}, {"facts": facts}))
    with pytest.raises(InputError, match="not a file of a training run, or it is damaged"):
        load_tensors(file)


def test_an_absent_snapshot_is_named(tmp_path):
    with pytest.raises(InputError, match=r"There is no .*gone\.safetensors"):
        load_tensors(tmp_path / "gone.safetensors")


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    from sosie.training import checkpoint

    file = tmp_path / "a.safetensors"
    save_tensors(file, {"x": torch.ones(2)}, {"n": 1})

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_tensors(file, {"x": torch.zeros(2)}, {"n": 2})
    assert load_tensors(file)[1] == {"n": 1}
