"""The table that every contender draws from: experiments, conditions and times drawn evenly, by a seed."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BATCH = 128


@dataclass(frozen=True)
class Data:
    """Anchors as arrays, one value per anchor: what is in memory before any sampler is built."""

    group_codes: NDArray[np.int16]
    class_codes: NDArray[np.int8]
    hours: NDArray[np.float32]
    groups: int
    classes: int

    def __len__(self) -> int:
        return len(self.group_codes)

    @cached_property
    def table(self) -> pd.DataFrame:
        experiments = [f"experiment_{i}" for i in range(self.groups)]
        conditions = [f"condition_{i}" for i in range(self.classes)]
        return pd.DataFrame(
            {
                "experiment": pd.Categorical.from_codes(self.group_codes, experiments),
                "condition": pd.Categorical.from_codes(self.class_codes, conditions),
                "hours_post_infection": self.hours,
            },
            copy=False,
        )

    @cached_property
    def full_table(self) -> pd.DataFrame:
        """The table with lineages of 40 anchors, frames of 50, and one anchor in twenty as heavy as five.

        A field of view is of one experiment and condition.
        """
        rng = np.random.default_rng(1)
        lineage = rng.integers(0, max(len(self) // 40, 1), len(self), dtype=np.int32)
        weight = np.where(rng.random(len(self), dtype=np.float32) < 0.05, np.float32(5), np.float32(1))
        time = (self.hours * 2).astype(np.int16)
        cells = self.groups * self.classes
        fov = rng.integers(0, max(len(self) // (2400 * cells), 1), len(self), dtype=np.int32)
        fov *= cells
        fov += self.group_codes * np.int32(self.classes)
        fov += self.class_codes
        return self.table.assign(lineage_id=lineage, weight=weight, fov=fov, t=time)

    @property
    def group_weights(self) -> list[float]:
        """The mix asked for: group i weighs i + 1."""
        return rising(self.groups)

    @property
    def class_weights(self) -> list[float]:
        """The weighted draw asked for: class i weighs i + 1."""
        return rising(self.classes)


def make_data(rows: int, groups: int, classes: int, frames: int, seed: int = 0) -> Data:
    rng = np.random.default_rng(seed)
    return Data(
        rng.integers(0, groups, rows, dtype=np.int16),
        rng.integers(0, classes, rows, dtype=np.int8),
        rng.integers(0, frames, rows, dtype=np.int16).astype(np.float32) * np.float32(0.5),
        groups,
        classes,
    )


def rising(count: int) -> list[float]:
    total = count * (count + 1) / 2
    return [(i + 1) / total for i in range(count)]


def rows_by(codes: NDArray[np.integer], count: int) -> list[NDArray[np.int64]]:
    """Rows of each code: what a user hands to a library that takes one source after another."""
    return [np.flatnonzero(codes == code) for code in range(count)]
