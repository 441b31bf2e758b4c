"""Measure one case, in this process, and print each figure as soon as it is known, one JSON object a line.

What was printed before a limit ended the process still counts. Times are process time, best of several
repeats, so that other work on the machine weighs little. A pass of at most `WHOLE` batches is measured
whole; of a longer one its beginning and a stretch in it.
"""

import argparse
import json
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from itertools import chain, islice, repeat
from typing import Any

import numpy as np

from speed.contender import Batches, Contender
from speed.data import BATCH, Data, make_data
from speed.jobs import ENTRIES, YARDSTICK, Entry
from speed.memory import Peak, available

WHOLE = 2048
"""Batches of the longest pass that is measured whole, and of a stretch."""
BLOCK = 256
"""Batches that our sampler draws at a time: a stretch begins and ends between two blocks."""
RANKS = (8, 64)
PATIENCE = 1.0
"""Seconds after which a figure is not repeated."""


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def best(work: Callable[[], float], repeats: int) -> float:
    """Return the least of what ``work`` returns, over as many repeats as patience allows."""
    found, start = [], time.process_time()
    while len(found) < repeats and (not found or time.process_time() - start < PATIENCE):
        found.append(work())
    return min(found)


def drain(batches: Iterator[Any]) -> int:
    """Use the batches up and return how many there were."""
    last = deque(enumerate(batches, 1), maxlen=1)
    return last[0][0] if last else 0


def per_batch(batches: Batches, repeats: int) -> float:
    """Seconds per batch of a pass, all that its beginning costs included."""
    if len(batches) <= WHOLE:
        return best(lambda: whole_pass(batches), repeats)
    stream = iter(batches)
    begin = seconds(lambda: next(stream))
    endless = chain(islice(stream, BLOCK - 1, None), chain.from_iterable(repeat(batches)))
    steady = best(lambda: stretch(endless), repeats)
    return (begin + steady * (len(batches) - 1)) / len(batches)


def whole_pass(batches: Batches) -> float:
    start = time.process_time()
    count = drain(islice(iter(batches), len(batches)))
    if not count:
        raise RuntimeError("a pass has no batch for this rank")
    return (time.process_time() - start) / count


def stretch(stream: Iterator[Any]) -> float:
    """Seconds per batch of the next `WHOLE`, or of as many as patience allows."""
    start, count = time.process_time(), 0
    while count < WHOLE and time.process_time() - start < PATIENCE:
        count += drain(islice(stream, BLOCK))
    return (time.process_time() - start) / count


def measure(entry: Entry, data: Data, repeats: int) -> Iterator[dict[str, float]]:
    """Yield the figures of one case, the quickest to find first."""
    kind = getattr(import_module(f"speed.{entry.file}"), entry.name)
    warm_up(kind, data)
    with Peak() as memory:
        start = time.process_time()
        contender = kind(data)
        built = time.process_time()
        stream = iter(contender.whole())
        next(stream)
        build, first = built - start, time.process_time() - start
    yield {"peak_bytes": memory.peak, "kept_bytes": memory.kept, "build_s": build, "first_s": first}
    del stream
    if first < PATIENCE:
        yield {"first_s": min(first, best(lambda: seconds(lambda: first_batch(kind, data)), repeats))}
    yield {"floor_s": best(lambda: floor(len(data)), repeats)}
    yield {"batch_s": per_batch(contender.whole(), repeats)}
    middle = contender.state(len(contender.whole()) // 2)
    again = best(lambda: seconds(lambda: next(contender.resume(middle))), repeats)
    yield {"resume_s": build + again}
    for ranks in RANKS:
        own = partial(contender.own, ranks, ranks - 3)
        yield attempt(f"ranks_{ranks}_s", lambda own=own: per_batch(own(), repeats))
    if entry.is_ours:
        yield {"alone_s": alone(contender, repeats)}


def first_batch(kind: type[Contender], data: Data) -> object:
    return next(iter(kind(data).whole()))


def warm_up(kind: type[Contender], data: Data) -> None:
    """Run everything once on a small table: imports and first calls are nobody's cost."""
    small = make_data(10_000, data.groups, data.classes, 48)
    contender = kind(small)
    drain(islice(iter(contender.whole()), 4))
    next(contender.resume(contender.state(1)))


def attempt(name: str, work: Callable[[], float]) -> dict[str, Any]:
    """Return a figure, or what the library says where it cannot do that."""
    try:
        return {name: work()}
    except (ValueError, RuntimeError) as error:
        return {name: None, f"{name}_note": str(error)}


def floor(rows: int) -> float:
    """Seconds of NumPy's cheapest rows of a batch."""
    rng = np.random.default_rng(1)
    return stretch(iter(lambda: rng.integers(0, rows, BATCH).tolist(), None))


def sort(rows: int) -> float:
    """Seconds of one stable sort of 64-bit keys, what building is compared with."""
    key = np.random.default_rng(1).integers(0, 1 << 62, rows)
    return seconds(lambda: np.argsort(key, kind="stable"))


def alone(contender: Any, repeats: int) -> float:
    """Seconds of a batch that is asked for by its number."""
    batch = contender.sampler.batch
    return best(lambda: seconds(lambda: [batch(number, epoch=0) for number in range(50)]) / 50, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure one case; benchmarks/sampler.py starts it.")
    parser.add_argument("key")
    for name in ("rows", "groups", "classes", "frames", "repeats"):
        parser.add_argument(name, type=int)
    options = parser.parse_args()
    room = int(available() * 0.9)
    resource.setrlimit(resource.RLIMIT_DATA, (room, room))  # a MemoryError, not an ended machine
    try:
        if options.key == YARDSTICK:
            say({"sort_s": best(lambda: sort(options.rows), options.repeats)})
            return
        entry = next(entry for entry in ENTRIES if entry.key == options.key)
        data = make_data(options.rows, options.groups, options.classes, options.frames)
        _ = data.full_table if entry.needs_all else data.table  # before memory is measured
        import_module(f"speed.{entry.file}")
        say({"begun_s": time.process_time()})
        for figures in measure(entry, data, options.repeats):
            say(figures)
    except ModuleNotFoundError as error:
        say({"note": f"not installed: pip install {entry.package} ({error})"})
    except MemoryError:
        say({"note": "does not fit"})
    except Exception as error:  # noqa: BLE001 - what a library refuses is a finding
        say({"note": f"refused: {error}"})


def say(figures: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
