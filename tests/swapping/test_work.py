"""A work folder whose process is killed at any moment: what has its name is whole, and goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Each child goes on from what is there, and writes segments of which every byte is known.
KILLED = """
import os, random, signal, sys, time
from fractions import Fraction
from pathlib import Path
from av.packet import Packet
from sosie.swapping.work import WorkFolder, segments_in, work_path

output = Path(sys.argv[1]) / "out.mp4"
job = {"same": {"a": 1}, "command": None, "output": str(output)}
rng = random.Random(7)

def packets(number):
    for place in range(number % 5 + 1):
        packet = Packet(bytes([number % 251, place]) * (400 * (number % 7) + 1))
        packet.time_base = Fraction(1, 25)
        packet.pts = packet.dts = number * 10 + place
        packet.is_keyframe = place == 0
        yield packet

def shown(packet):
    return bytes(packet), packet.pts, packet.dts, packet.time_base, packet.is_keyframe

def work():
    folder = WorkFolder(output, None, job)
    for number in range(folder.segments, 10_000):
        for packet in packets(number):
            folder.result.add(packet)
        folder.end_segment({"frames": number + 1}, b"state %d" % (number + 1))

counts = [0]
for _ in range(30):
    child = os.fork()
    if child == 0:
        work()
    # However slow the machine is, each second one comes to the end of a segment first.
    while len(counts) % 2 and segments_in(work_path(output, None)) == counts[-1]:
        time.sleep(0.001)
    time.sleep(rng.uniform(0.0, 0.08))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    counts.append(segments_in(work_path(output, None)))
    folder = WorkFolder(output, None, job)
    assert folder.segments == counts[-1]
    assert folder.state == (b"state %d" % counts[-1] if counts[-1] else None)
    for number in range(folder.segments):
        assert folder.result.facts(number) == {"frames": number + 1}
        assert list(map(shown, folder.result.packets(number))) == list(map(shown, packets(number)))
    known = {"job.json", "lock"} | {f"{number:06}.segment" for number in range(counts[-1])}
    assert {path.name for path in folder.path.iterdir()} - known <= {f"{counts[-1]:06}.state"}
    folder.close()
assert counts == sorted(counts), counts
print(counts[-1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes of this kind here")
def test_thirty_kills_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 15
