"""What indexing costs, and reading an index: rows/s per core and the peak memory of each process.

    uv run python benchmarks/index.py --cells 1e6,1e7
    uv run python benchmarks/index.py --cells 1e8 --experiments 500 --forms parquet --processes 2

Each figure is from a process of its own, best of `--repeats`. A rate per core counts processor time, of all
processes together, so that other work on the machine disturbs it little: everything from the stores' metadata
to the renamed file, lineages and positives included, without imports and statistics of images.
Reading is what a sampler does: the columns of a plan with all axes, of the anchors that have a positive.
Each step is measured without and with four more columns, one of each level (a constant, a drug by well, a
score by cell and frame, a column of the tracks); a plan that uses two of them reads those two, and one that
uses none reads none.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from index_tables import FILES, write_experiments
from rich.console import Console
from rich.table import Table

MB = 1 << 20


def processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_mb(who: int) -> float:
    return resource.getrusage(who).ru_maxrss * 1024 / MB


def index_once(folder: Path, processes: int, file: str) -> dict[str, float]:
    """Index in this process and its children."""
    import viscy_data.indexing.image_statistics  # noqa: F401
    from viscy_data.indexing.run import build_index
    from viscy_data.tables.tau import TauRange

    start, wall = processor_seconds(), time.perf_counter()
    summary = build_index(
        folder / f"{file}.yaml",
        folder / f"{file}.parquet",
        tau=TauRange(hours=(0.5, 1.5)),
        processes=processes,
        overwrite=True,
        statistics=False,
        progress=sys.stderr.isatty(),
    )
    return {
        "rows": sum(one.anchors for one in summary.counts),
        "seconds": processor_seconds() - start,
        "wall": time.perf_counter() - wall,
        "own_mb": peak_mb(resource.RUSAGE_SELF),
        "worker_mb": peak_mb(resource.RUSAGE_CHILDREN),
    }


def read_once(folder: Path, _: int, file: str, own: bool = False) -> dict[str, float]:
    """Read the columns that all axes together need; ``own``: a drug and a weight of one's own, too."""
    from viscy_data import AtMost, Balance, BatchPlan, Focus, Grouping, Weighting, read_anchors

    plan = BatchPlan(
        128,
        grouping=Grouping("experiment"),
        balance=Balance("drug" if own else "condition"),
        focus=Focus("hours_post_infection"),
        at_most=AtMost("lineage_id"),
        weighting=Weighting("score") if own else None,
    )
    before = peak_mb(resource.RUSAGE_SELF)
    start, wall = processor_seconds(), time.perf_counter()
    table = read_anchors(folder / f"{file}.parquet", plan=plan)
    return {
        "rows": len(table),
        "seconds": processor_seconds() - start,
        "wall": time.perf_counter() - wall,
        "own_mb": peak_mb(resource.RUSAGE_SELF),
        "before_mb": before,
        "table_mb": float(table.memory_usage(deep=True).sum()) / MB,
    }


def read_own(folder: Path, processes: int, file: str) -> dict[str, float]:
    """Read a plan that uses two columns of one's own."""
    return read_once(folder, processes, file, own=True)


STEPS: dict[str, Callable[[Path, int, str], dict[str, float]]] = {
    "index": index_once,
    "read": read_once,
    "read own": read_own,
}


def measure(step: str, folder: Path, processes: int, file: str, repeats: int) -> dict[str, float]:
    command = [
        sys.executable,
        __file__,
        "--step",
        step,
        "--folder",
        str(folder),
        "--processes",
        str(processes),
        "--file",
        file,
    ]
    runs = [
        json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) for _ in range(repeats)
    ]
    return dict(min(runs, key=lambda one: one["seconds"]))


def show(figures: list[dict[str, Any]], console: Console) -> None:
    table = Table(title="Index")
    for heading in (
        "step",
        "own columns",
        "form",
        "experiments",
        "processes",
        "rows",
        "M rows/s per core",
        "wall, s",
        "peak MB",
    ):
        table.add_column(heading, justify="right")
    for one in figures:
        rate = one["rows"] / one["seconds"] / 1e6
        peaks = f"{one['own_mb']:.0f}" + (
            f" + {one['processes']} x {one['worker_mb']:.0f}" if one["processes"] > 1 else ""
        )
        numbers = f"{one['rows']:,}", f"{rate:.2f}", f"{one['wall']:.1f}", peaks
        table.add_row(
            one["step"],
            str(one["own"]),
            one["form"],
            str(one["experiments"]),
            str(one["processes"]),
            *numbers,
        )
    console.print(table)


def _measure_all(
    folder: Path, file: str, case: dict[str, Any], options: argparse.Namespace
) -> list[dict[str, Any]]:
    figures = []
    for processes in map(int, options.processes.split(",")):
        found = measure("index", folder, processes, file, options.repeats)
        figures.append({"step": "index", **case, "processes": processes, **found})
    for step in ("read", "read own") if case["own"] else ("read",):
        found = measure(step, folder, 1, file, options.repeats)
        figures.append({"step": step, **case, "processes": 1, **found})
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", default="1e6,1e7", help="rows, with commas between")
    parser.add_argument("--experiments", type=int, default=10)
    parser.add_argument("--forms", default="parquet,csv")
    parser.add_argument("--processes", default="1", help="with commas between")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where tables go and stay; else they are removed")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(STEPS[options.step](options.folder, int(options.processes), options.file)))
        return
    figures: list[dict[str, Any]] = []
    with TemporaryDirectory() as scratch:
        for form in options.forms.split(","):
            for cells in (int(float(one)) for one in options.cells.split(",")):
                folder = (options.folder or Path(scratch)) / f"{form}_{cells}_{options.experiments}"
                write_experiments(folder, cells=cells, experiments=options.experiments, form=form)
                case = {"form": form, "cells": cells, "experiments": options.experiments}
                for file, own in FILES.items():
                    figures += _measure_all(folder, file, {**case, "own": own}, options)
    show(figures, Console(width=120))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
