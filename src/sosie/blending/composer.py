"""From a swapped crop to a patch of the frame: mask, color, edges, lenses, sharpness, texture,
blend, tint, rims, in this order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sosie.blending import blend, color_modes, color_transfer, glass, paste
from sosie.blending.color_transfer import meet_edges, transfer_light
from sosie.blending.mask import face_mask, face_size_px, feature_mask
from sosie.blending.pixel_math import mixed
from sosie.blending.skin_texture import match_sharpness, match_texture
from sosie.blending.tint import Tint
from sosie.geometry.alignment import scale_of
from sosie.types import Crop, FloatArray, Patch, Pixels, SwappedCrop

# Of a method's own mask: from here on its pixels mean something.
_VOUCHED = 0.5


@dataclass(frozen=True)
class ComposeOptions:
    """blend: multiband, poisson or alpha. color: light, match, none or one of `color_modes.MODES`.
    texture: match or none. feather: width of the mask's soft edge as a share of the face's size;
    erode: by how much the mask is smaller, as such a share. remove_spectacles: take the target's
    off where their lenses are clear. kept: parts of the face, of `mask.PART_RINGS`, that stay the
    target's own."""

    blend: str
    color: str
    texture: str
    feather: float
    remove_spectacles: bool = False
    erode: float = 0.0
    kept: tuple[str, ...] = ()


def compose(
    frame: Pixels,
    crop: Crop,
    swapped: SwappedCrop,
    options: ComposeOptions,
    tint: Tint | None = None,
    drawn: FloatArray | None = None,
) -> Patch:
    """The part of `frame` (RGB uint8 or uint16, h x w x 3) that the swap changes.

    tint: of the frame around the face, which the face takes; None leaves its colors. drawn: a mask
    of the frame that somebody drew, float32, h x w, 0..1: the face shows so, as far as the method
    vouches for its pixels there.
    """
    mask = face_mask(crop, swapped, options.feather, options.erode, options.kept)
    top = np.float32(255 if frame.dtype == np.uint8 else 65535)
    there = crop.pixels.astype(np.float32) / top
    worn = crop.spectacles
    over = crop.hair_or_rims()
    bare = mask if over is None else mask * (1 - over)
    lit = _lit(crop, swapped, bare, there, options.color)
    if options.color == "light" and swapped.bounded:
        lit = meet_edges(lit, there, mask, bare, face_size_px(crop))
    if worn is not None and not options.remove_spectacles:
        lit = glass.seen_through(lit, there, bare, crop, worn)
    box = paste.window(crop, frame.shape)
    x0, y0, x1, y1 = box
    target = frame[y0:y1, x0:x1].astype(np.float32) / top
    ours = paste.to_window(crop, box, lit)
    mask = paste.to_window(crop, box, mask)
    if drawn is not None:
        mask = drawn[y0:y1, x0:x1] * (paste.to_window(crop, box, swapped.mask) > _VOUCHED)
    size_px = face_size_px(crop) / scale_of(crop.matrix)
    if options.texture == "match":
        shown = mask if over is None else mask * (1 - paste.to_window(crop, box, over))
        landmarks = crop.face.landmarks[:, :2] - np.array(box[:2], np.float32)
        features = feature_mask(landmarks, mask.shape, size_px)
        ours = match_sharpness(ours, target, shown, features, landmarks, size_px)
        ours = match_texture(ours, target, shown, features, size_px)
    beside = np.zeros_like(mask)
    if worn is not None and options.remove_spectacles:
        beside = np.asarray(paste.to_window(crop, box, worn.cover) > 0, np.float32) * (mask < 1)
        # Rims within the face are not to be painted on.
        whole = np.where((mask == 1)[..., None], ours, target)
        target = glass.painted_out(np.asarray(whole, np.float32), beside, size_px)
    if options.blend == "multiband":
        joined = blend.multiband(ours, target, mask, size_px)
    elif options.blend == "poisson":
        joined = blend.poisson(ours, target, mask)
    else:
        joined = blend.alpha(ours, target, mask)
    if tint is not None:
        joined = tint.applied(joined)
    if worn is not None and options.remove_spectacles:
        mask = np.maximum(mask, beside)
    elif worn is not None and drawn is None:
        share = 1 - paste.to_window(crop, box, worn.cover)
        joined = blend.alpha(joined, target, share)
        mask = mask * share
    return paste.as_patch(frame, box, joined, mask)


def _lit(
    crop: Crop, swapped: SwappedCrop, mask: FloatArray, target: FloatArray, how: str
) -> FloatArray:
    """The swapped pixels in the target's light, where they do not have it already."""
    if how == "none" or bool((swapped.own == 1).all()):
        return swapped.pixels
    weight = mask * (1 - swapped.own)
    if how == "light":
        lit = transfer_light(swapped.pixels, target, weight, face_size_px(crop))
    elif how in color_modes.MODES:
        lit = color_modes.MODES[how](swapped.pixels, target, weight)
    else:
        lit = color_transfer.match_moments(swapped.pixels, target, weight)
    return mixed(lit, swapped.pixels, swapped.own)
