"""The options of a swap as keyword arguments."""

from __future__ import annotations

from typing import TypedDict


class OptionKeywords(TypedDict, total=False):
    """The fields of SwapOptions as keyword arguments of a function, for type checkers."""

    method: str
    model: str | None
    weights: str | None
    interface: str | None
    encoder: str | None
    converter: str | None
    face_model: str | None
    face_type: str | None
    morph: float
    learned_mask: str
    region: str
    code_trajectory: float
    flow_trajectory: float
    direction: str
    processors: tuple[str, ...]
    faces: str
    keep: str
    expression: str
    remove: str
    shape: float
    blend: str
    color: str
    texture: str
    mask_feather: float
    mask_erode: float
    start_s: float | None
    end_s: float | None
    sequence: str | None
    layers: str | None
    masks: str | None
    compare: str | None
    stages: str | None
    watch: str | None
    codec: str
    crf: int
    preset: str
    threads: int | None
    provider: str
    overwrite: bool
    work: str | None
    restart: bool
    workers: int | None
    scheduler: str | None
