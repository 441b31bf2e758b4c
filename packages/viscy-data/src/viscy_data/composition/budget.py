"""How many frames each part of a batch gets, where batches come from few frames.

Each stratum of each part needs at least one frame, and as many as its largest frames take to hold its
anchors. What is left of the frames of a batch goes, one by one, to the part with the most anchors per
frame. The same for all batches of a group, so that a batch is still a function of its number.
"""

from heapq import heapify, heapreplace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.parts import PartCounts
from viscy_data.composition.shares import TableShares
from viscy_data.errors import InvalidInputError

Integers = NDArray[np.int64]


def frame_budget(
    layout: AnchorLayout, parts: PartCounts, shares: TableShares, most: int, name: str
) -> Integers:
    """Return (leaves, strata, groups) frames of each part and stratum of a batch.

    Parameters
    ----------
    most
        Frames of a batch.
    name
        What messages call this number.

    Raises
    ------
    InvalidInputError
        Fewer than some group's batches need; names the least number that would do.
    """
    asked = _asked(parts, shares, layout.size.shape)
    least = _least(layout, parts, asked)
    needed = least.sum(axis=(0, 1))
    if int(needed.max()) > most:
        group = int(needed.argmax())
        shown = ", ".join(
            _need(layout, asked, least, leaf, stratum, group)
            for leaf, stratum in np.argwhere(least[:, :, group]).tolist()
        )
        raise InvalidInputError(
            f"{name}={most} is less than the least number of {needed.max()} that batches "
            f"of {layout.groups.values[group]!s} need: {shown}. Set {name} to at least {needed.max()}, take "
            "smaller batches, or switch an axis off."
        )
    found = least.copy()
    for group in range(found.shape[2]):
        _share(found[:, :, group], asked[:, :, group], most)
    return found


def _need(layout: AnchorLayout, asked: Integers, least: Integers, leaf: int, stratum: int, group: int) -> str:
    count, frames = asked[leaf, stratum, group], least[leaf, stratum, group]
    value = layout.strata.values[stratum]
    return f"{frames} for {count} anchors" + ("" if value is None else f" of {value}")


def _asked(parts: PartCounts, shares: TableShares, shape: tuple[int, ...]) -> Integers:
    """Return (leaves, strata, groups) the most anchors of each."""
    sizes = parts.parts[0]
    leaves = [*sizes.own, *sizes.leaked] if parts.leaves_of_half == 2 else list(sizes.halves)
    asked = np.zeros((parts.leaves, *shape), dtype=np.int64)
    for leaf in range(parts.leaves):
        for group in range(shape[1]):
            own, leaked = shares.own[group], None if shares.leaked is None else shares.leaked[group]
            share = own if leaf < parts.leaves_of_half else leaked
            if own is not None and share is not None and shares.groups[group]:
                asked[leaf, :, group] = [ceil(leaves[leaf] * one) for one in share]
    return asked


def _least(layout: AnchorLayout, parts: PartCounts, asked: Integers) -> Integers:
    """Return how many of its largest frames hold what is asked of a cell; 1 of what leaks."""
    frames = layout.need_frames()
    least = (asked > 0).astype(np.int64)
    groups = asked.shape[2]
    for cell, (low, high) in enumerate(zip(frames.cell[:-1].tolist(), frames.cell[1:].tolist(), strict=True)):
        held = np.cumsum(-np.sort(-frames.size[low:high]))
        for leaf in range(parts.leaves_of_half):
            count = asked[leaf, cell // groups, cell % groups]
            if count:
                least[leaf, cell // groups, cell % groups] = min(
                    np.searchsorted(held, count) + 1, max(high - low, 1)
                )
    return least


def _share(found: Integers, asked: Integers, most: int) -> None:
    """Give what is left, one by one, where most anchors come from one frame."""
    heap = [(-asked[at] / found[at], at) for at in map(tuple, np.argwhere(found).tolist())]
    heapify(heap)
    for _ in range(most - int(found.sum()) if heap else 0):
        at = heap[0][1]
        found[at] += 1
        heapreplace(heap, (-asked[at] / found[at], at))
