"""The float arithmetic in which the parity kit was made.

The attribute-and-identity generators (GHOST, FaceShifter) are chaotic under the kit's weights: a
difference in the last bit of a sum comes out as large as the picture. The kit's numbers were made
by PyTorch with two threads on an Intel processor. On another one, MKL (the matrix library inside
PyTorch) sums in another order, and the published code itself would miss the kit's numbers as far.
In the kit's arithmetic ours are equal to the last bit.

Nothing else was found to reach them, since the rounding of the kit's own numbers is what has to be
met. Largest difference of the picture on an AMD processor, in deviations of it, where the rule
allows about 0.001: as it comes, ghost_unet_1 0.0015, ghost_unet_2 0.046, faceshifter_tao_aei 0.21,
ghost_unet_3 1.5; wholly in double precision 0.0007, 0.019, 0.031 and 1.6. The attribute maps agree
either way.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch

THREADS = 2

_QUESTIONS = ("mkl_serv_intel_cpu_true", "mkl_serv_intel_cpu")
"""MKL's functions that say whether the processor is Intel's."""
_RETURN_ONE = bytes.fromhex("b801000000c3")
"""In x86-64's machine code."""
_READ, _WRITE, _EXECUTE = 1, 2, 4


@cache
def take_mkl_intel_path() -> bool:
    """Let MKL take its code for Intel processors on this one, in this process alone.

    MKL asks who made the processor, not only what it can do; this answers for it. It asks once, so
    this is to come before the process's first matrix product in torch. False where it cannot be
    done: not Linux on x86-64, or a PyTorch without MKL. Elsewhere than in these tests nothing does
    this.
    """
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return False
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    try:
        questions = [getattr(library, name) for name in _QUESTIONS]
    except AttributeError:
        return False
    if all(question() for question in questions):
        return True
    done = [_answer_yes(question) for question in questions]
    return all(done)


def _answer_yes(question: Any) -> bool:
    address = ctypes.cast(question, ctypes.c_void_p).value
    assert address is not None
    start = address - address % mmap.PAGESIZE
    # The few bytes may lie across the end of a page.
    area = ctypes.c_void_p(start), ctypes.c_size_t(2 * mmap.PAGESIZE)
    protect = ctypes.CDLL(None).mprotect
    if protect(*area, _READ | _WRITE | _EXECUTE):
        return False
    ctypes.memmove(address, _RETURN_ONE, len(_RETURN_ONE))
    return not protect(*area, _READ | _EXECUTE)


@contextmanager
def kit_threads() -> Iterator[None]:
    """As many threads as the kit was made with; sums are cut among them."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
