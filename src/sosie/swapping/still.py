"""Who is swapped in a still picture, a photo or one frame of a video by itself, and its report."""

from __future__ import annotations

from collections.abc import Sequence

from sosie.analysis.analyzer import Analyzer
from sosie.analysis.selection import Claim, match_people, select_faces
from sosie.analysis.tracking.tracks import TrackedFace
from sosie.errors import NoFaceError
from sosie.swapping.assignment import Role, nobody_alike, person_reports
from sosie.swapping.frame import SwappedFace
from sosie.types import FaceReport, PersonReport, Pixels


def assign_still(
    pixels: Pixels,
    faces: Sequence[TrackedFace],
    roles: Sequence[Role],
    spec: str,
    analyzer: Analyzer,
) -> tuple[list[Claim], tuple[PersonReport, ...]]:
    """The faces of a picture to swap, and what is to be said of the references' people.

    pixels: the picture, RGB, uint8 or uint16. faces: all of it, see `faces_of_photo`. spec: as
    `SwapOptions.faces`, which counts where no role has a reference. Raises NoFaceError where
    nobody is to be swapped.
    """
    wanted = [role.identity for role in roles if role.identity is not None]
    found = [one.face for one in faces]
    chosen = select_faces(found, "all" if wanted else spec, pixels)
    of_face = {id(one.face): one for one in faces}
    if not wanted:
        return [Claim(of_face[id(face)], 0, None) for face in chosen], ()
    identities = [analyzer.identify(pixels, face) for face in chosen]
    matches, best = match_people(identities, wanted)
    matched = [match.person for match in matches]
    people = person_reports(roles, [matched.count(p) for p in range(len(wanted))], best)
    if not matches:
        raise NoFaceError(nobody_alike(people))
    return [Claim(of_face[id(chosen[m.face])], m.person, m.similarity) for m in matches], people


def face_report(done: SwappedFace, role: Role) -> FaceReport:
    """One swapped face of a photo, for the report. role: whose face it got."""
    face, similarity = done.claim.face.face, done.claim.similarity
    x0, y0, x1, y1 = (round(float(v), 2) for v in face.box)
    return FaceReport(
        box=(x0, y0, x1, y1),
        score=face.score,
        pose=face.pose,
        source=done.source,
        source_photo=role.source_photos[done.source],
        reference=role.reference,
        similarity=None if similarity is None else round(similarity, 4),
    )
