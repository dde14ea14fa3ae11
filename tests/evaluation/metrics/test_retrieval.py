from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sosie.evaluation.metric import Missing, MissingFigureError, SampleFeatures, Settings
from sosie.evaluation.metrics.retrieval import RETRIEVAL

PEOPLE = 12
AXES = np.eye(PEOPLE, dtype=np.float32)


def pair(number, result, network="sosie", **more):
    """Person `number` is put onto the next one; `result` is the result's vector."""
    onto = (number + 1) % PEOPLE
    vectors = {
        f"source.identity.{network}": AXES[number],
        f"target.identity.{network}": AXES[onto],
    }
    if result is not None:
        vectors[f"result.identity.{network}"] = np.asarray(result, np.float32)
    vectors |= {f"{name}.identity.{network}": v for name, v in more.items() if name == "other"}
    return SampleFeatures(
        f"p{number}", f"{number}.png", f"{onto}.png", str(number), str(onto), "", vectors
    )


def ranks(found, name="retrieval_rank"):
    return [found.by_pair[name][f"p{n}"] for n in range(PEOPLE)]


def test_perfect_swaps_are_all_found():
    found = RETRIEVAL.measure([pair(n, AXES[n]) for n in range(PEOPLE)], Settings())
    assert found.values["retrieval_top1"] == found.values["retrieval_top5"] == 100
    assert found.values["nearer_source"] == 100
    assert ranks(found) == [1] * PEOPLE


def test_untouched_targets_are_never_found_first():
    found = RETRIEVAL.measure([pair(n, AXES[(n + 1) % PEOPLE]) for n in range(PEOPLE)], Settings())
    assert found.values["retrieval_top1"] == found.values["nearer_source"] == 0


def test_the_rank_counts_people_who_are_more_alike():
    likeness = np.linspace(1, 0, PEOPLE)  # of person 0, 1, 2 ...
    found = RETRIEVAL.measure([pair(n, likeness) for n in range(PEOPLE)], Settings())
    assert ranks(found) == list(range(1, PEOPLE + 1))
    assert found.values["retrieval_top1"] == pytest.approx(100 / PEOPLE)
    assert found.values["retrieval_top5"] == pytest.approx(500 / PEOPLE)


def test_a_tie_is_no_hit():
    found = RETRIEVAL.measure([pair(n, np.ones(PEOPLE)) for n in range(PEOPLE)], Settings())
    assert found.values["retrieval_top1"] == 0


def test_a_result_without_a_face_counts_as_not_found():
    pairs = [pair(n, None if n == 0 else AXES[n]) for n in range(PEOPLE)]
    found = RETRIEVAL.measure(pairs, Settings())
    share = pytest.approx(100 * (PEOPLE - 1) / PEOPLE)
    assert found.values["retrieval_top1"] == found.values["nearer_source"] == share
    assert isinstance(ranks(found)[0], Missing)


def test_every_network_has_its_own_variant():
    pairs = [pair(n, AXES[n]) for n in range(PEOPLE)]
    both = [
        replace(p, vectors={**p.vectors, **pair(n, AXES[(n + 1) % PEOPLE], "arc").vectors})
        for n, p in enumerate(pairs)
    ]
    found = RETRIEVAL.measure(both, Settings())
    assert found.values["retrieval_top1"] == 100
    assert found.values["retrieval_top1[arc]"] == 0
    assert ranks(found, "retrieval_rank[arc]") == [PEOPLE] * PEOPLE


def test_the_limit_is_what_second_photos_reach():
    photos = [pair(n, AXES[n], other=AXES[n if n % 2 else n - 1]) for n in range(PEOPLE)]
    found = RETRIEVAL.measure(photos, Settings())
    assert found.values["retrieval_limit"] == 50
    assert (
        "second photos"
        in RETRIEVAL.measure([pair(n, AXES[n]) for n in range(PEOPLE)], Settings())
        .values["retrieval_limit"]
        .reason
    )


def test_a_second_photo_is_not_compared_with_itself():
    photos = [pair(n, AXES[n], other=AXES[(n + 1) % PEOPLE]) for n in range(PEOPLE)]
    # The other photo of each source is the very picture of the next person: but for itself the
    # gallery has nothing like it, and all tie.
    itself = [replace(p, other=p.target) for p in photos]
    alone = RETRIEVAL.measure(itself, Settings()).values["retrieval_limit"]
    assert RETRIEVAL.measure(photos, Settings()).values["retrieval_limit"] == alone == 0
    found = RETRIEVAL.measure(
        [
            replace(p, other=p.source, vectors={**p.vectors, "other.identity.sosie": AXES[n]})
            for n, p in enumerate(photos)
        ],
        Settings(),
    )
    # Each person is in the gallery a second time, as the target of the pair before, by that name.
    assert found.values["retrieval_limit"] == 0


def test_few_people_and_no_faces_are_said():
    found = RETRIEVAL.measure([pair(n, AXES[n]) for n in range(4)], Settings())
    assert "at least 10 people; the set has 5" in found.values["retrieval_top1"].reason
    with pytest.raises(MissingFigureError, match="No source"):
        RETRIEVAL.measure([SampleFeatures("a", "s", "t", "s", "t")], Settings())


def test_describe_keeps_every_vector(swapped):
    vectors = RETRIEVAL.describe(swapped, Settings())
    assert set(vectors) == {f"{role}.identity.sosie" for role in ("source", "target", "result")}
    assert all(v.dtype == np.float32 and v.ndim == 1 for v in vectors.values())
