"""What a batch costs: ours against NumPy's floor and against the samplers people use, in one run.

    uv run --group bench python benchmarks/sampler.py --sizes 1e4,1e6,1e7,1e8

The floor is ``rng.integers(0, n, 128).tolist()``, NumPy's cheapest 128 rows. Times are process time,
best of several interleaved repeats, so that other work on the machine weighs little; ratios are taken
inside one run. Memory is what building adds to the process at its highest, and what stays.
Every size runs in a process of its own.
"""

import argparse
import gc
import json
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

BATCH = 128
PLANS: dict[str, dict[str, Any]] = {
    "no axis": {"experiment_aware": False, "condition_balanced": False},
    "group, balance": {},
    "group, balance, leak": {"leaky": 0.1},
    "group, balance, focus": {"temporal_enrichment": True},
    "all axes": {"temporal_enrichment": True, "leaky": 0.1},
}


def make_table(rows: int, groups: int, strata: int, frames: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "experiment": pd.Categorical.from_codes(
                rng.integers(0, groups, rows, dtype=np.int16), [f"experiment_{i}" for i in range(groups)]
            ),
            "condition": pd.Categorical.from_codes(
                rng.integers(0, strata, rows, dtype=np.int8), [f"condition_{i}" for i in range(strata)]
            ),
            "hours_post_infection": rng.integers(0, frames, rows, dtype=np.int16).astype(np.float32)
            * np.float32(0.5),
        }
    )


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def take(batches: Iterator[Any], count: int) -> Callable[[], object]:
    return lambda: [len(next(batches)) for _ in range(count)]


