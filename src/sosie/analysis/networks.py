"""The networks that Sosie's package carries, each loaded when it is first needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from sosie.analysis import detection
from sosie.analysis.detector import Detector
from sosie.analysis.embedder import Embedder
from sosie.analysis.landmarker import Landmarker
from sosie.analysis.parser import Parser
from sosie.models.session import Session
from sosie.models.zoo import open_network


@dataclass(frozen=True)
class Networks:
    """What finds, reads and recognizes faces.

    threads: for the detector, which has the most to do at once; the others take one. provider: on
    which all of them run. providers: of those that were opened so far, by name, on which each does.
    Each property raises InputError where its weight file is damaged, and UnavailableError where the
    provider does not run it.
    """

    threads: int
    provider: str = "cpu"
    providers: dict[str, str] = field(default_factory=dict)

    @cached_property
    def detector(self) -> Detector:
        return Detector(self._open("detector", self.threads), detection.THOROUGH_PX)

    @cached_property
    def landmarker(self) -> Landmarker:
        return Landmarker(self._open("landmarks"))

    @cached_property
    def embedder(self) -> Embedder:
        return Embedder(self._open("identity"))

    @cached_property
    def parser(self) -> Parser:
        return Parser(self._open("parser"))

    def _open(self, name: str, threads: int = 1) -> Session:
        session = open_network(name, self.provider, threads)
        self.providers[name] = session.provider
        return session
