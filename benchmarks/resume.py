"""What it costs to go on in the middle of an epoch: the first batch there against batch 0, in one run.

    uv run python benchmarks/resume.py --anchors 1e8 --batch-number 700000

A sampler takes up a state and yields; times are process time, best of several interleaved repeats. The
position that people pay for elsewhere is that of a loader that skips: it draws every batch before.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from viscy_data import FlexibleBatchSampler

BATCH = 128
SKIPPED = 2000
"""Batches that the skipping loop is timed on; it is linear in them."""


def make_table(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "experiment": pd.Categorical.from_codes(
                rng.integers(0, 10, rows, dtype=np.int8), list("abcdefghij")
            ),
            "condition": pd.Categorical.from_codes(rng.integers(0, 2, rows, dtype=np.int8), ["x", "y"]),
            "hours_post_infection": rng.integers(0, 48, rows, dtype=np.int16).astype(np.float32) / 2,
        }
    )


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def resumed(sampler: FlexibleBatchSampler, position: int) -> Iterator[Any]:
    sampler.load_state_dict(sampler.state_dict() | {"epoch": 0, "position": position})
    return iter(sampler)


def measure(sampler: FlexibleBatchSampler, position: int, repeats: int) -> dict[str, float]:
    places = {"0": 0, "position": position}
    first: dict[str, list[float]] = {name: [] for name in places}
    thousand: dict[str, list[float]] = {name: [] for name in places}
    for _ in range(repeats):
        for name, place in places.items():
            batches = resumed(sampler, place)
            first[name].append(seconds(lambda batches=batches: next(batches)))
            thousand[name].append(seconds(lambda place=place: list(islice(resumed(sampler, place), 1000))))
    skip = seconds(lambda: list(islice(resumed(sampler, 0), SKIPPED))) / SKIPPED
    return {
        "first_at_0_ms": min(first["0"]) * 1e3,
        "first_at_position_ms": min(first["position"]) * 1e3,
        "first_ratio": min(first["position"]) / min(first["0"]),
        "thousand_ratio": min(thousand["position"]) / min(thousand["0"]),
        "skipping_would_take_s": skip * position,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--anchors", type=float, default=1e8)
    parser.add_argument("--batch-number", type=int, default=700_000, help="where to go on")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    table = make_table(int(options.anchors))
    plans: dict[str, dict[str, Any]] = {
        "group, balance": {},
        "all axes": {"leaky": 0.1, "temporal_enrichment": True},
    }
    for name, arguments in plans.items():
        sampler = FlexibleBatchSampler(table, BATCH, **arguments)
        if not 0 <= options.batch_number < sampler.batches_per_epoch:
            parser.error(f"--batch-number must be below {sampler.batches_per_epoch}, or give more --anchors")
        found = measure(sampler, options.batch_number, options.repeats)
        print(json.dumps({"plan": name, **{key: round(value, 3) for key, value in found.items()}}))


if __name__ == "__main__":
    main()
