"""A row of the table is one channel of a cell: markers as groups and strata, and cells kept apart.

Shares are counted slowly, level by level, and compared with the batches that come.
"""

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from itertools import product
from math import ceil, floor, log2
from typing import Any

import numpy as np
import pandas as pd
from contract_tables import epoch_of, sampler_of
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import AtMost, Balance, BatchPlan, Distinct, Focus, Grouping

MARKERS = ("ER", "nucleus", "phase")
EXPERIMENTS = ("a", "b", "c", "d")


def table_of_channels(cells: Mapping[str, int], markers: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """Make a row for each marker of each cell of an experiment, shuffled."""
    kinds = [(name, number) for name, count in cells.items() for number in range(count)]
    rows = [
        (experiment, marker, cell, number % 2, 0.5 * (number % 6))
        for cell, (experiment, number) in enumerate(kinds)
        for marker in markers[experiment]
    ]
    names = ["experiment", "marker", "cell_id", "condition", "hours_post_infection"]
    return pd.DataFrame(rows, columns=names).sample(frac=1, random_state=0, ignore_index=True)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    count = draw(st.integers(1, len(EXPERIMENTS)))
    some = st.lists(st.sampled_from(MARKERS), min_size=1, max_size=3, unique=True).map(tuple)
    names = EXPERIMENTS[:count]
    return table_of_channels(
        {name: draw(st.integers(3, 20)) for name in names}, {name: draw(some) for name in names}
    )


def slow_shares(
    table: pd.DataFrame, marker: Mapping[str, int] | None, experiment: Mapping[str, int] | None
) -> dict[tuple[str, str], Fraction]:
    """Split all batches among markers, and each marker's among the experiments that have it, by weights.

    Where a level has no weights, rows are.
    """
    shares: dict[tuple[str, str], Fraction] = {}
    markers = sorted(set(table["marker"]))
    first = {
        one: Fraction((table["marker"] == one).sum() if marker is None else marker[one]) for one in markers
    }
    for one in markers:
        own = table[table["marker"] == one]
        held = sorted(set(own["experiment"]))
        rows = Counter(own["experiment"])
        second = {name: Fraction(rows[name] if experiment is None else experiment[name]) for name in held}
        for name in held:
            shares[one, name] = first[one] / sum(first.values()) * second[name] / sum(second.values())
    return shares


def weights_of(table: pd.DataFrame, level: str, drawn: list[int] | None) -> dict[str, int] | None:
    return None if drawn is None else dict(zip(sorted(set(table[level])), drawn, strict=False))


@settings(derandomize=True, max_examples=40)
@given(
    table=tables(),
    marker=st.none() | st.lists(st.integers(1, 4), min_size=3, max_size=3),
    experiment=st.none() | st.lists(st.integers(1, 4), min_size=4, max_size=4),
    batch_size=st.integers(1, 3),
)
def test_markers_and_their_experiments_get_their_exact_shares(
    table: pd.DataFrame, marker: list[int] | None, experiment: list[int] | None, batch_size: int
) -> None:
    given_weights = {
        "marker": weights_of(table, "marker", marker),
        "experiment": weights_of(table, "experiment", experiment),
    }
    levels: dict[str, Any] = {level: asked for level, asked in given_weights.items() if asked is not None}
    plan = BatchPlan(batch_size, grouping=Grouping(["marker", "experiment"], weights=levels or None))
    sampler = sampler_of(table, plan)
    shares = slow_shares(table, given_weights["marker"], given_weights["experiment"])
    assert sum(shares.values()) == 1
    of_marker = dict.fromkeys((one for one, _ in shares), Fraction(0))
    for (one, _), share in shares.items():
        of_marker[one] += share
    names = list(zip(table["marker"], table["experiment"], strict=True))
    total: Counter[tuple[str, str]] = Counter()
    for epoch in range(5):
        batches = epoch_of(sampler, epoch)
        assert all(len({names[row] for row in batch}) == 1 for batch in batches)
        pairs = Counter(names[batch[0]] for batch in batches)
        total += pairs
        for pair, share in shares.items():
            exact = share * len(batches)
            assert floor(exact) <= pairs[pair] <= ceil(exact)
            assert abs(total[pair] - (epoch + 1) * exact) <= 1 + log2(epoch + 1)
        for one, share in of_marker.items():
            exact = share * len(batches)
            assert floor(exact) <= sum(pairs[pair] for pair in shares if pair[0] == one) <= ceil(exact)


@settings(derandomize=True, max_examples=30)
@given(
    table=tables(),
    ratio=st.none() | st.lists(st.integers(1, 4), min_size=4, max_size=4),
    batch_size=st.integers(1, 7),
)
def test_a_batch_of_one_marker_holds_its_experiments_in_their_shares(
    table: pd.DataFrame, ratio: list[int] | None, batch_size: int
) -> None:
    asked = weights_of(table, "experiment", ratio)
    batch_size = min(batch_size, len(table))
    plan = BatchPlan(batch_size, grouping=Grouping("marker"), balance=Balance("experiment", ratio=asked))
    sampler = sampler_of(table, plan)
    marker, experiment = (table[name].to_numpy() for name in ("marker", "experiment"))
    held = {one: sorted(set(experiment[marker == one])) for one in set(marker)}
    totals: dict[str, list[Counter[str]]] = {one: [] for one in held}
    for batch in (batch for epoch in range(3) for batch in epoch_of(sampler, epoch)):
        (one,) = set(marker[batch])
        totals[one].append(Counter(experiment[batch]))
    for one, counts in totals.items():
        numbers = {name: Fraction(1 if asked is None else asked[name]) for name in held[one]}
        for name, number in numbers.items():
            exact = batch_size * number / sum(numbers.values())
            assert all(floor(exact) <= count[name] <= ceil(exact) for count in counts)
            over = sum(count[name] for count in counts) - len(counts) * exact
            assert abs(over) <= 1 + log2(max(1, len(counts)))


@settings(derandomize=True, max_examples=30)
@given(table=tables(), ratio=st.lists(st.integers(1, 3), min_size=3, max_size=3), focused=st.booleans())
def test_a_batch_of_one_experiment_holds_its_markers_in_their_shares(
    table: pd.DataFrame, ratio: list[int], focused: bool
) -> None:
    asked = weights_of(table, "marker", ratio)
    focus = Focus("hours_post_infection", window_hours=1.0) if focused else None
    plan = BatchPlan(3, grouping=Grouping("experiment"), balance=Balance("marker", ratio=asked), focus=focus)
    sampler = sampler_of(table, plan)
    marker, experiment = (table[name].to_numpy() for name in ("marker", "experiment"))
    assert asked is not None
    for batch in (batch for epoch in range(2) for batch in epoch_of(sampler, epoch)):
        (one,) = set(experiment[batch])
        held = {name: asked[name] for name in set(marker[experiment == one])}
        counts = Counter(marker[batch])
        for name, number in held.items():
            exact = Fraction(3 * number, sum(held.values()))
            assert floor(exact) <= counts[name] <= ceil(exact)


def test_channels_of_a_cell_are_kept_apart() -> None:
    """Without a cap two channels of one cell meet; with one they do not, whatever else is asked."""
    cells, markers = {"a": 40, "b": 60, "c": 30}, {"a": MARKERS, "b": MARKERS[:2], "c": MARKERS[1:]}
    table = table_of_channels(cells, markers)
    cell = table["cell_id"].to_numpy()
    for grouping, cap in product((None, Grouping("experiment", leak=0.25)), (None, 1, 2)):
        at_most = () if cap is None else (Distinct("cell_id") if cap == 1 else AtMost("cell_id", cap),)
        plan = BatchPlan(12, grouping=grouping, balance=Balance("marker"), at_most=at_most)
        sampler = sampler_of(table, plan)
        batches = [batch for epoch in range(3) for batch in epoch_of(sampler, epoch)]
        most = max(int(np.bincount(cell[batch]).max()) for batch in batches)
        assert most >= 2 if cap is None else most == cap
        if grouping is None:  # a cap takes nothing from the balance
            markers_of = (Counter(table["marker"].iloc[batch]) for batch in batches)
            assert all(counts == dict.fromkeys(MARKERS, 4) for counts in markers_of)
