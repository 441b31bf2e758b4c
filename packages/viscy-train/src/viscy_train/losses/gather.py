"""Rows of every rank on every rank, with gradients.

Each rank computes the loss of its own rows against the rows of all ranks. The backward pass sums, for
each row, what every rank's loss says about it; as data-parallel training then averages parameter
gradients over ranks, the result is the gradient of the mean loss, as on one process.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world() -> tuple[int, int]:
    """Return (rank, number of ranks): (0, 1) where ``torch.distributed`` is not initialised."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def gather_rows(rows: Tensor) -> Tensor:
    """Concatenate the rows of all ranks, in rank order, keeping gradients.

    Parameters
    ----------
    rows : Tensor
        (N, ...), of the same shape on every rank (see `check_same_length`).

    Returns
    -------
    Tensor
        (ranks * N, ...).
    """
    gathered: Tensor = _GatherRows.apply(rows)
    return gathered


def check_same_length(rows: Tensor) -> None:
    """Refuse ranks that hold different numbers of rows, which would hang a gather.

    Raises
    ------
    ValueError
        On every rank, naming how many rows each holds.
    """
    mine = torch.tensor([len(rows)], device=rows.device)
    lengths = [int(length) for length in gather_rows(mine)]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"anchor holds {lengths} rows on ranks 0 to {len(lengths) - 1}; a loss that gathers over ranks "
            "needs equally many: sample with drop_last=True and even_batches=True, or set gather=False"
        )


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.length = len(rows)
        parts = [torch.empty_like(rows) for _ in range(world()[1])]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        # gloo has no reduce_scatter in the oldest torch supported; the matrix here is small.
        dist.all_reduce(total)
        start = world()[0] * ctx.length
        return total[start : start + ctx.length]
