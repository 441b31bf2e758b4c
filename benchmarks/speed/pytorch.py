"""PyTorch's own samplers, in its BatchSampler."""

from collections.abc import Iterator

import torch
from torch.utils.data import BatchSampler, RandomSampler, WeightedRandomSampler
from torch.utils.data import DistributedSampler as TorchDistributedSampler

from speed.contender import Batches, Contender
from speed.data import BATCH, Data


class Random(Contender):
    def __init__(self, data: Data) -> None:
        self.rows = range(len(data))

    def whole(self) -> Batches:
        return in_batches(
            RandomSampler(self.rows, generator=torch.Generator().manual_seed(0)), len(self.rows)
        )


class WeightedRandom(Contender):
    def __init__(self, data: Data) -> None:
        self.weights = torch.tensor(data.class_weights, dtype=torch.double)[
            torch.from_numpy(data.class_codes).int()
        ]

    def whole(self) -> Batches:
        generator = torch.Generator().manual_seed(0)
        rows = len(self.weights)
        return in_batches(WeightedRandomSampler(self.weights, rows, generator=generator), rows)


class Distributed(Contender):
    def __init__(self, data: Data) -> None:
        self.rows = range(len(data))

    def whole(self) -> Batches:
        return self.own(1, 0)

    def own(self, ranks: int, rank: int) -> Batches:
        sampler = TorchDistributedSampler(self.rows, num_replicas=ranks, rank=rank, seed=0, drop_last=True)
        return in_batches(sampler, len(sampler))


def in_batches(sampler: Iterator[int], rows: int) -> Batches:
    batches = BatchSampler(sampler, BATCH, drop_last=True)
    return Batches(lambda: iter(batches), max(rows // BATCH, 1))
