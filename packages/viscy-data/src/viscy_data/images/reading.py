"""How pixels are read: options, and one number of bytes dealt out to all that reading holds.

What a user states is shared evenly by the processes of a node that read: ranks, and the workers of each.
A process's share holds, in this order: the batches that are ready, being made or in use; the chunks and
crops in flight; decoded chunks that are kept for later batches. A fifth stays for memory that was freed
and not handed back to the system (``viscy_data.images.memory``). Nothing else of a process is counted:
interpreter, libraries, anchors table.
"""

import os
from dataclasses import dataclass
from typing import Literal

from viscy_data.checks import check_integer
from viscy_data.errors import InvalidInputError

MissingChunks = Literal["error", "fill"]
NonFinite = Literal["error", "fill"]

_IN_FLIGHT = 512 << 20
_ENOUGH_IN_FLIGHT = 128 << 20


@dataclass(frozen=True)
class ReadLimits:
    """Bytes that a reader may hold.

    Attributes
    ----------
    in_flight_bytes
        Of chunks and crops that have been asked for.
    cache_bytes
        Of decoded chunks kept for later calls, beside those in flight.
    spare_bytes
        Of freed memory that the process may hold beside. None: the limits are not firm; nothing is handed
        back, and a crop that alone needs more than ``in_flight_bytes`` is read instead of refused.
    """

    in_flight_bytes: int = _IN_FLIGHT
    cache_bytes: int = 0
    spare_bytes: int | None = None

    @property
    def firm(self) -> bool:
        """Whether they are kept to."""
        return self.spare_bytes is not None

    @property
    def pool_bytes(self) -> int:
        """Of decoded chunks that nobody reads at the moment.

        An eighth of what is in flight beside those that are kept: enough that a chunk stays from one crop
        of its frame to the next, and little enough that its memory is used again before it has cooled.
        """
        return self.cache_bytes + self.in_flight_bytes // 8


@dataclass(frozen=True)
class Reading:
    """How pixels are read.

    Attributes
    ----------
    on_error
        ``"raise"`` a ``StoreError`` where a patch cannot be read, or ``"skip"``: take another anchor
        of the same experiment and condition, with a warning per batch and ``AnchorDataset.skipped``.
    missing_chunks
        ``"error"``, or ``"fill"`` for stores whose writer left out chunks of the fill value. None: as the
        anchors table was indexed.
    non_finite
        Pixels that are NaN or infinite: ``"error"``, or ``"fill"`` by the centre of the normalisation (0
        where nothing is normalised). None: as the anchors table was indexed.
    memory_bytes
        What reading may take on this node: batches, chunks in flight and kept chunks of all processes
        that read (``viscy_data.images.reading``). None: no limit. With glibc a number changes how the whole
        process allocates, what is not ours included: threads to come share the arenas that there are, as
        with ``MALLOC_ARENA_MAX=1``, and free memory goes back to the system (``viscy_data.images.memory``).
    cache_bytes
        Of decoded chunks that are kept for later batches, in each process. None: what ``memory_bytes``
        leaves, and nothing without it.
    processes
        How many of this node share ``memory_bytes``. None: its ranks (``LOCAL_WORLD_SIZE``) times the
        workers of the loader.

    Raises
    ------
    InvalidInputError
        Where a value is not allowed.
    """

    on_error: Literal["raise", "skip"] = "raise"
    missing_chunks: MissingChunks | None = None
    non_finite: NonFinite | None = None
    memory_bytes: int | None = None
    cache_bytes: int | None = None
    processes: int | None = None

    def __post_init__(self) -> None:
        if self.on_error not in ("raise", "skip"):
            raise InvalidInputError(f"on_error={self.on_error!r} must be 'raise' or 'skip'.")
        for name in ("missing_chunks", "non_finite"):
            if getattr(self, name) not in ("error", "fill", None):
                raise InvalidInputError(
                    f"{name}={getattr(self, name)!r} must be 'error', 'fill', or None: as indexed."
                )
        for name, least in (("memory_bytes", 1), ("cache_bytes", 0), ("processes", 1)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, check_integer(name, value, least))

    def limits(self, *, workers: int, batches: int, batch_bytes: int) -> ReadLimits:
        """Return what the reader of one process may hold.

        Parameters
        ----------
        workers
            Processes of this rank that read.
        batches
            How many each holds at a time.
        batch_bytes
            Of one.

        Raises
        ------
        InvalidInputError
            Where nothing is left for chunks, or less than ``cache_bytes`` asks for.

        Examples
        --------
        >>> Reading(memory_bytes=10**9, processes=2).limits(workers=2, batches=3, batch_bytes=5 * 10**7)
        ReadLimits(in_flight_bytes=134217728, cache_bytes=115782272, spare_bytes=100000000)
        """
        if self.memory_bytes is None:
            return ReadLimits(cache_bytes=self.cache_bytes or 0)
        processes = self.processes or int(os.environ.get("LOCAL_WORLD_SIZE", "1")) * workers
        spare = self.memory_bytes // processes // 5
        share = self.memory_bytes // processes - spare
        left = share - batches * batch_bytes
        in_flight = max(left // 4, min(left, _ENOUGH_IN_FLIGHT))
        kept = left - in_flight if self.cache_bytes is None else self.cache_bytes
        if left <= 0 or kept > left - in_flight:
            raise InvalidInputError(
                f"memory_bytes={self.memory_bytes} is too little for reading: four fifths of it are {share} "
                f"bytes for each of {processes} processes, {batches} batches of {batch_bytes} bytes leave "
                f"{max(left, 0)}, and cache_bytes={self.cache_bytes}. Allow more, take smaller batches or "
                "patches, or fewer workers or batches ahead."
            )
        return ReadLimits(in_flight, kept, spare)
