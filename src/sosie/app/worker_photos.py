"""Photos of a folder that workers swap: see `sosie.cluster`."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sosie.app.swap_command import SwapCommand
from sosie.cluster import Cluster
from sosie.errors import UnavailableError
from sosie.media.kinds import Kind
from sosie.swapping.sameness import swap_code

if TYPE_CHECKING:
    from sosie.pipeline import FaceSwapper
    from sosie.types import SwapReport


class WorkerPhotos:
    """Hands photos out to workers, some ahead of the one that is asked for."""

    def __init__(
        self,
        cluster: Cluster,
        command: dict[str, Any],
        media: Iterable[tuple[Path, Kind]],
        output: Path,
    ) -> None:
        """command: a swap, of which target and output are not looked at. media: photos and videos
        in the order in which they will be asked for. output: the folder of the results."""
        from sosie.app.folder import result_name

        options = command["options"] | {"workers": None, "scheduler": None}
        self._cluster = cluster
        self._command = json.dumps(command | {"output": "", "options": options})
        names = [
            (path, output / result_name(path, kind)) for path, kind in media if kind == "photo"
        ]
        self._left = deque(names)
        self._handed: dict[Path, Any] = {}
        self._on_gpu = options["provider"] != "cpu"

    def swap(self, target: Path) -> SwapReport:
        """What became of a photo. Raises what its swap raises."""
        while self._left and len(self._handed) < self._cluster.ahead:
            path, result = self._left.popleft()
            self._handed[path] = self._cluster.submit(
                *(swap_photo, self._command, swap_code(), str(path.absolute())),
                *(str(path), str(result.absolute()), str(result)),
                on_gpu=self._on_gpu,
            )
        report: SwapReport = self._cluster.result(self._handed.pop(target), lambda: None)
        return report


def swap_photo(
    command: str, code: str, target: str, shown_target: str, output: str, shown_output: str
) -> SwapReport:
    """Swaps one photo, in a worker. code: of who asks. shown_target, shown_output: as reports name
    them."""
    import dataclasses

    if code != swap_code():
        raise UnavailableError(
            "A worker has another version of Sosie: install the same one on all machines."
        )
    report = _swapper(command).photo(target, output)
    return dataclasses.replace(report, target=shown_target, output=shown_output)


@lru_cache(maxsize=1)
def _swapper(command: str) -> FaceSwapper:
    return SwapCommand.from_dict(json.loads(command)).swapper()
