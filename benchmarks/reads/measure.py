"""One store, all contenders: the same batches, interleaved, the best of several rounds."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from reads.contenders import (
    MemoryMap,
    Ours,
    Pair,
    Places,
    PlainTensorStore,
    UserDataLoader,
    ZarrPython,
    open_dataset,
)
from reads.plans import Rows, frames_plan, random_plan
from reads.stores import Layout, Size

FLOOR, ZARR, TENSORSTORE, OURS = "memory map", "zarr-python", "TensorStore", "ours"
CACHED = "ours, cache"
NORMALISED, SOURCE = "ours, normalised to float32", "ours, dtype source"
CASES = 17
RANDOM, FEW, HELD = "random", "few frames", "few, held"


class Reader(Protocol):
    def read(self, plan: list[Rows]) -> Iterator[Pair]: ...


@dataclass(frozen=True)
class Setting:
    """What is measured: frames of a batch, batches they are held for, batches a round, rounds, cache."""

    frames: int = 8
    hold: int = 4
    batches: int = 2
    rounds: int = 3
    workers: int = 2
    cache_bytes: int = 1 << 30


@dataclass(frozen=True)
class Case:
    """A contender and the plan that it reads."""

    contender: str
    plan: str
    reader: Reader
    stepping: bool = False
    slow: bool = False

    @property
    def key(self) -> str:
        return f"{self.contender}, {self.plan}"


def cases(store: Path, flat: Path, table: pd.DataFrame, size: Size, setting: Setting) -> list[Case]:
    """Return what is measured on a store; with ``stepping``, a step as long as reading follows each batch."""
    plain = open_dataset(store, table, size)
    cached = open_dataset(store, table, size, cache_bytes=setting.cache_bytes)
    shared = open_dataset(store, table, size, cache_bytes=setting.cache_bytes // setting.workers)
    # Plans number the valid anchors, so they come first here; what is only a positive follows.
    others = np.setdiff1d(np.arange(len(plain.anchors)), plain.valid_rows)
    places = Places(plain.anchors.iloc[np.concatenate([plain.valid_rows, others])], size)
    floor, by_zarr = MemoryMap(flat, places), ZarrPython(store, places)
    by_tensorstore, ours = PlainTensorStore(store, places), Ours(plain)
    normalised, source = (
        Ours(open_dataset(store, table, size, dtype), look_ahead=0) for dtype in ("float32", "source")
    )
    workers = setting.workers
    return [
        Case(FLOOR, RANDOM, floor),
        Case(FLOOR, FEW, floor),
        Case(ZARR, RANDOM, by_zarr, slow=True),
        Case(ZARR, FEW, by_zarr, slow=True),
        Case(f"a user's, {workers} workers", RANDOM, UserDataLoader(store, places, workers), slow=True),
        Case(TENSORSTORE, RANDOM, by_tensorstore),
        Case(TENSORSTORE, FEW, by_tensorstore),
        Case(OURS, RANDOM, ours),
        Case(OURS, FEW, ours),
        *(Case(NORMALISED, plan, normalised) for plan in (RANDOM, FEW)),
        *(Case(SOURCE, plan, source) for plan in (RANDOM, FEW)),
        Case(CACHED, HELD, Ours(cached)),
        Case("ours, cache, with steps", HELD, Ours(cached), stepping=True),
        Case("the same, look-ahead 2", HELD, Ours(cached, look_ahead=2), stepping=True),
        Case(f"the same, {workers} workers", HELD, Ours(shared, workers=workers), stepping=True),
    ]


def make_plan(case: Case, anchors: pd.DataFrame, size: Size, setting: Setting, number: int) -> list[Rows]:
    """Return the batches of a round: other rows in every round, the same for all contenders of a plan."""
    batches = 1 if case.slow else setting.batches
    if case.plan == RANDOM:
        return random_plan(anchors, size.pairs, batches, number)
    if case.plan == FEW:
        return frames_plan(anchors, size.pairs, batches, number, frames=setting.frames)
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
    anchors = open_dataset(store, table, size).valid_anchors
    for case in listed:
        if case.contender not in (NORMALISED, SOURCE):
            _check(case.reader, listed[0].reader, anchors, size)
    normalised, source = (
        next(one.reader for one in listed if one.contender == name) for name in (NORMALISED, SOURCE)
    )
    difference = _difference(normalised, source, anchors, size)
    rates: dict[str, list[float]] = {case.key: [] for case in listed}
    of_processor: dict[str, list[float]] = {case.key: [] for case in listed}
    step = 0.0
    for number in range(setting.rounds):
        for case in listed:
            plan = make_plan(case, anchors, size, setting, number)
            seconds, processor = _read(case.reader, plan, step if case.stepping else 0.0)
            rates[case.key].append(2 * size.pairs * len(plan) / seconds)
            of_processor[case.key].append(2 * size.pairs * len(plan) / processor)
            if case.contender == CACHED:
                step = seconds / len(plan)
            done()
    return [
        {
            "layout": layout.name,
            "contender": case.contender,
            "plan": case.plan,
            "patches_per_s": max(rates[case.key]),
            "median": float(np.median(rates[case.key])),
            "patches_per_cpu_s": max(of_processor[case.key]),
            **_counts(case.reader),
            **_sent(case, difference),
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


def _difference(normalised: Reader, source: Reader, anchors: pd.DataFrame, size: Size) -> float:
    """Return the largest difference between values normalised here, and later from pixels as stored."""
    assert isinstance(normalised, Ours)
    assert isinstance(source, Ours)
    (rows,) = random_plan(anchors, size.pairs, 1, 98)
    here, later = normalised.finished(rows), source.finished(rows)
    difference = max(float(np.abs(a - b).max()) for a, b in zip(here, later, strict=True))
    assert difference <= 1e-5
    return difference


def _sent(case: Case, difference: float) -> dict[str, float]:
    """Return how large what a device is sent is, and what it makes of it, where pixels are normalised."""
    if case.contender not in (NORMALISED, SOURCE) or not isinstance(case.reader, Ours):
        return {}
    patches = case.reader.dataset.__getitems__([0])["anchor"]
    return {"difference": difference, "bytes_per_patch": patches.numel() * patches.element_size()}


def _read(reader: Reader, plan: list[Rows], step: float) -> tuple[float, float]:
    """Return seconds, and seconds of this process's processors, that a plan takes.

    Every batch is used for ``step`` seconds.
    """
    start, processor = time.perf_counter(), time.process_time()
    for anchor, positive in reader.read(plan):
        assert len(anchor) == len(positive)
        if step:
            time.sleep(step)  # as a device that computes: the processor is free
    return time.perf_counter() - start, time.process_time() - processor


def _counts(reader: Reader) -> dict[str, int]:
    if not isinstance(reader, Ours):
        return {}
    counts = reader.dataset.read_counts
    return {"chunks_wanted": counts.wanted, "chunks_loaded": counts.loaded}
