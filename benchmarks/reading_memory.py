"""Reading within the memory that was stated: what a run takes beyond its start, under a limit of the system.

    uv run python benchmarks/reading_memory.py

Each run is a process of its own that reads batches of a random plan from full frames, the costliest way to
read. When it has read one pair, it limits its data (``RLIMIT_DATA``: all private memory, as ``ulimit -d``)
to what it has now and the bytes stated; a run that took more would end. Workers start within the same
process tree; their proportional memory is summed, sampled as they read. Linux only.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from reads.contenders import Ours, open_dataset
from reads.plans import make_table, random_plan
from reads.stores import Size, layouts, write_store
from rich.console import Console
from rich.table import Table

MIB = 1 << 20
SIZE = Size(fovs=1)


def status(key: str) -> int:
    """Return a number of bytes of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) * 1024


def tree() -> list[int]:
    """Return this process and all below it."""
    parents: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(file.parent.name)] = int(fields[1])
    found = [int(Path("/proc/self").resolve().name)]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found


def memory(pids: list[int]) -> int:
    """Return the proportional memory of processes, shared pages counted once."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    return total


class Peak(threading.Thread):
    """Samples the memory of this process and its workers."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.pids = tree()
        self.baseline = self.highest = memory(self.pids)
        self.going = True

    def run(self) -> None:
        while self.going:
            self.highest = max(self.highest, memory(self.pids))
            time.sleep(0.02)


def child(store: Path, memory_bytes: int, workers: int, look_ahead: int, batches: int) -> None:
    """Read, and print what that took."""
    dataset = open_dataset(store, make_table(SIZE), SIZE, memory_bytes=memory_bytes or None)
    ours = Ours(dataset, look_ahead=look_ahead, workers=workers)
    for _ in ours.read(random_plan(dataset.valid_anchors, 1, max(1, workers), 1)):
        pass
    peak = Peak()
    peak.start()
    if memory_bytes:
        allowed = status("VmData") + memory_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    start = time.perf_counter()
    for _ in ours.read(random_plan(dataset.valid_anchors, SIZE.pairs, batches, 2)):
        pass
    seconds = time.perf_counter() - start
    peak.going = False
    peak.join()
    print(
        json.dumps(
            {
                "taken": (peak.highest - peak.baseline) / MIB,
                "patches_per_s": 2 * SIZE.pairs * batches / seconds,
                "hits": dataset.read_counts.hits / max(1, dataset.read_counts.wanted),
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="where the store is written; by default a temporary one")
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(Path(options.child[0]), *map(int, options.child[1:]), options.batches)
        return
    table = Table("stated MiB", "workers", "look-ahead", "taken MiB", "share", "patches/s", "chunks kept")
    with tempfile.TemporaryDirectory() as temporary:
        store = (options.folder or Path(temporary)) / "memory.zarr"
        if not store.exists():
            write_store(store, layouts(SIZE)[0], SIZE, lambda: None)
        for stated, workers, ahead in RUNS:
            words = [str(store), str(stated * MIB), str(workers), str(ahead)]
            command = [sys.executable, __file__, "--batches", str(options.batches), "--child", *words]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                table.add_row(str(stated), str(workers), str(ahead), f"ended: {done.stderr[-300:]}")
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            share = f"{found['taken'] / stated:.2f}" if stated else "no limit"
            figures = (
                f"{found['taken']:.0f}",
                share,
                f"{found['patches_per_s']:.0f}",
                f"{found['hits']:.0%}",
            )
            table.add_row(str(stated or "-"), str(workers), str(ahead), *figures)
    Console(width=110).print(table)


RUNS = ((0, 0, 2), (900, 0, 0), (900, 0, 2), (1500, 0, 2), (3000, 0, 2), (3000, 2, 0))
"""MiB stated (0: nothing), workers and batches ahead."""

if __name__ == "__main__":
    main()
