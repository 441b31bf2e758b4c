"""From an experiments file to an anchors table: describe, check, build, count, merge.

Everything that can be wrong with the file and its stores is found first and reported at once. Experiments
do not know of each other: each is built on its own, wherever there is room, into a file of its own (a
*part*), and the parts are then written one after the other into the table. What is in memory at a time
is one experiment for each process, and one row group at the end.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Final, Literal

from viscy_data.anchors_file import AnchorsMetadata
from viscy_data.anchors_writing import merge_anchors
from viscy_data.crops import common_pixel_size
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.experiments import Experiments, FovInfo, find_problems, parse_experiments, raise_problems
from viscy_data.index_parts import (
    ConditionCounts,
    PartJob,
    PartSummary,
    build_part,
    find_part,
    tracking_files,
)
from viscy_data.progress import progress_bar
from viscy_data.tau import TauRange
from viscy_data.workers import Workers, cores

# Starting a process costs about two seconds of imports, in which some hundred MB of tables are read.
_WORTH_A_PROCESS: Final = 200 << 20

type Part = tuple[Path, PartSummary]


@dataclass(frozen=True)
class IndexSummary:
    """What :func:`build_index` wrote, as plain values.

    Attributes
    ----------
    anchors_path, statistics_path
        The files written; the latter only where statistics were asked for.
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
    dask: str | None = None,
    missing_chunks: Literal["error", "fill"] = "error",
    statistics: bool = True,
) -> IndexSummary:
    """Build the anchors table of an experiments file, and its images' statistics beside it.

    What is finished is kept in the folder ``.NAME.parts`` beside ``out`` until the table is written: the
    same call goes on where a killed one stopped. The table is the same to the bit whoever builds it.

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
    dask
        Address of a Dask scheduler whose workers do it instead; they see all paths as this machine does.
    missing_chunks
        A chunk that the store lacks is damage (``error``), or holds the store's fill value (``fill``:
        some writers leave empty chunks out).
    statistics
        Compute the images' statistics, which datasets normalise with; False: read no image.

    Raises
    ------
    ExperimentsFileError
        Naming every problem of every experiment.
    TracksError
        Where tracks are malformed.
    InvalidInputError
        Where ``out`` exists, a patch does not fit, a tau range is empty, or no anchor has a positive.
    ViscyDataError
        Where a process died.

    Notes
    -----
    Memory of each process: MEMORY.
    """
    from viscy_data.normalization import statistics_path, write_statistics  # noqa: PLC0415

    out = Path(out)
    written = (out, statistics_path(out)) if statistics else (out,)
    _check_out(written, overwrite=overwrite)
    experiments, fovs = load_checked(experiments_path)
    common = common_pixel_size(experiments.experiments, fovs)
    jobs = [PartJob(e, fovs[e.name], patch_size, common, tau.in_frames(e)) for e in experiments.experiments]
    workers = _workers(jobs, processes, dask)
    with _parts_folder(out) as folder:
        parts = _build_parts(jobs, folder, workers, progress=progress)
        counts = tuple(count for _, (_, summary) in sorted(parts.items()) for count in summary.counts)
        _check_any(counts)
        if statistics:
            from viscy_data.index_statistics import index_statistics  # noqa: PLC0415

            table = index_statistics(
                experiments, fovs, folder, workers=workers, missing_chunks=missing_chunks, progress=progress
            )
            write_statistics(statistics_path(out), table)
        metadata = AnchorsMetadata(
            experiments=experiments,
            patch_size=patch_size,
            tau=tau,
            dropped={name: dict(one.dropped) for name, (_, one) in sorted(parts.items())},
            common_pixel_size_um=common,
        )
        with progress_bar("writing", sum(c.anchors for c in counts), unit="rows", shown=progress) as advance:
            merge_anchors([path for _, (path, _) in sorted(parts.items())], out, metadata, advance)
        rmtree(folder)
    without = {name: one.without_tracks for name, (_, one) in sorted(parts.items()) if one.without_tracks}
    return IndexSummary(out, statistics_path(out), counts, without, common)


@contextmanager
def _parts_folder(out: Path) -> Iterator[Path]:
    """Make the folder of what is finished; what it holds stays after an error, and is found again."""
    folder = out.with_name(f".{out.name}.parts")
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    finally:
        with suppress(OSError):  # it is not empty, or gone
            folder.rmdir()


def _build_parts(
    jobs: Sequence[PartJob], folder: Path, workers: Workers, *, progress: bool
) -> dict[str, Part]:
    """Return path and summary of each experiment's part, by its name."""
    paths = {job.experiment.name: job.path(folder) for job in jobs}
    found = {name: (path, summary) for name, path in paths.items() if (summary := find_part(path))}
    todo = [(job, paths[job.experiment.name]) for job in jobs if job.experiment.name not in found]
    megabytes = {job.experiment.name: max(1, _size(job) >> 20) for job, _ in todo}
    with progress_bar("anchors", sum(megabytes.values()), unit="MB of tracks", shown=progress) as advance:
        for (job, path), summary in workers.run(build_part, todo):
            found[job.experiment.name] = path, summary
            advance(megabytes[job.experiment.name])
    return found


def _workers(jobs: Sequence[PartJob], processes: int | None, dask: str | None) -> Workers:
    if processes is not None:
        if processes < 1:
            raise InvalidInputError(f"processes={processes!r}: at least 1 is needed")
        if dask is not None:
            raise InvalidInputError(f"processes={processes}, dask={dask!r}: give one of them")
        return Workers(processes)
    large = sum(map(_size, jobs)) > _WORTH_A_PROCESS
    return Workers(min(cores(), len(jobs)) if large else 1, dask)


def _size(job: PartJob) -> int:
    return sum(status.st_size for _, status in tracking_files(job.experiment))


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
