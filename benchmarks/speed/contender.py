"""What is asked of every contender: to be built, to yield a rank's batches, to go on in the middle."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from speed.data import Data


@dataclass(frozen=True)
class Batches:
    """A pass over batches that can be begun again: an epoch, or what the library yields in its place."""

    start: Callable[[], Iterator[Any]]
    length: int

    def __iter__(self) -> Iterator[Any]:
        return self.start()

    def __len__(self) -> int:
        return self.length


class Contender(ABC):
    """A sampler of one library, set up for one job.

    Building is part of the time to the first batch. Where the library knows no ranks, every rank draws
    the whole sequence and keeps its own batches, and where it knows no state, going on draws what went
    before and drops it: so do Lightning and Accelerate for such samplers.
    """

    @abstractmethod
    def __init__(self, data: Data) -> None: ...

    @abstractmethod
    def whole(self) -> Batches:
        """Return the batches of a pass on one rank."""

    def own(self, ranks: int, rank: int) -> Batches:
        """Return the batches that one of several ranks has."""
        whole = self.whole()
        return Batches(lambda: islice(iter(whole), rank, None, ranks), len(range(rank, len(whole), ranks)))

    def state(self, number: int) -> Any:
        """Return what a checkpoint holds after ``number`` batches of a pass on one rank; not timed."""
        return number

    def resume(self, state: Any) -> Iterator[Any]:
        """Return the batches that follow a state, from a sampler that was just built."""
        return islice(iter(self.whole()), state, None)
