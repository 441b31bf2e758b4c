"""Tables of anchors and plans for the contract: small, uneven, and the same for everyone who asks."""

import copy
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data import BatchPlan, CompositionWarning, Curriculum, FlexibleBatchSampler, InvalidInputError

Integers = NDArray[np.int64]


def table_of(cells: Mapping[tuple[str, str], int], *, seed: int = 0, times: int = 12) -> pd.DataFrame:
    """Make a shuffled table with cells of the given sizes and times on a grid of half hours."""
    rng = np.random.default_rng(seed)
    rows = [cell for cell, size in cells.items() for _ in range(size)]
    table = pd.DataFrame(rows, columns=["experiment", "condition"])
    table["hours_post_infection"] = (0.5 * rng.integers(0, times, len(table))).astype(np.float32)
    return table.sample(frac=1, random_state=seed, ignore_index=True)


def even_cells(
    groups: str = "abc", strata: str = "xyz", *, first: int = 40, more: int = 10
) -> dict[Any, int]:
    """Return cells of growing size: all strata in all groups."""
    names = [(group, stratum) for group in groups for stratum in strata]
    return {name: first + more * place for place, name in enumerate(names)}


def movies(
    seed: int,
    *,
    tracks: Mapping[str, int] | None = None,
    fovs: int = 3,
    times: int = 6,
    longest: int | None = None,
) -> pd.DataFrame:
    """Make tracked cells in fields of view: experiments of unequal size, of which b lacks a condition.

    One row is one cell in one frame; a lineage is a track or two; conditions mix within fields of view.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for group, count in (tracks or {"a": 22, "b": 9, "c": 14}).items():
        strata = "xy" if group == "b" else "xyz"
        for track in range(count):
            begin = int(rng.integers(0, max(1, times // 2)))
            end = int(rng.integers(begin + 2, min(times, begin + (longest or times)) + 1))
            lineage, fov, weight = f"{group}{track // 2}", f"A/{track % fovs}/0", int(rng.integers(1, 6))
            stratum = strata[int(rng.integers(len(strata)))] if track >= 6 else strata[track % len(strata)]
            rows += [
                (group, stratum, fov, t, 0.5 * t, lineage, float(weight), f"{group}{track}")
                for t in range(begin, end)
            ]
    names = ["experiment", "condition", "fov", "t", "hours_post_infection", "lineage_id", "weight", "track"]
    table = pd.DataFrame(rows, columns=names).astype({"hours_post_infection": np.float32})
    return table.sample(frac=1, random_state=seed, ignore_index=True)


def sampler_of(table: pd.DataFrame, plan: BatchPlan | Curriculum, **arguments: Any) -> FlexibleBatchSampler:
    """Build a sampler whose warnings are not what is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompositionWarning)
        return FlexibleBatchSampler.from_plan(table, plan, **arguments)


def flat_sampler(table: pd.DataFrame, **arguments: Any) -> FlexibleBatchSampler:
    """Build a sampler from flat arguments, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompositionWarning)
        return FlexibleBatchSampler(table, **arguments)


def warnings_of(table: pd.DataFrame, plan: BatchPlan | Curriculum, **arguments: Any) -> list[str]:
    """Return what construction warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        FlexibleBatchSampler.from_plan(table, plan, **arguments)
    return [str(one.message) for one in caught if issubclass(one.category, CompositionWarning)]


def least_frames(table: pd.DataFrame, plan: BatchPlan, **arguments: Any) -> int:
    """Return the least number of frames, or fields of view, that a plan is refused without."""
    assert plan.locality is not None
    name = "fovs" if plan.locality.frames is None else "frames"
    one: dict[str, Any] = {name: 1}
    try:
        sampler_of(table, replace(plan, locality=replace(plan.locality, **one)), **arguments)
    except InvalidInputError as refusal:
        return int(re.findall(r"least[^0-9]*(\d+)", str(refusal))[0])
    return 1


def epoch_of(sampler: FlexibleBatchSampler, epoch: int) -> list[list[int]]:
    """Return the batches of an epoch, and leave the sampler as it is."""
    other = copy.copy(sampler)
    other.load_state_dict(other.state_dict() | {"epoch": epoch, "position": 0})
    return list(other)


def batches_of(
    sampler: FlexibleBatchSampler, epochs: Sequence[int], *, beyond: int = 0
) -> Iterator[tuple[int, int, list[int]]]:
    """Yield epoch, number and rows of the batches of epochs, and of some that round each of them up."""
    for epoch in epochs:
        batches = epoch_of(sampler, epoch)
        last = range(len(batches), len(batches) + beyond)
        batches += [sampler.batch(number, epoch=epoch) for number in last]
        yield from ((epoch, number, rows) for number, rows in enumerate(batches))


def steps_of(sampler: FlexibleBatchSampler, epochs: int, *, span: int = 1) -> Iterator[list[int]]:
    """Yield the rows of each step, from the first epoch on."""
    for epoch in range(epochs):
        batches = epoch_of(sampler, epoch)
        for first in range(0, len(batches), span):
            yield [row for batch in batches[first : first + span] for row in batch]


def visits_of(sampler: FlexibleBatchSampler, count: int, epochs: int) -> Integers:
    """Return how often each of so many anchors came in the first epochs."""
    rows = [row for step in steps_of(sampler, epochs) for row in step]
    return np.bincount(rows, minlength=count)


def variation_within(visits: Integers, table: pd.DataFrame, by: Sequence[str]) -> float:
    """Return the largest coefficient of variation of visits within the cells of a table."""
    by_cell = pd.Series(visits).groupby([table[name] for name in by])
    return float((by_cell.std(ddof=0) / by_cell.mean()).max())
