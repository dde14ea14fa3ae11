"""A photo moved by geometry: the driver's motion on the photo's mesh, and the head with it.

Nothing but the photo is needed. What it does not show of the skin is filled in as for a swap; the
inside of a mouth that is shut in the photo is the driver's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.parser import SIDE_PX, square_matrix
from sosie.blending.pixel_math import blurred, luma, mixed
from sosie.blending.tint import Tint, measure_tint
from sosie.errors import UsageError
from sosie.geometry import mesh
from sosie.geometry.alignment import (
    face_window,
    fill_hull,
    fill_polygon,
    fit_similarity,
    resize_matrix,
    transform_points,
)
from sosie.geometry.head_pose import region_of
from sosie.geometry.morphable_model import Points, silhouette, smoothstep
from sosie.geometry.rasterizer import rasterize
from sosie.methods.base import Source
from sosie.methods.graft import unwrap
from sosie.methods.graft.completion import complete
from sosie.methods.graft.source_texture import PreparedPhoto, cut_out, prepare_photo
from sosie.methods.graft.warp import Field, own_parts, textured
from sosie.options import KEPT
from sosie.reenactment.base import Card, DrivingFrame
from sosie.reenactment.headroom import with_headroom
from sosie.reenactment.motion import MovedFace, Placed, eye_corners, moved_face
from sosie.reenactment.options import ReenactOptions
from sosie.types import FloatArray, Pixels

CARD = Card(
    name="mesh",
    summary="the photo's own pixels, moved over a face mesh; no network",
    license="Apache-2.0",
    paper="none: geometry alone",
)

# Rings around the outline, as factors of its distance from the middle of the face, and how far they
# lie behind it (canonical): the head's sides and the hair move with the head. The last one stays.
_RINGS = ((1.25, 0.6), (1.6, 1.0), (1.95, 1.1))
_STILL = 3.2
# What lies nearer to the photo's edge than this share of the face moves less: beyond the edge is
# nothing.
_EDGE = 0.25
# The map is worked out at no more than this many pixels a face's side and enlarged; outside the
# face it is smoothed over the second, and both meet over the third, shares of that.
_MAP_PX = 256
_SMOOTH, _MEET = 0.06, 0.02
# A mouth is open in the photo from this opening on. Between lips that are shut in the photo the
# driver's mouth shows as they open so far; between others, whose teeth would be stretched, as they
# open so many times as far.
_OPEN, _INSIDE, _WIDER = 0.06, (0.015, 0.05), (1.25, 1.7)
# As the first to the second share of the driver's mouth is seen, with nothing before it, it shows.
_SEEN_FROM, _SEEN_TO = 0.6, 0.9
# Softness of the rim of what is filled in, as a share of the face's width.
_RIM = 0.015
# Softness of the edges of eyes and mouth, as a share of their width.
_FEATHER = 0.03
# From the first to the second distance from the iris's middle, in radii of the iris, the eyeball
# turns less and less with it.
_IRIS_RIGID, _IRIS_REACH = 1.1, 2.2
# The inside of the driver's mouth is made as bright as the photo's skin against the driver's, by
# this power and no more than so much.
_LIGHT_POWER, _LIGHT_RANGE = 0.5, (0.6, 1.5)


@dataclass(frozen=True)
class _State:
    """What is kept of a photo and of the driver's first frame. canvas: the photo with `above` rows
    more above it. tint: of the photo. skin: its brightness about the mouth, 0..1; mouth: how far
    that is open."""

    canvas: Pixels
    above: int
    prepared: PreparedPhoto
    placed: Placed
    first: Placed
    tint: Tint
    skin: float
    mouth: float


class MeshReenactor:
    """The reenactor `mesh`: see the module."""

    card = CARD

    def __init__(self, options: ReenactOptions) -> None:
        """Raises UsageError where weights are given, or something to retarget."""
        if options.weights is not None:
            raise UsageError(
                "The method mesh has no weights: leave them out, or name their method."
            )
        refuse_retargeting(options)
        self.options = options

    @property
    def providers(self) -> Mapping[str, str]:
        """None: it has no network."""
        return {}

    def start(self, photo: Source, first: DrivingFrame) -> _State:
        """See `Reenactor`."""
        landmarks, part = photo.face.landmarks, cut_out(photo)
        (whole,) = complete([part], KEPT)
        canvas, above = with_headroom(photo)
        return _State(
            canvas,
            above,
            prepare_photo(part, whole.fill),
            Placed.of(landmarks),
            Placed.of(first.face.landmarks),
            measure_tint(part.pixels),
            _lip_light(photo.pixels, landmarks),
            mesh.opening(landmarks, mesh.INNER_LIPS),
        )

    def move(self, state: _State, frame: DrivingFrame) -> Pixels:
        """See `Reenactor`."""
        return self.moved(state, frame)[0]

    def moved(self, state: _State, frame: DrivingFrame) -> tuple[Pixels, MovedFace]:
        """The same, and where the face went."""
        driver = Placed.of(frame.face.landmarks)
        moved = moved_face(state.placed, state.first, driver, self.options)
        pixels = _carried(state, moved)
        _fill_turned(pixels, state, moved.points)
        opened, limits = mesh.opening(moved.points, mesh.INNER_LIPS), _INSIDE
        if state.mouth >= _OPEN:
            opened, limits = opened / state.mouth, _WIDER
        share = float(smoothstep(np.array(opened), *limits)) * _mouth_seen(frame)
        if share > 0:
            _lay_mouth(pixels, state, moved.points, frame, share)
        return pixels, moved


def refuse_retargeting(options: ReenactOptions) -> None:
    """Raises UsageError where something is to be retargeted, for methods that have no use for
    it."""
    if options.retargeted():
        raise UsageError(
            f"The method {options.method} moves eyes and lips as far as the driver's by itself: "
            f"leave --retarget out, or choose --method portrait."
        )


def _carried(state: _State, moved: MovedFace) -> Pixels:
    """The photo's pixels where the head and the expression bring them."""
    canvas, above = state.canvas, state.above
    height, width = canvas.shape[:2]
    places = _places(state.placed, moved, width, height, above)
    for ring, iris in ((mesh.RIGHT_EYE, mesh.RIGHT_IRIS), (mesh.LEFT_EYE, mesh.LEFT_IRIS)):
        _turn_eye(places, moved.points, state.placed.landmarks, ring, iris)
    x, y = places[..., 0], places[..., 1] + above
    carried = cv2.remap(canvas, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(carried, canvas.dtype)


def _places(placed: Placed, moved: MovedFace, width: int, height: int, above: int) -> FloatArray:
    """Where in the photo each pixel of the moved picture comes from: (height - above) x width x 2,
    in pixels of the photo. width, height: of the canvas, `above` rows of which lie over it."""
    there, own = placed.landmarks.astype(np.float64), placed.canonical
    before, after = [there], [moved.points.astype(np.float64)]
    for by, behind in _RINGS:
        before.append(_ring(there, by, behind * own.rotation[2] * own.scale))
        # The head does not open its mouth.
        after.append(
            _ring(moved.rigid.astype(np.float64), by, behind * moved.rotation[2] * moved.scale)
        )
    still = _ring(there, _STILL, _RINGS[-1][1] * own.rotation[2] * own.scale)
    source, target = np.concatenate([*before, still]), np.concatenate([*after, still])
    face_px = float(np.ptp(there[: mesh.SURFACE_POINTS, :2], axis=0).max())
    shrink = min(1.0, _MAP_PX / face_px)
    small = np.asarray(target * shrink, np.float32)
    small[:, 1] += above * shrink
    small[:, :2] += 0.5 * shrink - 0.5
    # Behind the face, so that they never hide it.
    small[mesh.POINTS :, 2] += np.ptp(small[:, 2])
    across, down = int(np.ceil(width * shrink)), int(np.ceil(height * shrink))
    raster = rasterize(small, _triangles(), across, down)
    shifts = np.asarray(source - target, np.float32)
    x, y = (raster.interpolate(np.ascontiguousarray(shifts[:, k])) for k in (0, 1))
    inside = silhouette(small, across, down).astype(np.float32) / 255
    soft = blurred(inside, max(1.0, _MEET * face_px * shrink))
    smooth = max(1.0, _SMOOTH * face_px * shrink)
    field = cv2.merge([_outside_smooth(one, soft, smooth) for one in (x, y)])
    to_small = resize_matrix(shrink)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (width, height)
    spread = cv2.warpAffine(field, to_small, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    large = np.asarray(spread, np.float32)
    large *= _away_from_edge(width, height, _EDGE * face_px)[..., None]
    large = large[above:]
    large[..., 0] += np.arange(width, dtype=np.float32)
    large[..., 1] += np.arange(height - above, dtype=np.float32)[:, None]
    return large


def _outside_smooth(shift: FloatArray, inside: FloatArray, sigma_px: float) -> FloatArray:
    smooth = blurred(shift, sigma_px)
    return np.asarray(smooth + (shift - smooth) * inside, np.float32)


def _away_from_edge(width: int, height: int, reach_px: float) -> FloatArray:
    """0 at a picture's edge, 1 from `reach_px` on: h x w."""
    across, down = (
        smoothstep(np.minimum(steps, steps[::-1]), 0.0, reach_px)
        for steps in (np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    )
    return np.asarray(down[:, None] * across, np.float32)


def _ring(points: Points, by: float, back: Points) -> Points:
    """The outline of a face, made larger about its middle and laid behind it: 36 x 3."""
    rim = points[list(mesh.OVAL)]
    middle = rim.mean(0)
    return np.asarray(middle + (rim - middle) * by + back)


@cache
def _triangles() -> NDArray[np.int32]:
    """Those of the mesh, and between the rings around it."""
    count = len(mesh.OVAL)
    numbers = np.arange((len(_RINGS) + 1) * count).reshape(-1, count) + mesh.POINTS
    rings = np.concatenate([np.array(mesh.OVAL)[None], numbers])
    inner, outer = rings[:-1], rings[1:]
    on, beside = np.roll(outer, -1, axis=1), np.roll(inner, -1, axis=1)
    between = np.stack([np.stack([inner, outer, on], -1), np.stack([inner, on, beside], -1)])
    return np.concatenate([unwrap.triangles(), between.reshape(-1, 3).astype(np.int32)])


def _window(
    opening: FloatArray, width: int, height: int
) -> tuple[int, int, int, int, FloatArray] | None:
    """x0, y0, x1, y1 around an opening (N x 2) as far as it lies in a picture, and how far each
    pixel there is inside it, 0..1; None where it lies outside."""
    width_px = float(np.ptp(opening, axis=0).max())
    low = np.floor(opening.min(0) - 0.1 * width_px - 2)
    high = np.ceil(opening.max(0) + 0.1 * width_px + 3)
    x0, y0 = np.maximum(low, 0).astype(int).tolist()
    x1, y1 = np.minimum(high, (width, height)).astype(int).tolist()
    if x1 <= x0 or y1 <= y0:
        return None
    inside = fill_polygon(opening - np.array([x0, y0], np.float32), x1 - x0, y1 - y0)
    soft = cv2.GaussianBlur(inside, (0, 0), max(0.5, _FEATHER * width_px))
    return x0, y0, x1, y1, np.asarray(soft.astype(np.float32) / 255, np.float32)


def _turn_eye(
    places: FloatArray,
    points: FloatArray,
    there: FloatArray,
    ring: tuple[int, ...],
    iris: tuple[int, ...],
) -> None:
    """Inside the lids the eyeball is not squeezed as they close, and turns with the iris: changes
    `places` there."""
    found = _window(points[list(ring), :2], places.shape[1], places.shape[0])
    if found is None:
        return
    x0, y0, x1, y1, inside = found
    corners = list(eye_corners(ring))
    back = fit_similarity(points[corners, :2], there[corners, :2])
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    seen = transform_points(np.stack([x.ravel(), y.ravel()], 1), back).reshape(*x.shape, 2)
    middle = transform_points(points[[iris[0]], :2], back)[0]
    own = there[iris[0], :2]
    radius = float(np.linalg.norm(there[list(iris[1:]), :2] - own, axis=1).mean())
    away = np.linalg.norm(seen - middle, axis=-1) / max(radius, 1e-3)
    share = 1 - smoothstep(away, _IRIS_RIGID, _IRIS_REACH)
    seen = seen + (own - middle) * share[..., None].astype(np.float32)
    part = places[y0:y1, x0:x1]
    part += (seen - part) * inside[..., None]


def _fill_turned(pixels: Pixels, state: _State, points: FloatArray) -> None:
    """Skin that the photo shows from the side, or not at all, as the source of a swap has it."""
    prepared = state.prepared
    if not prepared.has_other:
        return
    x0, y0, x1, y1 = face_window(points, 0.0, pixels.shape)
    if x1 <= x0 or y1 <= y0:
        return
    part = pixels[y0:y1, x0:x1]
    height, width = part.shape[:2]
    there = points - np.array([x0, y0, 0], np.float32)
    field = Field(there, width, height)
    share = field.spread(prepared.other, flat=True)
    inside = silhouette(there, width, height).astype(np.float32) / 255
    share *= blurred(inside, _RIM * float(np.ptp(there[:, 0]))) * inside
    if not share.max() > 0:
        return
    texture, known = textured(prepared, field)
    share *= known
    top = np.float32(np.iinfo(pixels.dtype).max)
    made = mixed(part.astype(np.float32) / top, texture, np.asarray(share, np.float32))
    changed = share > 0
    part[changed] = np.rint(np.clip(made[changed], 0, 1) * top).astype(pixels.dtype)


def _lip_light(pixels: Pixels, landmarks: FloatArray) -> float:
    """The brightness of the skin about the mouth, 0..1."""
    height, width = pixels.shape[:2]
    x, y = landmarks[list(mesh.ANNOTATED[4:13]), :2].mean(0)
    size = float(np.ptp(landmarks[: mesh.SURFACE_POINTS, 0])) / 6
    x0, y0 = max(0, int(x - size)), max(0, int(y - 2 * size))
    part = pixels[y0 : min(height, int(y)), x0 : min(width, int(x + size))]
    if not part.size:
        return 0.5
    return float(luma(part.astype(np.float32) / np.iinfo(pixels.dtype).max).mean())


def _mouth_seen(frame: DrivingFrame) -> float:
    """How far the driver's mouth is seen, 0..1: a cup or a hand before it is no inside of a
    mouth."""
    if frame.parts is None:
        return 1.0
    landmarks = frame.face.landmarks
    there = transform_points(landmarks, square_matrix(region_of(landmarks)))
    inside = fill_hull(there, mesh.OUTER_LIPS, SIDE_PX, SIDE_PX) > 0
    shown = frame.parts.skin[inside]
    return float(smoothstep(shown.mean(), _SEEN_FROM, _SEEN_TO)) if shown.size else 0.0


def _lay_mouth(
    pixels: Pixels, state: _State, points: FloatArray, frame: DrivingFrame, share: float
) -> None:
    """Between the lips lies a share of the driver's mouth, in the photo's light and tint."""
    x0, y0, x1, y1 = face_window(points, 0.0, pixels.shape)
    if x1 <= x0 or y1 <= y0:
        return
    part, driver = pixels[y0:y1, x0:x1], frame.face.landmarks
    there = points - np.array([x0, y0, 0], np.float32)
    size = (x1 - x0, y1 - y0)
    inside, mouth = own_parts(frame.pixels, driver, there, (mesh.INNER_LIPS,), size)
    mouth = _in_light(mouth, state.skin / max(_lip_light(frame.pixels, driver), 0.02))
    top = np.float32(np.iinfo(pixels.dtype).max)
    made = mixed(part.astype(np.float32) / top, state.tint.applied(mouth), inside * share)
    part[inside > 0] = np.rint(np.clip(made[inside > 0], 0, 1) * top)


def _in_light(mouth: FloatArray, brighter: float) -> FloatArray:
    """The inside of a mouth (RGB, 0..1) in another light. Teeth are never blue: what is, is the
    color of the driver's light."""
    gain = np.float32(np.clip(brighter**_LIGHT_POWER, *_LIGHT_RANGE))
    made = np.clip(mouth * gain, 0, 1)
    made[..., 2] = np.minimum(made[..., 2], 0.5 * (made[..., 0] + made[..., 1]))
    return made
