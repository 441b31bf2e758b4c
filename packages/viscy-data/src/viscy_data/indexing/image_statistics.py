"""The images' statistics of an index: field of view by field of view, kept by experiment until all are there.

Every frame is read once, which takes far longer than the tables do; so an experiment whose statistics
an earlier run finished is not read again. Its file is named by a digest of the experiment, its fields of
view and the option, and not of its pixels: images that change between two runs are not noticed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import pandas as pd

from viscy_data.images.focus import FocusCurve
from viscy_data.images.odd_frames import OddFrame
from viscy_data.images.statistics import (
    FovStatistics,
    experiment_rows,
    fov_statistics,
    read_note,
    read_statistics,
    statistics_table,
    write_statistics,
)
from viscy_data.images.store import MissingChunks, StoreReader
from viscy_data.indexing.parts import digest_of
from viscy_data.indexing.workers import Workers
from viscy_data.progress import progress_bar
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.experiments import Experiments


@dataclass(frozen=True)
class _Job:
    experiment: Experiment
    fov: FovInfo
    missing_chunks: MissingChunks


def index_statistics(
    experiments: Experiments,
    fovs: Mapping[str, Sequence[FovInfo]],
    folder: Path,
    *,
    workers: Workers,
    missing_chunks: MissingChunks,
    progress: bool,
) -> tuple[pd.DataFrame, dict[str, list[OddFrame]], dict[str, dict[str, list[FocusCurve]]]]:
    """Return what ``compute_statistics`` would, odd frames by experiment, and focus by field of view, too.

    ``folder`` keeps what is finished.

    Raises
    ------
    StoreError
        Where a frame cannot be read.
    """
    paths = {
        one.name: folder / f"{digest_of(one, list(fovs[one.name]), missing_chunks)}.parquet"
        for one in experiments.experiments
    }
    jobs = {
        one.name: [_Job(one, fov, missing_chunks) for fov in _kept(one, fovs)]
        for one in experiments.experiments
    }
    todo = [job for name, own in jobs.items() if not paths[name].exists() for job in own]
    frames = sum(job.fov.shape[0] for job in todo)
    with progress_bar("statistics", frames, unit="frames", shown=progress) as advance:
        _compute(todo, jobs, paths, workers, advance)
    notes = {name: read_note(path) for name, path in paths.items()}
    odd = {name: [OddFrame(*one) for one in note["odd"]] for name, note in notes.items()}
    focus = {
        name: {fov: [FocusCurve(*one) for one in found] for fov, found in note["focus"].items()}
        for name, note in notes.items()
    }
    return pd.concat([read_statistics(path) for path in paths.values()], ignore_index=True), odd, focus


def _kept(experiment: Experiment, fovs: Mapping[str, Sequence[FovInfo]]) -> list[FovInfo]:
    return [info for info in fovs[experiment.name] if info.fov not in experiment.exclude_fovs]


def _compute(
    todo: Sequence[_Job],
    jobs: Mapping[str, Sequence[_Job]],
    paths: Mapping[str, Path],
    workers: Workers,
    advance: Callable[[int], None],
) -> None:
    """Do the jobs, and write each experiment's file when its last one is done."""
    done: dict[str, dict[str, FovStatistics]] = {}
    # Here the bar moves with every frame; from elsewhere it hears of finished fields of view alone.
    work = partial(_measure, advance=advance) if workers.here else _measure
    for job, found in workers.run(work, todo):
        if not workers.here:
            advance(job.fov.shape[0])
        name = job.experiment.name
        own = done.setdefault(name, {})
        own[job.fov.fov] = found
        if len(own) == len(jobs[name]):
            # in the order of fields, whoever was ready first: sums of floats depend on it
            ordered = [own[one.fov.fov] for one in jobs[name]]
            table = statistics_table(experiment_rows(job.experiment, ordered))
            focus = {fov.fov: own[fov.fov].focus for fov in (one.fov for one in jobs[name])}
            odd = [one for each in ordered for one in each.odd]
            write_statistics(paths[name], table, {"odd": odd, "focus": focus})
            del done[name]


def _measure(job: _Job, advance: Callable[[int], None] = lambda _: None) -> FovStatistics:
    only = Experiments(experiments=(job.experiment,))
    reader = _reader(only.model_dump_json(), job.missing_chunks)
    return fov_statistics(reader, job.experiment, job.fov, advance=advance)


@lru_cache(maxsize=1)
def _reader(experiments: str, missing_chunks: MissingChunks) -> StoreReader:
    """Return the reader of one store; the fields of view of a plate come one after the other."""
    return StoreReader(Experiments.model_validate_json(experiments), missing_chunks=missing_chunks)
