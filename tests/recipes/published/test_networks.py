"""The table of published networks, on weights made here."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.errors import InputError, UsageError  # noqa: E402
from sosie.recipes.published.networks import (  # noqa: E402
    TABLE,
    candidates,
    find_published,
    load_published,
    networks_of,
    published_shapes,
    run_published,
    seems_to_be,
)

SMALL = "simswap_disc"


def state_of(name: str, value: float = 0.01) -> dict[str, np.ndarray]:
    return {key: np.full(shape, value) for key, shape in published_shapes(name).items()}


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_entry_states_what_is_to_be_known(name: str) -> None:
    entry = find_published(name)
    facts = (entry.method, entry.summary, entry.paper, entry.license)
    for text in (*facts, entry.value_range, entry.alignment, entry.embedding):
        assert text.strip() == text != ""
    assert entry.inputs
    assert entry.outputs
    assert name in networks_of(entry.method)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_name_stands_for_one_parameter(name: str) -> None:
    with torch.device("meta"):
        own = find_published(name).build().state_dict()
    assert len(published_shapes(name)) == len(own)


def test_values_arrive_where_their_names_say() -> None:
    state = state_of(SMALL)
    state["down1.0.bias"] = np.arange(64, dtype=np.float16)
    state["down1.0.weight"] *= 0
    network = load_published(SMALL, state)
    first = run_published(network, [np.zeros((2, 3, 224, 224))])[0]
    assert first.shape == (2, 64, 112, 112)
    assert first.dtype == np.float32
    assert (first == np.arange(64).reshape(1, 64, 1, 1)).all()


def test_what_is_loaded_is_a_copy() -> None:
    state = state_of(SMALL)
    for value in state.values():
        value.setflags(write=False)
    network = load_published(SMALL, state)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(7)
    assert all((value == 0.01).all() for value in state.values())
    assert not network.training


def test_a_file_of_another_network_is_told_by_name() -> None:
    state = state_of("arcface_iresnet18")
    with pytest.raises(InputError, match=r"seems to be arcface_iresnet18; name the file"):
        load_published(SMALL, state)
    less = dict(list(state.items())[5:])
    with pytest.raises(InputError, match=r"most like arcface_iresnet18, of which it has 97%"):
        load_published(SMALL, less)


def test_what_is_no_network_of_ours_is_told_by_its_first_names() -> None:
    with pytest.raises(InputError, match=r"no network that Sosie knows \(it begins with a, b\)"):
        load_published(SMALL, {"a": np.zeros(1), "b": np.zeros(1)})
    assert seems_to_be({}) == "it holds no weights"


def test_networks_of_one_layout_are_both_named() -> None:
    shapes = published_shapes("simswap224_official")
    assert candidates(shapes) == ["simswap224_official", "simswap_train_fix"]
    assert seems_to_be(shapes).endswith("simswap224_official or simswap_train_fix")


def test_unknown_names_are_told_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'blendswap'"):
        find_published("blendswp")
    with pytest.raises(UsageError, match="did you mean 'simswap'"):
        networks_of("simswp")
