"""Reading, side by side: patches/s of an `AnchorDataset` against a memory map, zarr-python and TensorStore.

    uv run python benchmarks/reading.py --folder stores --out reading.json

writes stores (full frames, tiles and shards, zstd and raw), reads the same batches with every contender and
prints one table; figures go to ``--out``, their plot beside it. It takes a quarter of an hour, 10 GB of
disk and as much free memory, since files are to be read from memory; ``--smallest`` takes minutes, most of
them to start four workers for each of six stores. Figures are written store by store.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from reads.figures import draw, show
from reads.measure import CASES, Setting, measure
from reads.plans import make_table
from reads.stores import SMALLEST, Layout, Size, layouts, warm, write_flat, write_store
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn


def run(folder: Path, size: Size, setting: Setting, out: Path | None) -> list[dict[str, Any]]:
    """Measure layout after layout; a store goes when it has been measured."""
    found: list[dict[str, Any]] = []
    table, flat = make_table(size), folder / "flat.npy"
    with Progress(
        *Progress.get_default_columns()[:-1], TimeElapsedColumn(), console=Console(stderr=True)
    ) as bar:
        for layout in layouts(size):
            task = bar.add_task(f"{layout.name}: writing", total=size.fovs * size.shape[0])
            store = _write(folder, layout, size, lambda task=task: bar.advance(task))
            if not flat.exists():
                write_flat(flat, store, size)
            warm(store, flat)
            bar.reset(task, total=setting.rounds * CASES, description=f"{layout.name}: reading")
            found += measure(layout, store, flat, table, size, setting, lambda task=task: bar.advance(task))
            if out:  # as it grows: a run that is broken off keeps what it found
                out.write_text(json.dumps(found, indent=1))
            shutil.rmtree(store)
    return found


def _write(folder: Path, layout: Layout, size: Size, done: Any) -> Path:
    store = folder / f"{layout.name.replace(', ', '-')}.zarr"
    if store.exists():
        shutil.rmtree(store)
    write_store(store, layout, size, done)
    return store


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="where stores are written; by default a temporary one")
    parser.add_argument("--out", type=Path, help="write the figures as JSON, and their plot beside it")
    parser.add_argument("--frames", type=int, default=8, help="frames of a batch's anchors")
    parser.add_argument("--fovs", type=int, default=6, help="fields of view, half a gigabyte each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--smallest", action="store_true", help="tiny stores: does it run?")
    parser.add_argument("--plot-only", action="store_true", help="read --out instead of measuring")
    options = parser.parse_args()
    if options.plot_only and not options.out:
        parser.error("--plot-only needs --out: the figures of an earlier run")
    if options.plot_only:
        found = json.loads(options.out.read_text())
    else:
        setting = Setting(frames=options.frames, rounds=options.rounds, workers=options.workers)
        with tempfile.TemporaryDirectory() as temporary:
            folder = options.folder or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            found = run(
                folder, SMALLEST if options.smallest else Size(fovs=options.fovs), setting, options.out
            )
    if options.out:
        draw(found, options.out)
    show(found, Console(width=150))


if __name__ == "__main__":
    main()
