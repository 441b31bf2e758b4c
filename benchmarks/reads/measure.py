"""One store, all contenders: the same batches, interleaved, the best of several rounds."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from reads.contenders import MemoryMap, Ours, Pair, Places, PlainTensorStore, UserDataLoader, ZarrPython
from reads.plans import Rows, frames_plan, random_plan
from reads.stores import Layout, Size

FLOOR, ZARR, TENSORSTORE, OURS = "memory map", "zarr-python", "TensorStore", "ours"
RANDOM, FEW, HELD = "random", "few frames", "few, held"


class Reader(Protocol):
    def read(self, plan: list[Rows]) -> Iterator[Pair]: ...


@dataclass(frozen=True)
class Setting:
    """What is measured: frames of a batch, batches they are held for, batches a round, rounds, cache."""

    frames: int = 8
    hold: int = 4
    batches: int = 3
    rounds: int = 3
    workers: int = 2
    cache_bytes: int = 2 << 30


@dataclass(frozen=True)
class Case:
    """A contender and the plan that it reads."""

    contender: str
    plan: str
    build: Callable[[], Reader]
    stepping: bool = False

    @property
    def key(self) -> str:
        return f"{self.contender}, {self.plan}"


def cases(store: Path, flat: Path, table: pd.DataFrame, size: Size, setting: Setting) -> list[Case]:
    """Return what is measured on a store; with ``stepping``, a step as long as reading follows each batch."""
    ours = partial(Ours, store, table, size)
    places = Places(ours().dataset.anchors, size)
    cached = partial(ours, cache_bytes=setting.cache_bytes)
    user = partial(UserDataLoader, store, places)
    found = [
        Case(FLOOR, RANDOM, partial(MemoryMap, flat, places)),
        Case(FLOOR, FEW, partial(MemoryMap, flat, places)),
        Case(ZARR, RANDOM, partial(ZarrPython, store, places)),
        Case(ZARR, FEW, partial(ZarrPython, store, places)),
        Case(f"a user's, {setting.workers} workers", RANDOM, partial(user, setting.workers)),
        Case(TENSORSTORE, RANDOM, partial(PlainTensorStore, store, places)),
        Case(TENSORSTORE, FEW, partial(PlainTensorStore, store, places)),
        Case(OURS, RANDOM, ours),
        Case(OURS, FEW, ours),
        Case(f"{OURS}, {setting.workers} workers", FEW, partial(ours, workers=setting.workers)),
        Case(f"{OURS}, cache", HELD, cached),
    ]
    steps = [
        Case(f"{OURS}, cache, no look-ahead, with steps", HELD, cached, stepping=True),
        Case(f"{OURS}, cache, look-ahead 2, with steps", HELD, partial(cached, look_ahead=2), stepping=True),
        Case(
            f"{OURS}, cache, {setting.workers} workers, with steps",
            HELD,
            partial(ours, workers=setting.workers, cache_bytes=setting.cache_bytes // setting.workers),
            stepping=True,
        ),
    ]
    return found + steps


def make_plan(case: Case, anchors: pd.DataFrame, size: Size, setting: Setting, number: int) -> list[Rows]:
    """Return the batches of a round: other rows in every round, the same for all contenders of a plan."""
    if case.plan == RANDOM:
        return random_plan(anchors, size.pairs, setting.batches, number)
    if case.plan == FEW:
        return frames_plan(anchors, size.pairs, setting.batches, number, frames=setting.frames)
    batches = setting.batches * setting.hold
    return frames_plan(anchors, size.pairs, batches, number, frames=2 * setting.frames, hold=setting.hold)


def measure(
    layout: Layout,
    store: Path,
    flat: Path,
    table: pd.DataFrame,
    size: Size,
    setting: Setting,
    done: Callable[[], None],
) -> list[dict[str, Any]]:
    """Return patches/s of every case on one store; all read the same pixels, or this is an error."""
    listed = cases(store, flat, table, size, setting)
    anchors = Ours(store, table, size).dataset.valid_anchors
    readers = {case.key: case.build() for case in listed}
    for case in listed:
        _check(readers[case.key], readers[f"{FLOOR}, {RANDOM}"], anchors, size)
    rates: dict[str, list[float]] = {case.key: [] for case in listed}
    step = 0.0
    for number in range(setting.rounds):
        for case in listed:
            plan = make_plan(case, anchors, size, setting, number)
            seconds = _read(readers[case.key], plan, step if case.stepping else 0.0)
            rates[case.key].append(2 * size.pairs * len(plan) / seconds)
            if case.contender == f"{OURS}, cache":
                step = seconds / len(plan)
            done()
    return [
        {
            "layout": layout.name,
            "contender": case.contender,
            "plan": case.plan,
            "patches_per_s": max(rates[case.key]),
            "median": float(np.median(rates[case.key])),
            **_counts(readers[case.key]),
            "setting": asdict(setting),
        }
        for case in listed
    ]


def _check(reader: Reader, floor: Reader, anchors: pd.DataFrame, size: Size) -> None:
    plan = random_plan(anchors, min(size.pairs, 4), 1, 99)
    for (anchor, positive), (true_anchor, true_positive) in zip(
        reader.read(plan), floor.read(plan), strict=True
    ):
        np.testing.assert_array_equal(anchor, true_anchor)
        np.testing.assert_array_equal(positive, true_positive)


def _read(reader: Reader, plan: list[Rows], step: float) -> float:
    """Return the seconds that a plan takes, every batch touched and then used for ``step`` seconds."""
    start = time.perf_counter()
    for anchor, positive in reader.read(plan):
        assert len(anchor) == len(positive)
        if step:
            time.sleep(step)  # as a device that computes: the processor is free
    return time.perf_counter() - start


def _counts(reader: Reader) -> dict[str, int]:
    if not isinstance(reader, Ours):
        return {}
    counts = reader.dataset.read_counts
    return {"chunks_wanted": counts.wanted, "chunks_loaded": counts.loaded}
