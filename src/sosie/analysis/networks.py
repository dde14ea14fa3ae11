"""The networks that Sosie's package carries, each loaded when it is first needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sosie.analysis import search
from sosie.analysis.detector import Detector
from sosie.analysis.landmarker import Landmarker
from sosie.analysis.parser import Parser
from sosie.analysis.recogniser import Recogniser
from sosie.runtime import create_session
from sosie.weights import read_embedded


@dataclass(frozen=True)
class Networks:
    """What finds, reads and recognises faces.

    threads: for the detector, which has the most to do at once; the others take one. Each property
    raises InputError where its weight file is damaged.
    """

    threads: int

    @cached_property
    def detector(self) -> Detector:
        session = create_session(read_embedded("detector"), threads=self.threads)
        return Detector(session, search.THOROUGH_PX)

    @cached_property
    def landmarker(self) -> Landmarker:
        return Landmarker(create_session(read_embedded("landmarks"), threads=1))

    @cached_property
    def recogniser(self) -> Recogniser:
        return Recogniser(create_session(read_embedded("identity"), threads=1))

    @cached_property
    def parser(self) -> Parser:
        return Parser(create_session(read_embedded("parser"), threads=1))
