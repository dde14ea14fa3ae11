"""Where networks in training compute in bf16."""

from __future__ import annotations

import torch


def fast_precision(device: torch.device) -> torch.autocast:
    """A context for the call of a network: bf16 on GPUs and on processors with instructions for it,
    where it is up to twice as fast or more. On others it would be slower, and nothing changes.

    What the network answers may then be bf16, whose eight bits are too few for a loss: that is
    computed outside, of `.float()` values.
    """
    if device.type == "cpu":
        able = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    else:
        able = device.type == "cuda"
    return torch.autocast(device.type, torch.bfloat16, enabled=able)
