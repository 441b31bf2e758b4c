"""grain: MapDataset shuffled, mixed, batched, sliced by rank; read without threads, for rows are in memory.

A batch is a list of rows (``batch_fn=list``), as the other contenders yield; stacking would cost more.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import grain

from speed.contender import Batches, Contender
from speed.data import BATCH, Data, rows_by

IN_MEMORY = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)


class GrainContender(Contender):
    def __init__(self, data: Data) -> None:
        self.length = max(len(data) // BATCH, 1)
        self.dataset = self.compose(data)

    @abstractmethod
    def compose(self, data: Data) -> grain.MapDataset:
        """Return the dataset of batches."""

    def whole(self) -> Batches:
        return self.own(1, 0)

    def own(self, ranks: int, rank: int) -> Batches:
        dataset = self.dataset[rank::ranks].to_iter_dataset(IN_MEMORY)
        return Batches(lambda: iter(dataset), max(self.length // ranks, 1))

    def state(self, number: int) -> dict[str, Any]:
        return {**iter(self.whole()).get_state(), "next_index": number}

    def resume(self, state: dict[str, Any]) -> Iterator[Any]:
        batches: Any = iter(self.whole())
        batches.set_state(state)
        return batches


class Shuffle(GrainContender):
    def compose(self, data: Data) -> grain.MapDataset:
        return in_batches(grain.MapDataset.range(len(data)).shuffle(seed=0))


class SourceMix(GrainContender):
    """Rows of the sources take turns by weight, sources over and over."""

    def compose(self, data: Data) -> grain.MapDataset:
        return in_batches(grain.MapDataset.mix(shuffled(data.group_codes, data.groups), data.group_weights))


class EqualClasses(GrainContender):
    """Rows of the conditions take turns: a batch holds as many of each where its size is a multiple."""

    def compose(self, data: Data) -> grain.MapDataset:
        return in_batches(grain.MapDataset.mix(shuffled(data.class_codes, data.classes)))


class OneSourcePerBatch(GrainContender):
    """Batches of one source each, sources in turns in proportion to their rows."""

    def compose(self, data: Data) -> grain.MapDataset:
        sources = [in_batches(source) for source in shuffled(data.group_codes, data.groups)]
        rows = rows_by(data.group_codes, data.groups)
        return grain.MapDataset.mix(sources, [len(source) for source in rows])


def shuffled(codes: Any, count: int) -> list[grain.MapDataset]:
    return [grain.MapDataset.source(rows).shuffle(seed=0).repeat() for rows in rows_by(codes, count)]


def in_batches(rows: grain.MapDataset) -> grain.MapDataset:
    return rows.batch(BATCH, drop_remainder=True, batch_fn=list)
