"""Draws from pools of less than three visits, against a walk through all visits in plain Python."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from listed_history import ListedHistory
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.purpose import Purpose
from viscy_data.composition.tight import TightPools

Integers = NDArray[np.int64]
SEED = 5


def walk(size: int, widths: list[int]) -> list[set[int]]:
    """Take visits of ``widths`` members from pass after pass, as the contract words it."""
    found, turn = [], 0
    queue = order_of(size, turn)
    for width in widths:
        taken, queue = queue[:width], queue[width:]
        if missing := width - len(taken):
            turn += 1
            order = order_of(size, turn)
            new = [member for member in order if member not in taken][:missing]
            queue = [member for member in order if member not in new]
            taken += new
        if not queue:
            turn += 1
            queue = order_of(size, turn)
        found.append(set(taken))
    return found


def order_of(size: int, turn: int) -> list[int]:
    key = keyed.words(SEED, Purpose.PASS, 0, turn)
    members: list[int] = keyed.permute(np.arange(size), size, key).tolist()
    return members


def expected(size: int, counts: list[int], partial: list[bool]) -> list[Counter[int]]:
    """Return how often each visit takes each member."""
    full = [count for count, smaller in zip(counts, partial, strict=True) if not smaller] or [0]
    rest = [count for count, smaller in zip(counts, partial, strict=True) if smaller] or [0]
    by_left_outs = 2 * (max(full) - min(full) // size * size) - 1 > size
    copies = [-(-max(kind) // size) if by_left_outs else min(kind) // size for kind in (full, rest)]
    times = [copies[smaller] for smaller in partial]
    widths = [abs(count - n * size) for count, n in zip(counts, times, strict=True)]
    sign = -1 if by_left_outs else 1
    return [
        Counter({member: n + sign * (member in special) for member in range(size)})
        for n, special in zip(times, walk(size, widths), strict=True)
    ]


@st.composite
def visits(draw: st.DrawFn) -> tuple[int, list[int], list[bool]]:
    """Draw a pool and visits of two adjacent counts, with smaller visits among them."""
    least = draw(st.integers(1, 25))
    size = draw(st.integers(1, 3 * least + 2))
    full = st.integers(least, least + draw(st.integers(0, 1)))
    less = draw(st.integers(0, least))
    rest = st.integers(less, min(less + 1, least))
    kind = st.booleans() if draw(st.booleans()) else st.just(False)
    partial = draw(st.lists(kind, min_size=1, max_size=60))
    return size, [draw(rest if smaller else full) for smaller in partial], partial


def drawn(size: int, counts: list[int], partial: list[bool], asked: Integers) -> list[Counter[int]]:
    """Return how often each visit that is asked for takes each member."""
    history = ListedHistory(counts, partial)
    kinds = [[count for count, p in zip(counts, partial, strict=True) if p == kind] for kind in (False, True)]
    least, most = (np.array([[bound(kind, default=0)] for kind in kinds]) for bound in (min, max))
    pools = TightPools(np.array([size]), least, most, SEED)
    pool, none = np.zeros_like(asked), np.zeros(asked.size, dtype=np.uint64)
    count = np.array(counts)[asked]
    members = pools.members(history, pool, history.moments(asked), none.astype(np.int64), count, none)
    return [Counter(part.tolist()) for part in np.split(members, np.cumsum(count)[:-1])]


@settings(max_examples=300)
@given(case=visits())
def test_visits_are_those_of_a_walk_and_keep_their_promises(case: tuple[int, list[int], list[bool]]) -> None:
    size, counts, _ = case
    found = drawn(*case, np.arange(len(counts)))
    seen: Counter[int] = Counter(dict.fromkeys(range(size), 0))
    for used, wanted, count in zip(found, expected(*case), counts, strict=True):
        assert +used == +wanted
        assert used.total() == count
        assert max(used.values(), default=0) <= -(-count // size)
        seen.update(used)
        assert max(seen.values()) - min(seen.values()) <= 1


@given(case=visits(), data=st.data())
def test_a_visit_does_not_depend_on_what_else_is_asked_for(
    case: tuple[int, list[int], list[bool]], data: st.DataObject
) -> None:
    together = drawn(*case, np.arange(len(case[1])))
    asked = data.draw(st.lists(st.integers(0, len(together) - 1), min_size=1, max_size=5))
    assert drawn(*case, np.array(asked)) == [together[number] for number in asked]


def test_long_chains_of_smaller_visits_are_followed() -> None:
    """Each epoch leaves 21 and 31 of 51 out: eleven passes in a row hang on the ones before."""
    counts = [30, 20] * 120
    case = (51, counts, [False, True] * 120)
    assert [+used for used in drawn(*case, np.arange(240))] == [+used for used in expected(*case)]


def test_draws_beyond_an_epoch_hold_no_member_twice_and_leave_no_trace() -> None:
    history, pool = ListedHistory([5, 5, 5, 5]), np.zeros(4, dtype=np.int64)
    bounds = np.array([[5], [0]])
    pools = TightPools(np.array([7]), bounds, bounds, SEED)
    visit, apart = np.arange(4), np.array([0, 9, 0, 8], dtype=np.uint64)
    members = pools.members(history, pool, history.moments(visit), pool, pool + 5, apart)
    found = [set(part) for part in members.reshape(4, 5).tolist()]
    assert [len(members) for members in found] == [5] * 4
    plain = drawn(7, [5] * 4, [False] * 4, np.array([0, 2]))
    assert [found[0], found[2]] == [set(used) for used in plain]
