"""Values of any column in batches, counted as a slow loop counts them."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from sampling_cases import make_table

from viscy_data.audit.audited import Audited
from viscy_data.audit.command import audit_plans
from viscy_data.audit.page import tell
from viscy_data.audit.splits import RANGES, UNKNOWN, values_of
from viscy_data.audit.tables import audit_tables
from viscy_data.composition import Balance, BatchPlan, Grouping, Weighting
from viscy_data.pages.page import render
from viscy_data.sampling.sampler import FlexibleBatchSampler

PLAN = BatchPlan(8, grouping=Grouping("experiment"), balance=Balance("drug"), weighting=Weighting("weight"))


@pytest.fixture(scope="module")
def anchors() -> pd.DataFrame:
    table = make_table({(g, s): 40 for g in ("a", "b") for s in ("x", "y")})
    rng = np.random.default_rng(0)
    return table.assign(
        drug=rng.choice(["DMSO", "taxol"], len(table)),
        weight=rng.choice([1.0, 4.0], len(table)),
        label=pd.Series(rng.choice(np.array(["flat", "round", None]), len(table))),
        area=rng.normal(size=len(table)),
    )


@pytest.fixture(scope="module")
def audited(anchors: pd.DataFrame) -> Audited:
    columns = ["label", "weight", "area"]
    (found,) = audit_plans(anchors, [("plan", PLAN)], batches=30, by=columns, progress=False)
    return found


def test_counts_are_those_of_a_slow_loop(anchors: pd.DataFrame, audited: Audited) -> None:
    split = audited.splits[0]
    labels = anchors["label"].fillna(UNKNOWN).astype(str).tolist()
    sampler = FlexibleBatchSampler.from_plan(anchors, PLAN)
    epochs = [divmod(place, sampler.batches_per_epoch) for place in range(30)]
    batches = [sampler.batch(number, epoch=epoch) for epoch, number in epochs]
    counts = [Counter(labels[row] for row in batch) for batch in batches]
    assert split.values == ("flat", "round", UNKNOWN)
    for i, value in enumerate(split.values):
        of_value = [count[value] for count in counts]
        assert split.anchors[i] == labels.count(value)
        assert (split.drawn[i], split.least[i], split.most[i]) == (
            sum(of_value),
            min(of_value),
            max(of_value),
        )
        assert split.batches_with[i] == sum(count > 0 for count in of_value)
        for g, group in enumerate(split.groups):
            rows = [row for batch in batches for row in batch if anchors["experiment"].iloc[row] == group]
            assert split.by_group[g, i] == sum(labels[row] == value for row in rows)


def test_tables_and_page_show_each_column(audited: Audited) -> None:
    tables = list(audit_tables([audited]))[2:]
    assert [table.headings[0] for table in tables] == ["label", "weight", "area"]
    assert [row[0] for row in tables[1].rows] == ["1", "4"]
    assert len(tables[2].rows) == RANGES
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.headings)}
        assert table.headings[-2:] == ("a", "b")
    assert "anchors by label" in render(tell([audited]))
    assert set(audited.to_dict()["splits"][0]) >= {"column", "values", "drawn"}


def test_weights_are_seen_in_shares(audited: Audited) -> None:
    split = audited.splits[1]
    assert split.drawn[1] / split.anchors[1] > 2 * split.drawn[0] / split.anchors[0]


def test_numbers_of_many_values_are_ranges_of_about_as_many_rows() -> None:
    code, values = values_of(pd.Series([np.nan, *range(80)]))
    assert values[0] == "0 to 9.875"
    assert values[-1] == UNKNOWN
    assert np.bincount(code).tolist() == [10] * RANGES + [1]
    assert values_of(pd.Series([1, 1, 2]).astype("category"))[1] == ("1", "2")
