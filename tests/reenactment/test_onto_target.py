"""A source photo brought into a target's pose and expression, for swaps."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.analysis.analyzer import create_analyzer
from sosie.geometry import mesh
from sosie.geometry.head_pose import head_pose, region_of
from sosie.methods.movers import mesh_mover
from sosie.swapping.face import source_of


@pytest.fixture(scope="module")
def analyzer():
    return create_analyzer(threads=1)


def test_the_photo_is_posed_and_speaks_as_the_target(analyzer, hopper, astronaut):
    photo = source_of(hopper, analyzer.analyze(hopper)[0], analyzer)
    driver = analyzer.analyze(astronaut)[0].landmarks
    mover = mesh_mover()
    state = mover.start(photo)
    made, points = mover.move(state, astronaut, driver, analyzer.parts(astronaut, driver))
    assert (made.shape, made.dtype) == (photo.pixels.shape, photo.pixels.dtype)
    wanted, before, told = head_pose(driver), photo.face.pose, head_pose(points)
    assert abs(told.yaw - wanted.yaw) < 2
    for turn in ("pitch", "roll"):
        apart = [abs(getattr(pose, turn) - getattr(wanted, turn)) for pose in (told, before)]
        assert apart[0] < 2 < 5 < apart[1]
    # She laughs, and the photo does not.
    opened = [mesh.opening(p, mesh.INNER_LIPS) for p in (points, photo.face.landmarks)]
    assert opened[0] > opened[1] + 0.05
    # The landmarks that are told are those that are seen there.
    read = analyzer.landmarks(made, region_of(points))
    apart = np.linalg.norm(read.landmarks[:, :2] - points[:, :2], axis=1)
    assert apart.mean() < 0.03 * region_of(points).size_px
    # The same photo serves another target, and nothing of the first one is left.
    again, _ = mover.move(state, astronaut, driver, analyzer.parts(astronaut, driver))
    assert np.array_equal(made, again)
