"""An iterator over the batches of one epoch that says where it is.

Loaders that keep an iterator's state (torchdata's ``StatefulDataLoader``) cannot take it from the sampler: at
the end of an epoch a sampler means the next one, while an iterator there is over. So the iterator keeps a
place of its own. It takes the place with its first batch and moves on before it hands out a batch, so that a
state taken between two batches names the second.
"""

from collections.abc import Callable, Iterator, Mapping
from types import FrameType

from viscy_data.errors import InvalidInputError
from viscy_data.sampling.state import Place

Begin = Callable[[Place | None], tuple[Place, Iterator[list[int]]]]


class BatchIterator(Iterator[list[int]]):
    """Batches from a place on.

    Parameters
    ----------
    begin
        Called for the first batch, with the place to begin at or None for that of the sampler; returns
        the place, which moves on with the batches, and the batches.
    """

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._place: Place | None = None
        self._batches: Iterator[list[int]] | None = None

    def __next__(self) -> list[int]:
        if self._batches is None:
            self._place, self._batches = self._begin(self._place)
        return next(self._batches)

    def state_dict(self) -> dict[str, int]:
        """Return epoch and position; nothing before the first batch."""
        place = self._place
        return {} if place is None else {"epoch": place.epoch, "position": place.number}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Begin at a place; at the end of its epoch there is no batch left."""
        self._place = Place(state["epoch"], state["position"]) if state else None
        self._batches = None


def refuse_second_split(replicas: int, frame: FrameType | None) -> None:
    """Refuse to be iterated by Accelerate's shards where batches are dealt out to ranks already.

    Parameters
    ----------
    replicas
        Ranks that share the batches.
    frame
        Of the caller. ``prepare`` gives no notice when it wraps a batch sampler, so the calls that led
        here are the only place where it shows.

    Raises
    ------
    InvalidInputError
        A ``BatchSamplerShard`` or ``DataLoaderDispatcher`` of several processes is among the callers, and
        there are several ranks.
    """
    while frame is not None and replicas > 1:
        others = _dealt_out(frame.f_locals.get("self"))
        if others > 1:
            raise InvalidInputError(
                f"num_replicas={replicas}: the batches are dealt out to {replicas} ranks already, and "
                f"accelerator.prepare() deals them out to {others} again, so that most are lost. Leave the "
                "loader out of prepare(), or build the sampler with num_replicas=1, rank=0."
            )
        frame = frame.f_back


def _dealt_out(caller: object) -> int:
    """Return over how many processes one of Accelerate's objects deals batches out; 1 for any other."""
    kinds = {kind.__name__ for kind in type(caller).__mro__}  # it names its classes after those it wraps
    if "DataLoaderDispatcher" in kinds:  # dispatch_batches=True: process 0 draws for all
        caller = getattr(caller, "state", None)
    elif "BatchSamplerShard" not in kinds:
        return 1
    return int(getattr(caller, "num_processes", 1))
