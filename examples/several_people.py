"""Give several people of one photo or video a new face each, in one pass.

python examples/several_people.py group.jpg out.png anna.jpg=me.jpg ben.jpg=you.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

import sosie

VIDEOS = {".mp4", ".mkv", ".mov", ".webm"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, help="photo or video of several people")
    parser.add_argument("output", help="file to write")
    parser.add_argument("people", nargs="+", help="person.jpg=source.jpg")
    arguments = parser.parse_args()

    people = dict(entry.split("=", 1) for entry in arguments.people)
    if arguments.target.suffix.lower() in VIDEOS:
        report = sosie.swap_video(None, arguments.target, arguments.output, people=people)
    else:
        result = sosie.swap_image(None, arguments.target, people=people)
        Image.fromarray(result.image).save(arguments.output)
        report = result.report
    for person in report.people:
        print(f"{person.reference}: {person.face_count} faces, similarity {person.similarity}")


if __name__ == "__main__":
    main()
