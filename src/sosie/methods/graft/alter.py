"""Ways to make a face look otherwise: other light, painted shades, things before it, a turned-away
side. Whoever learns to undo them learns to swap, without a second photo of the person."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.analyzer import make_face
from sosie.blending.pixel_math import planes
from sosie.geometry import mesh
from sosie.geometry.alignment import fill_polygon
from sosie.geometry.morphable_model import Points, canonicalize, face_shape, silhouette, smoothstep
from sosie.methods.base import Source
from sosie.methods.graft.source_texture import PreparedPhoto, prepare_photo
from sosie.methods.graft.view import normals
from sosie.methods.graft.warp import Field, textured
from sosie.recipes.occluders.layer import blend
from sosie.recipes.occluders.library import KINDS, Library, placed
from sosie.types import FloatArray

Pixels = NDArray[np.uint8]

# Share of the altered faces that get light from a side, a shadow with an edge, and gloss.
_SIDE_LIT, _SHADOWED, _GLOSSY = 0.6, 0.35, 0.25
# A lamp is about white, or, of this share, of some color.
_COLORED, _WHITE, _HUE = 0.3, 0.1, 0.4
_KIND_NAMES = list(KINDS)
# What stands before a source's face and is taken for skin is hair and spectacles most of all.
_OFTENER = {"fringe": 3.0, "lock": 2.0, "strands": 4.0, "spectacles": 4.0}
_KIND_SHARES = np.array([kind.share * _OFTENER.get(n, 1.0) for n, kind in KINDS.items()])
_KIND_SHARES = _KIND_SHARES / _KIND_SHARES.sum()
# Rings about which a beard, brows or a painted forehead lie.
_BEARD = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288,
          361, 323, 454, 425, 391, 164, 165, 205)  # fmt: skip
_FOREHEAD = (127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389, 356, 300, 293, 334,
             296, 336, 9, 107, 66, 105, 63, 70)  # fmt: skip
_EYES = (*_FOREHEAD[-10:], 46, 111, 117, 118, 119, 120, 121, 128, 245, 193, 168, 417, 465, 357,
         350, 349, 348, 347, 346, 340, 276)  # fmt: skip
_BROWS = (mesh.RIGHT_BROW, mesh.LEFT_BROW)
_PAINTED = (_BEARD, _FOREHEAD, _EYES, *_BROWS, mesh.OUTER_LIPS)
_OPENINGS = (mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.INNER_LIPS)


def relit(pixels: Pixels, landmarks: FloatArray, rng: np.random.Generator) -> Pixels:
    """The picture (uint8, h x w x 3) in another light: brightness, color, contrast, a lamp at a
    side that shades the face by its normals, a shadow with an edge, gloss.

    landmarks: 478 x 3, in its pixels.
    """
    picture = pixels.astype(np.float32) / 255
    picture = picture ** np.float32(np.exp(rng.normal(0, 0.25)))
    light = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.08, 3)).astype(np.float32)
    height, width = pixels.shape[:2]
    if rng.random() < _SIDE_LIT:
        picture *= _lamp(landmarks, width, height, rng)
    if rng.random() < _SHADOWED:
        picture *= _shadow(width, height, rng)
    if rng.random() < _GLOSSY:
        picture += _gloss(landmarks, width, height, rng)
    picture = 0.5 + (picture * light - 0.5) * np.float32(np.exp(rng.normal(0, 0.12)))
    return np.asarray(np.rint(np.clip(picture, 0, 1) * 255), np.uint8)


def _lamp(landmarks: FloatArray, width: int, height: int, rng: np.random.Generator) -> FloatArray:
    """Lambert's law over the mesh's normals, h x w x 3, with some light from everywhere."""
    x, y, z = _facing(landmarks, width, height)
    towards = np.append(rng.normal(0, 1, 2) * (1.0, 0.7), -abs(rng.normal(0, 0.8)) - 0.15)
    towards /= np.linalg.norm(towards)
    wrap = rng.uniform(0, 0.5)
    product = x * towards[0] + y * towards[1] + z * towards[2]
    shade = np.clip((product + wrap) / (1 + wrap), 0, 1).astype(np.float32)
    # Beside the face there is no mesh: it is lit as the face's edge nearby.
    inside = (silhouette(landmarks, width, height) > 127).astype(np.float32)
    sigma = 0.06 * width
    around = cv2.GaussianBlur(shade * inside, (0, 0), sigma)
    around /= cv2.GaussianBlur(inside, (0, 0), sigma) + np.float32(1e-3)
    shade = np.where(inside > 0, shade, around)
    ambient = float(rng.uniform(0.25, 0.85))
    hue = _HUE if rng.random() < _COLORED else _WHITE
    color = np.exp(rng.normal(0, hue, 3)).astype(np.float32)
    lit = ambient + (1 - ambient) * 1.6 * shade[..., None] * color
    return np.asarray(lit, np.float32)


def _facing(landmarks: FloatArray, width: int, height: int) -> tuple[FloatArray, ...]:
    """The mesh's unit normals at each pixel: x, y and z, h x w each; beside the face 0, 0, -1."""
    field = Field(landmarks, width, height)
    x, y = planes(field.spread(normals(landmarks)[:, :2].astype(np.float32)))
    return x, y, -np.sqrt(np.clip(1 - x * x - y * y, 0, 1))


