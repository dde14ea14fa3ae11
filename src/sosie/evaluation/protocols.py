"""Drawing pairs from a dataset on disk, alike on every machine: the published protocols.

Nothing is left to a random generator: everything is ordered by the hash of the seed and its name.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from sosie import foreign
from sosie.datasets.split import is_held_out
from sosie.errors import InputError, UsageError, nearest
from sosie.evaluation.dataset_index import CELEBA_LIST, Gallery, Portrait, open_gallery
from sosie.evaluation.image_store import Album, digest
from sosie.evaluation.pairs import Pair, PairList
from sosie.media.video import open_video

T = TypeVar("T")

FRAMES = 10
"""Frames that the protocol of FaceForensics++ takes from a video, evenly spread."""

# Every how manieth pair has a video's frame for its target, where videos are given; their endings.
_EVERY = 3
_VIDEOS = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}

_COMPRESSIONS = ("c23", "c0", "raw", "c40")


@dataclass(frozen=True)
class Request:
    """What to draw.

    places: folders or zip archives. count: pairs; None takes as many as need no picture twice
    (ffpp: all). held_out: only people of the split's test part, on whom none of Sosie's networks
    was fitted. compression, split: of FaceForensics++, see `draw_ffpp`. videos: video files, or
    folders of them: frames of them are the targets of every third pair (not of ffpp, which is
    videos already).
    """

    places: tuple[Path, ...]
    count: int | None = None
    seed: int = 0
    held_out: bool = False
    name: str = ""
    compression: str | None = None
    split: str | None = None
    videos: tuple[Path, ...] = ()


def draw(protocol: str, request: Request) -> PairList:
    """Pairs by a protocol of PROTOCOLS. The same data and request give the same list.

    Raises UsageError for an unknown protocol, more pairs than there are, or videos with ffpp;
    InputError where the data is not there or not of the protocol's layout.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"Unknown protocol {protocol!r}: {nearest(protocol, PROTOCOLS)}.")
    if request.count is not None and request.count < 1:
        raise UsageError(f"The number of pairs must be 1 or more, not {request.count}.")
    if request.videos and protocol == "ffpp":
        raise UsageError("The pairs of ffpp are frames of videos already; leave out --videos.")
    drawn = PROTOCOLS[protocol](request)
    if request.videos:
        drawn = _with_videos(drawn, request)
    facts = {
        "name": protocol,
        "count": len(drawn.pairs),
        "held_out": request.held_out,
        "people": len({pair.source_person for pair in drawn.pairs}),
    }
    name = request.name or f"{protocol}-{len(drawn.pairs)}"
    return replace(drawn, name=name, seed=request.seed, protocol={**facts, **drawn.protocol})


def draw_ffhq(request: Request) -> PairList:
    """Single portraits: half of the people are sources, the others targets (as MegaFS, REFace and
    others draw theirs from FFHQ)."""
    return _from_gallery(open_gallery(request.places, by_person=False), request)


def draw_folder(request: Request) -> PairList:
    """Folders of one person each, or pictures of a person each: half of the people are sources, the
    others targets; another photo of the source's person tells the limit of identity."""
    gallery = open_gallery(request.places, by_person=True)
    alone = sum(p.person.endswith(f"/{Path(p.name).name}") for p in gallery.portraits)
    drawn = _from_gallery(gallery, request)
    return replace(drawn, protocol={"files_as_people": alone}) if alone else drawn


def draw_celeba(request: Request) -> PairList:
    """As `draw_folder`, from CelebA: its pictures with identity_CelebA.txt in or beside their
    folder, or in folders of one person each."""
    gallery = open_gallery(request.places, by_person=True)
    if len({portrait.person for portrait in gallery.portraits}) == len(gallery.portraits):
        raise InputError(
            f"Nothing says who is on the pictures of {request.places[0]}; put {CELEBA_LIST} beside "
            f"them, or sort them into a folder a person."
        )
    return _from_gallery(gallery, request)


