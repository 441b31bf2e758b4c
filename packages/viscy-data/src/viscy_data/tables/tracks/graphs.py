"""From a graph of detections to tracks: what formats need that store links instead of track ids.

A *node* is one cell in one frame, a *link* leads from it to the same cell later, or to a daughter; the
earlier node of a link comes first, whichever way it was stored. A track begins where no link leads to,
or at a daughter: a node whose predecessor has several successors. Links may skip frames. Tracks are
numbered from 1 in the order of their first frame, then of their first node's id, so that the order in
which nodes and links are stored does not matter.
"""

from pathlib import Path

import numpy as np

from viscy_data.columns import NO_PARENT
from viscy_data.errors import TracksError
from viscy_data.tables.lineage import IntArray, root_tracks

_NAMED = 5


def tracks_of(
    file: Path, unit: str, ids: IntArray, t: IntArray, links: IntArray
) -> tuple[IntArray, IntArray]:
    """Return the track and the parent track of every node.

    Parameters
    ----------
    file, unit
        Where nodes come from and what a node is called there, for messages.
    ids, t
        (n,) identity and frame of each node.
    links
        (m, 2) ids of the two nodes of each link, in either order.

    Raises
    ------
    TracksError
        Where an id is there twice, a link leads nowhere or stays in one frame, or cells merge.
    """
    order = np.argsort(ids, kind="stable")
    twice = ids[order][1:][np.diff(ids[order]) == 0]
    _refuse(file, [f"{unit} {i} is there a second time" for i in np.unique(twice)])
    ends = _find(file, unit, ids[order], links)
    early, late = _in_time(file, unit, ids, t, np.unique(order[ends], axis=0))
    before = np.full(len(ids), -1, dtype=np.int64)
    before[late] = early
    merged = np.flatnonzero(np.bincount(late, minlength=len(ids)) > 1)
    _refuse(
        file,
        [f"{unit}s {_listed(np.sort(ids[early[late == i]]))} merge into {unit} {ids[i]}" for i in merged],
        "; a cell has one mother: cut all links but one",
    )
    divides = np.bincount(early, minlength=len(ids)) > 1
    begins = (before < 0) | divides[before]
    first = root_tracks(np.where(begins, -1, before))
    firsts = np.flatnonzero(begins)
    number = np.zeros(len(ids), dtype=np.int64)
    number[firsts[np.lexsort((ids[firsts], t[firsts]))]] = np.arange(1, len(firsts) + 1)
    track = number[first]
    mother = before[first]
    return track, np.where(mother < 0, NO_PARENT, track[mother])


def _find(file: Path, unit: str, ids: IntArray, links: IntArray) -> IntArray:
    """Return the places in ``ids``, which are sorted, of both ends of each link."""
    places = np.minimum(np.searchsorted(ids, links), max(0, len(ids) - 1))
    unknown = ids[places] != links if len(ids) else np.ones(links.shape, dtype=np.bool_)
    _refuse(file, [f"a link leads to {unit} {i}, which is not there" for i in np.unique(links[unknown])])
    return np.asarray(places, dtype=np.int64)


def _in_time(file: Path, unit: str, ids: IntArray, t: IntArray, ends: IntArray) -> tuple[IntArray, IntArray]:
    """Return the earlier and the later node of each link."""
    a, b = ends.reshape(-1, 2).T
    same = t[a] == t[b]
    pairs = zip(ids[a[same]], ids[b[same]], t[a[same]], strict=True)
    _refuse(file, [f"{unit}s {i} and {j} are linked, but both are in frame {k}" for i, j, k in pairs])
    swap = t[a] > t[b]
    pair = np.unique(np.stack([np.where(swap, b, a), np.where(swap, a, b)], axis=1), axis=0)
    return pair[:, 0], pair[:, 1]


def _refuse(file: Path, problems: list[str], advice: str = "") -> None:
    if problems:
        more = f" (and {len(problems) - _NAMED} more)" if len(problems) > _NAMED else ""
        raise TracksError(f"{file}: {'; '.join(problems[:_NAMED])}{more}{advice}")


def _listed(ids: IntArray) -> str:
    return " and ".join(map(str, ids.tolist()))
