"""Batches from few frames, beside all other axes."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import Case, cases, cells_of, quiet_sampler_of

from viscy_data import (
    Balance,
    BatchPlan,
    Distinct,
    Focus,
    Grouping,
    InvalidInputError,
    Locality,
    Schedule,
    Weighting,
)
from viscy_data.sampling.sampler import FlexibleBatchSampler

FRAME = ["experiment", "fov", "t"]
PLAN = BatchPlan(
    24, grouping=Grouping("experiment"), balance=Balance("condition"), locality=Locality(frames=6)
)


def movies(*, fovs: int = 6, frames: int = 10, cells: int = 12, seed: int = 0) -> pd.DataFrame:
    """Make two experiments of fields of view, of one condition each, with more cells from frame to frame."""
    rng = np.random.default_rng(seed)
    rows = [
        (experiment, "xy"[fov % 2], f"A/{fov}/0", t, 0.5 * t, f"{experiment}{fov}-{cell}")
        for experiment in ("a", "b")
        for fov in range(fovs)
        for t in range(frames)
        for cell in range(int(rng.poisson(cells)) + t // 3 + 1)
    ]
    names = ["experiment", "condition", "fov", "t", "hours_post_infection", "lineage_id"]
    return pd.DataFrame(rows, columns=names).sample(frac=1, random_state=seed, ignore_index=True)


def frames_of(table: pd.DataFrame, batch: list[int], by: list[str] = FRAME) -> set[tuple[object, ...]]:
    return set(table[by].iloc[batch].itertuples(index=False, name=None))


@st.composite
def framed_cases(draw: st.DrawFn) -> tuple[Case, pd.DataFrame]:
    """Draw a case whose anchors are of frames that know nothing of groups and strata."""
    case = draw(cases())
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    fovs = draw(st.sampled_from([1, 3, 20]))
    fov = rng.integers(0, fovs, len(case.table))
    t = (case.table["hours_post_infection"] * 2).astype(int)
    return case, case.table.assign(fov=fov, t=t)


@settings(max_examples=60)
@given(given_case=framed_cases(), more=st.integers(0, 5), distinct=st.booleans())
def test_batches_hold_what_they_did_from_few_frames(
    given_case: tuple[Case, pd.DataFrame], more: int, distinct: bool
) -> None:
    case, table = given_case
    plain = replace(case.sampler().plan, distinct=Distinct("fov") if distinct else None)
    arguments = {"seed": case.seed, "drop_last": case.asked.drop_last}
    with_one = replace(plain, locality=Locality(frames=1))
    try:
        sampler = quiet_sampler_of(table, with_one, **arguments)
        least = 1
    except InvalidInputError as error:
        least = int(str(error).split("least number of ")[1].split()[0])
    most = least + more
    sampler = quiet_sampler_of(table, replace(plain, locality=Locality(frames=most)), **arguments)
    without = quiet_sampler_of(table, plain, **arguments)
    cell, stratum = cells_of(table, plain), table["condition"].to_numpy()
    for number in range(min(sampler.batches_per_epoch, 8)):
        batch, other = sampler.batch(number, epoch=1), without.batch(number, epoch=1)
        if plain.grouping is None or not plain.leak:
            assert Counter(cell[batch]) == Counter(cell[other])
        elif plain.balance is not None:
            assert Counter(stratum[batch]) == Counter(stratum[other])
        cell_frames = {
            (c, *frame)
            for c, frame in zip(cell[batch], table[FRAME].iloc[batch].to_numpy().tolist(), strict=True)
        }
        assert len({tuple(map(str, one)) for one in cell_frames}) <= most
        if plain.window is None and not plain.leak:
            assert len(set(batch)) == len(set(other))


def test_batches_are_functions_of_their_numbers() -> None:
    table = movies()
    sampler = FlexibleBatchSampler.from_plan(table, PLAN, seed=4)
    again = FlexibleBatchSampler.from_plan(table, PLAN, seed=4)
    for number in (17, 3, 40):
        assert sampler.batch(number, epoch=2) == again.batch(number, epoch=2)
    ranks = [FlexibleBatchSampler.from_plan(table, PLAN, seed=4, num_replicas=3, rank=r) for r in range(3)]
    together = [batch for turn in zip(*ranks, strict=True) for batch in turn]
    assert together[: sampler.batches_per_epoch] == list(sampler)


@pytest.mark.parametrize(
    ("locality", "focus"),
    [
        (Locality(frames=6), None),
        (Locality(frames=6, hold=4), None),
        (Locality(fovs=3), None),
        (Locality(frames=8), Focus("hours_post_infection", window_hours=1.0)),
    ],
    ids=["frames", "held", "fovs", "focus"],
)
def test_visits_of_a_cell_vary_little_over_twenty_passes(locality: Locality, focus: Focus | None) -> None:
    """Focal times are even over times, not anchors, but frames are alike enough here."""
    table = movies(cells=16)
    sampler = FlexibleBatchSampler.from_plan(table, replace(PLAN, locality=locality, focus=focus))
    visits = np.bincount(
        np.concatenate([batch for _ in range(20) for batch in sampler]), minlength=len(table)
    )
    by_cell = pd.Series(visits).groupby(cells_of(table, PLAN))
    assert visits.min() > 0
    assert (by_cell.std() / by_cell.mean()).max() <= 0.35


@pytest.mark.parametrize("hold", [1, 2, 3, 6])
def test_a_frame_stays_for_as_many_batches_as_asked(hold: int) -> None:
    table = movies(fovs=40)
    plan = BatchPlan(24, locality=Locality(frames=6, hold=hold))
    sampler = FlexibleBatchSampler.from_plan(table, plan)
    held = [frames_of(table, batch) for batch in sampler]
    new = [len(after - before) for before, after in pairwise(held)]
    assert max(new) <= -(-6 // hold)
    assert np.mean(new) == pytest.approx(6 / hold, rel=0.05)
    longest: Counter[int] = Counter()
    for frame in set.union(*held):
        stays = "".join("1" if frame in one else "0" for one in held[hold:-hold]).split("0")
        longest.update(len(stay) for stay in stays if stay)
    assert longest[hold] > 0.9 * sum(longest.values())


def test_groups_of_held_frames_come_in_runs_and_as_often_as_before() -> None:
    table = movies()
    held = replace(PLAN, locality=Locality(frames=6, hold=4))
    sampler = FlexibleBatchSampler.from_plan(table, held)
    experiment = table["experiment"].to_numpy()
    groups = [experiment[batch[0]] for batch in sampler]
    assert Counter(groups) == Counter(experiment[b[0]] for b in FlexibleBatchSampler.from_plan(table, PLAN))
    changes = sum(before != after for before, after in pairwise(groups))
    assert changes <= len(groups) / 4 + 2


def test_the_focal_share_comes_from_frames_inside_the_window() -> None:
    table = movies(fovs=12)
    focus = Focus("hours_post_infection", window_hours=0.5, global_fraction=0.25)
    sampler = FlexibleBatchSampler.from_plan(table, replace(PLAN, focus=focus, locality=Locality(frames=8)))
    hours = table["hours_post_infection"].to_numpy()
    for batch in sampler:
        inside = max(int((np.abs(hours[batch] - focal) <= 0.5).sum()) for focal in np.unique(hours))
        assert inside >= 18
        assert len(frames_of(table, batch)) <= 8


def test_lineages_stay_apart_where_the_frames_have_enough() -> None:
    table = movies(fovs=30, cells=16)
    sampler = FlexibleBatchSampler.from_plan(table, replace(PLAN, distinct=Distinct("lineage_id")))
    lineage = table["lineage_id"].to_numpy()
    for batch in sampler:
        assert len(set(lineage[batch])) == len(batch)
        assert len(frames_of(table, batch)) <= 6


def test_leaked_anchors_come_from_frames_of_other_groups() -> None:
    table = movies()
    plan = replace(PLAN, grouping=Grouping("experiment", leak=0.25), locality=Locality(frames=8, hold=2))
    sampler = FlexibleBatchSampler.from_plan(table, plan)
    experiment = table["experiment"].to_numpy()
    for batch in sampler:
        assert sorted(Counter(experiment[batch]).values()) == [6, 18]
        assert len(frames_of(table, batch)) <= 8
        assert len(set(batch)) == 24


def test_too_few_frames_name_the_least_that_would_do() -> None:
    table = movies(cells=4, frames=3)
    plan = replace(PLAN, batch_size=60)
    with pytest.raises(
        InvalidInputError, match=r"Locality\.frames=2 .* least number of (\d+) .* of x"
    ) as caught:
        FlexibleBatchSampler.from_plan(table, replace(plan, locality=Locality(frames=2)))
    least = int(str(caught.value).split("least number of ")[1].split()[0])
    with pytest.raises(InvalidInputError, match=f"least number of {least}"):
        FlexibleBatchSampler.from_plan(table, replace(plan, locality=Locality(frames=least - 1)))
    sampler = FlexibleBatchSampler.from_plan(table, replace(plan, locality=Locality(frames=least)))
    assert all(len(set(batch)) == 60 for batch in sampler)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"span": 2}, "span=2"),
        ({"weighting": Weighting("weight")}, "weighting"),
        ({"grouping": Grouping("experiment", leak=Schedule({0: 0.0, 1: 0.5}))}, r"Grouping\.leak"),
        ({"focus": Focus("hours_post_infection", kernel="gaussian")}, "gaussian"),
        ({"focus": Focus("hours_post_infection"), "locality": Locality(fovs=3)}, r"fovs=3 and .*focus"),
        ({"focus": Focus("hours_post_infection"), "locality": Locality(frames=9, hold=2)}, "hold=2"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        replace(PLAN, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"Locality\.frames=None, Locality\.fovs=None"),
        ({"frames": 3, "fovs": 3}, "give one of the two"),
        ({"frames": 0}, r"Locality\.frames=0"),
        ({"fovs": 2, "hold": 0}, r"Locality\.hold=0"),
        ({"fovs": 2, "time": 3}, r"Locality\.time=3"),
    ],
)
def test_bad_numbers_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Locality(**arguments)  # type: ignore[arg-type]


def test_columns_that_are_missing_are_named() -> None:
    with pytest.raises(InvalidInputError, match=r"plan\.locality needs the column 't'"):
        FlexibleBatchSampler.from_plan(movies().drop(columns="t"), PLAN)


def test_a_state_knows_the_frames() -> None:
    table = movies()
    state = FlexibleBatchSampler.from_plan(table, PLAN).state_dict()
    other = table.assign(fov=table["fov"].where(table["fov"] != "A/1/0", "A/3/0"))
    with pytest.raises(InvalidInputError, match="table"):
        FlexibleBatchSampler.from_plan(other, PLAN).load_state_dict(state)
