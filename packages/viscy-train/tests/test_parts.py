"""Parts of a table: who is in them, and that batches speak of rows of the whole."""

import inspect
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import AtMost, BatchPlan, Curriculum, Grouping
from viscy_data.errors import CompositionWarning, InvalidInputError
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_train.parts import BatchOptions, FixedEpoch, SplitOptions, choose_training, sample_part

SMALL = BatchOptions(batch_size=4, condition_balanced=False)


def table(experiments: int = 3, lineages: int = 6, frames: int = 4) -> pd.DataFrame:
    rows = [
        (f"e{e}", f"e{e}/{k}", "even" if k % 2 == 0 else "odd", float(t))
        for e in range(experiments)
        for k in range(lineages)
        for t in range(frames)
    ]
    frame = pd.DataFrame(rows, columns=["experiment", "lineage_id", "condition", "hours_post_infection"])
    return frame.astype({"experiment": "category", "lineage_id": "category", "condition": "category"})


@settings(max_examples=25)
@given(fraction=st.floats(0.05, 0.9), seed=st.integers(0, 99))
def test_no_lineage_is_in_both_parts(fraction: float, seed: int) -> None:
    valid = table()
    training = choose_training(valid, SplitOptions(fraction, seed=seed))
    lineages = valid["lineage_id"].astype(str)
    assert 0 < training.sum() < len(valid)
    assert not set(lineages[training]) & set(lineages[~training])


def test_no_fraction_is_no_validation() -> None:
    assert choose_training(table(), SplitOptions(fraction=0)).all()


def test_a_warning_says_which_part_it_is_of() -> None:
    valid = table(experiments=1, lineages=2)
    selected = (valid["condition"] == "even") | (valid.index == len(valid) - 1)
    with pytest.warns(
        CompositionWarning,
        match=r"^validation: These cells, each the anchors of a stratum in a group, hold fewer",
    ):
        sample_part("validation", valid, selected.to_numpy(), BatchOptions(batch_size=4), 0)


def test_held_out_experiments_validate_whole() -> None:
    valid = table()
    training = choose_training(valid, SplitOptions(held_out=("e1",)))
    assert (training == (valid["experiment"] != "e1").to_numpy()).all()