def forever(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


class Peak:
    """Resident memory at its highest while a block runs, sampled by a thread, and after it; in bytes."""

    def __enter__(self) -> "Peak":
        gc.collect()
        self.before = self.highest = resident()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.002):
            self.highest = max(self.highest, resident())

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        gc.collect()
        self.kept = resident() - self.before


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measure(rows: int, groups: int, strata: int, frames: int, repeats: int) -> list[dict[str, Any]]:
    from viscy_data import FlexibleBatchSampler

    rng = np.random.default_rng(1)
    table = make_table(rows, groups, strata, frames)
    FlexibleBatchSampler(table.iloc[:1000], batch_size=8)  # imports and first calls
    key = rng.integers(0, 1 << 62, rows)
    sort = min(seconds(lambda: np.argsort(key, kind="stable")) for _ in range(3 if rows < 5e7 else 1))
    del key
    count = 2000 if rows >= BATCH * 2000 else max(rows // BATCH, 64)
    floor_work = take(iter(lambda: rng.integers(0, rows, BATCH).tolist(), None), count)
    found = []
    for name, options in PLANS.items():
        with Peak() as memory, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.process_time()
            sampler = FlexibleBatchSampler(table, BATCH, **options)
            build = time.process_time() - start
        first = seconds(lambda sampler=sampler: next(iter(sampler)))
        shard = (
            FlexibleBatchSampler(table, BATCH, **options, num_replicas=64, rank=5) if rows >= 1e6 else None
        )
        streams = {"batch": forever(sampler), "rank 5 of 64": forever(shard) if shard is not None else None}
        times: dict[str, list[float]] = {"floor": [], **{key: [] for key in streams}}
        for _ in range(repeats):
            times["floor"].append(seconds(floor_work) / count)
            for key, stream in streams.items():
                if stream is not None:
                    times[key].append(seconds(take(stream, count)) / count)
        epoch = sampler.epoch
        sampler.batch(0, epoch=epoch)
        alone = min(
            seconds(lambda sampler=sampler, epoch=epoch: [sampler.batch(b, epoch=epoch) for b in range(50)])
            / 50
            for _ in range(repeats)
        )
        floor = min(times["floor"])
        found.append(
            {
                "plan": name,
                "rows": rows,
                "floor_us": floor * 1e6,
                "batch_us": min(times["batch"]) * 1e6,
                "times_floor": min(times["batch"]) / floor,
                "rank_times_floor": min(times["rank 5 of 64"]) / floor if shard is not None else None,
                "build_sorts": build / sort,
                "peak_bytes": (memory.highest - memory.before) / rows,
                "kept_bytes": memory.kept / rows,
                "first_ms": first * 1e3,
                "alone_ms": alone * 1e3,
            }
        )
        del sampler, shard, streams
    return found + measure_others(table, floor_work, count, repeats)


def measure_others(
    table: pd.DataFrame, floor_work: Callable[[], object], count: int, repeats: int
) -> list[dict[str, Any]]:
    """The samplers people use, each on the job it can do: none of them composes."""
    from torch.utils.data import BatchSampler, DistributedSampler, RandomSampler, WeightedRandomSampler

    rows = len(table)
    codes = table["condition"].cat.codes.to_numpy()
    makers: dict[str, Callable[[], Any]] = {
        "RandomSampler": lambda: BatchSampler(RandomSampler(table.index), BATCH, drop_last=True),
        "WeightedRandomSampler": lambda: BatchSampler(
            WeightedRandomSampler((1 / np.bincount(codes))[codes], rows), BATCH, drop_last=True
        ),
        "DistributedSampler": lambda: BatchSampler(
            DistributedSampler(table.index, num_replicas=64, rank=5), BATCH, drop_last=True
        ),
    }
    try:
        from pytorch_metric_learning.samplers import MPerClassSampler

        batch = BATCH - BATCH % len(np.unique(codes))
        makers["MPerClassSampler"] = lambda: BatchSampler(
            MPerClassSampler(codes, batch // len(np.unique(codes)), batch, rows), batch, drop_last=True
        )
    except ImportError:
        sys.stderr.write("pytorch-metric-learning is missing: run with --group bench for its row\n")
    found = []
    for name, make in makers.items():
        limit = {"WeightedRandomSampler": 2**24, "MPerClassSampler": 10**6}.get(name, 10**9)
        if rows >= limit:
            found.append({"plan": name, "rows": rows, "note": f"not run from {limit} rows on"})
            continue
        with Peak() as memory:
            build = time.process_time()
            stream = forever(make())
            first = time.process_time()
            next(stream)
            first, build = time.process_time() - first, first - build
        done = min(
            count,
            max(rows // BATCH // 64 - 2, 8) if name == "DistributedSampler" else max(rows // BATCH - 2, 8),
        )
        floor, each = [], []
        for _ in range(repeats):
            floor.append(seconds(floor_work) / count)
            each.append(seconds(take(stream, min(done, 500))) / min(done, 500))
        found.append(
            {
                "plan": name,
                "rows": rows,
                "floor_us": min(floor) * 1e6,
                "batch_us": min(each) * 1e6,
                "times_floor": min(each) / min(floor),
                "peak_bytes": (memory.highest - memory.before) / rows,
                "kept_bytes": memory.kept / rows,
                "first_ms": (first + build) * 1e3,
            }
        )
    return found


COLUMNS = {
    "rows": ("anchors", "{:.0e}"),
    "plan": ("plan", "{}"),
    "floor_us": ("floor us", "{:.1f}"),
    "batch_us": ("batch us", "{:.1f}"),
    "times_floor": ("x floor", "{:.2f}"),
    "rank_times_floor": ("x floor, rank 5 of 64", "{:.2f}"),
    "build_sorts": ("build / argsort", "{:.2f}"),
    "peak_bytes": ("peak B/anchor", "{:.1f}"),
    "kept_bytes": ("kept B/anchor", "{:.1f}"),
    "first_ms": ("first batch ms", "{:.1f}"),
    "alone_ms": ("batch(b) alone ms", "{:.2f}"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="1e4,1e6,1e7", help="numbers of anchors, separated by commas")
    parser.add_argument("--groups", type=int, default=10)
    parser.add_argument("--strata", type=int, default=2)
    parser.add_argument("--frames", type=int, default=48, help="distinct times per experiment")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        json.dump(
            measure(options.one, options.groups, options.strata, options.frames, options.repeats), sys.stdout
        )
        return
    from rich.console import Console
    from rich.table import Table

    found: list[dict[str, Any]] = []
    for size in options.sizes.split(","):
        command = [sys.executable, __file__, "--one", str(int(float(size)))]
        for name in ("groups", "strata", "frames", "repeats"):
            command += [f"--{name}", str(getattr(options, name))]
        found += json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    shown = Table(title=f"Batches of {BATCH}: {options.groups} experiments, {options.strata} conditions")
    for title, _ in COLUMNS.values():
        shown.add_column(title, justify="right", overflow="fold")
    for row in found:
        cells = [
            form.format(row[key]) if row.get(key) is not None else "" for key, (_, form) in COLUMNS.items()
        ]
        shown.add_row(*([*cells[:3], row["note"], *cells[4:]] if "note" in row else cells))
    Console(width=160).print(shown)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
