"""Quotas that change over training, against the slow reference asked for each batch's own plan."""

import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_cases import Moving, moving
from sampling_cases import Case, epoch_of, make_table, quiet_sampler_of, reference_of
from sampling_reference import Asked

from viscy_data.composition import Balance, BatchPlan, Focus, Grouping, Schedule
from viscy_data.composition.schedule import Unit
from viscy_data.errors import CompositionWarning, InvalidInputError
from viscy_data.sampling.sampler import FlexibleBatchSampler

HOURS = "hours_post_infection"


def position(unit: Unit, epoch: int, number: int, batches: int) -> float:
    step = epoch * batches + min(number, batches - 1)
    return step / batches if unit == "epochs" else step


@settings(max_examples=60)
@given(asked=moving(), data=st.data())
def test_every_batch_keeps_the_contract_of_its_step(asked: tuple[Moving, Unit], data: st.DataObject) -> None:
    plan, unit = asked
    sampler = plan.sampler()
    n = sampler.batches_per_epoch
    keys = [(epoch, number) for epoch in range(3) for number in range(n + 2)]
    for epoch, number in keys[:: max(1, len(keys) // 20)]:
        reference = reference_of(plan.case.table, plan.asked(position(unit, epoch, number, n)))
        reference.check_batch(sampler.batch(number, epoch=epoch), covers=False)


@settings(max_examples=40)
@given(asked=moving(leaks=False))
def test_inside_an_epoch_visits_of_a_cell_differ_by_at_most_one(asked: tuple[Moving, Unit]) -> None:
    case = replace(asked[0].case, asked=replace(asked[0].case.asked, focused=False, balanced=True))
    names = sorted(set(case.table["condition"]))
    ratio = Schedule({0: {name: 1 + place for place, name in enumerate(names)}, 3: dict.fromkeys(names, 1)})
    plan = Moving(case, None, None, asked[0].ratio or ratio)
    sampler, table = plan.sampler(), plan.case.table
    reference = reference_of(table, plan.case.asked)
    for epoch in (0, 2):
        visits: Counter[int] = Counter()
        sampler.set_epoch(epoch)
        for batch in sampler:
            visits.update(batch)
            for row in batch[:3]:
                cell = reference.cells[reference.group_of[row], reference.stratum_of[row]]
                seen = [visits[member] for member in cell]
                assert max(seen) - min(seen) <= 1


@settings(max_examples=30)
@given(asked=moving(), data=st.data())
def test_a_block_holds_the_batches_one_by_one(asked: tuple[Moving, Unit], data: st.DataObject) -> None:
    composer = asked[0].sampler()._composer
    numbers = data.draw(st.lists(st.integers(0, 2 * composer.batches), min_size=1, max_size=12))
    fresh = asked[0].sampler()._composer
    rows, sizes = composer.rows(1, numbers)
    for one, part in zip(numbers, np.split(rows, np.cumsum(sizes)[:-1]), strict=True):
        np.testing.assert_array_equal(fresh.rows(1, [one])[0], part)
        fresh.rows(2, [0])  # what is kept of an epoch makes no difference


def test_ranks_and_restored_states_share_one_sequence() -> None:
    table = make_table({(g, s): 90 + 40 * i for i, (g, s) in enumerate((g, s) for g in "abc" for s in "xy")})
    asked = Asked(12, leaky=0.2, focused=True, window=1.0)
    leak, outside = Schedule({0: 0.0, 2: 0.4}), Schedule({0: 1.0, 3: 0.2})
    plan = Moving(Case(table, asked, 5), leak, outside, Schedule({0: {"x": 1, "y": 4}, 2: {"x": 1, "y": 1}}))
    sampler = plan.sampler()
    whole = [sampler.batch(number, epoch=1) for number in range(sampler.batches_per_epoch + 3)]
    assert len({tuple(batch) for batch in whole}) == len(whole)
    ranks = [plan.sampler(num_replicas=4, rank=rank) for rank in range(4)]
    for one in ranks:
        one.set_epoch(1)
    turns = [batch for turn in zip(*ranks, strict=True) for batch in turn]
    assert turns == whole[: len(turns)]
    sampler.set_epoch(1)
    batches = iter(sampler)
    done = [next(batches) for _ in range(30)]
    other = plan.sampler()
    other.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert done + list(other) == whole[: sampler.batches_per_epoch]
    still = replace(plan, leak=None).sampler()
    with pytest.raises(InvalidInputError, match="another plan"):
        still.load_state_dict(sampler.state_dict())


def shares_at(sampler: FlexibleBatchSampler, epoch: int, number: int) -> tuple[float, Mapping[str, float]]:
    plan = sampler.plan_at(number, epoch=epoch)
    assert plan.balance is not None
    assert isinstance(plan.balance.ratio, dict)
    return plan.leak, plan.balance.ratio


def test_what_rounding_leaves_over_goes_round_while_shares_move() -> None:
    """Counts of strata stray from the sum of the exact ones by a few, however many batches there are."""
    table = make_table({(g, s): 350 for g in "ab" for s in "xyz"})
    ratio = Schedule({0: {"x": 5, "y": 3, "z": 1}, 6: {"x": 1, "y": 1, "z": 1}})
    plan = BatchPlan(
        11,
        grouping=Grouping("experiment", leak=Schedule({0: 0.0, 6: 0.3})),
        balance=Balance("condition", ratio=ratio),
    )
    sampler = FlexibleBatchSampler.from_plan(table, plan)
    condition = table["condition"].to_numpy()
    held: Counter[str] = Counter()
    exact: defaultdict[str, float] = defaultdict(float)
    for epoch in range(7):
        for number, batch in enumerate(epoch_of(sampler, epoch)):
            held.update(condition[batch])
            for stratum, share in shares_at(sampler, epoch, number)[1].items():
                exact[stratum] += 11 * share
    assert sum(held.values()) > 14_000
    for stratum, count in exact.items():
        assert abs(held[stratum] - count) < 15, (stratum, held[stratum], count)


def test_a_small_cell_takes_its_turns_and_leaks_follow_sizes() -> None:
    """A pool smaller than a batch's share is walked; leaked anchors come in proportion to cells."""
    table = make_table({("a", "x"): 900, ("b", "x"): 600, ("c", "x"): 300, ("a", "y"): 5, ("b", "y"): 40})
    leak = Schedule({0: 0.5, 20: 0.4})
    plan = BatchPlan(20, grouping=Grouping("experiment", leak=leak), balance=Balance("condition"))
    sampler = quiet_sampler_of(table, plan)
    experiment, condition = (table[name].to_numpy() for name in ("experiment", "condition"))
    found: Counter[str] = Counter()
    for epoch in range(12):
        for number, rows in enumerate(epoch_of(sampler, epoch)):
            batch = np.array(rows)
            group = sampler._composer.schedule.visits(epoch, np.array([number])).group[0]
            away = (experiment[batch] != "abc"[group]) & (condition[batch] == "x")
            found.update(experiment[batch[away]].tolist() if group == 0 else [])
    total = found.total()
    assert total > 2_000
    assert abs(found["b"] - total * 2 / 3) < 4 * np.sqrt(total * 2 / 9)


def test_a_report_asks_what_the_steps_ask() -> None:
    table = make_table({(g, s): 300 for g in "ab" for s in "xy"}, frames=400)
    plan = BatchPlan(
        20,
        grouping=Grouping("experiment", leak=Schedule({0: 0.0, 1: 0.4}, unit="epochs")),
        balance=Balance("condition", ratio=Schedule({0: {"x": 3, "y": 1}, 2: {"x": 1, "y": 1}})),
        focus=Focus(HOURS, window_hours=40.0, global_fraction=Schedule({0: 1.0, 1: 0.2})),
    )
    sampler = FlexibleBatchSampler.from_plan(table, plan)
    report = sampler.report(epochs=2)
    leaks = [sampler.plan_at(b, epoch=e).leak for e in range(2) for b in range(sampler.batches_per_epoch)]
    assert report.leak_held == report.leak_asked == pytest.approx(np.mean(np.rint(20 * np.array(leaks))))
    np.testing.assert_allclose(report.stratum_held, report.stratum_asked, atol=0.15)
    assert report.stratum_asked[0, 0] == pytest.approx(12.5, abs=0.2)
    assert report.focal_held == pytest.approx(report.focal_asked)


def test_a_schedule_of_one_value_has_the_counts_of_that_value() -> None:
    table = make_table({(g, s): 200 for g in "ab" for s in "xyz"})
    for still, one in ((0.3, Schedule({0: 0.3})), (0.3, Schedule({0: 0.3, 5: 0.3}, unit="batches"))):
        both = [
            FlexibleBatchSampler.from_plan(
                table, BatchPlan(10, grouping=Grouping("experiment", leak=leak), balance=Balance("condition"))
            )
            for leak in (still, one)
        ]
        for batches in zip(*both, strict=True):
            strata = [Counter(table["condition"].iloc[batch]) for batch in batches]
            groups = [Counter(table["experiment"].iloc[batch]) for batch in batches]
            assert strata[0] == strata[1]
            assert groups[0] == groups[1]


def test_what_a_schedule_of_quotas_cannot_be_is_refused() -> None:
    table = make_table({("a", "x"): 50, ("a", "y"): 50, ("b", "y"): 50})
    ratio = Schedule({0: {"x": 1, "y": 0}, 4: {"x": 1, "y": 1}})
    grouping = Grouping("experiment")
    with pytest.raises(InvalidInputError, match=r"Balance\.ratio at 0 epochs is 0 for every stratum of 'b'"):
        quiet_sampler_of(table, BatchPlan(5, grouping=grouping, balance=Balance("condition", ratio=ratio)))
    unknown = Schedule({0: {"x": 1, "z": 1}, 4: {"x": 2, "z": 1}})
    with pytest.raises(InvalidInputError, match=r"Balance\.ratio=.*'z' is not in the table.*'y' is missing"):
        quiet_sampler_of(table, BatchPlan(5, balance=Balance("condition", ratio=unknown)))
    with pytest.raises(InvalidInputError, match=r"Grouping\.leak=0\.2 needs at least two groups"):
        quiet_sampler_of(
            table[table["experiment"] == "b"],
            BatchPlan(5, grouping=Grouping("experiment", leak=Schedule({0: 0, 3: 0.2}))),
        )
    for make, match in (
        (
            lambda: Grouping("a", leak=Schedule({0: 0.0, 2: 1.0})),
            r"Grouping\.leak at 2 epochs=1\.0 is outside",
        ),
        (lambda: Grouping("a", weights=Schedule({0: 1})), r"Grouping\.weights at 0 epochs=1\.0 is not a map"),
        (
            lambda: Grouping("a", weights=Schedule({0: {"b": {"x": 1}}})),
            r"Grouping\.weights at 0 epochs names \['b'\], but the levels are \['a'\]",
        ),
        (lambda: Focus("t", global_fraction=Schedule({0: 2.0})), r"Focus\.global_fraction at 0 epochs=2\.0"),
        (lambda: Balance("c", ratio=Schedule({0: 2.0})), r"Balance\.ratio at 0 epochs=2\.0 is not a mapping"),
    ):
        with pytest.raises(InvalidInputError, match=match):
            make()


def test_a_construction_warns_once_of_what_the_schedule_will_meet() -> None:
    table = make_table({("a", "x"): 100, ("a", "y"): 8, ("b", "x"): 100})
    ratio = Schedule({0: {"x": 9, "y": 1}, 4: {"x": 1, "y": 3}})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plan = BatchPlan(12, grouping=Grouping("experiment"), balance=Balance("condition", ratio=ratio))
        sampler = FlexibleBatchSampler.from_plan(table, plan)
        sampler.batch(3, epoch=5)
    assert {warning.category for warning in caught} == {CompositionWarning}
    texts = sorted(str(warning.message) for warning in caught)
    assert len(texts) == 2
    assert "groups lack values" in texts[0]
    assert "a / y: 8" in texts[1]


def test_every_epoch_has_passes_of_its_own() -> None:
    table = pd.DataFrame({"kind": ["x"] * 40 + ["y"] * 60})
    plan = BatchPlan(10, balance=Balance("kind", ratio=Schedule({0: {"x": 1, "y": 1}})))
    sampler = FlexibleBatchSampler.from_plan(table, plan)
    found = {tuple(sorted(sampler.batch(0, epoch=epoch))) for epoch in range(20)}
    assert len(found) == 20


def test_a_global_fraction_of_one_is_no_window_at_its_steps() -> None:
    """Two times: without a window a batch holds both, with one of no width the other one alone."""
    table = pd.DataFrame({HOURS: [0.0, 5.0] * 100})
    ends = Schedule({0: 1.0, 1: 1.0, 2: 0.0})
    box = Focus(HOURS, window_hours=0.0, global_fraction=ends)
    for focus in (box, replace(box, kernel="gaussian")):
        sampler = FlexibleBatchSampler.from_plan(table, BatchPlan(10, focus=focus))
        times = [
            [len(set(table[HOURS].iloc[sampler.batch(b, epoch=epoch)])) for b in range(20)]
            for epoch in (0, 2)
        ]
        assert sum(times[0]) > 35
        assert times[1] == [1] * 20


def test_a_table_need_not_hold_other_columns() -> None:
    table = pd.DataFrame({"kind": ["x"] * 40 + ["y"] * 60})
    ratio = Schedule({0: {"x": 4, "y": 6}, 1: {"x": 1, "y": 1}})
    sampler = FlexibleBatchSampler.from_plan(table, BatchPlan(10, balance=Balance("kind", ratio=ratio)))
    held = [Counter(table["kind"].iloc[sampler.batch(0, epoch=epoch)]) for epoch in (0, 1, 7)]
    assert held == [{"x": 4, "y": 6}, {"x": 5, "y": 5}, {"x": 5, "y": 5}]
