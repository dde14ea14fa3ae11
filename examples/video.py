"""Put a face into a video, with a line of progress.

python examples/video.py me.jpg video.mp4 out.mp4
"""

from __future__ import annotations

import argparse
import sys

import sosie


def show(progress: sosie.Progress) -> None:
    """Called after each frame."""
    left = "" if progress.remaining_s is None else f", {progress.remaining_s:.0f} s left"
    total = progress.total or "?"
    print(f"\r{progress.done}/{total}, {progress.fps:.1f} fps{left}   ", end="", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="+", help="photos of the face to put in")
    parser.add_argument("target", help="video to put it into")
    parser.add_argument("output", help="video to write")
    arguments = parser.parse_args()

    report = sosie.swap_video(
        arguments.source, arguments.target, arguments.output, crf=16, on_progress=show
    )
    print(f"\n{report.swapped_frames} of {report.frames} frames swapped")
    for track in report.followed:
        print(f"  a face from {track.first_s:.2f} to {track.last_s:.2f} s: {track.frames} frames")
    for note in report.notes:
        print(f"  {note}")


if __name__ == "__main__":
    main()
