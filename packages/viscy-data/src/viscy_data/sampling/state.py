"""Where a sampler is: a place in the sequence of batches, and whose sequence it is.

A *place* is an epoch and the next global batch of it. An *identity* is what two samplers must share for
a place of one to be a place of the other: seed, ``drop_last``, plan and table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from viscy_data.checks import check_integer
from viscy_data.errors import InvalidInputError
from viscy_data.sampling.shard import Shard

State = Mapping[str, int | str]

MOST_EPOCHS: Final = 2**31 - 1
MOST_NUMBER: Final = 2**48
"""Largest number of an epoch, and of a batch in it: their products fit into a word."""


@dataclass
class Place:
    """An epoch, the next global batch of it, and the batch that iterating began with."""

    epoch: int
    number: int
    begun: int = 0

    def after(self, consumed: int, shard: Shard, batches: int) -> int:
        """Return the next global batch once a rank has done with ``consumed`` batches since `begun`.

        Raises
        ------
        InvalidInputError
            More batches than were yielded.
        """
        consumed = check_integer("consumed", consumed, 0)
        yielded = -(-(self.number - self.begun) // shard.replicas)
        if consumed > yielded:
            raise InvalidInputError(
                f"consumed={consumed} is more than the {yielded} batches that the latest iterator has "
                "yielded; count from 0 for every iterator."
            )
        number = self.begun + consumed * shard.replicas
        over = consumed >= len(shard.numbers(self.begun, batches))
        return max(number, batches) if over else number


def place_of(state: State, identity: State) -> Place:
    """Return the place in a state of a sampler with this identity.

    Raises
    ------
    InvalidInputError
        The state is not one of a sampler, or is of another sampler.
    """
    missing = [name for name in ("epoch", "position", *identity) if name not in state]
    if missing:
        raise InvalidInputError(f"The state lacks {missing}; give what state_dict() returned.")
    other = [name for name in identity if state[name] != identity[name]]
    if other:
        parts = [f"{name}={state[name]!r} there, {identity[name]!r} here" for name in other]
        raise InvalidInputError(
            f"The state is of another {' and '.join(other)}: {'; '.join(parts)}. "
            f"Fingerprints: {_fingerprint(state)} there, {_fingerprint(identity)} here. "
            "Build the sampler as it was when the state was taken."
        )
    epoch = check_integer("state['epoch']", state["epoch"], 0, MOST_EPOCHS)
    position = check_integer("state['position']", state["position"], 0, MOST_NUMBER)
    return Place(epoch, position, begun=position)


def _fingerprint(identity: State) -> str:
    text = repr([identity[name] for name in ("plan", "anchors", "table")])
    return blake2b(text.encode(), digest_size=8).hexdigest()
