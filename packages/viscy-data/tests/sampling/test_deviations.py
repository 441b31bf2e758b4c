"""Deviations: none where a plan is followed as far as whole numbers allow, one where a batch is not."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import Case, cases, make_table, quiet_sampler

from viscy_data.audit.audited import Audited
from viscy_data.audit.command import audit_plans
from viscy_data.audit.tables import groups_table
from viscy_data.composition import Balance, BatchPlan, Grouping
from viscy_data.sampling.deviations import deviations
from viscy_data.sampling.notes import collect_notes
from viscy_data.sampling.sampler import FlexibleBatchSampler


@settings(max_examples=60)
@given(case=cases(), epochs=st.integers(1, 5))
def test_a_plan_that_is_followed_never_deviates(case: Case, epochs: int) -> None:
    with collect_notes() as notes:
        sampler = FlexibleBatchSampler(case.table, **case.asked.arguments(), seed=case.seed)
    report = sampler.report(epochs * sampler.batches_per_epoch)
    found = {one.axis for one in deviations(report)}
    # What a table can starve: a window, and a cell; the latter is said before the first batch.
    allowed = {"focus"} if case.asked.focused else set()
    assert found <= allowed | ({"repeats"} if notes else set())
    audited = Audited("case", sampler.plan, report, (), deviations(report))
    assert all(">" not in str(cell) for row in groups_table(audited).rows for cell in row[1:])


@pytest.mark.parametrize("batch_size", [2, 3, 5, 7, 16])
@pytest.mark.parametrize("leak", [0.0, 0.01, 0.24, 1 / 3])
def test_shares_that_no_whole_number_meets_are_no_deviation(batch_size: int, leak: float) -> None:
    table = make_table({(g, s): 97 + i for i, (g, s) in enumerate((g, s) for g in "abc" for s in "xyz")})
    sampler = quiet_sampler(
        table,
        batch_size=batch_size,
        leaky=leak,
        experiment_weights={"a": 0.7, "b": 0.2, "c": 0.1},
        condition_ratio={"x": 0.55, "y": 0.3, "z": 0.15},
    )
    for epochs in (1, 2, 3, 8):
        assert deviations(sampler.report(epochs * sampler.batches_per_epoch)) == ()


@settings(max_examples=60)
@given(
    batch_size=st.integers(2, 24),
    ratio=st.tuples(*[st.integers(1, 9)] * 3),
    batch=st.integers(0, 9),
    axis=st.sampled_from(["balance", "leak"]),
    seed=st.integers(0, 99),
)
def test_one_batch_that_is_off_by_one_is_found(
    batch_size: int, ratio: tuple[int, ...], batch: int, axis: str, seed: int
) -> None:
    table = make_table({(g, s): 120 for g in "ab" for s in "xyz"}, seed=seed)
    plan = BatchPlan(
        batch_size,
        grouping=Grouping("experiment"),
        balance=Balance("condition", ratio=dict(zip("xyz", ratio, strict=True))),
    )
    sampler = FlexibleBatchSampler.from_plan(table, plan, seed=seed)
    rows = [sampler.batch(number, epoch=0) for number in range(sampler.batches_per_epoch)]
    batch %= len(rows)
    moved = _with_one_moved(table, list(rows[batch]), "experiment" if axis == "leak" else "condition")
    held = table.iloc[moved]["condition"].value_counts().reindex(list("xyz"), fill_value=0)
    exact = np.array(ratio) / sum(ratio) * batch_size
    leaves = bool(((held < np.floor(exact + 1e-9)) | (held > np.ceil(exact - 1e-9))).any()) or axis == "leak"
    rows[batch] = type(rows[batch])(moved, epoch=0, number=batch)
    found = {one.axis for one in deviations(_report_of(sampler, rows))} - {"repeats", "coverage"}
    assert found == ({axis} if leaves else set())


def _with_one_moved(table: pd.DataFrame, rows: list[int], column: str) -> list[int]:
    """Replace the first row by one that differs from it in one column alone."""
    first, other = table.iloc[rows[0]], "condition" if column == "experiment" else "experiment"
    able = table[(table[column] != first[column]) & (table[other] == first[other]) & ~table.index.isin(rows)]
    return [int(able.index[0]), *rows[1:]]


def _report_of(sampler: FlexibleBatchSampler, rows: list[Any]) -> Any:
    """Count batches of these rows as if the sampler had composed them."""
    composer = sampler._composer
    place = np.empty(len(composer.layout), dtype=np.int64)
    place[composer.layout.rows] = np.arange(len(composer.layout))

    def places(epoch: int, numbers: Any) -> tuple[Any, Any]:
        taken = [rows[number] for number in np.asarray(numbers).tolist()]
        return place[np.concatenate([np.asarray(one) for one in taken])], np.array(
            [len(one) for one in taken]
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composer, "places", places)
        return sampler.report(len(rows))


def test_the_table_shows_what_was_asked_only_where_it_was_not_held() -> None:
    table = make_table({(g, s): n for g, n in (("a", 61), ("b", 44)) for s in ("x", "y", "z")})
    plan = BatchPlan(8, grouping=Grouping("experiment"), balance=Balance("condition"))
    (audited,) = audit_plans(table, [("p", plan)], epochs=2, progress=False)
    assert audited.deviations == ()
    grid = groups_table(audited)
    assert "neither whole number next to its share" in grid.title
    assert all(">" not in str(cell) for row in grid.rows for cell in row)


def test_names_in_what_composition_says_are_text() -> None:
    names = ("\x1b[31mred\n", "[/red]")
    table = make_table({(g, s): n for g, n in ((names[0], 60), (names[1], 30)) for s in ("x\r\n", "y")})
    (audited,) = audit_plans(
        table,
        [("p", BatchPlan(64, grouping=Grouping("experiment"), balance=Balance("condition")))],
        progress=False,
    )
    said = [*audited.notes, *(str(one) for one in audited.deviations)]
    assert any("[/red] / x\\r\\n" in one for one in said)
    assert all(one.isprintable() for one in said)
