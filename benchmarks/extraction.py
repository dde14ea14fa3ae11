"""How fast `sosie dataset extract` reads a video, and whether its memory stays flat.

    python benchmarks/extraction.py video.mp4 [--every 5] [--size 512]

Prints frames a second by the clock and by the processor (which other work on the machine does not
change), and the memory in tenths of the run.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import threading
import time
from pathlib import Path

from sosie.datasets.extract.inputs import Input
from sosie.datasets.extract.job import extract
from sosie.datasets.extract.options import ExtractOptions

_PAGE_MB = resource.getpagesize() / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path, nargs="+")
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--size", type=int, default=512)
    chosen = parser.parse_args()
    memory_mb: list[float] = []
    threading.Thread(target=_watch, args=(memory_mb,), daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        options = ExtractOptions(every=chosen.every, size_px=chosen.size)
        videos = [Input(path, "video") for path in chosen.video]
        report = extract(videos, Path(folder) / "faces", options)
    used = resource.getrusage(resource.RUSAGE_SELF)
    processor_s = used.ru_utime + used.ru_stime
    print(f"{report.frames} frames, {report.faces} faces kept, {report.thinned} thinned")
    print(f"by the clock      {report.seconds:8.1f} s {report.fps:8.1f} frames a second")
    print(
        f"by the processor  {processor_s:8.1f} s {report.frames / processor_s:8.1f} a core-second"
    )
    count = len(memory_mb)
    tenths = [max(memory_mb[k * count // 10 : (k + 1) * count // 10 or 1]) for k in range(10)]
    print("memory in tenths of the run, MB:", *(round(value) for value in tenths))


def _watch(memory_mb: list[float]) -> None:
    while True:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory_mb.append(pages * _PAGE_MB)
        time.sleep(0.2)


if __name__ == "__main__":
    main()
