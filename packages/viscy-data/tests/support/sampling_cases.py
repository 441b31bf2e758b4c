"""Random tables and arguments for the sampler: awkward sizes, all axes on and off."""

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from numpy.typing import NDArray
from sampling_reference import Asked, Reference

from viscy_data.composition import BatchPlan
from viscy_data.errors import CompositionWarning
from viscy_data.sampling.sampler import FlexibleBatchSampler


@dataclass(frozen=True)
class Case:
    """A table and what is asked of its batches."""

    table: pd.DataFrame
    asked: Asked
    seed: int

    def reference(self) -> Reference:
        return reference_of(self.table, self.asked)

    def sampler(self, **more: Any) -> FlexibleBatchSampler:
        return quiet_sampler(self.table, **(self.asked.arguments() | {"seed": self.seed} | more))

    def __repr__(self) -> str:
        sizes = self.table.groupby(["experiment", "condition"]).size().to_dict()
        return f"Case(cells={sizes}, asked={self.asked}, seed={self.seed})"


def reference_of(table: pd.DataFrame, asked: Asked) -> Reference:
    return Reference(
        table["experiment"].tolist(),
        table["condition"].tolist(),
        table["hours_post_infection"].astype("float64").tolist(),
        asked,
    )


def quiet_sampler_of(table: pd.DataFrame, plan: BatchPlan, **arguments: Any) -> FlexibleBatchSampler:
    """Build a sampler from a plan, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompositionWarning)
        return FlexibleBatchSampler.from_plan(table, plan, **arguments)


def quiet_sampler(table: pd.DataFrame, **arguments: Any) -> FlexibleBatchSampler:
    """Build a sampler whose warnings are not what is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompositionWarning)
        return FlexibleBatchSampler(table, **arguments)


def make_table(cells: Mapping[tuple[str, str], int], *, seed: int = 0, frames: int = 12) -> pd.DataFrame:
    """Make a shuffled table with cells of the given sizes and times on a grid of half hours."""
    rng = np.random.default_rng(seed)
    experiment = np.repeat([cell[0] for cell in cells], list(cells.values()))
    condition = np.repeat([cell[1] for cell in cells], list(cells.values()))
    hours = 0.5 * rng.integers(0, frames, experiment.size)
    order = rng.permutation(experiment.size)
    return pd.DataFrame(
        {
            "experiment": experiment[order],
            "condition": condition[order],
            "hours_post_infection": hours[order].astype(np.float32),
        }
    )


def _cells(groups: int, strata: int, scale: int, holes: float, seed: int) -> dict[tuple[str, str], int]:
    rng = np.random.default_rng(seed)
    size = np.ceil(scale ** rng.random((groups, strata))).astype(int)
    size[rng.random((groups, strata)) < holes] = 0
    size[rng.integers(groups), rng.integers(strata)] = scale
    found = {(f"e{g}", f"c{s}"): int(size[g, s]) for g in range(groups) for s in range(strata)}
    return {cell: count for cell, count in found.items() if count}


def _numbers(names: list[str], seed: int) -> dict[str, float]:
    """Give each name a number: some 0, some small whole numbers, some any; the first above 0."""
    rng = np.random.default_rng(seed)
    kinds = [0.0, float(rng.integers(1, 5)), float(rng.random())]
    found = {name: kinds[rng.integers(3)] for name in names}
    return found | {names[0]: 1.0}


@st.composite
def cases(draw: st.DrawFn, *, leaks: st.SearchStrategy[float] | None = None) -> Case:
    """Draw 1 to 12 groups and strata, cells of 1 to about a thousand, any mix of axes."""
    cells = _cells(
        draw(st.integers(1, 12)),
        draw(st.integers(1, 12)),
        draw(st.sampled_from([1, 3, 10, 40, 150])),
        draw(st.sampled_from([0.0, 0.3, 0.7])),
        draw(st.integers(0, 2**32)),
    )
    table = make_table(cells, seed=draw(st.integers(0, 99)), frames=draw(st.sampled_from([1, 2, 9])))
    least = max(1, len(table) // 120)  # few batches an epoch: they are checked one by one
    drop_last = draw(st.booleans())
    most = min(len(table), 40) + (0 if drop_last else 3)  # a batch may be larger than the table
    asked = Asked(
        batch_size=draw(st.integers(least, max(least, most))),
        aware=draw(st.booleans()),
        balanced=draw(st.booleans()),
        focused=draw(st.booleans()),
        window=draw(st.sampled_from([0.0, 0.5, 1.2, 100.0])),
        outside=draw(st.sampled_from([0.1, 0.3, 0.5, 0.8, 1.0])),
        drop_last=drop_last,
    )
    case = Case(table, asked, draw(st.integers(0, 2**40)))
    case = replace(case, asked=_with_numbers(draw, table, case.asked))
    leaky = draw(st.sampled_from([0.0, 0.1, 0.25, 0.45]) if leaks is None else leaks)
    return replace(case, asked=replace(case.asked, leaky=leaky if _can_leak(case) else 0.0))


def _with_numbers(draw: st.DrawFn, table: pd.DataFrame, asked: Asked) -> Asked:
    """Draw weights and ratios so that the first group keeps a stratum and a weight above 0."""
    first = table["experiment"].min()
    held = table["condition"][table["experiment"] == first].min()
    conditions = sorted(set(table["condition"]) - {held})
    experiments = sorted(set(table["experiment"]) - {first})
    weights = _numbers([first, *experiments], draw(st.integers(0, 99))) if draw(st.booleans()) else None
    ratio = _numbers([held, *conditions], draw(st.integers(0, 99))) if draw(st.booleans()) else None
    return replace(asked, weights=weights, ratio=ratio)


def _can_leak(case: Case) -> bool:
    """Whether every group that holds something to draw finds something to draw elsewhere."""
    reference = case.reference()
    able = [g for g in reference.groups if reference.own_shares(g)]
    return case.asked.aware and len(able) > 1


def cells_of(table: pd.DataFrame, plan: BatchPlan) -> NDArray[np.int64]:
    """Return the cell of each row: its group and stratum, as far as the plan knows them."""
    axes = [axis.by for axis in (plan.grouping, plan.balance) if axis is not None]
    names = [name for by in axes for name in by]
    if not names:
        return np.zeros(len(table), dtype=np.int64)
    return np.asarray(table.groupby(names).ngroup(), dtype=np.int64)


def epoch_of(sampler: FlexibleBatchSampler, epoch: int) -> list[list[int]]:
    """Return the batches of an epoch, and leave the sampler as it is."""
    other = copy.copy(sampler)  # what is iterated here shall not be seen there
    other.load_state_dict(other.state_dict() | {"epoch": epoch, "position": 0})
    return list(other)


def all_axes(**more: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a table and arguments that switch every axis on."""
    cells = {(g, s): 40 + 30 * i for i, (g, s) in enumerate((g, s) for g in "abc" for s in "xy")}
    arguments = {"batch_size": 16, "leaky": 0.2, "temporal_enrichment": True, "temporal_window_hours": 1.0}
    return make_table(cells), arguments | more
