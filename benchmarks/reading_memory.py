"""Reading within the memory that was stated: what a run takes beyond its start, under a limit of the system.

    uv run python benchmarks/reading_memory.py

Each run is a process of its own that reads batches of a random plan, of more pixels than the memory holds.
When it has read one pair, it and its workers go into a memory cgroup with the bytes stated as its limit: a
run that took more would end. Their proportional memory is summed, sampled as they read. Linux only; without
the right to make a cgroup (root has it) the limit is not enforced, and the table says so.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from reads.contenders import Ours, open_dataset
from reads.plans import make_table, random_plan
from reads.stores import Size, layouts, warm, write_store
from rich.console import Console
from rich.table import Table

MIB = 1 << 20
SIZE = Size(fovs=4)
LAYOUTS = ("full-frame, zstd", "sharded, zstd")


def confine(pids: list[int], limit: int) -> bool:
    """Put processes into a memory cgroup of ``limit`` bytes; return whether the system allows it.

    What they hold already stays with the group they come from: the limit is on what they take from now on.
    """
    root = Path("/sys/fs/cgroup")
    old = (root / "memory").is_dir()
    group = root / ("memory" if old else "") / f"viscy-reading-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(limit))
        for pid in pids:
            (group / "cgroup.procs").write_text(str(pid))
    except OSError:
        return False
    return True


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
    enforced = bool(memory_bytes) and confine(peak.pids, memory_bytes)
    start = time.perf_counter()
    for _ in ours.read(random_plan(dataset.valid_anchors, SIZE.pairs, batches, 2)):
        pass
    seconds = time.perf_counter() - start
    peak.going = False
    peak.join()
    print(
        json.dumps(
            {
                "enforced": enforced,
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
    parser.add_argument("--folder", type=Path, help="where stores are written; by default a temporary one")
    parser.add_argument("--batches", type=int, default=24)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(Path(options.child[0]), *map(int, options.child[1:]), options.batches)
        return
    columns = ("layout", "stated MiB", "workers", "ahead", "taken MiB", "share", "patches/s", "chunks kept")
    table = Table(*columns)
    with tempfile.TemporaryDirectory() as temporary:
        for layout in layouts(SIZE):
            if layout.name not in LAYOUTS:
                continue
            store = (options.folder or Path(temporary)) / f"{layout.name.replace(', ', '-')}.zarr"
            if not store.exists():
                write_store(store, layout, SIZE, lambda: None)
            warm(store)
            for stated, workers, ahead in RUNS:
                words = [str(store), str(stated * MIB), str(workers), str(ahead)]
                found = _run([sys.executable, __file__, "--batches", str(options.batches), "--child", *words])
                table.add_row(layout.name, str(stated or "-"), str(workers), str(ahead), *_row(found, stated))
    Console(width=120).print(table)


def _run(command: list[str]) -> dict[str, Any] | str:
    """Return what a child found, or the end of what it said when it ended before its time."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for group in Path("/sys/fs/cgroup").glob("**/viscy-reading-*"):
        group.rmdir()
    if done.returncode:
        return f"ended with {done.returncode}: {done.stderr[-300:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _row(found: dict[str, Any] | str, stated: int) -> tuple[str, ...]:
    if isinstance(found, str):
        return (found,)
    share = f"{found['taken'] / stated:.2f}{'' if found['enforced'] else ', not enforced'}" if stated else "-"
    return f"{found['taken']:.0f}", share, f"{found['patches_per_s']:.0f}", f"{found['hits']:.0%}"


RUNS = ((0, 0, 2), (900, 0, 0), (900, 0, 2), (1500, 0, 2), (3000, 0, 2), (3000, 2, 0))
"""MiB stated (0: nothing), workers and batches ahead."""

if __name__ == "__main__":
    main()
