"""Measure the present way, then one change at a time, the present way again after each.

The machine's mood and the page cache change while a bench runs: a change is compared with the present way
just before and just after it, and every setting reads other batches.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from viscy_data.bench.measure import Case, Rate, Stream, stream
from viscy_data.bench.result import OPTIMIZED, Bench, Copied, Subject, Tried, compared
from viscy_data.bench.settings import PRESENT, Setting
from viscy_data.columns import EXPERIMENT
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.optimize.estimate import estimate
from viscy_data.optimize.job import open_array, patch_of_index, plan_job
from viscy_data.progress import progress_bar


def bench(
    case: Case,
    settings: Sequence[Setting],
    *,
    seconds: float = 5.0,
    step: float = 0.0,
    optimized: bool = True,
    progress: bool = True,
) -> Bench:
    """Measure a user's stores under the user's plan.

    Parameters
    ----------
    case
        Stores, anchors and plan.
    settings
        Changes to try.
    seconds
        To read for under each; a slow store takes at least a batch, and some for workers.
    step
        Seconds of a training step put between batches.
    optimized
        Also rewrite a few frames in a temporary folder, and read those.
    progress
        Show a progress bar.

    Raises
    ------
    InvalidInputError
        The plan cannot be followed on these anchors, or the anchors are not of these experiments.
    StoreError
        A store cannot be read.
    """
    began = _bytes_read()
    steps = 2 * len(settings) + 1 + optimized
    with (
        progress_bar("bench", steps, unit="measurements", shown=progress) as advance,
        stream(case, Setting(PRESENT), 0) as present,
    ):
        subject = _subject(case, present)
        rates, tried, refused = _try_all(case, settings, present, _Clock(seconds, step, advance))
        copied = None
        if optimized:
            try:
                copied = _copied(case, subject, _store(case, present), rates, seconds)
            except StoreError as error:  # what was measured so far is worth showing
                refused[OPTIMIZED] = str(error)
            advance(1)
    return Bench(subject, tuple(rates), tuple(tried), refused, copied, seconds, step, _from_disk(began))


class _Clock:
    """How long each measurement takes, and who is told that it is over."""

    def __init__(self, seconds: float, step: float, advance: Callable[[int], None]) -> None:
        self._seconds, self._step, self._advance = seconds, step, advance

    def measure(self, stream: Stream) -> Rate:
        rate = stream.measure(self._seconds, self._step)
        self._advance(1)
        return rate

    def skip(self) -> None:
        self._advance(2)


def _try_all(
    case: Case, settings: Sequence[Setting], present: Stream, clock: _Clock
) -> tuple[list[Rate], list[Tried], dict[str, str]]:
    rates, tried, refused = [clock.measure(present)], [], {}
    for number, setting in enumerate(settings, start=1):
        try:
            with stream(case, setting, number) as changed:
                rate = clock.measure(changed)
        except InvalidInputError as error:  # a plan may not allow so few frames
            refused[setting.name] = str(error)
            clock.skip()
            continue
        rates.append(clock.measure(present))
        tried.append(compared(setting, rate, rates[-2:]))
    return rates, tried, refused


def _store(case: Case, present: Stream) -> Path:
    """Return the store that most anchors are of."""
    name = present.valid_anchors[EXPERIMENT].value_counts().idxmax()
    return next(one.data_path for one in case.experiments.experiments if one.name == name)


def _subject(case: Case, present: Stream) -> Subject:
    valid = present.valid_anchors
    store = _store(case, present)
    patch = patch_of_index(case.anchors, store, case.z_window, case.experiments)
    job = plan_job(store, _absent(), patch=patch, missing_chunks=case.missing_chunks)
    chunk = open_array(store / job.images[0].array).chunk_layout.read_chunk.shape
    names = tuple(sorted(map(str, valid[EXPERIMENT].unique())))
    return Subject(names, len(valid), case.plan.batch_size, patch, tuple(chunk))


def _absent() -> Path:
    """Return a path that does not exist, in a folder that does."""
    return Path(tempfile.gettempdir()) / "viscy-data-bench-no-such-store"


def _copied(case: Case, subject: Subject, store: Path, rates: Sequence[Rate], seconds: float) -> Copied:
    per_frame = max(1, round(sum(one.patches / one.batches / one.frames for one in rates) / len(rates)))
    with tempfile.TemporaryDirectory(prefix="viscy-data-bench-") as folder:
        out = Path(folder) / store.name
        job = plan_job(store, out, patch=subject.patch, missing_chunks=case.missing_chunks)
        sampled = estimate(job, seconds=2 * seconds, per_frame=per_frame, progress=False)
    return Copied(str(store), sampled)


def _bytes_read() -> tuple[int, int] | None:
    """Return bytes that this process has read, and those of them that the disk gave; Linux says so."""
    try:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    told = dict(line.split(": ") for line in lines)
    return int(told["rchar"]), int(told["read_bytes"])


def _from_disk(began: tuple[int, int] | None) -> float | None:
    ended = _bytes_read()
    if began is None or ended is None:
        return None
    return min(1.0, (ended[1] - began[1]) / max(1, ended[0] - began[0]))
