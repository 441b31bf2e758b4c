import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.tables.lineage import build_forest
from viscy_data.tables.relatives import Relatives


def chain(parent: dict[int, int], track: int) -> list[int]:
    found = [track]
    while parent[found[-1]] >= 0:
        found.append(parent[found[-1]])
    return found


@given(data=st.data(), sisters=st.booleans())
def test_lookups_match_a_comparison_of_all_rows(data: st.DataObject, sisters: bool) -> None:
    """Tracks may begin before their parents and outlive them: nothing is assumed about frames."""
    parent = {-1: -1}
    for track in range(data.draw(st.integers(1, 7))):
        parent[track] = data.draw(st.integers(-1, track - 1))
    cells = st.tuples(st.integers(0, len(parent) - 2), st.integers(0, 5))
    rows = data.draw(st.lists(cells, min_size=1, max_size=20, unique=True))
    track, t = np.array(rows).T
    named = np.array([parent[one] for one in track])
    present = {int(one): int(up) for one, up in zip(track, named, strict=True)}
    known = {**dict.fromkeys(present.values(), -1), **present, -1: -1}
    forest = build_forest(np.zeros(len(rows), dtype=np.int64), track, named)
    relatives = Relatives(forest, t, sisters=sisters)

    def related(a: int, b: int) -> bool:
        of_one_mother = sisters and known[a] >= 0 and known[a] == known[b]
        return a in chain(known, b) or b in chain(known, a) or of_one_mother

    for tau in (1, 2):
        every = np.arange(len(rows))
        counts = relatives.count(every, np.full(len(rows), tau))
        assert (relatives.exist(every, np.full(len(rows), tau)) == (counts > 0)).all()
        for i, (a, begin) in enumerate(rows):
            expected = [j for j, (b, u) in enumerate(rows) if u == begin + tau and related(a, b)]
            assert counts[i] == len(expected)
            asked = np.arange(len(expected))
            picked = relatives.pick(np.full(len(asked), i), np.full(len(asked), tau), asked)
            assert sorted(picked.tolist()) == expected


@given(data=st.data())
def test_a_track_that_goes_on_is_found_without_searching(data: st.DataObject) -> None:
    cells = st.tuples(st.integers(0, 3), st.integers(0, 9))
    track, t = np.array(data.draw(st.lists(cells, min_size=1, max_size=30, unique=True))).T
    forest = build_forest(np.zeros(len(t), dtype=np.int64), track, np.full(len(t), -1))
    ranges = [data.draw(st.tuples(st.integers(1, 3), st.integers(0, 2))) for _ in forest.track_id]
    low = np.array([first for first, _ in ranges])
    high = low + [more for _, more in ranges]
    found = Relatives(forest, t, sisters=False).own_track(low, high)
    held = set(zip(track.tolist(), t.tolist(), strict=True))
    for i, (own, begin) in enumerate(zip(track.tolist(), t.tolist(), strict=True)):
        node = forest.rows[i]
        there = any((own, begin + tau) in held for tau in range(low[node], high[node] + 1))
        # A table of tracks and frames that is much larger than the rows is not made.
        width = t.max() + 1 + low.max() + (high - low).max()
        assert found[i] == (there and width * len(low) <= 8 * len(t))
