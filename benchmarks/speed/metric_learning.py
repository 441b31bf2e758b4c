"""pytorch-metric-learning: m rows of each class per batch, or of pairs in a hierarchy of labels.

Both draw all batches of a pass when it begins. The passes are those of their defaults, 100 000 rows and 4
batches per tuple of super-classes, and not whole epochs: what they cost before a pass grows with it. They
draw by NumPy's global generator.
"""

from collections.abc import Iterator, Sized

import numpy as np
from pytorch_metric_learning.samplers import HierarchicalSampler, MPerClassSampler
from torch.utils.data import BatchSampler

from speed.contender import Batches, Contender
from speed.data import BATCH, Data


class OneClassPerBatch(Contender):
    """One experiment per batch: m is the whole batch."""

    def __init__(self, data: Data) -> None:
        self.batches = m_per_class(data.group_codes, BATCH, BATCH)

    def whole(self) -> Batches:
        return seeded(self.batches)


class EqualClasses(OneClassPerBatch):
    """As many rows of each condition."""

    def __init__(self, data: Data) -> None:
        each = BATCH // data.classes
        self.batches = m_per_class(data.class_codes, each, each * data.classes)


class Hierarchical(Contender):
    """One experiment per batch, and as many rows of each of its conditions."""

    def __init__(self, data: Data) -> None:
        each = BATCH // data.classes
        self.batches = HierarchicalSampler(
            np.column_stack([data.class_codes, data.group_codes]),
            batch_size=each * data.classes,
            samples_per_class=each,
            super_classes_per_batch=1,
        )

    def whole(self) -> Batches:
        return seeded(self.batches)


def m_per_class(codes: np.ndarray, m: int, batch: int) -> BatchSampler:
    return BatchSampler(MPerClassSampler(codes, m, batch), batch, drop_last=True)


def seeded(batches: Sized) -> Batches:
    def start() -> Iterator[list[int]]:
        np.random.seed(0)  # noqa: NPY002 - what both samplers draw by
        return iter(batches)

    return Batches(start, len(batches))
