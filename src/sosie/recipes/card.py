"""The card of a trained network: a draft that needs but the figures of the final measurement."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from sosie.errors import UsageError, nearest
from sosie.models.cards import Card, Origin
from sosie.output import write_whole
from sosie.recipes import NEED_TEACHERS

DATA = {
    "lfw": (
        "Labeled Faces in the Wild (LFW), deep-funneled",
        "public research benchmark, none stated",
    ),
    "celeba": ("CelebA", "research use only"),
    "ffhq": ("FFHQ", "CC BY-NC-SA 4.0"),
    "stylegan2": ("people who do not exist, made by StyleGAN2", "non-commercial use only"),
    "portraits": ("generated portraits", "CC0-1.0"),
    "youtube": ("YouTube Faces, frames with 68 landmarks", "repository MIT, frames from YouTube"),
    "celebamask": ("CelebAMask-HQ", "non-commercial research"),
    "given": ("pictures that whoever trained it gave", "that of the pictures"),
    "scikit-image": ("pictures of the package scikit-image", "public domain or free"),
}
"""Key of a source of pictures -> its name and license."""

FACES = ("lfw", "celeba", "ffhq", "stylegan2", "portraits", "youtube")
"""The keys of the sources that are in the face cache."""

TEACHERS = {
    "face_landmarker": ("face_landmarker.task (MediaPipe)", "Apache-2.0"),
    "yunet": ("yunet_n_640_640.onnx (YuNet)", "Apache-2.0"),
    "bisenet": (
        "bisenetv2_celebamaskhq_448x448_integer_quant.tflite (BiSeNetV2)",
        "code MIT; labels of CelebAMask-HQ, non-commercial research",
    ),
    "hair": ("hair_segmentation.tflite (MediaPipe)", "Apache-2.0"),
    "mobileface": ("mobileface_v2.onnx (MobileFace)", "MIT"),
    "dlib": ("dlib face descriptor (face_recognition_models)", "CC0-1.0"),
    "squeezenet": ("squeezenet1_1_features.safetensors (SqueezeNet 1.1)", "MIT"),
    "lpips": ("lpips_squeeze_lin_v0_1.safetensors (LPIPS)", "BSD-2-Clause"),
    "sosie": ("identity.onnx (Sosie)", "Apache-2.0"),
    "blendface": ("blendface.onnx (of `sosie train blendface`)", "that of whoever trained it"),
    "sosie_landmarks": ("landmarks.onnx (Sosie)", "Apache-2.0"),
    "sosie_parser": ("parser.onnx (Sosie)", "Apache-2.0"),
    "fsanet": ("fsanet-1x1 and fsanet-var (FSA-Net)", "MIT"),
}
"""Key of a teacher -> its name and license."""

_CARRIED = {"sosie", "sosie_landmarks", "sosie_parser"}
"""Teachers that the package carries itself."""

LICENSE = "Apache-2.0"
"""Of the weights that Sosie makes. What they were made from, and its licenses, is on the card."""


def origins(uses: Mapping[str, str]) -> tuple[tuple[Origin, ...], tuple[Origin, ...]]:
    """Data and teachers from a recipe's `origins`: key in DATA or TEACHERS -> what it was used for.

    Raises UsageError on an unknown key.
    """
    known = DATA | TEACHERS
    for key in uses:
        if key not in known:
            raise UsageError(f"Unknown origin {key!r} in a recipe: {nearest(key, known)}.")
    found = {key: Origin(*known[key], use) for key, use in uses.items()}
    data = tuple(origin for key, origin in found.items() if key in DATA)
    return data, tuple(origin for key, origin in found.items() if key in TEACHERS)


def remake_command(
    name: str,
    settings: Mapping[str, str],
    start: str | None,
    preset: str | None = None,
    finetune: bool = False,
    uses: Mapping[str, str] | None = None,
    pair: bool = False,
    person: bool = False,
) -> str:
    """The command that makes the network again, with no path of this machine in it.

    settings: what was set beside the recipe's plan. start: name of the file of weights that
    training began with, if any; finetune: whether it was fine-tuned. preset: of the recipe. uses:
    what was learned from, as `origins` takes it; left out, what the network always needs. pair:
    whether it learned from two people's faces. person: whether it was fine-tuned on one.
    """
    given = ("--source", "SOURCE", "--target", "TARGET") if pair else ("--data", "DATA_FOLDER")
    parts = ["sosie", "train", name, *given]
    if name in NEED_TEACHERS or (set(uses or ()) & set(TEACHERS)) - _CARRIED:
        parts += ["--teachers", "TEACHERS_FOLDER"]
    parts += ["--run", "RUN_FOLDER"]
    if preset:
        parts += ["--preset", preset]
    for key, value in sorted(settings.items()):
        parts += ["--set", f"{key}={value}"]
    if person:
        parts += ["--person", "PERSON"]
    if start:
        parts += ["--finetune" if finetune else "--from", start]
    return shlex.join(parts)


def figures_of(samples: int, validation: Mapping[str, float]) -> dict[str, float]:
    """The figures of a draft: those on the validation people, and the samples seen until then."""
    rounded = {f"validation: {name}": float(f"{value:.4g}") for name, value in validation.items()}
    return {**rounded, "samples": samples}


def draft(
    file: Path,
    *,
    summary: str,
    uses: Mapping[str, str],
    figures: Mapping[str, float],
    remake: str,
    license_name: str = LICENSE,
) -> Card:
    """The card of a weight file as it is now."""
    data, teachers = origins(uses)
    return Card(
        name=file.stem,
        file=file.name,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        summary=summary,
        license=license_name,
        data=data,
        teachers=teachers,
        date=date.today().isoformat(),
        figures=figures,
        remake=remake,
    )


def write_card(card: Card, file: Path) -> None:
    """Write a card as `sosie.models.cards` reads it."""
    text = json.dumps(dataclasses.asdict(card), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(file, text + "\n")
