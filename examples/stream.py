"""Swap frames one by one, as a camera or another program gives them.

python examples/stream.py me.jpg video.mp4

Here a video plays the camera, and what comes out is only counted.
"""

from __future__ import annotations

import argparse

import av

import sosie


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="photo of the face to put in, or an identity file")
    parser.add_argument("camera", help="video that stands for a camera")
    parser.add_argument("--lookahead", type=int, default=0, help="frames of delay")
    parser.add_argument("--save", help="identity file to write (.sosie)")
    arguments = parser.parse_args()

    swapper = sosie.FaceSwapper(arguments.source)
    if arguments.save:
        swapper.save(arguments.save)

    shown = 0
    with av.open(arguments.camera) as camera:
        fps = float(camera.streams.video[0].average_rate or 25)
        stream = swapper.stream(fps, lookahead=arguments.lookahead)
        for frame in camera.decode(video=0):
            # RGB, height x width x 3. The result has the same form; show it, or send it on.
            swapped = stream.push(frame.to_ndarray(format="rgb24"))
            shown += swapped is not None
    shown += len(stream.finish())
    print(f"{shown} frames came back")


if __name__ == "__main__":
    main()
