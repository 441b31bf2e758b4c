"""The report of composed batches against counting by hand."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from contract_tables import sampler_of
from hypothesis import given, settings
from sampling_cases import Case, cases, make_table, quiet_sampler

from viscy_data import (
    AtMost,
    Balance,
    BatchPlan,
    Curriculum,
    Focus,
    Grouping,
    Locality,
    Weighting,
    deviations,
)


@settings(max_examples=25)
@given(case=cases())
def test_counts_are_those_of_the_batches(case: Case) -> None:
    sampler, reference = case.sampler(), case.reference()
    done: list[int] = []
    report = sampler.report(2 * sampler.batches_per_epoch, advance=done.append)
    batches = [list(batch) for _ in range(2) for batch in sampler]
    assert sum(done) == len(batches) == report.batches
    visits = Counter(row for batch in batches for row in batch)
    for i, group in enumerate(report.groups):
        for j, stratum in enumerate(report.strata):
            rows = reference.cells.get((group or "", stratum or ""), [])
            seen = [visits[row] for row in rows] or [0]
            assert (report.visits_least[i, j], report.visits_most[i, j]) == (min(seen), max(seen))
            assert report.by_time[i, j].sum() == sum(seen)
    assert report.repeats == sum(len(batch) - len(set(batch)) for batch in batches)
    assert report.batches_held.sum() == len(batches)
    # with nothing from outside a short window repeats its anchors, which the slow reference does not know
    is_shut = case.asked.focused and case.asked.outside == 0
    if reference.is_telling() and not is_shut:
        groups = Counter(reference.check_batch(batch, covers=False) for batch in batches)
        assert report.batches_held.tolist() == [groups[group or ""] for group in report.groups]
        leaked = sum(reference.leaked_count(len(batch)) for batch in batches)
        assert report.leak_held == leaked / len(batches)
    shares = reference.group_shares()
    for i, group in enumerate(report.groups):
        assert np.isclose(report.batches_asked[i], float(shares[group or ""] * len(batches)))
    json.dumps(report.to_dict())


def test_what_was_asked_and_held_agree_on_a_plain_table() -> None:
    table = make_table({(g, s): 200 for g in "ab" for s in "xy"})
    arguments: dict[str, Any] = {"batch_size": 10, "leaky": 0.2, "temporal_enrichment": True}
    report = quiet_sampler(table, **arguments, temporal_window_hours=1.0).report(240)
    assert (report.epochs, report.batches, report.batch_size, report.anchors) == (3, 240, 10, 800)
    assert (report.groups, report.strata) == (("a", "b"), ("x", "y"))
    assert report.leak_asked == report.leak_held == 2
    assert report.repeats == 0
    np.testing.assert_allclose(report.stratum_asked, 5)
    np.testing.assert_allclose(report.stratum_held, 5, atol=0.1)
    assert report.focal_asked == 0.7
    assert report.focal_held is not None
    assert abs(report.focal_held - 0.7) < 1e-9
    assert report.times is not None
    assert report.by_time.sum() == 2400


def movies() -> pd.DataFrame:
    """Make cells of two experiments with lineages, frames and weights."""
    table = make_table({(g, s): 120 for g in "ab" for s in "xy"})
    rng = np.random.default_rng(0)
    return table.assign(
        lineage_id=rng.integers(0, 40, len(table)),
        fov=rng.integers(0, 3, len(table)).astype(str),
        t=(table["hours_post_infection"] * 2).astype(int),
        weight=rng.random(len(table)) + 0.5,
    )


PLAIN = BatchPlan(12, grouping=Grouping("experiment"), balance=Balance("condition"))
FOCUS = Focus("hours_post_infection", window_hours=1.0)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, None),
        ({"focus": FOCUS}, "the focal window decides who comes"),
        ({"at_most": AtMost("lineage_id", 2)}, "caps decide who comes"),
        ({"weighting": Weighting("weight")}, "weights decide who comes"),
        ({"locality": Locality(frames=6)}, "frames decide who comes"),
        ({"grouping": Grouping("experiment", leak=0.25)}, "leaks come on top of passes, by chance"),
    ],
)
def test_coverage_that_is_not_checked_is_said_to_be(more: dict[str, Any], why: str | None) -> None:
    arguments: dict[str, Any] = {"grouping": PLAIN.grouping, "balance": PLAIN.balance, **more}
    sampler = sampler_of(movies(), BatchPlan(12, **arguments))
    said = dict(sampler.report(3 * sampler.batches_per_epoch).not_checked)
    assert said.get("coverage") == why
    assert ("weights" in said) == ("weighting" in more)
    assert "group" not in said
    assert "group" in dict(sampler.report(sampler.batches_per_epoch - 1).not_checked)


def test_batches_of_a_curriculum_are_held_against_the_plan_of_their_stage() -> None:
    leaky = BatchPlan(12, grouping=Grouping("experiment", leak=0.25), balance=PLAIN.balance)
    sampler = sampler_of(movies(), Curriculum({0: PLAIN, 30: leaky}))
    report = sampler.report(50)
    assert (report.leak_asked, report.leak_held) == (3 * 20 / 50, 3 * 20 / 50)
    assert "every stage" in dict(report.not_checked)["coverage"]
    assert deviations(report) == ()


def test_batches_are_made_up_to_whole_steps_and_epochs_are_a_fraction() -> None:
    plan = BatchPlan(12, grouping=Grouping("experiment"), span=4)
    report = sampler_of(movies(), plan).report(17)
    assert (report.batches, report.epochs) == (20, 0.5)
    assert report.batches_held.sum() == 20


def test_caps_and_frames_are_counted_as_by_hand() -> None:
    table = movies()
    table["two"] = table.index % 2
    plan = BatchPlan(12, at_most=[AtMost("two", 2), AtMost("lineage_id", 3)], locality=Locality(frames=7))
    sampler = sampler_of(table, plan)
    report = sampler.report(25)
    batches = [table.iloc[sampler.batch(number, epoch=0)] for number in range(25)]
    over = [
        sum(int((batch[name].value_counts() - count).clip(lower=0).sum()) for batch in batches)
        for name, count in (("two", 2), ("lineage_id", 3))
    ]
    assert list(report.over_caps) == over
    assert over[0] == 25 * 8
    frames = [len(batch.groupby(["experiment", "fov", "t"]).size()) for batch in batches]
    assert (report.frames_asked, report.frames_most) == (7, max(frames))
    assert {one.axis for one in deviations(report)} == {"caps"}
