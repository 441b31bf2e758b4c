"""Notice that ranks were given different tables, plans or seeds, without waiting for anybody.

Every rank composes its batches itself, from what it was given. Where one was given another table or seed,
nothing fails: anchors come twice or never, and gradients of different sequences are averaged. So a sampler
whose ranks are those of the process group says what it draws from, in the key-value store by which the
group has met, and reads there what the others say. A collective would be simpler, but would wait for ranks
that do not iterate, as where only one validates. Reading what is there already waits for nobody: the last
rank to begin finds all others with its first batch, and they find it with one of their next.

Samplers are matched by the order in which they begin. It costs a question to the store for each other rank,
once.
"""

import json
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

from torch import distributed

from viscy_data.errors import InvalidInputError

_NUMBERS: Final = count()


class RankCheck:
    """What this rank's sampler draws from, to be compared with what the others' do.

    Parameters
    ----------
    identity
        Plain values that all ranks must share, by name.
    """

    def __init__(self, identity: Mapping[str, Any]) -> None:
        self._identity = dict(identity)
        self._number = next(_NUMBERS)
        self._rank = distributed.get_rank()
        self._waiting = {*range(distributed.get_world_size())} - {self._rank}
        self._told = False

    def look(self) -> None:
        """Compare with the ranks that have begun since the last look.

        Raises
        ------
        InvalidInputError
            One of them draws from something else.
        """
        if not self._waiting or not distributed.is_initialized():
            return
        store = distributed.distributed_c10d._get_default_store()  # there is no public name for it
        if not self._told:
            store.set(self._key(self._rank), json.dumps(self._identity))
            self._told = True
        for rank in sorted(self._waiting):
            if store.check([self._key(rank)]):
                self._waiting.discard(rank)
                self._compare(rank, json.loads(store.get(self._key(rank))))

    def _key(self, rank: int) -> str:
        return f"viscy_data/sampler/{self._number}/{rank}"

    def _compare(self, rank: int, other: Mapping[str, Any]) -> None:
        names = [name for name in self._identity if other.get(name) != self._identity[name]]
        if names:
            parts = (f"{name}={self._identity[name]!r} here, {other.get(name)!r} there" for name in names)
            raise InvalidInputError(
                f"rank {self._rank} and rank {rank} draw batches from different things: {'; '.join(parts)}. "
                "Give every rank the same table, plan and seed; num_replicas=1, rank=0 is for a sampler of "
                "one rank alone."
            )


def check_of(identity: Callable[[], Mapping[str, Any]], replicas: int) -> RankCheck | None:
    """Return a check where ``replicas`` are the ranks of the process group, otherwise None.

    ``identity`` is asked for only then: a fingerprint looks at the whole table.
    """
    joined = distributed.is_available() and distributed.is_initialized()
    if replicas < 2 or not joined or distributed.get_world_size() != replicas:
        return None
    return RankCheck(identity())