def _gloss(landmarks: FloatArray, width: int, height: int, rng: np.random.Generator) -> FloatArray:
    """Reflections of a lamp on the skin, h x w x 3 (Blinn, "Models of light reflection for computer
    synthesized pictures", 1977: a power of the normal's part along the half vector)."""
    x, y, z = _facing(landmarks, width, height)
    half = np.append(rng.normal(0, 0.45, 2), -1.0)
    half /= np.linalg.norm(half)
    along = np.clip(x * half[0] + y * half[1] + z * half[2], 0, 1)
    shine = along ** float(rng.uniform(8, 60)) * float(rng.uniform(0.1, 0.6))
    cells = int(rng.integers(6, 24))
    uneven = cv2.resize(
        rng.uniform(0.3, 1, (cells, cells)).astype(np.float32),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )
    shine *= uneven * (silhouette(landmarks, width, height) > 127)
    color = np.exp(rng.normal(0, 0.05, 3)).astype(np.float32)
    return np.asarray(shine[..., None] * color, np.float32)


def turned_head(
    pixels: Pixels, visible: FloatArray, landmarks: FloatArray, rng: np.random.Generator
) -> tuple[Pixels, FloatArray, FloatArray]:
    """The picture with its head turned by 20 to 65 degrees, drawn by its own mesh before what was
    at the picture's sides: with the smeared edges and the hidden cheek of a profile.

    Returns pixels, what is visible (h x w, 0..1), and landmarks, as they were given.
    """
    height, width = pixels.shape[:2]
    photo = prepare_photo(Source(pixels, make_face(landmarks, 1.0), visible))
    yaw = np.radians(rng.choice((-1, 1)) * rng.uniform(20, 65))
    pitch = np.radians(rng.normal(0, 8))
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array(
        [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    )
    middle = landmarks.mean(0)
    points = np.asarray((landmarks - middle) @ (about_x @ about_y) + middle, np.float32)
    color, known = textured(photo, Field(points, width, height))
    inside = silhouette(points, width, height)
    edge = cv2.GaussianBlur(inside, (0, 0), 1.0)[..., None].astype(np.float32) / 255
    behind = np.roll(pixels, width // 2, axis=1)
    drawn = behind * (1 - edge) + 255 * color * edge
    seen = np.where(inside > 0, known, 1).astype(np.float32)
    return np.asarray(np.rint(np.clip(drawn, 0, 255)), np.uint8), seen, points


def _shadow(width: int, height: int, rng: np.random.Generator) -> FloatArray:
    """A shadow whose outline is a level line of coarse noise, h x w x 1; sharp or soft."""
    cells = int(rng.integers(3, 7))
    noise = rng.standard_normal((cells, cells)).astype(np.float32)
    smooth = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    edge = float(np.exp(rng.uniform(np.log(0.02), np.log(0.5))))
    share = 1 / (1 + np.exp(-np.clip((smooth - rng.normal(0.3, 0.5)) / edge, -30, 30)))
    depth = float(rng.uniform(0.2, 0.65))
    return np.asarray(1 - depth * share[..., None], np.float32)


def painted(pixels: Pixels, landmarks: FloatArray, rng: np.random.Generator) -> Pixels:
    """The picture with a beard's, brows' or a fringe's shade on the face: what darkens a part of a
    face and is no light."""
    ring = _PAINTED[int(rng.integers(len(_PAINTED)))]
    height, width = pixels.shape[:2]
    mask = fill_polygon(landmarks[list(ring), :2], width, height)
    spared = (*_OPENINGS, mesh.OUTER_LIPS) if ring is _BEARD else _OPENINGS
    for opening in spared:
        mask[fill_polygon(landmarks[list(opening), :2], width, height) > 0] = 0
    soft = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.01, 0.03)) * width)
    color = rng.uniform(0.25, 0.95) * np.exp(rng.normal(0, 0.08, 3))
    share = soft[..., None].astype(np.float32) / 255
    shaded = pixels * (1 - share + share * np.minimum(color, 1.2))
    return np.asarray(np.rint(np.clip(shaded, 0, 255)), np.uint8)


