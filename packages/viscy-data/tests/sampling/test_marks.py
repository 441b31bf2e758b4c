"""Lineages and frames of batches against counting by hand."""

from collections import Counter
from collections.abc import Callable
from itertools import combinations
from math import log2
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import Case, all_axes, cases, quiet_sampler

from viscy_data.errors import InvalidInputError
from viscy_data.sampling.marks import marks_of
from viscy_data.sampling.tally import Sharing

KINDS: dict[str, Callable[[Any], Any]] = {
    "category": lambda codes: pd.Categorical([f"l{code}" for code in codes], [f"l{i}" for i in range(40)]),
    "str": lambda codes: [f"l{code}" for code in codes],
    "int": lambda codes: codes,
}


def marked(table: pd.DataFrame, seed: int, kind: str) -> pd.DataFrame:
    """Add lineages, fields of view that recur in every experiment, and frames."""
    rng = np.random.default_rng(seed)
    n = len(table)
    return table.assign(
        lineage_id=KINDS[kind](rng.integers(0, 12, n)),
        fov=pd.Categorical(np.array(["A/1/0", "A/2/0"])[rng.integers(0, 2, n)]),
        t=rng.integers(0, 4, n),
    )


def entropy_of(marks: list[Any]) -> float:
    shares = [count / len(marks) for count in Counter(marks).values()]
    return -sum(share * log2(share) for share in shares)


@settings(max_examples=25)
@given(case=cases(), seed=st.integers(0, 99), kind=st.sampled_from(sorted(KINDS)))
def test_lineages_frames_and_visits_are_those_of_the_batches(case: Case, seed: int, kind: str) -> None:
    table = marked(case.table, seed, kind)
    sampler = case.sampler()
    report = sampler.report(2 * sampler.batches_per_epoch, table=table)
    batches = [list(batch) for _ in range(2) for batch in sampler]
    lineage = table["lineage_id"].astype(str).tolist()
    frame = list(zip(table["experiment"], table["fov"], table["t"], strict=True))
    pairs = [sum(lineage[a] == lineage[b] for a, b in combinations(batch, 2)) for batch in batches]
    assert report.lineages is not None
    assert (report.lineages.pairs, report.lineages.batches) == (sum(pairs), sum(map(bool, pairs)))
    others = [sum(lineage[other] != lineage[row] for other in batch) for batch in batches for row in batch]
    assert report.lineages.negatives == pytest.approx(np.mean(others))
    distinct = [len({frame[row] for row in batch}) for batch in batches]
    assert report.frames is not None
    assert report.frames.mean == pytest.approx(np.mean(distinct))
    assert report.frames.batches.tolist() == np.bincount(distinct).tolist()
    visits = np.bincount([row for batch in batches for row in batch], minlength=len(table))
    fov = list(zip(table["experiment"], table["fov"], strict=True))
    for name, of_row in (("fov", fov), ("time", table["t"].tolist())):
        bits = [entropy_of([of_row[row] for row in batch]) for batch in batches]
        assert report.variety[name] == pytest.approx(np.mean(bits), abs=1e-9)
    assert "track" not in report.variety
    times, counts = np.unique(visits, return_counts=True)
    assert (report.visits.times.tolist(), report.visits.anchors.tolist()) == (times.tolist(), counts.tolist())
    assert report.visits.reached.sum() == (visits > 0).sum()


def test_first_batches_are_kept_one_by_one() -> None:
    table, arguments = all_axes()
    sampler = quiet_sampler(table, **arguments)
    report = sampler.report()
    cells = table.groupby(["experiment", "condition"]).ngroup().to_numpy()
    assert report.times is not None
    for number, (held, times) in enumerate(zip(report.first.cells, report.first.times, strict=True)):
        batch = sampler.batch(number, epoch=0)
        assert held.ravel().tolist() == np.bincount(cells[batch], minlength=6).tolist()
        hours = table["hours_post_infection"].iloc[batch].to_numpy(dtype=float)
        assert times.tolist() == np.histogram(hours, report.times)[0].tolist()


def test_hours_come_from_the_table_where_the_plan_has_no_clock() -> None:
    table, _ = all_axes()
    hours = table["hours_post_infection"].to_numpy(dtype=float)
    hours[:7] = np.nan
    table["hours_post_infection"] = hours
    sampler = quiet_sampler(table, batch_size=len(table), experiment_aware=False, condition_balanced=False)
    report = sampler.report(1, table=table)
    assert report.times is not None
    assert report.by_time.ravel().tolist() == np.histogram(hours[7:], report.times)[0].tolist()
    assert sampler.report(1).times is None


def test_a_missing_lineage_is_one_of_its_own() -> None:
    marks = marks_of(pd.DataFrame({"lineage_id": pd.Categorical(["a", None, "a", None])}))
    assert marks.lineage is not None
    assert len(set(marks.lineage.tolist())) == 3
    assert marks.lineage[0] == marks.lineage[2]
    assert (marks.frame, marks.hours) == (None, None)


@pytest.mark.parametrize("table", [pd.DataFrame({"t": [1]}), [1, 2]])
def test_another_table_is_refused(table: Any) -> None:
    anchors, arguments = all_axes()
    with pytest.raises(InvalidInputError, match=f"built on {len(anchors)} anchors; give the same table"):
        quiet_sampler(anchors, **arguments).report(table=table)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=40))
def test_sharing_is_counted_batch_by_batch(anchors: list[tuple[int, int]]) -> None:
    batch, code = (np.array(column) for column in zip(*sorted(anchors), strict=True))
    found = Sharing.of(batch, code, batches=4)
    for b in range(4):
        held = code[batch == b].tolist()
        assert found.distinct[b] == len(set(held))
        assert found.pairs[b] == sum(x == y for x, y in combinations(held, 2))
