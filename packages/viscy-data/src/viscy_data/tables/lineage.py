"""Who descends from whom: tracks as a forest, computed over all tracks at once.

A *track* is one node; ``parent`` (n,) holds the index of the track it divided from, or -1. A
*lineage* is one tree of the forest, named by its root. In the depth-first numbering of
:func:`preorder` the descendants of a track, itself included, are the interval ``[first, first +
size)``: asking for them costs two comparisons instead of a walk.

Identity is the triple (group, track id), where a group is one (experiment, well, fov): wells may
share the names of their fovs, and fovs always share track ids.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import NO_PARENT
from viscy_data.errors import TracksError
from viscy_data.packing import stable_order

type IntArray = NDArray[np.int64]
type BoolArray = NDArray[np.bool_]
type Whole = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Forest:
    """The tracks of a table with N rows, and their parents.

    Attributes
    ----------
    rows
        (N,) the track of each row.
    group, track_id
        (n,) identity of each track. A parent that has no row of its own is a track too, so that
        sisters know each other in any subset of a table.
    parent
        (n,) index of the parent track, or -1.
    """

    rows: IntArray
    group: IntArray
    track_id: IntArray
    parent: IntArray


def build_forest(group: Whole, track_id: Whole, parent_track_id: Whole) -> Forest:
    """Collect the tracks of a table from its columns, each (N,).

    A track's parent is the one that its rows name; rows that name none do not matter.

    Examples
    --------
    >>> columns = np.array([[0, 0, 0], [1, 1, 2], [-1, -1, 1]])
    >>> forest = build_forest(*columns)
    >>> forest.rows.tolist(), forest.parent.tolist()
    ([0, 0, 1], [-1, 0])
    """
    rows, tracks = _number(group, track_id)
    named = np.full(len(tracks), NO_PARENT, dtype=np.int64)
    naming = np.flatnonzero(parent_track_id >= 0)
    named[rows[naming]] = parent_track_id[naming]
    has_parent = named >= 0
    wanted = _keys(tracks[has_parent] >> 32, named[has_parent])
    nodes, every = pd.factorize(np.concatenate([tracks, wanted]))
    parent = np.full(len(every), NO_PARENT, dtype=np.int64)
    parent[: len(tracks)][has_parent] = nodes[len(tracks) :]
    return Forest(rows.astype(np.int64, copy=False), every >> 32, every & 0xFFFFFFFF, parent)


def root_tracks(parent: IntArray) -> IntArray:
    """Return the root ancestor of every track (n,), by pointer jumping.

    Each round doubles the distance climbed, so the rounds are the logarithm of the deepest lineage.

    Raises
    ------
    TracksError
        Where a track is its own ancestor.

    Examples
    --------
    >>> root_tracks(np.array([-1, 0, 1, 1, -1])).tolist()
    [0, 0, 0, 0, 4]
    """
    root, _ = _climb(parent)
    _refuse_cycles(parent, root)
    return root


def cyclic_tracks(parent: IntArray) -> IntArray:
    """Return the tracks (k,) that have no root: those on a cycle and their descendants.

    Examples
    --------
    >>> cyclic_tracks(np.array([1, 0, 0, -1])).tolist()
    [0, 1, 2]
    """
    root, _ = _climb(parent)
    return np.flatnonzero(parent[root] >= 0)


def preorder(parent: IntArray) -> tuple[IntArray, IntArray]:
    """Return a depth-first numbering of the tracks.

    Returns
    -------
    first
        (n,) place of each track; a permutation of 0 .. n-1.
    size
        (n,) how many tracks its subtree holds, itself included.

    Raises
    ------
    TracksError
        Where a track is its own ancestor.

    Examples
    --------
    >>> first, size = preorder(np.array([-1, 0, 0, 1]))
    >>> first.tolist(), size.tolist()
    ([0, 1, 3, 2], [4, 2, 1, 1])
    """
    root, depth = _climb(parent)
    _refuse_cycles(parent, root)
    by_depth = stable_order(depth)
    levels = np.split(by_depth, np.cumsum(np.bincount(depth))[:-1]) if len(parent) else []
    size = np.ones(len(parent), dtype=np.int64)
    for level in levels[:0:-1]:
        np.add.at(size, parent[level], size[level])
    first = _before_among_sisters(parent, size)
    for level in levels[1:]:
        first[level] += first[parent[level]] + 1
    return first, size


def _before_among_sisters(parent: IntArray, size: IntArray) -> IntArray:
    """Sum the subtree sizes of the elder sisters of each track (all roots count as sisters)."""
    order = stable_order(parent)
    ends = np.cumsum(size[order])
    begins = ends - size[order]
    opens = np.flatnonzero(np.diff(parent[order], prepend=-2))
    counts = np.diff(opens, append=len(parent))
    before = np.empty(len(parent), dtype=np.int64)
    before[order] = begins - np.repeat(begins[opens], counts)
    return before


def _climb(parent: IntArray) -> tuple[IntArray, IntArray]:
    """Return where each track ends up, and its depth; on a cycle both mean nothing."""
    above = np.where(parent < 0, np.arange(len(parent)), parent)
    depth = (parent >= 0).astype(np.int64)
    for _ in range(len(parent).bit_length()):
        higher = above[above]
        if np.array_equal(higher, above):
            break
        depth += depth[above]
        above = higher
    return above, depth


def _refuse_cycles(parent: IntArray, root: IntArray) -> None:
    lost = np.flatnonzero(parent[root] >= 0)
    if len(lost):
        raise TracksError(
            f"parent: track {int(lost[0])} is its own ancestor ({len(lost)} tracks have no root)"
        )


def _number(group: Whole, track_id: Whole) -> tuple[IntArray, IntArray]:
    """Return the number of each row's track (N,), in order of appearance, and the tracks' keys (n,)."""
    width = int(track_id.max(initial=-1)) + 1
    size = (int(group.max(initial=-1)) + 1) * width
    if size > 4 * len(group):  # ids are sparse
        return pd.factorize(_keys(group, track_id))
    place = group.astype(np.int64)
    place *= width
    place += track_id
    first: Whole = np.full(size, len(place), dtype=np.int32 if len(place) < 2**31 else np.int64)
    backwards = np.arange(len(place) - 1, -1, -1, dtype=first.dtype)
    first[place[::-1]] = backwards  # of several values for one index the last stays
    used = np.flatnonzero(first < len(place))
    used = used[stable_order(first[used])]
    number = np.empty(size, dtype=np.int64)
    number[used] = np.arange(len(used))
    return number[place], _keys(*np.divmod(used, width))


def _keys(group: Whole, track_id: Whole) -> IntArray:
    # Track ids are int32 in the anchors table: both fit one word.
    return np.asarray((group.astype(np.int64) << 32) | track_id.astype(np.int64), dtype=np.int64)
