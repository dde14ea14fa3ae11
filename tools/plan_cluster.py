"""What many hours of film would ask of a cluster: segments, bytes moved, the scheduler's load.

    python tools/plan_cluster.py [--hours 1000] [--workers 500]

The figures of one segment are constants below, with how each was measured; the rest is arithmetic.
`--measure` measures the scheduler's time for a piece of work on this machine: so many calls of a
function that does nothing, with arguments as a segment's, by one worker on loopback.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

# Of a video of 1080p with one face, by `sosie bench --video-s 10` on two cores: the stages of a
# frame keep so many seconds of a core busy. To follow a segment every third frame is swapped.
_ANALYSIS_S, _LOOK_S, _SWAP_S, _ENCODE_S, _DECODE_S = 0.072, 0.026, 0.172, 0.063, 0.0016
_SWAPPED_TO_FOLLOW = 1 / 3
_FPS = 25
# Shots of films last about this long; a segment has 2 to 6 s, and ends at a cut if it can.
_SEGMENT_S = 4.5
# Segments after which the shot goes on, so that what is remembered of it is looked for.
_GOES_ON = 0.4
# Read and written on the shared disk: a plan holds 478 points a face and frame, what is remembered
# of a face is some maps of 64 px. Target and result as at 20 Mbit/s.
_PLAN_BYTES, _MEMORY_BYTES, _VIDEO_BYTES_S = 7_000, 300_000, 2_500_000
# Through the scheduler: two calls a segment, with names and numbers, and what was counted. Its time
# is by `--measure`, on a busy machine, with that of the one who asks.
_MESSAGE_BYTES = 6_000
_SCHEDULER_S = 0.007


@dataclass(frozen=True)
class Plan:
    """What so many hours ask of so many workers. Bytes are of all; rates are while it runs."""

    segments: int
    calls: int
    analysis_core_hours: float
    worker_core_hours: float
    disk_bytes: float
    message_bytes: float
    hours: float
    films_at_once: int
    scheduler_share: float


def plan(hours: float, workers: int) -> Plan:
    """workers: of one core each. Films are analyzed at once, each by a process of its own, as many
    as keep the workers busy."""
    seconds = hours * 3600
    frames = seconds * _FPS
    segments = round(seconds / _SEGMENT_S)
    calls = round(segments * (1 + _GOES_ON))
    analysis_s = frames * (_DECODE_S + _ANALYSIS_S)
    looks_s = frames * _GOES_ON * (_DECODE_S + _LOOK_S + _SWAPPED_TO_FOLLOW * _SWAP_S)
    work_s = frames * (_DECODE_S + _LOOK_S + _SWAP_S + _ENCODE_S) + looks_s
    disk = seconds * _VIDEO_BYTES_S * (3 + _GOES_ON) + frames * _PLAN_BYTES * (2 + _GOES_ON)
    disk += calls * 2 * _MEMORY_BYTES
    wall_s = work_s / workers
    return Plan(
        segments=segments,
        calls=calls,
        analysis_core_hours=analysis_s / 3600,
        worker_core_hours=work_s / 3600,
        disk_bytes=disk,
        message_bytes=calls * _MESSAGE_BYTES,
        hours=wall_s / 3600,
        films_at_once=max(1, round(analysis_s / wall_s)),
        scheduler_share=calls * _SCHEDULER_S / wall_s,
    )


def measured(calls: int = 500) -> float:
    """Seconds of the scheduler's process for a call."""
    import dask.config
    import psutil
    from distributed import Client, LocalCluster

    dask.config.set({"distributed.comm.timeouts.tcp": "300s"})

    def nothing(*given: object) -> int:
        return len(given)

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as local,
        Client(local) as client,
    ):
        own = psutil.Process()
        before, started = sum(own.cpu_times()[:2]), time.monotonic()
        given = ("/films/.out.mp4.sosie-work", "0" * 32)
        futures = [client.submit(nothing, *given, k, None, pure=False) for k in range(calls)]
        client.gather(futures)
        print(f"{calls} calls in {time.monotonic() - started:.1f} s", flush=True)
        return (sum(own.cpu_times()[:2]) - before) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--hours", type=float, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[100, 500, 2000])
    parser.add_argument("--measure", action="store_true")
    given = parser.parse_args()
    if given.measure:
        print(f"{measured() * 1000:.2f} ms a call, client and scheduler together")
        return
    plans = [plan(given.hours, workers) for workers in given.workers]
    rows: list[tuple[str, list[str]]] = [
        ("workers of one core", [f"{workers:,}" for workers in given.workers]),
        ("segments", [f"{one.segments:,}" for one in plans]),
        ("calls by the scheduler", [f"{one.calls:,}" for one in plans]),
        ("core hours of the workers", [f"{one.worker_core_hours:,.0f}" for one in plans]),
        (
            "core hours of analysis, by those who asked",
            [f"{one.analysis_core_hours:,.0f}" for one in plans],
        ),
        ("hours until all is done", [f"{one.hours:,.0f}" for one in plans]),
        ("films under way at once for that", [f"{one.films_at_once:,}" for one in plans]),
        (
            "read and written on the shared disk",
            [f"{one.disk_bytes / 1e12:,.1f} TB" for one in plans],
        ),
        (
            "the same, a second",
            [f"{one.disk_bytes / one.hours / 3.6e9:,.0f} MB/s" for one in plans],
        ),
        ("sent through the scheduler", [f"{one.message_bytes / 1e9:,.1f} GB" for one in plans]),
        ("calls a second", [f"{one.calls / one.hours / 3600:,.1f}" for one in plans]),
        ("the scheduler's one core is busy", [f"{one.scheduler_share:.1%}" for one in plans]),
    ]
    for name, cells in rows:
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
