"""From an experiments file to an anchors table: describe, check, read, build, count, write.

Everything that can be wrong with the file and its stores is found first and reported at once. Experiments
do not know of each other, so large ones are built in processes of their own; the output is the same.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np

from viscy_data.anchors import (
    AnchorsMetadata,
    Built,
    build_experiment,
    concat_anchors,
    total_by_reason,
    write_anchors,
)
from viscy_data.columns import CONDITION, GLOBAL_TRACK_ID
from viscy_data.crops import common_pixel_size
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.experiments import (
    Experiment,
    Experiments,
    FovInfo,
    find_problems,
    parse_experiments,
    raise_problems,
)
from viscy_data.lineage import BoolArray
from viscy_data.positives import Positives
from viscy_data.progress import progress_bar
from viscy_data.tau import TauRange

# Starting a process costs about two seconds of imports, in which some hundred MB of tables are read.
_WORTH_A_PROCESS = 200 << 20

type _Job = tuple[Experiment, Sequence[FovInfo], tuple[int, int], float | None, tuple[int, int]]


@dataclass(frozen=True)
class ConditionCounts:
    """What one condition of one experiment contributed.

    Attributes
    ----------
    experiment, condition
        Names; condition None: not known.
    cells
        Tracks.
    anchors
        Rows of the table.
    valid_anchors
        Rows that have a positive.
    dropped
        Detections that are not in the table, by reason.
    """

    experiment: str
    condition: str | None
    cells: int
    anchors: int
    valid_anchors: int
    dropped: Mapping[str, int]


@dataclass(frozen=True)
class IndexSummary:
    """What :func:`build_index` wrote, as plain values.

    Attributes
    ----------
    anchors_path, statistics_path
        The files written.
    counts
        One entry for each experiment and condition, sorted.
    without_tracks
        Fields of view that have no tracks, by experiment.
    common_pixel_size_um
        Micrometres per pixel of patches; None: the stores' own pixels.
    """

    anchors_path: Path
    statistics_path: Path
    counts: tuple[ConditionCounts, ...]
    without_tracks: Mapping[str, tuple[str, ...]]
    common_pixel_size_um: float | None


def build_index(
    experiments_path: str | Path,
    out: str | Path,
    *,
    patch_size: tuple[int, int] = (64, 64),
    tau: TauRange,
    progress: bool = True,
    overwrite: bool = False,
    processes: int | None = None,
    missing_chunks: Literal["error", "fill"] = "error",
) -> IndexSummary:
    """Build the anchors table of an experiments file, and its images' statistics beside it.

    Parameters
    ----------
    experiments_path
        The experiments file.
    out
        Where the anchors table goes; its folder exists.
    patch_size
        Rows and columns of a patch.
    tau
        How far apart an anchor and its positive may be.
    progress
        Show a progress bar.
    overwrite
        Replace existing files.
    processes
        Processes to build experiments in; None: one for each, up to the machine's cores, where the
        tracks are large.
    missing_chunks
        A chunk that the store lacks is damage (``error``), or holds the store's fill value (``fill``:
        some writers leave empty chunks out).

    Raises
    ------
    ExperimentsFileError
        Naming every problem of every experiment.
    TracksError
        Where tracks are malformed.
    InvalidInputError
        Where ``out`` exists, a patch does not fit, a tau range is empty, or no anchor has a positive.
    """
    from viscy_data.normalization import compute_statistics, statistics_path, write_statistics  # noqa: PLC0415

    out = Path(out)
    _check_out((out, statistics_path(out)), overwrite=overwrite)
    experiments, fovs = load_checked(experiments_path)
    common = common_pixel_size(experiments.experiments, fovs)
    jobs: list[_Job] = [
        (e, fovs[e.name], patch_size, common, tau.in_frames(e)) for e in experiments.experiments
    ]
    with progress_bar("anchors", len(jobs), unit="experiments", shown=progress) as advance:
        built = _build_all(jobs, _processes(jobs, processes), advance)
    counts = tuple(
        one for name, (anchors, valid) in sorted(built.items()) for one in _counts(name, anchors, valid)
    )
    _check_any(counts)
    statistics = compute_statistics(experiments, progress=progress, missing_chunks=missing_chunks)
    metadata = AnchorsMetadata(
        experiments=experiments,
        patch_size=patch_size,
        tau=tau,
        dropped={name: total_by_reason(one.dropped) for name, (one, _) in sorted(built.items())},
        common_pixel_size_um=common,
    )
    write_statistics(statistics_path(out), statistics)
    write_anchors(out, concat_anchors([one.frame for one, _ in built.values()]), metadata)
    without = {name: one.without_tracks for name, (one, _) in sorted(built.items()) if one.without_tracks}
    return IndexSummary(out, statistics_path(out), counts, without, common)


def load_checked(path: str | Path) -> tuple[Experiments, dict[str, list[FovInfo]]]:
    """Load an experiments file and describe its stores; all problems of both come in one error.

    Raises
    ------
    ExperimentsFileError
        Naming every problem of every experiment.
    """
    from viscy_data.store import describe  # noqa: PLC0415

    parsed, problems = parse_experiments(path)
    fovs: dict[str, list[FovInfo]] = {}
    for experiment in parsed:
        try:
            fovs[experiment.name] = describe(experiment)
        except StoreError as error:
            problems.append(f"experiment {experiment.name!r}: {error}")
    problems += find_problems([e for e in parsed if e.name in fovs], fovs)
    raise_problems(path, problems)
    return Experiments(experiments=tuple(parsed)), fovs


def _check_out(paths: Sequence[Path], *, overwrite: bool) -> None:
    folder = paths[0].parent
    if not folder.is_dir():
        raise InvalidInputError(f"out={str(paths[0])!r}: the folder {str(folder)!r} does not exist; make it")
    there = [str(path) for path in paths if path.exists()]
    if there and not overwrite:
        raise InvalidInputError(f"out: {', '.join(there)} exists; remove it or ask to overwrite")


def _check_any(counts: Sequence[ConditionCounts]) -> None:
    if not sum(one.valid_anchors for one in counts):
        lost = "; ".join(f"{c.experiment}: {c.anchors} anchors, dropped {dict(c.dropped)}" for c in counts)
        raise InvalidInputError(f"no anchor has a positive: {lost}; check the tau range and the tracks")


def _processes(jobs: Sequence[_Job], asked: int | None) -> int:
    if asked is not None:
        return min(asked, len(jobs))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    size = sum(_size(experiment.tracks_path) for experiment, *_ in jobs)
    return min(cores, len(jobs)) if size > _WORTH_A_PROCESS else 1


def _size(path: Path) -> int:
    files = [path] if path.is_file() else (p for p in path.rglob("*") if p.is_file())
    return sum(file.stat().st_size for file in files)


def _build_all(
    jobs: Sequence[_Job], processes: int, advance: Callable[[int], None]
) -> dict[str, tuple[Built, BoolArray]]:
    built = {}
    for name, result in _results(jobs, processes):
        built[name] = result
        advance(1)
    return built


def _results(jobs: Sequence[_Job], processes: int) -> Iterator[tuple[str, tuple[Built, BoolArray]]]:
    if processes < 2:
        yield from ((job[0].name, _build_one(job)) for job in jobs)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        names = {pool.submit(_build_one, job): job[0].name for job in jobs}
        yield from ((names[future], future.result()) for future in as_completed(names))


def _build_one(job: _Job) -> tuple[Built, BoolArray]:
    experiment, fovs, patch_size, common, frames = job
    built = build_experiment(experiment, fovs, patch_size=patch_size, common_pixel_size_um=common)
    return built, Positives(built.frame, {experiment.name: frames}).has_positive


def _counts(name: str, built: Built, valid: BoolArray) -> Iterator[ConditionCounts]:
    condition = built.frame[CONDITION]
    present: list[str | None] = list(condition.cat.categories)
    present += [None] if condition.isna().any() else []
    for value in sorted({*present, *built.dropped}, key=lambda one: (one is None, one or "")):
        rows = condition.isna().to_numpy() if value is None else (condition == value).to_numpy()
        cells = len(np.unique(built.frame[GLOBAL_TRACK_ID].cat.codes.to_numpy()[rows]))
        yield ConditionCounts(
            name, value, cells, int(rows.sum()), int((rows & valid).sum()), built.dropped.get(value, {})
        )