def test_a_plan_takes_any_column_in_place_of_those_of_the_flat_arguments() -> None:
    valid = table()
    valid["drug"] = ["DMSO", "taxol"] * (len(valid) // 2)
    valid["age"], valid["weight"] = valid["hours_post_infection"] * 3, 1.0 + (valid.index % 3)
    options = BatchOptions(
        batch_size=8,
        plan={
            "grouping": {"by": ["drug", "condition"]},
            "balance": {"by": "experiment"},
            "focus": {"by": "age", "window_hours": 6},
            "weighting": {"by": "weight"},
            "at_most": {"by": ["lineage_id", "age"]},
        },
    )
    everything = np.ones(len(valid), dtype=np.bool_)
    sampler = sample_part("training", valid, everything, options, 0).sampler
    plan = sampler.plan_at(0, epoch=0)
    assert set(plan.columns) == {"drug", "condition", "experiment", "age", "weight", "lineage_id"}
    batch = valid.iloc[sampler.batch(0, epoch=0)]
    assert len(batch[["drug", "condition"]].drop_duplicates()) == 1
    assert not batch[["lineage_id", "age"]].duplicated().any()


def test_batches_are_rows_of_the_part() -> None:
    valid = table()
    training = choose_training(valid, SplitOptions(0.4, seed=3))
    part = sample_part("training", valid, training, SMALL, 0)
    batches = list(part)
    assert len(batches) == len(part) == training.sum() // 4
    assert all(training[batch].all() for batch in batches)
    assert all(valid["experiment"].iloc[batch].nunique() == 1 for batch in batches)
    assert {row for batch in batches for row in batch} <= set(np.flatnonzero(training))


def test_a_batch_keeps_its_number_and_epoch() -> None:
    part = sample_part("training", table(), np.ones(72, dtype=np.bool_), SMALL, 0)
    part.sampler.set_epoch(3)
    for number, batch in enumerate(part):
        again = part.batch(number, epoch=3)
        assert (list(batch), again.epoch, again.number) == (list(again), 3, number)


def test_fixed_epoch_repeats_its_batches() -> None:
    part = sample_part("validation", table(), np.ones(72, dtype=np.bool_), SMALL, 0)
    fixed = FixedEpoch(part)
    first = [list(batch) for batch in fixed]
    part.sampler.set_epoch(5)
    # a first batch taken and left, as a trainer's sanity check does
    next(iter(fixed))
    assert [list(batch) for batch in fixed] == first
    assert first == [list(part.batch(number, epoch=0)) for number in range(len(fixed))]
    assert not hasattr(fixed, "sampler")


def test_trainers_find_the_sampler() -> None:
    part = sample_part("training", table(), np.ones(72, dtype=np.bool_), SMALL, 0)
    assert isinstance(part.sampler, FlexibleBatchSampler)


def test_state_continues_a_part() -> None:
    everything = np.ones(72, dtype=np.bool_)
    part, again = (sample_part("training", table(), everything, SMALL, 0) for _ in range(2))
    iterator = iter(part)
    for _ in range(5):
        next(iterator)
    again.load_state_dict(part.state_dict())
    assert [list(batch) for batch in again] == [list(batch) for batch in iterator]


def test_weights_follow_the_part() -> None:
    weights = {"e0": 1.0, "e1": 3.0, "e2": 2.0}
    options = BatchOptions(batch_size=4, experiment_weights=weights, condition_balanced=False, leaky=0.25)
    valid = table()
    held = (valid["experiment"] == "e1").to_numpy()
    validation = sample_part("validation", valid, held, options, 0)
    # alone it has nothing to leak, and weights of the others do not disturb
    assert all(held[batch].all() for batch in validation)
    assert len(sample_part("training", valid, ~held, options, 0)) == 12
    wrong = BatchOptions(batch_size=4, experiment_weights={**weights, "e9": 1.0}, condition_balanced=False)
    with pytest.raises(InvalidInputError, match="e9"):
        sample_part("training", valid, ~held, wrong, 0)


@pytest.mark.parametrize(
    ("by", "weights", "left"),
    [
        ("marker", {"ER": 1, "phase": 2}, {"phase": 2}),
        (
            ["marker", "experiment"],
            {"marker": {"ER": 1, "phase": 2}, "experiment": {"e0": 1, "e1": 3, "e2": 2}},
            {"marker": {"phase": 2}, "experiment": {"e1": 3}},
        ),
        (["marker"], None, None),
    ],
)
def test_numbers_of_a_plan_follow_the_part(by: object, weights: object, left: object) -> None:
    """Numbers of a marker and a drug that a held out experiment lacks do not disturb; unknown ones do."""
    valid = table()
    held = (valid["experiment"] == "e1").to_numpy()
    valid["marker"] = np.where(~held & (valid["condition"] == "odd"), "ER", "phase")
    valid["drug"] = np.where(~held & (valid["hours_post_infection"] % 2 == 1), "taxol", "DMSO")
    ratio = {"DMSO": 1, "taxol": 3}
    changes: dict[str, Any] = {"grouping": {"by": by, "weights": weights}}
    changes["balance"] = {"by": "drug", "ratio": ratio}
    options = replace(SMALL, plan=changes)
    for selected, expected in ((held, (left, {"DMSO": 1})), (~held, (None, ratio))):
        plan = sample_part("a part", valid, selected, options, 0).sampler.plan
        assert isinstance(plan, BatchPlan)
        assert plan.grouping is not None
        assert plan.balance is not None
        assert plan.balance.ratio == expected[1]
        if expected[0] is not None:
            assert plan.grouping.weights == expected[0]
    stages = replace(SMALL, plan={"stages": {0: changes, 9: changes}})
    curriculum = sample_part("validation", valid, held, stages, 0).sampler.plan
    assert isinstance(curriculum, Curriculum)
    assert all(
        one.balance is not None and one.balance.ratio == {"DMSO": 1} for one in curriculum.plans.values()
    )
    changes["balance"]["ratio"] = {**ratio, "water": 1}
    with pytest.raises(InvalidInputError, match="'water' is not in the table"):
        sample_part("validation", valid, held, replace(SMALL, plan=changes), 0)


def test_a_part_less_than_a_batch_is_refused() -> None:
    selected = np.arange(72) < 3
    with pytest.raises(InvalidInputError, match="batch_size=4: validation holds 3 of 72 anchors"):
        sample_part("validation", table(), selected, SMALL, 0)


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        (("e7",), r"no anchors of e7; there are e0, e1, e2\.( Did you mean .*)?"),
        (("e0", "e1", "e2"), "leave one for training"),
    ],
)
def test_held_out_names_are_checked(held_out: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        choose_training(table(), SplitOptions(held_out=held_out))


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_fraction_is_checked(fraction: float) -> None:
    with pytest.raises(InvalidInputError, match="fraction="):
        SplitOptions(fraction)


def test_a_plan_adds_what_flat_options_have_no_name_for() -> None:
    valid = table(lineages=20)
    everything = np.ones(len(valid), dtype=np.bool_)
    changes = {"at_most": {"by": "lineage_id"}, "grouping": {"leak": 0.25}, "span": 2}
    options = replace(SMALL, leaky=0.5, plan=changes)
    part = sample_part("training", valid, everything, options, 0)
    plan = part.sampler.plan
    assert plan == BatchPlan(
        4, grouping=Grouping("experiment", leak=0.25), at_most=AtMost("lineage_id"), span=2
    )
    lineage = valid["lineage_id"].astype(str).to_numpy()
    assert all(len(set(lineage[batch])) == 4 for batch in part)
    wrong = replace(SMALL, plan={"at_mots": {}})
    with pytest.raises(InvalidInputError, match="at_mots"):
        sample_part("training", valid, everything, wrong, 0)


def test_a_plan_of_stages_is_a_curriculum() -> None:
    valid = table(lineages=20)
    options = replace(SMALL, plan={"stages": {0: {}, 5: {"grouping": {"leak": 0.25}}}})
    part = sample_part("training", valid, np.ones(len(valid), dtype=np.bool_), options, 0)
    experiment = valid["experiment"].astype(str).to_numpy()
    held = [len(set(experiment[part.batch(number, epoch=0)])) for number in range(10)]
    assert held == [1] * 5 + [2] * 5


def test_options_are_the_sampler_s_flat_arguments() -> None:
    parameters = inspect.signature(FlexibleBatchSampler).parameters
    ours = asdict(BatchOptions())
    assert ours.pop("plan") == {}
    assert {name: parameters[name].default for name in ours} == ours
    left = set(parameters) - set(ours)
    assert left == {"valid_anchors", "num_replicas", "rank", "seed", "drop_last", "even_batches"}
