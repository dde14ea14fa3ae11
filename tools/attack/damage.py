"""Changes to bytes, numbers and values, of which every attack takes some."""

from __future__ import annotations

import random
import struct
from typing import Any

Dice = random.Random

SIZES = {1: "B", 2: "H", 4: "I", 8: "Q"}


def extreme(dice: Dice, size: int) -> int:
    """A number of `size` bytes that programs stumble over: an end, a power of two, one beside."""
    top = 1 << 8 * size
    power = 1 << dice.randrange(8 * size)
    return dice.choice((0, 1, top - 1, top // 2, top // 2 - 1, power, power - 1, top - power)) % top


def put_number(content: bytearray, dice: Dice, start: int) -> None:
    """An extreme number there, in either order of its bytes."""
    size = dice.choice((1, 2, 2, 4, 4, 8))
    start = min(start, max(0, len(content) - size))
    number = struct.pack(dice.choice("<>") + SIZES[size], extreme(dice, size))
    content[start : start + size] = number[: len(content) - start]


def damaged(content: bytes, other: bytes, dice: Dice, words: tuple[bytes, ...] = ()) -> bytes:
    """One to four changes, half of them in the first 600 bytes.

    other: a file of which parts are put in. words: what means something in such files.
    """
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        if not changed:
            break
        start = dice.randrange(len(changed) if dice.random() < 0.5 else min(600, len(changed)))
        _change(changed, start, other, dice, words)
    return bytes(changed)


def _change(
    changed: bytearray, start: int, other: bytes, dice: Dice, words: tuple[bytes, ...]
) -> None:
    how = dice.randrange(11 if words else 9)
    size = dice.choice((1, 2, 4, 8, 30, 300))
    part = bytes(changed[start : start + size])
    if how == 0:
        for at in (start, *(dice.randrange(len(changed)) for _ in range(dice.choice((0, 1, 7))))):
            changed[at] ^= 1 << dice.randrange(8)
    elif how in (1, 2):
        put_number(changed, dice, start)
    elif how == 3:
        del changed[start : start + size if dice.random() < 0.7 else None]
    elif how == 4:
        changed[start:start] = part * dice.choice((1, 1, 3, 50))
    elif how == 5:
        changed[start:start] = dice.randbytes(size)
    elif how == 6:
        del changed[start : start + size]
        there = dice.randrange(len(changed) + 1)
        changed[there:there] = part
    elif how == 7:
        there = dice.randrange(len(other))
        piece = other[there : there + dice.choice((4, 40, 400, len(other)))]
        changed[start : start + dice.choice((0, len(piece)))] = piece
    elif how == 8:
        changed[start : start + size] = bytes([dice.choice((0, 0x7F, 0x80, 0xFF))]) * len(part)
    else:
        changed[start : start + dice.choice((0, 1, 4))] = dice.choice(words)


def odd_value(dice: Dice) -> Any:
    """A value of JSON that is not what anyone asked for."""
    return dice.choice(
        (
            *(None, True, False, -1, 0, 2**63, 10**40, 1e308, -0.5, float("nan"), float("inf")),
            *(
                "",
                " ",
                "..",
                "../mine.txt",
                "/etc/hostname",
                "a\0b",
                "\ud800",
                "x" * 5000,
                "<b>x</b>",
            ),
            *(
                [],
                {},
                [[[]]],
                {"": None},
                [None],
                {"a": {"b": []}},
                ["x"] * 1000,
                "0",
                "1e9",
                "nan",
            ),
        )
    )


def with_odd_value(value: Any, dice: Dice) -> Any:
    """A value of JSON with something odd, absent, twice or renamed somewhere in it."""
    if isinstance(value, dict) and value and dice.random() < 0.85:
        key = dice.choice(list(value))
        rest = {name: inner for name, inner in value.items() if name != key}
        how = dice.random()
        if how < 0.12:
            return rest
        if how < 0.2:
            return {**rest, f"{key}x": value[key]}
        return {**value, key: with_odd_value(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.85:
        at = dice.randrange(len(value))
        how = dice.random()
        if how < 0.12:
            return value[:at] + value[at + 1 :]
        if how < 0.24:
            return [*value, value[at]]
        return [*value[:at], with_odd_value(value[at], dice), *value[at + 1 :]]
    return odd_value(dice)
