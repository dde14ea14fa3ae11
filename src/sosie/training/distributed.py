"""The processes of a training: one, or several that torchrun started, on processors or GPUs.

Each process has a share of every batch; their gradients are averaged before an optimizer's step, so
that all hold the same weights (data parallel training: Li et al. 2020, "PyTorch Distributed"). The
networks stay what they are and are not wrapped, which is what lets a phase call any part of them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import cast

import torch
from lightning_fabric import Fabric

from sosie.errors import UsageError


class Processes:
    """This process among all that train together.

    device: cpu or cuda. Several: start with `torchrun --nproc-per-node N -m sosie.app train ...`,
    on as many machines as torchrun is told of.
    """

    def __init__(self, device: str) -> None:
        # It says on stderr what it was asked for.
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        self._fabric = Fabric(
            accelerator=device,
            devices=here,
            num_nodes=self.count // here,
            strategy="ddp" if self.count > 1 else "auto",
        )
        if self.count > 1:
            self._fabric.launch()
        self.rank: int = self._fabric.global_rank
        self.device: torch.device = self._fabric.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def share(self, batch: int, accumulate: int) -> int:
        """How many samples of a batch are computed here at once. Raises UsageError on a batch that
        the processes cannot share."""
        if batch % (self.count * accumulate):
            raise UsageError(
                f"batch ({batch}) must be a multiple of the {self.count} processes times "
                f"accumulate ({accumulate}): change one of them with --set."
            )
        return batch // (self.count * accumulate)

    def average_gradients(self, parameters: Sequence[torch.Tensor]) -> None:
        """Make the gradients the mean over all processes; one message for all of them."""
        if self.count == 1:
            return
        # A parameter that took no part here may have done so elsewhere.
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        together = cast(torch.Tensor, self._fabric.all_reduce(together, reduce_op="mean"))
        start = 0
        for parameter, gradient in zip(parameters, gradients, strict=True):
            values = together[start : start + gradient.numel()]
            parameter.grad = values.view_as(gradient).clone()
            start += gradient.numel()

    def any_of(self, here: bool) -> bool:
        """Whether something is true in any of the processes."""
        if self.count == 1:
            return here
        asked = torch.tensor(float(here), device=self.device)
        return bool(cast(torch.Tensor, self._fabric.all_reduce(asked, reduce_op="sum")) > 0)

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.count > 1:
            self._fabric.barrier()
