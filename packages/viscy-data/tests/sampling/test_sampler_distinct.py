"""No two anchors of one value in a batch, whatever other axes are on."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import Case, cases, cells_of, epoch_of, quiet_sampler_of

from viscy_data import Balance, BatchPlan, Distinct, Focus, Grouping, InvalidInputError
from viscy_data.sampling.sampler import FlexibleBatchSampler


@st.composite
def valued_cases(draw: st.DrawFn) -> tuple[Case, pd.DataFrame]:
    """Draw a case whose anchors are of lineages, each in one cell; some cells have few."""
    case = draw(cases())
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    lineages = draw(st.sampled_from([1, 3, 20]))
    cell = case.table.groupby(["experiment", "condition"]).ngroup()
    lineage = cell * lineages + rng.integers(0, lineages, len(case.table))
    return case, case.table.assign(lineage_id=lineage.map("lineage {}".format))


@settings(max_examples=80)
@given(given_case=valued_cases(), span=st.integers(1, 3))
def test_a_cell_gives_as_many_values_as_it_can(given_case: tuple[Case, pd.DataFrame], span: int) -> None:
    """Every value lies in one cell: repeats remain only where the cell has too few values."""
    case, table = given_case
    plan = replace(case.sampler().plan, distinct=Distinct("lineage_id"), span=span)
    sampler = quiet_sampler_of(table, plan, seed=case.seed, drop_last=case.asked.drop_last)
    cell = cells_of(table, plan)
    held = table.groupby(cell)["lineage_id"].nunique()
    batches = epoch_of(sampler, 0)[: 12 * span]
    for first in range(0, len(batches), span):
        step = [row for batch in batches[first : first + span] for row in batch]
        rows = pd.DataFrame({"cell": cell[step], "value": table["lineage_id"].to_numpy()[step]})
        for number, mine in rows.groupby("cell"):
            assert mine["value"].nunique() == min(len(mine), held[number])


@settings(max_examples=60)
@given(given_case=valued_cases())
def test_all_other_axes_hold_as_before(given_case: tuple[Case, pd.DataFrame]) -> None:
    case, table = given_case
    plan = replace(case.sampler().plan, distinct=Distinct("lineage_id"))
    sampler = quiet_sampler_of(table, plan, seed=case.seed, drop_last=case.asked.drop_last)
    cell = cells_of(table, plan)
    for batch, plain in zip(epoch_of(sampler, 1)[:20], epoch_of(case.sampler(), 1)[:20], strict=True):
        assert Counter(cell[batch]) == Counter(cell[plain])


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("leak", [0.0, 0.2])
def test_all_anchors_come_equally_often_where_no_value_is_too_long(drop_last: bool, leak: float) -> None:
    rng = np.random.default_rng(0)
    lineages = [(e, c, i, n) for e in "ab" for c in "xy" for i, n in enumerate(rng.integers(1, 9, 40))]
    table = pd.DataFrame(
        [(e, c, f"{e}{c}{i}") for e, c, i, n in lineages for _ in range(n)],
        columns=["experiment", "condition", "lineage_id"],
    )
    grouping = Grouping("experiment", leak=leak)
    plan = BatchPlan(15, grouping=grouping, balance=Balance("condition"), distinct=Distinct("lineage_id"))
    sampler = FlexibleBatchSampler.from_plan(table, plan, drop_last=drop_last)
    experiment, lineage = table["experiment"].to_numpy(), table["lineage_id"].to_numpy()
    cells = [cell.index for _, cell in table.groupby(["experiment", "condition"])]
    seen = np.zeros(len(table), dtype=np.int64)
    for _ in range(12):
        for batch in sampler:
            assert len(set(lineage[batch])) == len(batch)
            group = Counter(experiment[batch]).most_common(1)[0][0]
            np.add.at(seen, [row for row in batch if experiment[row] == group], 1)
            assert max(np.ptp(seen[cell]) for cell in cells) <= (2 if drop_last else 3)


def movie(lineages: int = 12, frames: int = 20) -> pd.DataFrame:
    """One experiment, one condition; every lineage is in every frame."""
    frame, lineage = np.divmod(np.arange(lineages * frames), lineages)
    return pd.DataFrame(
        {"experiment": "e", "lineage_id": lineage, "hours_post_infection": frame * 0.5, "fov": lineage % 2}
    )


def test_the_focal_share_holds_where_the_window_has_enough_values() -> None:
    focus = Focus("hours_post_infection", window_hours=1, global_fraction=0.25)
    plan = BatchPlan(12, focus=focus, distinct=Distinct("lineage_id", strict=True))
    table = movie()
    hours = table["hours_post_infection"].to_numpy()
    for batch in FlexibleBatchSampler.from_plan(table, plan):
        assert table["lineage_id"].iloc[batch].nunique() == 12
        near = np.abs(hours[batch][:, None] - np.unique(hours)) <= 1
        assert (near.sum(axis=0) == 9).any()


@given(min_hours=st.sampled_from([0.5, 1.0, 1.5]), span=st.integers(1, 2), seed=st.integers(0, 9))
def test_a_value_may_come_again_after_some_hours(min_hours: float, span: int, seed: int) -> None:
    plan = BatchPlan(20, distinct=Distinct("lineage_id", min_hours=min_hours), span=span)
    table = movie()
    sampler = FlexibleBatchSampler.from_plan(table, plan, seed=seed)
    repeats = 0
    for first in range(0, sampler.batches_per_epoch - span + 1, span):
        step = table.iloc[[row for number in range(first, first + span) for row in sampler.batch(number)]]
        for _, mine in step.groupby("lineage_id"):
            times = np.sort(mine["hours_post_infection"])
            assert (np.diff(times) >= min_hours).all()
            repeats += len(times) - 1
    assert repeats > 0


def test_values_that_cross_cells_are_kept_apart_too() -> None:
    table = pd.concat([movie(40).assign(experiment=name) for name in "ab"], ignore_index=True)
    plan = BatchPlan(16, grouping=Grouping("experiment", leak=0.25), distinct=Distinct("lineage_id"))
    for batch in FlexibleBatchSampler.from_plan(table, plan):
        assert table["lineage_id"].iloc[batch].nunique() == 16


def test_several_columns_make_a_value() -> None:
    plan = BatchPlan(24, distinct=Distinct(["fov", "lineage_id"]))
    table = pd.concat([movie(12), movie(12).assign(fov=9)], ignore_index=True)
    for batch in FlexibleBatchSampler.from_plan(table, plan):
        assert not table[["fov", "lineage_id"]].iloc[batch].duplicated().any()


def test_batches_are_pure() -> None:
    plan = BatchPlan(12, distinct=Distinct("lineage_id"), span=2)
    table = movie(30)
    sampler = FlexibleBatchSampler.from_plan(table, plan)
    whole = list(sampler)
    for number in (5, 0, 7):
        assert sampler.batch(number, epoch=0) == whole[number]
    shuffled = table.assign(lineage_id=pd.Categorical(table["lineage_id"].map(str)))
    assert list(FlexibleBatchSampler.from_plan(shuffled, plan)) == whole


def test_the_state_of_other_values_is_refused() -> None:
    plan, table = BatchPlan(12, distinct=Distinct("lineage_id")), movie(30)
    state = FlexibleBatchSampler.from_plan(table, plan).state_dict()
    other = FlexibleBatchSampler.from_plan(table.assign(lineage_id=table["lineage_id"] // 2), plan)
    with pytest.raises(InvalidInputError, match="another table"):
        other.load_state_dict(state)


@pytest.mark.parametrize(
    ("distinct", "message"),
    [
        (Distinct("lineage"), r"plan\.distinct needs the column 'lineage'.*Did you mean 'lineage_id'"),
        (Distinct("lineage_id", min_hours=1, clock="hpi"), r"plan\.distinct needs the column 'hpi'"),
    ],
)
def test_missing_columns_are_named(distinct: Distinct, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        FlexibleBatchSampler.from_plan(movie(), BatchPlan(4, distinct=distinct))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": 3}, r"Distinct\.by=3 is not a column name"),
        ({"by": "a", "min_hours": -1}, r"Distinct\.min_hours=-1"),
        ({"by": "a", "clock": 3}, r"Distinct\.clock=3"),
        ({"by": "a", "strict": 1}, r"Distinct\.strict=1"),
    ],
)
def test_bad_values_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Distinct(**arguments)  # type: ignore[arg-type]  # bad on purpose
