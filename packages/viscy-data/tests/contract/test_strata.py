"""Strata stand in their ratio: rounded in every batch, exact over batches, in every part of a batch."""

from collections import Counter, defaultdict
from dataclasses import replace

import pandas as pd
import pytest
from contract_reference import Reader, Value
from contract_tables import epoch_of, even_cells, sampler_of, table_of, warnings_of

from viscy_data import Balance, BatchPlan, Focus, Grouping

PLAN = BatchPlan(8, grouping=Grouping("experiment"), balance=Balance("condition"))
FOCUS = Focus("hours_post_infection", window_hours=1.0, global_fraction=0.3)
LONG = {
    "ratio": replace(PLAN, batch_size=7, balance=Balance("condition", ratio={"x": 1, "y": 2, "z": 4})),
    "fewer places than strata": replace(PLAN, batch_size=2),
    "odd ratio": replace(PLAN, balance=Balance("condition", ratio={"x": 0.3, "y": 0.1, "z": 0.9})),
    "natural": replace(PLAN, balance=Balance("condition", ratio="natural")),
    "leak": replace(PLAN, batch_size=9, grouping=Grouping("experiment", leak=0.3)),
    "focus": replace(PLAN, focus=FOCUS),
    "all": replace(PLAN, batch_size=13, grouping=Grouping("experiment", leak=0.25), focus=FOCUS),
    "steps": replace(PLAN, batch_size=10, grouping=Grouping("experiment", leak=0.4), span=3),
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("drop_last", [True, False])
def test_over_many_batches_every_stratum_has_its_exact_share(name: str, drop_last: bool) -> None:
    """Counts of own and of leaked anchors stray from exact by a few, however many batches there are."""
    cells = even_cells(first=150, more=50)
    del cells["b", "z"]
    table, plan = table_of(cells, times=24), LONG[name]
    reader, sampler = Reader(table, plan, drop_last=drop_last), sampler_of(table, plan, drop_last=drop_last)
    held: Counter[tuple[Value, str, Value]] = Counter()
    exact: defaultdict[tuple[Value, str, Value], float] = defaultdict(float)
    assert plan.grouping is not None
    own = {group: reader.own_shares(group) for group in reader.groups}
    away = {group: reader.leaked_shares(group) if plan.grouping.leak else {} for group in reader.groups}
    for batch in (batch for epoch in range(4) for batch in epoch_of(sampler, epoch)):
        group = Counter(reader.group_of[row] for row in batch).most_common(1)[0][0]  # leaks are a minority
        leaked = reader.leaked_count(len(batch))
        for row in batch:
            part = "own" if reader.group_of[row] == group else "leaked"
            held[group, part, reader.stratum_of[row]] += 1
        for part, size, shares in (("own", len(batch) - leaked, own), ("leaked", leaked, away)):
            for stratum, share in shares[group].items():
                exact[group, part, stratum] += size * float(share)
    assert held.total() > 10_000
    assert set(held) == {key for key, count in exact.items() if count}
    for key, count in exact.items():
        assert abs(held[key] - count) < 6, (key, held[key], count)


def test_more_strata_than_places_take_turns() -> None:
    table = table_of({("a", f"c{i}"): 10 for i in range(12)})
    sampler = sampler_of(table, replace(PLAN, batch_size=5))
    held: Counter[str] = Counter({f"c{i}": 0 for i in range(12)})
    for batch in (batch for epoch in range(6) for batch in epoch_of(sampler, epoch)):
        conditions = Counter(table["condition"].iloc[batch])
        assert max(conditions.values()) == 1
        held.update(conditions)
        assert max(held.values()) - min(held.values()) <= 3
    assert set(held.values()) == {60}


def test_what_rounding_leaves_over_goes_round_over_epochs() -> None:
    """One batch an epoch: were the visits counted anew, the first stratum would win every time."""
    table = table_of({("a", s): 2 for s in "xyz"})
    sampler = sampler_of(table, replace(PLAN, batch_size=4))
    held: Counter[str] = Counter()
    for epoch in range(30):
        held.update(table["condition"].iloc[sampler.batch(0, epoch=epoch)])
    assert held == {"x": 40, "y": 40, "z": 40}


def test_the_smaller_last_batch_takes_turns_of_its_own() -> None:
    table = table_of({("a", s): 11 for s in "xyz"})  # 33 anchors: a rest of one
    sampler = sampler_of(table, BatchPlan(4, balance=Balance("condition")), drop_last=False)
    last: Counter[str] = Counter()
    for epoch in range(30):
        batch = sampler.batch(8, epoch=epoch)
        assert len(batch) == 1
        last.update(table["condition"].iloc[batch])
    assert last == {"x": 10, "y": 10, "z": 10}


def test_strata_that_a_group_lacks_leave_their_places_to_the_others() -> None:
    table = table_of({("a", "x"): 40, ("a", "y"): 40, ("b", "x"): 40, ("b", "y"): 40, ("b", "z"): 40})
    plan = replace(PLAN, batch_size=6, balance=Balance("condition", ratio={"x": 1, "y": 2, "z": 3}))
    assert [("'a'" in text and "'z'" in text) for text in warnings_of(table, plan)] == [True]
    held = {
        rows["experiment"].iloc[0]: dict(Counter(rows["condition"]))
        for rows in (table.iloc[batch] for batch in epoch_of(sampler_of(table, plan), 0))
    }
    assert held == {"a": {"x": 2, "y": 4}, "b": {"x": 1, "y": 2, "z": 3}}


def test_natural_shares_are_those_of_each_group_without_a_warning() -> None:
    table = table_of({("a", "x"): 300, ("a", "y"): 100, ("b", "x"): 60, ("b", "y"): 300, ("b", "z"): 40})
    plan = replace(PLAN, batch_size=20, balance=Balance("condition", ratio="natural"))
    assert warnings_of(table, plan) == []
    held = {
        rows["experiment"].iloc[0]: dict(Counter(rows["condition"]))
        for rows in (table.iloc[batch] for batch in epoch_of(sampler_of(table, plan), 0))
    }
    assert held == {"a": {"x": 15, "y": 5}, "b": {"x": 3, "y": 15, "z": 2}}


def test_strata_of_several_columns_are_the_combinations_that_occur() -> None:
    table = pd.DataFrame({"p": ["m", "m", "n"] * 20, "q": [1, 2, 1] * 20})
    held = Counter(
        map(
            tuple,
            table.iloc[sampler_of(table, BatchPlan(12, balance=Balance(["p", "q"]))).batch(0)].to_numpy(),
        )
    )
    assert held == {("m", 1): 4, ("m", 2): 4, ("n", 1): 4}
