"""What an audit costs: composing and counting the first batches, beside composing them alone.

    uv run benchmarks/report.py --sizes 1e6,1e7

Each size runs in a process of its own, with one thread. Times are process time; memory is what the
report adds to the process at its highest, the table and the sampler being there.
"""

import argparse
import json
import os
import subprocess
import sys
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from speed import ours
from speed.data import make_data
from speed.measure import seconds
from speed.memory import Peak

from viscy_data import FlexibleBatchSampler, progress_bar

PLANS = {
    "one group, balanced": ours.OneGroupBalanced,
    "all axes": ours.AllAxes,
    "all axes, distinct, weighed": ours.AllAxesDistinctWeighted,
}


def compose(sampler: FlexibleBatchSampler, batches: int) -> None:
    """Compose batches as a loader does, without counting."""
    left = batches
    while left > 0:
        left -= sum(1 for _ in islice(sampler, left))


def measure(rows: int, groups: int, strata: int, frames: int, batches: int) -> list[dict[str, Any]]:
    data = make_data(rows, groups, strata, frames)
    table = data.full_table
    found = []
    for name, kind in PLANS.items():
        sampler = kind(data).sampler
        composed = seconds(partial(compose, sampler, batches))
        bar = progress_bar(name, batches, unit="batches", shown=True)
        with bar as advance, Peak() as memory:
            counted = seconds(partial(sampler.report, batches, table=table, advance=advance))
        found.append(
            {
                "rows": rows,
                "plan": name,
                "compose_s": composed,
                "report_s": counted,
                "batches_per_s": batches / counted,
                "peak_bytes": memory.peak / rows,
            }
        )
    return found


COLUMNS = {
    "rows": ("anchors", "{:.0e}"),
    "plan": ("plan", "{}"),
    "compose_s": ("compose s", "{:.2f}"),
    "report_s": ("report s", "{:.2f}"),
    "batches_per_s": ("batches / s", "{:,.0f}"),
    "peak_bytes": ("peak B/anchor", "{:.1f}"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="1e6,1e7", help="numbers of anchors, separated by commas")
    parser.add_argument("--batches", type=int, default=2000, help="batches to compose and count")
    parser.add_argument("--groups", type=int, default=10)
    parser.add_argument("--strata", type=int, default=2)
    parser.add_argument("--frames", type=int, default=48, help="distinct times per experiment")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        asked = (options.groups, options.strata, options.frames, options.batches)
        json.dump(measure(options.one, *asked), sys.stdout)
        return
    from rich.console import Console
    from rich.table import Table

    found: list[dict[str, Any]] = []
    for size in options.sizes.split(","):
        command = [sys.executable, __file__, "--one", str(int(float(size)))]
        for name in ("groups", "strata", "frames", "batches"):
            command += [f"--{name}", str(getattr(options, name))]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
        found += json.loads(done.stdout)
    of = f"{options.groups} experiments, {options.strata} conditions"
    shown = Table(title=f"Reports of {options.batches:,} batches: {of}")
    for title, _ in COLUMNS.values():
        shown.add_column(title, justify="right")
    for row in found:
        shown.add_row(*(form.format(row[key]) for key, (_, form) in COLUMNS.items()))
    Console(width=120).print(shown)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
