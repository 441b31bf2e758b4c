"""What an audit costs: composing and counting an epoch, and the same in closed form.

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
from pathlib import Path
from typing import Any

from speed import ours
from speed.data import make_data
from speed.measure import seconds
from speed.memory import Peak

from viscy_data import progress_bar

PLANS = {
    "one group, balanced": ours.OneGroupBalanced,
    "all axes": ours.AllAxes,
    "all axes, distinct, weighed": ours.AllAxesDistinctWeighted,
}


def measure(rows: int, groups: int, strata: int, frames: int) -> list[dict[str, Any]]:
    data = make_data(rows, groups, strata, frames)
    table = data.full_table
    found = []
    for name, kind in PLANS.items():
        sampler = kind(data).sampler
        # weights inside a window have no closed form
        has_form = sampler.plan.weighting is None or sampler.plan.focus is None
        expected = seconds(sampler.expect) if has_form else None
        bar = progress_bar(name, sampler.batches_per_epoch, unit="batches", shown=True)
        with bar as advance, Peak() as memory:
            counted = seconds(partial(sampler.report, table=table, advance=advance))
        found.append(
            {
                "rows": rows,
                "plan": name,
                "expect_s": expected,
                "report_s": counted,
                "anchors_per_s": rows / counted,
                "peak_bytes": memory.peak / rows,
            }
        )
    return found


COLUMNS = {
    "rows": ("anchors", "{:.0e}"),
    "plan": ("plan", "{}"),
    "expect_s": ("expect s", "{:.3f}"),
    "report_s": ("report s", "{:.2f}"),
    "anchors_per_s": ("anchors / s", "{:,.0f}"),
    "peak_bytes": ("peak B/anchor", "{:.1f}"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="1e6,1e7", help="numbers of anchors, separated by commas")
    parser.add_argument("--groups", type=int, default=10)
    parser.add_argument("--strata", type=int, default=2)
    parser.add_argument("--frames", type=int, default=48, help="distinct times per experiment")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        json.dump(measure(options.one, options.groups, options.strata, options.frames), sys.stdout)
        return
    from rich.console import Console
    from rich.table import Table

    found: list[dict[str, Any]] = []
    for size in options.sizes.split(","):
        command = [sys.executable, __file__, "--one", str(int(float(size)))]
        for name in ("groups", "strata", "frames"):
            command += [f"--{name}", str(getattr(options, name))]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
        found += json.loads(done.stdout)
    shown = Table(title=f"Reports of one epoch: {options.groups} experiments, {options.strata} conditions")
    for title, _ in COLUMNS.values():
        shown.add_column(title, justify="right")
    for row in found:
        shown.add_row(
            *("-" if row[key] is None else form.format(row[key]) for key, (_, form) in COLUMNS.items())
        )
    Console(width=120).print(shown)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
