"""torchdata.nodes: MultiNodeWeightedSampler over one node per source."""

from collections.abc import Iterator
from typing import Any

from torchdata.nodes import (
    BaseNode,
    Batcher,
    Loader,
    MapStyleWrapper,
    MultiNodeWeightedSampler,
    StopCriteria,
)
from torchdata.stateful_dataloader.sampler import StatefulDistributedSampler

from speed.contender import Batches, Contender
from speed.data import BATCH, Data, rows_by


class SourceMix(Contender):
    """Each row of a batch from a source drawn by weight, sources over and over."""

    def __init__(self, data: Data) -> None:
        names = [f"experiment_{i}" for i in range(data.groups)]
        self.sources = dict(zip(names, rows_by(data.group_codes, data.groups), strict=True))
        self.length = len(data) // BATCH
        self.weights = dict(zip(names, data.group_weights, strict=True))

    def mix(self, ranks: int, rank: int) -> BaseNode[Any]:
        rows = {name: self.node(name, ranks, rank) for name in self.sources}
        return Batcher(self.weigh(rows, ranks, rank), BATCH)

    def node(self, source: str, ranks: int, rank: int) -> BaseNode[Any]:
        rows = self.sources[source]
        return MapStyleWrapper(rows, StatefulDistributedSampler(rows, num_replicas=ranks, rank=rank))

    def weigh(self, nodes: dict[str, BaseNode[Any]], ranks: int, rank: int) -> BaseNode[Any]:
        return MultiNodeWeightedSampler(
            nodes, self.weights, StopCriteria.CYCLE_FOREVER, rank=rank, world_size=ranks, seed=0
        )

    def whole(self) -> Batches:
        return self.own(1, 0)

    def own(self, ranks: int, rank: int) -> Batches:
        loader = Loader(self.mix(ranks, rank))
        return Batches(lambda: iter(loader), max(self.length // ranks, 1))

    def state(self, number: int) -> dict[str, Any]:
        """Return the state after one batch, its counts set to those after ``number`` of them."""
        loader = Loader(self.mix(1, 0))
        next(iter(loader))
        state = loader.state_dict()
        for name, node in find(state, "dataset_node_states").items():
            drawn = int(number * BATCH * self.weights[name]) % len(self.sources[name])
            find(node, "_sampler")["yielded"] = drawn
        return state

    def resume(self, state: dict[str, Any]) -> Iterator[Any]:
        loader = Loader(self.mix(1, 0))
        loader.load_state_dict(state)
        return iter(loader)


class OneSourcePerBatch(SourceMix):
    """Batches of one source each, the source drawn in proportion to its rows."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.weights = {name: len(rows) / len(data) for name, rows in self.sources.items()}

    def mix(self, ranks: int, rank: int) -> BaseNode[Any]:
        batches = {name: Batcher(self.node(name, ranks, rank), BATCH) for name in self.sources}
        return self.weigh(batches, ranks, rank)


def find(state: dict[str, Any], key: str) -> dict[str, Any]:
    """Return what is kept under ``key``, however deep nodes hold each other's states."""
    while key not in state:
        state = next(value for value in state.values() if isinstance(value, dict) and holds(value, key))
    return state[key]


def holds(state: dict[str, Any], key: str) -> bool:
    return key in state or any(isinstance(value, dict) and holds(value, key) for value in state.values())
