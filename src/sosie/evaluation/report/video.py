"""The sections of a report that only videos have: figures along time, and moments."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from sosie import foreign
from sosie.errors import InputError
from sosie.evaluation.report import page, plots
from sosie.evaluation.report.page import Page
from sosie.evaluation.report.plots import Series
from sosie.evaluation.report.table import number
from sosie.evaluation.video_record import EVENLY, Curve, Moment, VideoRecord

_DRAWN = (
    ("identity", ("identity_source", "identity_target"), "similarity"),
    ("flicker", ("flicker", "flicker_target"), "flicker, gray levels"),
    ("jitter", ("jitter", "jitter_target"), "jitter, % of the face"),
    ("drift", ("drift",), "drift, % of the face"),
    ("change", ("difference", "surroundings"), "change, gray levels"),
    ("untouched", ("untouched",), "fell back to the target"),
)
"""Plot's name, what is drawn in it, title of its axis."""

_WORDS = {
    "identity_source": "to source",
    "identity_target": "to target",
    "flicker": "result",
    "flicker_target": "target",
    "jitter": "result",
    "jitter_target": "target",
    "drift": "result",
    "difference": "in the face",
    "surroundings": "around it",
    "untouched": "1: yes",
}
_CAPTIONS = {
    "identity": "Identity: whom the swapped face looks like.",
    "flicker": "Flicker: change from frame to frame beside the motion.",
    "jitter": "Jitter: landmarks that leave the target's motion.",
    "drift": "Drift: pixels that move otherwise than the target's.",
    "change": "How much was changed, in the face and around it.",
    "untouched": "Frames on which the face is the target's own.",
}
_WHY = {
    EVENLY: "Evenly along the video",
    "identity_source": "Least like the source",
    "untouched": "Fell back to the target",
    "flicker": "Most flicker",
    "jitter": "Most jitter",
    "drift": "Most drift",
}


# A video of many shots has many tracks: the longest are drawn, and the page says so.
_MAX_TRACKS = 6


def add_pictures(report: Page, record: VideoRecord) -> None:
    """Add the pictures that were kept."""
    note = "Each picture: the target's face and the result's."
    sheets = [_sheet(why, title, record.moments) for why, title in _WHY.items()]
    report.add("moments", "Moments", page.text(note, soft=True), *sheets)


def add_sections(report: Page, record: VideoRecord) -> None:
    """Add figures along time for each swapped track."""
    judged = [curve for curve in record.curves if curve.judged]
    longest = sorted(judged, key=lambda curve: (-len(curve.times_s), curve.track))[:_MAX_TRACKS]
    shown = sorted(longest, key=lambda curve: (curve.times_s[0], curve.track))
    parts = [_track(curve, is_open=place == 0) for place, curve in enumerate(shown)]
    said = f"{len(judged)} of {len(record.curves)} faces of the target were swapped."
    if len(judged) > len(shown):
        said += f" The {len(shown)} that are seen longest are drawn; frames.jsonl has all."
    report.add("time", "Along the video", page.text(said, soft=True), *parts)


def _track(curve: Curve, is_open: bool) -> str:
    drawn = []
    for name, values, axis in _DRAWN:
        lines = [
            Series(_WORDS[value], curve.times_s, curve.values[value])
            for value in values
            if value in curve.values
        ]
        told = [value for line in lines for value in line.values if math.isfinite(value)]
        # A line at 0 all along would only say that nothing fell back, which the table does.
        if told and not (name == "untouched" and not any(told)):
            drawn.append(page.plot(plots.over_time(lines, axis), _CAPTIONS[name]))
    start, end = curve.times_s[0], curve.times_s[-1]
    title = f"Face {curve.track}: {start:.1f} s to {end:.1f} s, {len(curve.times_s)} frames"
    return page.folded(title, page.grid(drawn, wide=True), is_open=is_open)


def _sheet(why: str, title: str, moments: Sequence[Moment]) -> str:
    own = [moment for moment in moments if moment.why == why]
    if not own:
        return ""
    return page.folded(title, page.strips(_pictures(own)), is_open=why == EVENLY)


def _pictures(moments: Iterable[Moment]) -> Iterable[str]:
    for moment in moments:
        try:
            content = foreign.read_file(moment.file, "evaluate the video anew")
        except FileNotFoundError as error:
            raise InputError(f"{moment.file} is gone; evaluate the video anew.") from error
        said = f"{moment.time_s:.2f} s, frame {moment.frame}, face {moment.track}"
        # That a frame fell back is a yes; the others have a value.
        if moment.why not in (EVENLY, "untouched"):
            said += f": {number(moment.value)}"
        yield page.picture(content, said)
