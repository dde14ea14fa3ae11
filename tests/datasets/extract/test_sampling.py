from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sosie.datasets.extract.options import ExtractOptions
from sosie.datasets.extract.sampling import Place, Sampler, in_order
from sosie.errors import InputError


def places(path, warm=None, start=0, **options):
    sampler = Sampler(path, ExtractOptions(**options), warm, start)
    return [(sample.at, sample.warm) for sample in sampler], sampler


def test_every_so_manieth_frame_with_its_scene(video_path):
    found, sampler = places(video_path, every=7)
    assert [at.index for at, _ in found] == list(range(0, 80, 7))
    assert [at.scene for at, _ in found] == [0] * 6 + [1] * 6
    assert [at.time_s for at, _ in found] == pytest.approx([k / 25 for k in range(0, 80, 7)])
    assert (sampler.done, sampler.total) == (80, 80)


def test_so_many_frames_a_second(video_path):
    found, _ = places(video_path, fps=10.0)
    assert [at.index for at, _ in found] == [
        k for k in range(80) if k * 10 // 25 != (k - 1) * 10 // 25
    ]


@pytest.mark.parametrize("options", [{"every": 3}, {"fps": 7.0}])
def test_a_video_taken_up_anywhere_goes_on_alike(video_path, options):
    whole, _ = places(video_path, **options)
    for k in (1, 4, len(whole) // 2, len(whole) - 1):
        at, warm = whole[k]
        found, _ = places(video_path, warm, at.index, **options)
        assert [one for one, _ in found] == [one for one, _ in whole[k:]]


def test_a_place_that_is_not_in_the_video_is_reached_from_its_start(video_path):
    found, _ = places(video_path, Place(30, 1.2134, 5), 40, every=20)
    assert [(at.index, at.scene) for at, _ in found] == [(40, 1), (60, 1)]


def test_pixels_can_be_had_later(video_path):
    sampler = Sampler(video_path, ExtractOptions(every=40))
    first, second = list(sampler)
    assert first.frame.to_rgb().shape == (256, 256, 3)
    assert abs(first.frame.to_rgb().astype(int) - second.frame.to_rgb()).mean() > 20


def test_results_come_in_the_order_of_the_items_and_before_an_error():
    def items():
        yield from range(7)
        raise InputError("cut short.")

    with ThreadPoolExecutor(3) as pool:
        assert list(in_order(pool, lambda k: k * k, iter(range(5)), 2)) == [
            (k, k * k) for k in range(5)
        ]
        got = []
        with pytest.raises(InputError, match="cut short"):
            for pair in in_order(pool, lambda k: -k, items(), 4):
                got.append(pair)  # noqa: PERF402 (the error must not take what came before)
        assert got == [(k, -k) for k in range(7)]
