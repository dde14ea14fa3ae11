"""The results that another tool made, found by their names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from sosie.errors import InputError, UsageError
from sosie.evaluation.dataset_index import PICTURES
from sosie.evaluation.generators import Made, read_plain
from sosie.evaluation.pairs import Pair


class OutsideResults:
    """A folder of results.

    names: what a result is called, without its ending: `{id}`, `{source}` and `{target}` stand for
    the pair's id and the names of its pictures without theirs, as in `{target}_{source}`.

    Raises InputError where the folder is not there or holds no picture, UsageError where `names`
    has other fields or none.
    """

    def __init__(self, folder: Path, names: str = "{id}") -> None:
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}; give the one with the results.")
        if _filled(names, "a", "b", "c") == names:
            raise UsageError(f"Results cannot all be named {names!r}; use {{id}} in it.")
        self._folder = folder
        self._names = names
        self._files: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in PICTURES and path.is_file() and path.name[0] != ".":
                self._files[path.stem].append(path)
        if not self._files:
            raise InputError(f"{folder} holds no picture; give the folder with the results.")

    def find(self, pair: Pair, sources: Sequence[Path], target: Path) -> tuple[Path, Made]:
        """A pair's result, read. Raises InputError where there is none, there are several, or it
        cannot be read."""
        del sources, target
        source, onto = (PurePosixPath(name).stem for name in (pair.sources[0], pair.target))
        stem = _filled(self._names, pair.id, source, onto)
        files = self._files.get(stem, [])
        if not files:
            raise InputError(f"There is no result {stem}.png (or .jpg, .webp ...) for the pair.")
        if len(files) > 1:
            raise InputError(
                f"There are several results for the pair: {', '.join(f.name for f in files)}; "
                f"keep one."
            )
        return files[0], Made(read_plain(files[0]))


def _filled(names: str, pair: str, source: str, target: str) -> str:
    try:
        return names.format(id=pair, source=source, target=target)
    except (KeyError, IndexError, ValueError) as error:
        raise UsageError(
            f"The names {names!r} cannot be filled in; use {{id}}, {{source}} and {{target}}."
        ) from error
