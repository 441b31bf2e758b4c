"""Speed, side by side: what a batch costs, ours against the samplers people use, each on the jobs it can do.

    uv run --group bench python benchmarks/sampler.py --sizes 1e4,1e5,1e6,1e7,1e8 --out speed.json

prints one table, and writes the figures beside its plot: ``speed.json``, ``speed.png`` and ``speed.svg``.
Every case runs in a process of its own, under a limit of process time; memory is what building and the
first batch add to that process. ``--plot-only`` shows and draws again what an earlier run wrote.

MosaicML Streaming holds NumPy back, so it is measured where a folder has it:
``pip install --target FOLDER mosaicml-streaming``, then ``--on-path mosaicml-streaming=FOLDER``.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from speed.case import Record, Setting, describe, run_case, run_yardstick
from speed.jobs import ENTRIES
from speed.plot import draw
from speed.table import show


def run_all(sizes: list[int], setting: Setting, words: list[str]) -> Iterator[Record]:
    """Measure every entry at every size; one that is late with a batch is not asked for more anchors."""
    entries = [entry for entry in ENTRIES if all(word in entry.key for word in words)]
    late: dict[str, str] = {}
    columns = (*Progress.get_default_columns()[:-1], TimeElapsedColumn(), TextColumn("{task.fields[case]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("Measuring", total=len(sizes) * len(entries), case="")
        for rows in sorted(sizes):
            sort = run_yardstick(rows, setting)
            for entry in entries:
                progress.update(task, case=f"{entry.key}, {rows:.0e}")
                if entry.key in late:
                    record = describe(entry, rows) | {"note": late[entry.key], "too_slow": "first_s"}
                else:
                    record = run_case(entry, rows, setting)
                if record.get("too_slow") in {"first_s", "batch_s"}:
                    late.setdefault(entry.key, f"too slow: > {setting.limit} s at {rows:.0e}")
                yield record | {"sort_s": sort}
                progress.advance(task)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="1e4,1e6,1e7", help="numbers of anchors, separated by commas")
    parser.add_argument("--groups", type=int, default=10, help="experiments, each a source or a stream")
    parser.add_argument("--strata", type=int, default=2, help="conditions")
    parser.add_argument("--frames", type=int, default=48, help="distinct times per experiment")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=int, default=20, help="seconds of process time for a case")
    parser.add_argument("--only", nargs="*", default=[], help="cases whose 'job/sampler' holds these words")
    parser.add_argument("--on-path", nargs="*", default=[], metavar="PACKAGE=FOLDER")
    parser.add_argument("--out", type=Path, help="write the figures as JSON, and their plot beside it")
    parser.add_argument("--plot-only", action="store_true", help="read --out instead of measuring")
    options = parser.parse_args()
    if options.plot_only and not options.out:
        parser.error("--plot-only needs --out: the figures of an earlier run")
    if options.plot_only:
        found = json.loads(options.out.read_text())
    else:
        found = []
        folders = dict(pair.split("=", 1) for pair in options.on_path)
        setting = Setting(
            options.groups, options.strata, options.frames, options.repeats, options.limit, folders
        )
        sizes = [int(float(size)) for size in options.sizes.split(",")]
        for record in run_all(sizes, setting, options.only):
            found.append(record)
            if options.out:  # as it grows: a run that is broken off keeps what it found
                options.out.write_text(json.dumps(found, indent=1))
    if options.out:
        draw(found, options.out)
    show(found, Console(width=200))


if __name__ == "__main__":
    main()
