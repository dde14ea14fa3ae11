from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np

from sosie.datasets.extract.track_association import Linker

RNG = np.random.default_rng(0)
ANNA, BO, CY = (v / np.linalg.norm(v) for v in RNG.normal(size=(3, 512)).astype(np.float32))


def face(x, identity, size=100.0):
    """A face of that size with its middle at (x, 0), as far as linking looks at it."""
    noisy = identity + RNG.normal(size=512).astype(np.float32) * 0.02
    seen = SimpleNamespace(center=(float(x), 0.0), size_px=size)
    return SimpleNamespace(face=seen, identity=np.float32(noisy / np.linalg.norm(noisy)))


def test_faces_are_followed_by_place_and_identity():
    linker = Linker()
    assert linker.link(0, 0.0, [face(0, ANNA), face(300, BO)]) == [0, 1]
    assert linker.link(0, 0.2, [face(20, ANNA), face(280, BO)]) == [0, 1]
    # They pass one another: the order in the frame turns round, the people do not.
    assert linker.link(0, 0.4, [face(130, BO), face(160, ANNA)]) == [1, 0]
    assert linker.link(0, 0.6, [face(20, BO), face(280, ANNA)]) == [1, 0]


def test_another_person_in_the_same_place_is_another_track():
    linker = Linker()
    assert linker.link(0, 0.0, [face(0, ANNA)]) == [0]
    assert linker.link(0, 0.2, [face(0, BO)]) == [1]
    assert linker.link(0, 0.4, [face(0, ANNA), face(400, CY)]) == [0, 2]


def test_no_track_spans_a_cut_or_a_long_absence():
    linker = Linker()
    assert linker.link(0, 0.0, [face(0, ANNA)]) == [0]
    assert linker.link(1, 0.2, [face(0, ANNA)]) == [1]
    assert linker.link(1, 0.9, []) == []
    assert linker.link(1, 1.1, [face(0, ANNA)]) == [1]
    assert linker.link(1, 2.5, [face(0, ANNA)]) == [2]
    assert linker.alive == {2}


def test_a_face_neither_leaps_nor_grows_at_once():
    linker = Linker()
    assert linker.link(0, 0.0, [face(0, ANNA)]) == [0]
    assert linker.link(0, 0.2, [face(900, ANNA)]) == [1]
    assert linker.link(0, 0.4, [face(900, ANNA, size=250)]) == [2]


def test_a_linker_goes_on_from_what_was_written_down():
    frames = [[face(30 * k, ANNA), face(500 - 20 * k, BO)] for k in range(20)]
    whole = Linker()
    expected = [whole.link(0, k / 5, faces) for k, faces in enumerate(frames)]
    first = Linker()
    begun = [first.link(0, k / 5, faces) for k, faces in enumerate(frames[:9])]
    second = Linker.restore(json.loads(json.dumps(first.state())))
    rest = [second.link(0, k / 5, faces) for k, faces in enumerate(frames[9:], 9)]
    assert begun + rest == expected
    assert second.state() == whole.state()
