"""Ranks that train together must have been told the same, and end together.

Every rank composes its batches itself. One that was given another table or another seed trains on, and the
gradients of all are averaged as if nothing were wrong. So all ranks compare what they were told, before the
first step, and all of them end where it differs.
"""

import os
import threading
from collections.abc import Mapping
from typing import Any

from torch import distributed

from viscy_data import InvalidInputError


def refuse_different_ranks(told: Mapping[str, Any], ranks: int) -> None:
    """Compare what each rank was told with what rank 0 was; all ranks call this.

    Parameters
    ----------
    told : mapping of str to plain value
        What all must share, by name.
    ranks : int
        How many there are.

    Raises
    ------
    InvalidInputError
        On every rank, where any was told something else; it names rank, option and both values.
    """
    if ranks == 1 or not (distributed.is_available() and distributed.is_initialized()):
        return
    found: list[Mapping[str, Any]] = [{}] * ranks
    distributed.all_gather_object(found, dict(told))
    differing = [
        f"{name}={other.get(name)!r} on rank {rank}, {found[0].get(name)!r} on rank 0"
        for rank, other in enumerate(found)
        for name in sorted({*other, *found[0]})
        if other.get(name) != found[0].get(name)
    ]
    if differing:
        listed = "; ".join(one[:300] for one in differing[:5])
        raise InvalidInputError(
            f"Ranks were told different things: {listed}. Start all with the same arguments."
        )


_LAUNCHER = "VISCY_TRAIN_LAUNCHER"


def is_launched() -> bool:
    """Return whether the first rank started this one, and kills all where one exits with a code.

    The first rank keeps the variable after its training ends, and whatever it starts then inherits it: a
    notebook that trained may start another training. Lightning numbers the ranks that it starts from 1.
    """
    started_by_first = os.environ.get(_LAUNCHER) == str(os.getppid())
    return started_by_first and os.environ.get("LOCAL_RANK", "0") != "0"


def join_launcher() -> bool:
    """Return whether another rank, which started this one, is watched; else be the one that starts others.

    Only Lightning's own launcher inherits the variable to its ranks; those that ``torchrun`` or a scheduler
    starts are watched by those.
    """
    if is_launched():
        end_with_parent()
        return True
    os.environ[_LAUNCHER] = str(os.getpid())
    return False


def end_with_parent(seconds: float = 1.0) -> threading.Thread:
    """Watch the process that started this one, and end at once when it is gone.

    A rank that waits for another in a collective of NCCL waits for minutes; a rank that the first one
    started has nothing left to do once that is dead. The thread looks every so many seconds.
    """
    parent = os.getppid()
    waits = threading.Event()

    def watch() -> None:
        while os.getppid() == parent:
            waits.wait(seconds)
        os._exit(1)

    watcher = threading.Thread(target=watch, name="end-with-parent", daemon=True)
    watcher.start()
    return watcher
