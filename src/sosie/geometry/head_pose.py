"""Indices into the 478-point face mesh, and what follows from the points alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sosie.geometry.mesh import LEFT_EYE, RIGHT_EYE
from sosie.types import FloatArray, Pose

RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263
# The tip proper and the point above it: their mean is what five-point detectors call the nose.
NOSE_TIP = (1, 4)
RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER = 61, 291
FOREHEAD_TOP, CHIN = 10, 152

# Pairs of mirrored points (subject's right, left) that expressions hardly move: temples, the
# cheeks' edge before the ears, eye corners, the nose's root.
_ACROSS_RIGHT = (127, 234, 93, 21, 54, 33, 133, 193)
_ACROSS_LEFT = (356, 454, 323, 251, 284, 263, 362, 417)
# From the hairline to what the jaw moves least: below the nose, and the jaw's two angles.
_UPPER, _LOWER = (10, 109, 338), (94, 2, 164, 58, 288)
# Measured on 240 photos against poses fitted to a metric head: how far the line between those
# leans back in an upright head, and by how much the network's depths are too small or large.
_LEAN_DEG = 7.4
_DEPTH_SHARE = 0.92

# Points of the forehead, temples, eye corners and the nose's root: what a face moves least.
STEADY = (
    *(10, 151, 9, 8, 168, 6, 33, 133, 362, 263, 127, 356, 234, 454),
    *(21, 251, 54, 284, 103, 332, 67, 297, 162, 389, 193, 417),
)

# The point on the other side of the face, for each point; the middle line is its own mirror.
MIRROR = np.fromstring(
    """
    0 1 2 248 4 5 6 249 8 9 10 11 12 13 14 15 16 17 18 19 250 251 252 253 254 255 256 257 258 259
    260 261 262 263 264 265 266 267 268 269 270 271 272 273 274 275 276 277 278 279 280 281 282
    283 284 285 286 287 288 289 290 291 292 293 294 295 296 297 298 299 300 301 302 303 304 305
    306 307 308 309 310 311 312 313 314 315 316 317 318 319 320 321 322 323 94 324 325 326 327 328
    329 330 331 332 333 334 335 336 337 338 339 340 341 342 343 344 345 346 347 348 349 350 351
    352 353 354 355 356 357 358 359 360 361 362 363 364 365 366 367 368 369 370 371 372 373 374
    375 376 377 378 379 151 152 380 381 382 383 384 385 386 387 388 389 390 164 391 392 393 168
    394 395 396 397 398 399 175 400 401 402 403 404 405 406 407 408 409 410 411 412 413 414 415
    416 417 418 195 419 197 420 199 200 421 422 423 424 425 426 427 428 429 430 431 432 433 434
    435 436 437 438 439 440 441 442 443 444 445 446 447 448 449 450 451 452 453 454 455 456 457
    458 459 460 461 462 463 464 465 466 467 3 7 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36
    37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67
    68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 95 96 97 98 99
    100 101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 116 117 118 119 120 121 122
    123 124 125 126 127 128 129 130 131 132 133 134 135 136 137 138 139 140 141 142 143 144 145
    146 147 148 149 150 153 154 155 156 157 158 159 160 161 162 163 165 166 167 169 170 171 172
    173 174 176 177 178 179 180 181 182 183 184 185 186 187 188 189 190 191 192 193 194 196 198
    201 202 203 204 205 206 207 208 209 210 211 212 213 214 215 216 217 218 219 220 221 222 223
    224 225 226 227 228 229 230 231 232 233 234 235 236 237 238 239 240 241 242 243 244 245 246
    247 473 476 475 474 477 468 471 470 469 472
    """,
    np.intp,
    sep=" ",
)


@dataclass(frozen=True)
class Region:
    """A square of a frame, tilted like a head: the bounds of a face's landmarks.

    x, y: center, in pixels. size_px: side. roll_deg: tilt, clockwise as seen.
    """

    x: float
    y: float
    size_px: float
    roll_deg: float


def five_points(landmarks: FloatArray) -> FloatArray:
    """Eye centers, nose tip and mouth corners, the subject's right side first: float32, 5 x 2."""
    xy = landmarks[:, :2]
    points = np.stack(
        [
            xy[list(RIGHT_EYE)].mean(0),
            xy[list(LEFT_EYE)].mean(0),
            xy[list(NOSE_TIP)].mean(0),
            xy[RIGHT_MOUTH_CORNER],
            xy[LEFT_MOUTH_CORNER],
        ]
    )
    return np.asarray(points, np.float32)


def bounds(landmarks: FloatArray) -> FloatArray:
    """x0, y0, x1, y1 of the landmarks, float32, 4."""
    xy = landmarks[:, :2]
    return np.asarray(np.concatenate([xy.min(0), xy.max(0)]), np.float32)


def tilt_deg(landmarks: FloatArray) -> float:
    """The head's tilt in the image, clockwise, -180..180.

    The line of the eyes and the line from forehead to chin are added by their lengths as seen,
    so that a profile, whose eyes are nearly behind one another, is judged by the latter.
    """
    eyes = landmarks[LEFT_EYE_OUTER, :2] - landmarks[RIGHT_EYE_OUTER, :2]
    down = landmarks[CHIN, :2] - landmarks[FOREHEAD_TOP, :2]
    return float(np.degrees(np.arctan2(eyes[1] - down[0], eyes[0] + down[1])))


def region_of(landmarks: FloatArray) -> Region:
    """The upright-in-its-own-frame square around a face's landmarks."""
    roll_deg = tilt_deg(landmarks)
    cosine, sine = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
    turn = np.array([[cosine, sine], [-sine, cosine]])
    own = landmarks[:, :2] @ turn.T
    low, high = own.min(0), own.max(0)
    x, y = (low + high) / 2 @ turn
    return Region(float(x), float(y), float((high - low).max()), roll_deg)


def square_matrix(region: Region, margin: float, side_px: int) -> NDArray[np.float64]:
    """Picture -> upright square, 2 x 3: the region, larger by `margin`, fills it: `side_px`."""
    scale = side_px / (region.size_px * margin)
    cosine = scale * np.cos(np.radians(region.roll_deg))
    sine = scale * np.sin(np.radians(region.roll_deg))
    turn = np.array([[cosine, sine], [-sine, cosine]])
    return np.column_stack([turn, (side_px - 1) / 2 - turn @ (region.x, region.y)])


def turned_deg(start_deg: float, end_deg: float) -> float:
    """By how much a tilt changes, the short way round: -180..180."""
    return (end_deg - start_deg + 180) % 360 - 180


def head_pose(landmarks: FloatArray) -> Pose:
    """Head rotation from the landmarks' own axes: pitch about the ear line first, then yaw, then
    roll, so that a tilted picture of a face has the same yaw and pitch as the upright one.
    """
    points = landmarks.astype(np.float64) * (1, 1, _DEPTH_SHARE)
    across = _unit((points[list(_ACROSS_LEFT)] - points[list(_ACROSS_RIGHT)]).mean(0))
    down = points[list(_LOWER)].mean(0) - points[list(_UPPER)].mean(0)
    down = _unit(down - across * (down @ across))
    inward = np.cross(across, down)
    return Pose(
        yaw=float(np.degrees(np.arcsin(np.clip(across[2], -1, 1)))),
        pitch=float(np.degrees(np.arctan2(down[2], inward[2]))) - _LEAN_DEG,
        roll=float(np.degrees(np.arctan2(across[1], across[0]))),
    )


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)