def draw_ffpp(request: Request) -> PairList:
    """FaceForensics++ (Rössler et al. 2019): 10 frames of every video, swapped with those of the
    video that the dataset itself pairs it with (as FaceShifter and SimSwap measure).

    The pairs are taken from the lists of the dataset (`splits/test.json`, or `test.json`; `split`
    chooses one), or else from the names of the manipulated videos (`TARGET_SOURCE.mp4`).
    compression: `c23`, `c40`, `c0` or `raw`; None takes the first of them that is there.
    """
    if len(request.places) != 1:
        raise UsageError("FaceForensics++ is one folder; give the one with original_sequences in.")
    root = request.places[0]
    videos = _ffpp_videos(root, request.compression)
    pairs = _ffpp_pairs(root, request.split)
    there = {path.stem: path for path in sorted(videos.glob("*.mp4"))}
    pairs = [(source, target) for source, target in pairs if {source, target} <= set(there)]
    if request.held_out:
        pairs = [pair for pair in pairs if is_held_out(f"ffpp/{pair[0]}")]
    if not pairs:
        raise InputError(f"None of the paired videos of {root} is in {videos}; check the download.")
    used = {video for pair in pairs for video in pair}
    names = {stem: _frame_names(path, root) for stem, path in there.items() if stem in used}
    drawn = [
        Pair(
            id=f"{target}_{source}_{k}",
            sources=(names[source][k],),
            target=names[target][k],
            source_person=f"ffpp/{source}",
            target_person=f"ffpp/{target}",
            other_source=names[source][(k + FRAMES // 2) % FRAMES],
        )
        for source, target in pairs
        for k in range(FRAMES)
    ]
    if request.count is not None:
        _require(request.count, len(drawn))
        chosen = set(ordered(request.seed, (pair.id for pair in drawn))[: request.count])
        drawn = [pair for pair in drawn if pair.id in chosen]
    facts = {"video_count": len(names), "videos": videos.relative_to(root).as_posix()}
    return PairList(name="", root=root, pairs=tuple(drawn), protocol=facts)


def _with_videos(drawn: PairList, request: Request) -> PairList:
    """The pairs, every _EVERY-th of which has a frame of a video for its target: FRAMES of each, by
    turns."""
    videos = _video_files(request.videos)
    root = Path(os.path.commonpath([drawn.root.absolute(), *(f.absolute().parent for f in videos)]))
    below = Path(os.path.relpath(drawn.root.absolute(), root))
    of_each = [_frame_names(video.absolute(), root) for video in videos]
    frames = ordered(request.seed, (name for names in of_each for name in names))
    pairs = []
    for number, pair in enumerate(drawn.pairs):
        target, person = (below / pair.target).as_posix(), pair.target_person
        turn, here = divmod(number, _EVERY)
        if here == _EVERY - 1:
            target = frames[turn % len(frames)]
            person = f"videos/{target.partition('#')[0]}"
        pairs.append(
            replace(
                pair,
                sources=tuple((below / name).as_posix() for name in pair.sources),
                target=target,
                target_person=person,
                other_source=pair.other_source and (below / pair.other_source).as_posix(),
            )
        )
    facts = {**drawn.protocol, "video_count": len(videos)}
    return replace(drawn, root=root, pairs=tuple(pairs), protocol=facts)


def _video_files(places: Iterable[Path]) -> list[Path]:
    found = []
    for place in places:
        inside = sorted(place.iterdir()) if place.is_dir() else [place]
        videos = [path for path in inside if path.suffix.lower() in _VIDEOS]
        if not videos or not videos[0].is_file():
            raise InputError(f"{place} is no video and holds none; give another file or folder.")
        found += videos
    return found


PROTOCOLS: dict[str, Callable[[Request], PairList]] = {
    "ffhq": draw_ffhq,
    "celeba": draw_celeba,
    "ffpp": draw_ffpp,
    "folder": draw_folder,
}
"""Protocol's name -> what draws by it."""


def ordered(seed: int, names: Iterable[str]) -> list[str]:
    """Names in an order that only the seed and they themselves decide."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())


def cross(sources: Sequence[T], targets: Sequence[T], count: int) -> list[tuple[T, T]]:
    """`count` different pairs that use every source, and every target, as evenly as can be.

    Raises UsageError where there are fewer.
    """
    across, down = len(sources), len(targets)
    _require(count, across * down)
    # Side by side until both are through at once, then shifted by one.
    around = math.lcm(across, down)
    return [(sources[k % across], targets[(k + k // around) % down]) for k in range(count)]


def rounds(portraits: Iterable[Portrait], seed: int) -> list[Portrait]:
    """Pictures in an order in which everybody comes once before anybody comes twice."""
    by_name = {portrait.name: portrait for portrait in portraits}
    seen: dict[str, int] = defaultdict(int)
    numbered = []
    for name in ordered(seed, by_name):
        portrait = by_name[name]
        numbered.append((seen[portrait.person], portrait))
        seen[portrait.person] += 1
    return [portrait for _, portrait in sorted(numbered, key=lambda item: item[0])]


def _from_gallery(gallery: Gallery, request: Request) -> PairList:
    portraits = [p for p in gallery.portraits if not request.held_out or is_held_out(p.person)]
    people = ordered(request.seed, {portrait.person for portrait in portraits})
    if len(people) < 2:
        which = "held-out people" if request.held_out else "people"
        raise InputError(f"There are {len(people)} {which} in the data, and a swap needs two.")
    givers = set(people[: len(people) // 2])
    sources = rounds((p for p in portraits if p.person in givers), request.seed)
    targets = rounds((p for p in portraits if p.person not in givers), request.seed)
    count = min(len(sources), len(targets)) if request.count is None else request.count
    of_person: dict[str, list[str]] = defaultdict(list)
    for portrait in sources:
        of_person[portrait.person].append(portrait.name)
    pairs = [
        Pair(
            id=f"{number:04}",
            sources=(source.name,),
            target=target.name,
            source_person=source.person,
            target_person=target.person,
            other_source=_other(of_person[source.person], source.name),
        )
        for number, (source, target) in enumerate(cross(sources, targets, count), 1)
    ]
    return PairList(name="", root=gallery.root, pairs=tuple(pairs))


def with_digests(pairs: PairList) -> PairList:
    """The list with the SHA-256 of each picture's file; frames of videos are left out.

    Raises InputError where a picture cannot be read.
    """
    names = sorted({name for pair in pairs.pairs for name in pair.pictures})
    with Album(pairs.root) as album:
        contents = ((name, album.content(name)) for name in names)
        found = {name: digest(content) for name, content in contents if content is not None}
    return replace(pairs, sha256=found)


def _other(names: Sequence[str], name: str) -> str | None:
    """The next of a person's pictures, the first after the last."""
    return names[(names.index(name) + 1) % len(names)] if len(names) > 1 else None


def _require(count: int, most: int) -> None:
    if count > most:
        raise UsageError(f"The data is enough for {most} pairs, not {count}; ask for fewer.")


def _ffpp_videos(root: Path, compression: str | None) -> Path:
    originals = root / "original_sequences" / "youtube"
    tried = [compression] if compression else list(_COMPRESSIONS)
    for name in tried:
        if (originals / name / "videos").is_dir():
            return originals / name / "videos"
    raise InputError(
        f"There is no {originals / tried[0] / 'videos'}; give the folder of FaceForensics++ that "
        f"holds original_sequences, or another compression."
    )


def _ffpp_pairs(root: Path, split: str | None) -> list[tuple[str, str]]:
    """(source, target) of the dataset's own swaps, in order."""
    names = [split] if split else ["train", "val", "test"]
    files = [f for name in names for f in (root / "splits" / f"{name}.json", root / f"{name}.json")]
    listed = [_read_split(file) for file in files if file.is_file()]
    if listed:
        both = [pair for pairs in listed for a, b in pairs for pair in ((a, b), (b, a))]
        return sorted(set(both), key=lambda pair: (pair[1], pair[0]))
    if split:
        raise InputError(f"There is no {files[0]}; get the lists of FaceForensics++, or no split.")
    videos = root.glob("manipulated_sequences/*/*/videos/*_*.mp4")
    named = {video.stem.partition("_")[::2] for video in videos}
    if not named:
        raise InputError(
            f"{root} holds neither the lists of FaceForensics++ (splits/test.json) nor "
            f"manipulated videos, so that nothing says which videos are swapped; get the lists."
        )
    return sorted(((source, target) for target, source in named), key=lambda pair: pair[::-1])


def _read_split(file: Path) -> list[tuple[str, str]]:
    pairs = foreign.read_json(file, [[(str, int)]], "download it again")
    if not all(len(pair) == 2 for pair in pairs):
        raise InputError(f"{file} is no list of paired videos; download it again.")
    return [(str(a), str(b)) for a, b in pairs]


def _frame_names(video_path: Path, root: Path) -> list[str]:
    """The names of FRAMES frames, each in the middle of its part of the video."""
    with open_video(video_path) as video:
        total = video.info.frame_count
    if total is None or total < FRAMES:
        raise InputError(f"{video_path} has fewer than {FRAMES} frames; check the download.")
    name = video_path.relative_to(root).as_posix()
    return [f"{name}#{(2 * k + 1) * total // (2 * FRAMES)}" for k in range(FRAMES)]
