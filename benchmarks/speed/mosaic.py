"""MosaicML Streaming: how StreamingDataset arranges an epoch, by its own generator of work.

What a sample holds is not read, so a stream is a folder whose index lists as many shards as the job needs and
of which one, of one sample, exists. Streaming lays out a whole epoch, for all ranks, when it begins or goes
on; the first process of every machine does so for the others.
"""

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from streaming import MDSWriter, Stream, StreamingDataset
from streaming.base.batching import generate_work
from streaming.base.world import World

from speed.contender import Batches, Contender
from speed.data import BATCH, Data

SHARD = 10_000
"""Samples of a shard: some 6 kB each, in Streaming's shards of 64 MB."""
MACHINE = 8
"""Ranks of a machine."""


class OneStreamPerBatch(Contender):
    """The global batch, of all ranks, is of one stream; streams in proportion to their samples."""

    method: ClassVar[str] = "per_stream"

    def __init__(self, data: Data) -> None:
        logging.disable(logging.WARNING)  # each stream's remainder that makes no batch
        warnings.simplefilter("ignore")
        self.folder = tempfile.TemporaryDirectory()
        rows = self.stream_rows(data)
        weights = self.weights(data) or [None] * len(rows)
        streams = [
            Stream(local=write_index(Path(self.folder.name, str(i)), count), proportion=weight)
            for i, (count, weight) in enumerate(zip(rows, weights, strict=True))
        ]
        self.dataset = StreamingDataset(
            streams=streams,
            batch_size=BATCH,
            batching_method=self.method,
            shuffle=True,
            shuffle_seed=0,
            num_canonical_nodes=1,
            shuffle_block_size=4_000_000,  # its default for one canonical node
        )
        self.length = max(len(data) // BATCH, 1)

    def stream_rows(self, data: Data) -> list[int]:
        return np.bincount(data.group_codes, minlength=data.groups).tolist()

    def weights(self, data: Data) -> list[float] | None:  # noqa: ARG002
        return None

    def work(self, ranks: int, rank: int, epoch: int, done: int) -> Iterator[list[int]]:
        machine = min(ranks, MACHINE)
        world = World(ranks // machine, machine, workers_per_rank=1, worker=rank)
        work = generate_work(self.method, self.dataset, world, epoch, done * BATCH * ranks)
        return (batch.tolist() for batch in work[world.node, world.rank_of_node, 0])

    def whole(self) -> Batches:
        return self.own(1, 0)

    def own(self, ranks: int, rank: int) -> Batches:
        return Batches(lambda: self.work(ranks, rank, 0, 0), max(self.length // ranks, 1))

    def resume(self, state: int) -> Iterator[Any]:
        return self.work(1, 0, 0, state)


class StreamMix(OneStreamPerBatch):
    """Every global batch holds each stream's share of it."""

    method = "stratified"

    def weights(self, data: Data) -> list[float] | None:
        return data.group_weights


class EqualClasses(StreamMix):
    """A stream per condition, in equal shares."""

    def stream_rows(self, data: Data) -> list[int]:
        return np.bincount(data.class_codes, minlength=data.classes).tolist()

    def weights(self, data: Data) -> list[float] | None:
        return [1 / data.classes] * data.classes


def write_index(folder: Path, samples: int) -> str:
    """Write a stream of one sample, and an index that lists ``samples`` of them."""
    with MDSWriter(out=str(folder), columns={"row": "int"}) as writer:
        writer.write({"row": 0})
    path = folder / "index.json"
    index = json.loads(path.read_text())
    shard = index["shards"][0]
    index["shards"] = [
        {**shard, "samples": min(SHARD, samples - first)} for first in range(0, samples, SHARD)
    ]
    path.write_text(json.dumps(index))
    return str(folder)
