"""The contract of metrics: what measures figures on pairs, on whole sets, or along a video.

A metric is one object: its figures with their descriptions, and functions that compute them
together, so that figures which share work share it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from sosie.evaluation.metric import Figure, Kind, Readings, SampleFeatures, SetReadings, Settings
from sosie.evaluation.sample import Sample
from sosie.evaluation.video_frames import Frame, Sight, VideoSeries
from sosie.types import FloatArray

Group = Literal["Identity", "Attributes", "Realism", "Video", "Cost", "Other"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What every metric has.

    figures: name -> description. version: raised whenever one of them gets another value on the
    same pictures, so that no cache and no run passes an earlier value for a new one. group: the
    heading of reports and pages under which they stand. source, limits: of figures that have none
    of their own.
    """

    figures: Mapping[str, Figure]
    version: int = 1
    group: Group = "Other"
    source: str = "Sosie"
    limits: str = ""
    kind: ClassVar[Kind] = "cost"

    def __post_init__(self) -> None:
        whole = {
            name: replace(
                figure,
                name=name,
                source=figure.source or self.source,
                limits=figure.limits or f"{self.limits} {figure.also}".strip(),
                kind=figure.kind or self.kind,
            )
            for name, figure in self.figures.items()
        }
        object.__setattr__(self, "figures", whole)


@dataclass(frozen=True, kw_only=True)
class PairMetric(Metric):
    """A metric of one pair.

    measure: gives all figures, or variants of them. It raises MissingFigureError where the pair
    lets none be told, and UnavailableError where weights or a package are absent.
    """

    measure: Callable[[Sample, Settings], Readings]
    kind: ClassVar[Kind] = "pair"


@dataclass(frozen=True, kw_only=True)
class SetMetric(Metric):
    """A metric of a set of pairs.

    describe: what must be kept of a pair; names start with `source.`, `target.`, `result.` or
    `other.`. Empty where the pair has nothing to give. measure: as of `PairMetric`, of the set.
    """

    describe: Callable[[Sample, Settings], dict[str, FloatArray]]
    measure: Callable[[Sequence[SampleFeatures], Settings], SetReadings]
    kind: ClassVar[Kind] = "set"


@dataclass(frozen=True)
class FrameValue:
    """What a metric tells of one face on one frame.

    name: in frames.jsonl. summary: what it is. worst: the heading of the frames on which it is
    worst, which are kept as pictures; "" where none are. worse: which way that is. flag: 0 or 1,
    and the worst are those with a 1.
    """

    name: str
    summary: str
    worst: str = ""
    worse: Literal["higher", "lower"] = "higher"
    flag: bool = False


@dataclass(frozen=True)
class Plot:
    """Values along a video, drawn together. lines: name of a value -> its words in the legend."""

    caption: str
    axis: str
    lines: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class FrameMetric(Metric):
    """A metric along a video.

    values: what `look` tells of a face on a frame that both videos have; it leaves out what cannot
    be told. keep: what must be kept of such a frame, in `VideoSeries.kept` under the metric's name.
    measure: the figures, from what was told and kept of all frames; it raises nothing. plots: of
    values, for the report.
    """

    measure: Callable[[VideoSeries], Readings]
    values: tuple[FrameValue, ...] = ()
    look: Callable[[Sight], Mapping[str, float]] | None = None
    keep: Callable[[Frame], Any] | None = None
    plots: tuple[Plot, ...] = ()
    kind: ClassVar[Kind] = "video"