def behind_a_thing(
    pixels: Pixels,
    visible: FloatArray,
    landmarks: FloatArray,
    library: Library,
    rng: np.random.Generator,
) -> tuple[Pixels, FloatArray]:
    """The picture with a thing before the face, and what is visible (h x w, 0..1), which knows of
    the thing or overlooks it."""
    name = _KIND_NAMES[int(rng.choice(len(_KIND_NAMES), p=_KIND_SHARES))]
    row = int(rng.choice(library.rows[name]))
    height, width = pixels.shape[:2]
    matrix = placed(KINDS[name].manner, landmarks[:, :2], rng)
    rgba = np.asarray(cv2.warpAffine(library.rgba[row], matrix, (width, height)), np.uint8)
    hides = np.asarray(cv2.warpAffine(library.hides[row], matrix, (width, height)), np.uint8)
    brightness = float(np.clip(pixels.mean() / 110, 0.3, 1.5))
    colors = cv2.convertScaleAbs(np.ascontiguousarray(rgba[..., :3]), alpha=brightness)
    covered = blend(pixels, np.asarray(colors, np.uint8), np.ascontiguousarray(rgba[..., 3]))
    if rng.random() < 0.5:
        return covered, visible
    known = visible * (1 - hides.astype(np.float32) / 255)
    return covered, np.asarray(known, np.float32)


def turned_away(photo: PreparedPhoto, rng: np.random.Generator) -> PreparedPhoto:
    """The photo as if one side of the face, or its upper or lower part, were not to be trusted."""
    places: Points = face_shape().mean[:, :2]
    angle = rng.choice((0.0, np.pi, rng.uniform(0, 2 * np.pi)))
    along = places @ np.array([np.cos(angle), np.sin(angle)])
    start = float(rng.uniform(-0.2, 0.8))
    gone = smoothstep(along, start, start + float(rng.uniform(0.1, 0.6)))
    direct = (photo.direct * (1 - gone)).astype(np.float32)
    if rng.random() < 0.5:
        other = np.zeros_like(direct)
    else:
        other = ((1 - direct) * direct[face_shape().mirror]).astype(np.float32)
    return dataclasses.replace(
        photo, direct=direct, other=other, has_other=bool(other.max() > 0.05)
    )


def misread(landmarks: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Landmarks (478 x 3, pixels) as a network might read them: off by a smooth error of about a
    hundredth of the face."""
    shape = face_shape()
    there = canonicalize(landmarks, shape)
    weights = rng.normal(0, 1, len(shape.basis)) / np.arange(1, len(shape.basis) + 1)
    change = (weights @ shape.basis).reshape(-1, 3)
    change *= rng.uniform(0, 0.02) / max(float(np.linalg.norm(change, axis=1).mean()), 1e-9)
    return np.asarray(landmarks + there.to_picture(change), np.float32)
