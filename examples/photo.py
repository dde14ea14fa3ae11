"""Put a face into a photo.

python examples/photo.py me.jpg photo.jpg out.png
"""

from __future__ import annotations

import argparse

from PIL import Image

import sosie


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="photo of the face to put in")
    parser.add_argument("target", help="photo to put it into")
    parser.add_argument("output", help="file to write")
    arguments = parser.parse_args()

    try:
        result = sosie.swap_image(arguments.source, arguments.target, blend="multiband")
    except sosie.SosieError as error:  # one sentence that says what to do
        parser.exit(error.exit_code, f"{error}\n")

    for face in result.faces:
        print(f"swapped a face of {face.size_px:.0f} pixels, turned by {face.pose.yaw:.0f} degrees")
    Image.fromarray(result.image).save(arguments.output)


if __name__ == "__main__":
    main()
