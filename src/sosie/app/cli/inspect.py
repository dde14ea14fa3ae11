"""`sosie inspect`: the faces of a photo, or the people and scenes of a video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sosie.app.cli.arguments import AsJson, Overwrite
from sosie.app.cli.output import print_json, video_progress
from sosie.errors import NoFaceError, UsageError
from sosie.media.kinds import require_kind

# A smaller share of the face is not worth a word.
_TRACE = 0.01


def inspect(
    path: Annotated[Path, typer.Argument(help="Photo or video.", show_default=False)],
    landmarks: Annotated[
        bool, typer.Option("--landmarks", help="With --json: all 478 landmarks of a photo's faces.")
    ] = False,
    drawing: Annotated[
        Path | None,
        typer.Option(
            "--drawing",
            help="Write a photo to this file with skin, hair, spectacles, hats and things painted "
            "over its faces.",
        ),
    ] = None,
    thumbnails: Annotated[
        Path | None,
        typer.Option(
            help="Folder for a picture of each person (person-0.png, ...), which --reference and "
            "--map of `sosie swap` take.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Processor threads; left out, all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the faces of a photo, or the people and scenes of a video."""
    kind = require_kind(path)
    from sosie.app.inspection import inspect_photo, inspect_video

    if kind == "photo":
        found = inspect_photo(path, landmarks, threads, drawing, overwrite, thumbnails)
        lines = photo_lines(found)
    elif drawing is not None:
        raise UsageError(f"--drawing is for photos, and {path} is a video: leave it out.")
    else:
        with video_progress(path.name) as on_progress:
            found = inspect_video(path, threads, on_progress, thumbnails, overwrite)
        lines = video_lines(found)
    if as_json:
        print_json(found)
    else:
        print("\n".join(lines))
    if not (found["faces"] if found["kind"] == "photo" else found["tracks"]):
        raise typer.Exit(NoFaceError.exit_code)


def photo_lines(found: dict[str, Any]) -> list[str]:
    """A line for the photo, one for each face, from left to right, and one for each thumbnail."""
    size = f"{found['width']} x {found['height']}, {found['bits']} bits"
    return [
        f"{found['path']}: {size}, {_count(found['faces'], 'face')}",
        *map(_face_line, found["faces"]),
        *map(_person_line, found.get("people", ())),
    ]


def video_lines(found: dict[str, Any]) -> list[str]:
    """A line for the video, one for its scenes, for each person in a scene and each thumbnail."""
    fps = f"{found['fps']:g} fps" if found["fps"] else "no stated rate"
    length = f"{found['frames']} frames, {found['duration_s']:.2f} s"
    starts = ", ".join(f"{scene['start_s']:.2f}" for scene in found["scenes"])
    return [
        f"{found['path']}: {found['width']} x {found['height']}, {fps}, {length}",
        f"  {_count(found['scenes'], 'scene')} from {starts} s",
        *map(_track_line, found["tracks"]),
        *map(_person_line, found.get("people", ())),
        *(f"  {note}" for note in found["notes"]),
    ]


def _face_line(face: dict[str, Any]) -> str:
    x0, y0, x1, y1 = face["box"]
    pose = ", ".join(f"{angle} {degrees:.0f}" for angle, degrees in face["pose"].items())
    return (
        f"  face {face['position']}: {x0:.0f},{y0:.0f} to {x1:.0f},{y1:.0f}, "
        f"{face['size_px']:.0f} px, {pose}, "
        f"sharpness {face['sharpness']:.3f}, score {face['score']:.2f}{_over(face)}"
    )


def _over(face: dict[str, Any]) -> str:
    """What lies over a face, where it is more than a trace."""
    laid = {name: share for name, share in face["over_the_face"].items() if share >= _TRACE}
    return "".join(f", {name} over {share:.0%}" for name, share in laid.items())


def _track_line(track: dict[str, Any]) -> str:
    ranges = track["pose"].items()
    pose = ", ".join(f"{angle} {low:.0f} to {high:.0f}" for angle, (low, high) in ranges)
    return (
        f"  face {track['number']}: {track['first_s']:.2f} to {track['last_s']:.2f} s, "
        f"{track['frames']} frames, mean {track['mean_size_px']:.0f} px, {pose}"
    )


def _person_line(person: dict[str, Any]) -> str:
    numbers = person.get("faces") or person["tracks"]
    faces = ("face " if len(numbers) == 1 else "faces ") + ", ".join(map(str, numbers))
    doubt = "" if person["is_reference"] else " (not clear enough to tell them by)"
    return f"  person {person['person']}: {faces}, {person['thumbnail']}{doubt}"


def _count(things: list[Any], name: str) -> str:
    return f"{len(things)} {name}" + ("" if len(things) == 1 else "s")
