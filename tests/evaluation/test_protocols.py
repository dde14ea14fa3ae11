"""Drawing pairs: reproducible, disjoint, even, by identity."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.datasets.split import is_held_out
from sosie.errors import InputError, UsageError
from sosie.evaluation.pairs import PairList
from sosie.evaluation.protocols import Request, cross, draw, with_digests


def people(folder: Path, counts: dict[str, int]) -> Path:
    """Folders of so many pictures a person; drawing does not look into them."""
    for person, count in counts.items():
        (folder / person).mkdir(parents=True)
        for number in range(count):
            (folder / person / f"{number}.jpg").write_bytes(f"{person} {number}".encode())
    return folder


def zipped(folder: Path, file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*.jpg"), reverse=True):
            archive.write(path, path.relative_to(folder).as_posix())
    return file


@pytest.fixture
def faces(tmp_path) -> Path:
    return people(tmp_path / "faces", {f"p{number:02}": 1 + number % 4 for number in range(24)})


def sides(drawn: PairList) -> tuple[set[str], set[str]]:
    return {p.source_person for p in drawn.pairs}, {p.target_person for p in drawn.pairs}


GOLDEN = [
    ("0001", ("cy/1.jpg",), "ann/0.jpg", "cy/0.jpg"),
    ("0002", ("dee/0.jpg",), "ben/0.jpg", "dee/1.jpg"),
    ("0003", ("cy/0.jpg",), "ben/1.jpg", "cy/1.jpg"),
    ("0004", ("dee/1.jpg",), "ann/1.jpg", "dee/0.jpg"),
]


def test_a_drawing_is_this_one_on_every_machine(tmp_path):
    place = people(tmp_path / "d", dict.fromkeys(("ann", "ben", "cy", "dee"), 2))
    drawn = draw("folder", Request((place,), seed=5))
    assert [(p.id, p.sources, p.target, p.other_source) for p in drawn.pairs] == GOLDEN


def test_the_same_seed_gives_the_same_pairs_and_another_gives_others(faces, tmp_path):
    first = draw("folder", Request((faces,), 20, seed=3))
    assert draw("folder", Request((faces,), 20, seed=3)) == first
    assert draw("folder", Request((faces,), 20, seed=4)).pairs != first.pairs
    assert (first.name, first.seed) == ("folder-20", 3)
    archive = zipped(faces, tmp_path / "faces.zip")
    packed = draw("folder", Request((archive,), 20, seed=3))
    assert sides(packed) == sides(first)
    assert all(pair.target.startswith("faces.zip/p") for pair in packed.pairs)
    assert packed.root == tmp_path


@given(st.lists(st.integers(1, 4), min_size=2, max_size=9), st.integers(0, 9), st.data())
def test_nobody_is_source_and_target(tmp_path_factory, counts, seed, data):
    folder = tmp_path_factory.mktemp("d") / "d"
    place = people(folder, {f"p{number}": count for number, count in enumerate(counts)})
    free = draw("folder", Request((place,), seed=seed))
    givers, takers = sides(free)
    assert givers
    assert takers
    assert not givers & takers
    assert len({p.target for p in free.pairs}) == len({p.sources for p in free.pairs})
    assert len({p.target for p in free.pairs}) == len(free.pairs)
    count = data.draw(st.integers(1, len(free.pairs)))
    fewer = draw("folder", Request((place,), count, seed))
    assert fewer.pairs == free.pairs[:count]
    for pair in free.pairs:
        if pair.other_source is not None:
            assert pair.other_source not in pair.sources
            assert pair.other_source.split("/")[0] == pair.sources[0].split("/")[0]
        assert (pair.other_source is None) == (counts[int(pair.source_person[-1])] == 1)


@given(st.integers(1, 7), st.integers(1, 7), st.data())
def test_crossing_is_even_and_repeats_no_pair(across, down, data):
    count = data.draw(st.integers(0, across * down))
    pairs = cross(range(across), range(down), count)
    assert len(set(pairs)) == count
    for side, size in ((0, across), (1, down)):
        uses = Counter(pair[side] for pair in pairs)
        assert max(uses.values(), default=0) - min(uses.get(k, 0) for k in range(size)) <= 1


def test_everybody_comes_before_anybody_comes_twice(faces):
    drawn = draw("folder", Request((faces,), 12))
    assert len(sides(drawn)[0]) == len(sides(drawn)[1]) == 12


def test_held_out_people_only(faces):
    most = people(faces.parent / "more", {f"q{number:03}": 1 for number in range(200)})
    drawn = draw("folder", Request((most,), held_out=True))
    givers, takers = sides(drawn)
    everybody = {f"more/q{number:03}" for number in range(200)}
    assert givers | takers <= {name for name in everybody if is_held_out(name)}
    assert 2 <= len(givers | takers) < 100
    assert drawn.protocol["held_out"] is True


def test_ffhq_takes_every_picture_for_a_person(faces):
    drawn = draw("ffhq", Request((faces,)))
    assert len(sides(drawn)[0]) == len(drawn.pairs) == 30
    assert all(pair.other_source is None for pair in drawn.pairs)


def test_celeba_by_its_list(tmp_path):
    place = tmp_path / "img"
    place.mkdir()
    lines = []
    for number in range(12):
        (place / f"{number}.jpg").touch()
        lines.append(f"{number}.jpg {number // 3}")
    with pytest.raises(InputError, match=r"Nothing says who is on the pictures .*identity_CelebA"):
        draw("celeba", Request((place,)))
    (tmp_path / "identity_CelebA.txt").write_text("\n".join(lines))
    drawn = draw("celeba", Request((place,)))
    assert sides(drawn)[0] | sides(drawn)[1] == {f"celeba/{number}" for number in range(4)}
    (tmp_path / "identity_CelebA.txt").write_text("0.jpg\n")
    with pytest.raises(InputError, match="Line 1 of"):
        draw("celeba", Request((place,)))


def test_what_cannot_be_drawn(faces, tmp_path):
    with pytest.raises(UsageError, match="did you mean 'celeba'"):
        draw("celebra", Request((faces,)))
    with pytest.raises(UsageError, match="must be 1 or more, not 0"):
        draw("folder", Request((faces,), 0))
    with pytest.raises(UsageError, match=r"enough for \d+ pairs, not 9999; ask for fewer"):
        draw("folder", Request((faces,), 9999))
    with pytest.raises(InputError, match="does not exist; give a folder"):
        draw("folder", Request((tmp_path / "gone",)))
    with pytest.raises(InputError, match="neither a folder nor a zip archive"):
        draw("folder", Request((faces / "p00" / "0.jpg",)))
    with pytest.raises(InputError, match="There are 1 people in the data, and a swap needs two"):
        draw("folder", Request((people(tmp_path / "one", {"ann": 3}),)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no picture"):
        draw("folder", Request((tmp_path / "empty",)))
    (tmp_path / "bad.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"bad\.zip cannot be read"):
        draw("folder", Request((tmp_path / "bad.zip",)))


def test_digests_are_those_of_the_files(tmp_path):
    place = people(tmp_path / "two", {"ann": 1, "ben": 1})
    drawn = with_digests(draw("folder", Request((place,))))
    packed = with_digests(draw("folder", Request((zipped(place, tmp_path / "two.zip"),))))
    assert len(drawn.sha256) == 2
    assert sorted(drawn.sha256.values()) == sorted(packed.sha256.values())


def video(path: Path, frames: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 32
        for number in range(frames):
            picture = np.full((32, 32, 3), number * 5, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture
def ffpp(tmp_path) -> Path:
    root = tmp_path / "ffpp"
    for name in ("000", "003", "010"):
        video(root / "original_sequences/youtube/c23/videos" / f"{name}.mp4", 20)
    return root


def test_videos_are_every_third_target(faces, tmp_path):
    for name in ("a", "b"):
        video(tmp_path / "videos" / f"{name}.mp4", 20)
    plain = draw("folder", Request((faces,), 90, seed=3))
    drawn = draw("folder", Request((faces,), 90, seed=3, videos=(tmp_path / "videos",)))
    assert drawn.root == tmp_path
    assert [p.sources for p in drawn.pairs] == [(f"faces/{p.sources[0]}",) for p in plain.pairs]
    uses = Counter(pair.target for pair in drawn.pairs[2::3])
    # Ten frames of each video, by turns.
    assert len(uses) == 20
    assert set(uses.values()) == {1, 2}
    assert {pair.target_person for pair in drawn.pairs[2::3]} == {
        "videos/videos/a.mp4",
        "videos/videos/b.mp4",
    }
    photos = [k for k in range(90) if k % 3 != 2]
    assert [drawn.pairs[k].target for k in photos] == [
        f"faces/{plain.pairs[k].target}" for k in photos
    ]
    again = draw("folder", Request((faces,), 90, seed=3, videos=(tmp_path / "videos",)))
    assert again == drawn


def test_videos_that_are_none(faces, ffpp, tmp_path):
    with pytest.raises(InputError, match="is no video and holds none"):
        draw("folder", Request((faces,), videos=(faces,)))
    with pytest.raises(InputError, match="is no video and holds none"):
        draw("folder", Request((faces,), videos=(tmp_path / "gone.mp4",)))
    with pytest.raises(UsageError, match="leave out --videos"):
        draw("ffpp", Request((ffpp,), videos=(ffpp,)))


def test_ffpp_takes_ten_frames_of_every_video_by_the_datasets_own_pairs(ffpp):
    (ffpp / "splits").mkdir()
    (ffpp / "splits" / "test.json").write_text(json.dumps([["000", "003"], ["010", "999"]]))
    drawn = draw("ffpp", Request((ffpp,), split="test"))
    assert len(drawn.pairs) == 20
    assert {(p.source_person, p.target_person) for p in drawn.pairs} == {
        ("ffpp/000", "ffpp/003"),
        ("ffpp/003", "ffpp/000"),
    }
    frames = [int(p.target.partition("#")[2]) for p in drawn.pairs[:10]]
    assert frames == list(range(1, 20, 2))
    assert len({p.id for p in drawn.pairs}) == 20
    few = draw("ffpp", Request((ffpp,), 5, seed=1))
    assert len(few.pairs) == 5
    assert set(few.pairs) <= set(drawn.pairs)


def test_ffpp_by_the_names_of_manipulated_videos(ffpp):
    folder = ffpp / "manipulated_sequences" / "Deepfakes" / "c23" / "videos"
    folder.mkdir(parents=True)
    (folder / "000_010.mp4").touch()
    drawn = draw("ffpp", Request((ffpp,)))
    assert {(p.source_person, p.target_person) for p in drawn.pairs} == {("ffpp/010", "ffpp/000")}


def test_ffpp_that_is_not_whole(ffpp, tmp_path):
    with pytest.raises(InputError, match="nothing says which videos are swapped"):
        draw("ffpp", Request((ffpp,)))
    with pytest.raises(InputError, match=r"no .*val\.json; get the lists"):
        draw("ffpp", Request((ffpp,), split="val"))
    with pytest.raises(InputError, match=r"There is no .*c40"):
        draw("ffpp", Request((ffpp,), compression="c40"))
    (ffpp / "test.json").write_text("[[1]]")
    with pytest.raises(InputError, match="is no list of paired videos"):
        draw("ffpp", Request((ffpp,)))
    (ffpp / "test.json").write_text('[["998", "999"]]')
    with pytest.raises(InputError, match="None of the paired videos"):
        draw("ffpp", Request((ffpp,)))


def test_the_archives_of_the_shared_data(shared_data):
    archives = tuple(shared_data / f"celeba-{part}.zip" for part in (0, 1))
    drawn = draw("celeba", Request(archives, 200))
    givers, takers = sides(drawn)
    assert len(drawn.pairs) == 200
    assert not givers & takers
    assert min(len(givers), len(takers)) > 100
    assert sum(pair.other_source is not None for pair in drawn.pairs) > 190
    with_digests(PairList("", drawn.root, drawn.pairs[:2]))
