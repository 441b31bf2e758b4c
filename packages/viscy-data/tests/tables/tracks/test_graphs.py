from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.errors import TracksError
from viscy_data.tables.lineage import IntArray
from viscy_data.tables.tracks.graphs import tracks_of

FILE = Path("tracks.geff")


class Drawn(NamedTuple):
    ids: list[int]
    t: list[int]
    links: list[tuple[int, int]]


@st.composite
def forests(draw: st.DrawFn) -> Drawn:
    """Cells that stay, skip frames, divide into two or three, and end; ids and order mean nothing."""
    count = draw(st.integers(1, 25))
    ids = draw(st.lists(st.integers(0, 2**40), min_size=count, max_size=count, unique=True))
    t = [0] * count
    links = []
    for i in range(1, count):
        mother = draw(st.one_of(st.none(), st.integers(0, i - 1)))
        t[i] = draw(st.integers(0, 3)) if mother is None else t[mother] + draw(st.integers(1, 3))
        if mother is not None:
            link = (ids[mother], ids[i])
            links.append(link if draw(st.booleans()) else link[::-1])
    order = draw(st.permutations(range(count)))
    repeated = links + draw(st.lists(st.sampled_from(links), max_size=2) if links else st.just([]))
    return Drawn([ids[i] for i in order], [t[i] for i in order], draw(st.permutations(repeated)))


def walked(drawn: Drawn) -> dict[int, tuple[int, int]]:
    """Follow every cell by hand: node -> (first node of its track, first node of the parent track or -1)."""
    frame = dict(zip(drawn.ids, drawn.t, strict=True))
    mother = {}
    daughters: dict[int, set[int]] = {}
    for link in drawn.links:
        early, late = sorted(link, key=frame.__getitem__)
        mother[late] = early
        daughters.setdefault(early, set()).add(late)

    def first(node: int) -> int:
        while node in mother and len(daughters[mother[node]]) == 1:
            node = mother[node]
        return node

    return {n: (first(n), first(mother[first(n)]) if first(n) in mother else -1) for n in drawn.ids}


def arrays(drawn: Drawn) -> tuple[IntArray, IntArray, IntArray]:
    ids, t, links = (np.array(values, dtype=np.int64) for values in drawn)
    return ids, t, links.reshape(-1, 2)


@given(forests())
def test_tracks_are_those_found_by_walking(drawn: Drawn) -> None:
    ids, t, links = arrays(drawn)
    track, parent = tracks_of(FILE, "node", ids, t, links)
    expected = walked(drawn)
    firsts = {first for first, _ in expected.values()}
    frame = dict(zip(drawn.ids, drawn.t, strict=True))
    number = {first: i for i, first in enumerate(sorted(firsts, key=lambda n: (frame[n], n)), start=1)}
    assert track.tolist() == [number[expected[i][0]] for i in drawn.ids]
    assert parent.tolist() == [number.get(expected[i][1], -1) for i in drawn.ids]


@pytest.mark.parametrize(
    ("ids", "t", "links", "match"),
    [
        ([1, 2, 3], [0, 0, 1], [(1, 3), (2, 3)], "nodes 1 and 2 merge into node 3; a cell has one mother"),
        ([1, 2, 3], [0, 0, 1], [(3, 1), (2, 3)], "nodes 1 and 2 merge into node 3"),
        ([1, 2, 1], [0, 1, 2], [], "node 1 is there a second time"),
        ([1, 2], [0, 1], [(1, 9)], "a link leads to node 9, which is not there"),
        ([], [], [(1, 9)], "a link leads to node 1, which is not there"),
        ([4, 5], [3, 3], [(4, 5)], "nodes 4 and 5 are linked, but both are in frame 3"),
        ([4, 5], [3, 3], [(4, 4)], "nodes 4 and 4 are linked, but both are in frame 3"),
    ],
)
def test_what_is_no_forest_is_refused(
    ids: list[int], t: list[int], links: list[tuple[int, int]], match: str
) -> None:
    with pytest.raises(TracksError, match=rf"tracks\.geff: {match}"):
        tracks_of(FILE, "node", *arrays(Drawn(ids, t, links)))


def test_only_some_of_many_merges_are_listed() -> None:
    ids = np.arange(30)
    links = [(i, 20 + i // 2) for i in range(20)]
    with pytest.raises(TracksError, match=r"nodes 0 and 1 merge into node 20; .* \(and 5 more\)"):
        tracks_of(FILE, "node", ids, (ids >= 20).astype(np.int64), np.array(links))
