"""What a run tells of itself: JSON lines, pictures, and scalars for TensorBoard where it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.output import write_whole

LOG, PREVIEWS, BOARD = "log.jsonl", "previews", "tensorboard"


class RunLog:
    """The log of a run in its folder. resumed_at: samples after which older entries are dropped,
    since they come again; None where the run is new."""

    def __init__(self, run: Path, resumed_at: int | None) -> None:
        self._run = run
        self._board = _open_board(run / BOARD)
        if resumed_at is not None:
            _drop_after(run / LOG, resumed_at)

    def note(self, samples: int, entry: Mapping[str, Any]) -> None:
        """Write an entry: a line of the log, and its numbers as scalars."""
        line = json.dumps({"samples": samples, **entry})
        with (self._run / LOG).open("a", encoding="utf-8") as log:
            log.write(line + "\n")
        if self._board is None:
            return
        for group, values in entry.items():
            numbers = values if isinstance(values, Mapping) else {"": values}
            for name, value in numbers.items():
                self._board.add_scalar(f"{group}/{name}".rstrip("/"), value, samples)
        self._board.flush()

    def show(self, samples: int, picture: NDArray[np.uint8] | None) -> None:
        """Keep a picture (RGB) of what the network does by now."""
        if picture is None:
            return
        folder = self._run / PREVIEWS
        folder.mkdir(exist_ok=True)
        done, encoded = cv2.imencode(".png", np.ascontiguousarray(picture[:, :, ::-1]))
        if done:
            write_whole(folder / f"{samples:09}.png", encoded.tobytes())


def grid(rows: list[list[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Pictures of one size as one: rows of columns."""
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)


def _drop_after(file: Path, samples: int) -> None:
    if not file.exists():
        return
    kept = []
    for line in file.read_text("utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["samples"] <= samples:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError, RecursionError):
            # A killed process may leave half a line, and anyone may write into the file.
            continue
    write_whole(file, "".join(kept))


def _open_board(folder: Path) -> Any:
    """A writer for TensorBoard, or None where that package is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
