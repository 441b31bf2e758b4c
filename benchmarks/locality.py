"""What few frames bring and cost: patches per second against the variety of a batch, on a real store.

    uv run --group bench python benchmarks/locality.py --out docs/images/locality.png

One store of full-frame zstd chunks is written to a temporary folder. Each plan is read in turn, round after
round, and its best round counts. Variety is the effective number of tracks and of fields of view in a batch
(2 to the mean entropy, over an epoch). Positives are one frame on.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from reads.contenders import Ours, open_dataset
from reads.plans import make_table
from reads.stores import Size, layouts, write_store
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from viscy_data import BatchPlan, FlexibleBatchSampler, Locality

SIZE = Size(fovs=6, cells=40)
CACHE = 1 << 30


@dataclass(frozen=True)
class Trade:
    """A plan, and what it brings and costs."""

    name: str
    locality: Locality | None
    rate: float
    tracks: float
    fovs: float
    frames: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=8, help="batches of a round")
    parser.add_argument("--out", type=Path, help="write the plot")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder) / "plate.zarr", options.rounds, options.batches)
    show(found)
    if options.out:
        draw(found, options.out)


def plans() -> dict[str, Locality | None]:
    few = {f"{frames} frames": Locality(frames=frames) for frames in (32, 16, 8, 4, 2)}
    return {"any frames": None, **few, "16 frames, each for 4 batches": Locality(frames=16, hold=4)}


def measure(store: Path, rounds: int, batches: int) -> list[Trade]:
    """Write the store, read every plan, and count what its batches hold."""
    with Progress() as progress:
        writing = progress.add_task("writing the store", total=SIZE.fovs * SIZE.shape[0])
        write_store(store, layouts(SIZE)[0], SIZE, lambda: progress.advance(writing))
        reading = progress.add_task("reading", total=rounds * len(plans()))
        table = make_table(SIZE)
        rates: dict[str, list[float]] = {name: [] for name in plans()}
        for number in range(rounds):
            for name, locality in plans().items():
                dataset = open_dataset(store, table, SIZE, cache_bytes=CACHE)
                sampler = FlexibleBatchSampler.from_plan(
                    dataset.valid_anchors, BatchPlan(SIZE.pairs, locality=locality), seed=number
                )
                rates[name].append(_rate(Ours(dataset), sampler, batches))
                progress.advance(reading)
        return [_trade(name, locality, max(rates[name]), table) for name, locality in plans().items()]


def _rate(reader: Ours, sampler: FlexibleBatchSampler, batches: int) -> float:
    plan = [np.asarray(sampler.batch(number, epoch=0)) for number in range(batches)]
    start = time.perf_counter()
    for anchor, _ in reader.read(plan):
        del anchor
    return 2 * SIZE.pairs * batches / (time.perf_counter() - start)


def _trade(name: str, locality: Locality | None, rate: float, table: pd.DataFrame) -> Trade:
    sampler = FlexibleBatchSampler.from_plan(table, BatchPlan(SIZE.pairs, locality=locality))
    report = sampler.report(sampler.batches_per_epoch, table=table)
    assert report.frames is not None
    variety = report.variety
    return Trade(name, locality, rate, 2 ** variety["track"], 2 ** variety["fov"], report.frames.mean)


def show(found: list[Trade]) -> None:
    table = Table(title=f"{SIZE.pairs} pairs a batch, full-frame zstd")
    for heading in ("plan", "frames of anchors", "effective tracks", "effective fovs", "patches/s", "gain"):
        table.add_column(heading, justify="left" if heading == "plan" else "right")
    for one in found:
        numbers = (f"{one.frames:.1f}", f"{one.tracks:.1f}", f"{one.fovs:.1f}", f"{one.rate:.0f}")
        table.add_row(one.name, *numbers, f"{one.rate / found[0].rate:.1f} x")
    Console(width=120).print(table)


def draw(found: list[Trade], path: Path) -> None:
    """Plot speed against variety, one point for each plan."""
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    free = [one for one in found if one.locality is None or one.locality.hold == 1]
    axes.plot([one.fovs for one in free], [one.rate for one in free], "o-", color="#3b6fb6")
    for one in found:
        held = one not in free
        axes.plot(one.fovs, one.rate, "s" if held else "o", color="#e0902f" if held else "#3b6fb6")
        beside = {"xytext": (0, 12), "ha": "center"} if held else {"xytext": (6, 6)}
        axes.annotate(one.name, (one.fovs, one.rate), textcoords="offset points", **beside)
    axes.set(
        xlabel="fields of view in a batch of 64, of 6 (effective number)",
        ylabel="patches per second",
        yscale="log",
    )
    axes.margins(x=0.25, y=0.15)
    axes.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
