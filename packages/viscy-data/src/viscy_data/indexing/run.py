"""From an experiments file to an anchors table: describe, check, build, count, merge.

Everything that can be wrong with the file and its stores is found first and reported at once. Experiments
do not need each other: each is built on its own, wherever there is room, into a file of its own (a
*part*), and the parts are then written one after the other into the table. What is in memory at a time
is one experiment for each process, and one row group at the end.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.files.outputs import check_output
from viscy_data.indexing.parts import (
    ConditionCounts,
    PartJob,
    PartSummary,
    build_part,
    digest_of,
    find_part,
    tracking_files,
)
from viscy_data.indexing.workers import Workers, cores
from viscy_data.progress import progress_bar
from viscy_data.tables.anchors.read import AnchorsMetadata
from viscy_data.tables.anchors.write import merge_anchors
from viscy_data.tables.borders import Border, check_border
from viscy_data.tables.crops import common_pixel_size
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.experiments import Experiments, find_problems, parse_experiments, raise_problems
from viscy_data.tables.own_columns.column import OwnColumn, united
from viscy_data.tables.own_columns.gather import find_name_problems
from viscy_data.tables.own_columns.joins import JoinReport
from viscy_data.tables.tau import TauRange

if TYPE_CHECKING:
    from viscy_data.images.odd_frames import OddFrame
    from viscy_data.indexing.focus import Curves

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
    focus_path
        The page of focus curves; None: no focus was measured.
    counts
        One entry for each experiment and condition, sorted.
    without_tracks
        Fields of view that have no tracks, by experiment.
    common_pixel_size_um
        Micrometres per pixel of patches; None: the stores' own pixels.
    columns, joins
        Columns of one's own, and what each join of a table did, by experiment.
    notes
        What else there is to know, one line each, that begins with the experiment: what of a store's
        metadata was not understood, patches that are mostly outside their images.
    """

    anchors_path: Path
    statistics_path: Path
    counts: tuple[ConditionCounts, ...]
    without_tracks: Mapping[str, tuple[str, ...]]
    common_pixel_size_um: float | None
    columns: tuple[OwnColumn, ...] = ()
    joins: tuple[JoinReport, ...] = ()
    notes: tuple[str, ...] = ()
    focus_path: Path | None = None


def build_index(  # noqa: PLR0913  each is a choice of its own, with a default
    experiments_path: str | Path,
    out: str | Path,
    *,
    patch_size: tuple[int, int] = (64, 64),
    tau: TauRange,
    border: Border = "reflect",
    progress: bool = True,
    overwrite: bool = False,
    processes: int | None = None,
    dask: str | None = None,
    missing_chunks: Literal["error", "fill"] = "error",
    non_finite: Literal["error", "fill"] = "error",
    blank_frames: Literal["drop", "keep"] = "drop",
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
    border
        What becomes of a patch that reaches over the border of its image: filled up by ``reflect``-ion, the
        cell in its middle; ``shift``-ed inside, the cell out of its middle; or ``drop``-ped, cell and all.
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
        some writers leave empty chunks out). Kept with the table: it is read likewise from then on.
    non_finite
        Pixels that are NaN or infinite are refused (``error``), or filled by the centre of the normalisation
        (``fill``); kept with the table. They are found while statistics are read.
    blank_frames
        Rows of frames in which a channel is constant are left out (``drop``) or stay (``keep``); see
        :mod:`viscy_data.images.odd_frames`.
    statistics
        Compute the images' statistics, which datasets normalise with; False: read no image, so that blank
        frames and pixels that are not finite are not known.

    Raises
    ------
    ExperimentsFileError
        Naming every problem of every experiment.
    TracksError
        Where tracks are malformed.
    InvalidInputError
        Where ``out`` exists, a patch does not fit, a tau range is empty, or there is no anchor.
    StoreError
        Where a frame cannot be read, or pixels are not finite.
    OutputError
        Where a file cannot be written; what is finished is found again.
    ViscyDataError
        Where a process died.

    Notes
    -----
    Each process takes at most 400 MB, and 400 bytes for each row of the largest experiment; statistics take
    a frame and its decoded chunks more.
    """
    from viscy_data.images.statistics import statistics_path, write_statistics  # noqa: PLC0415
    from viscy_data.indexing import focus, images_read, placing  # noqa: PLC0415

    check_border(border)
    out = Path(out)
    written = [out, statistics_path(out)] if statistics else [out]
    read = [Path(experiments_path)]
    check_output(out, overwrite=overwrite, inputs=read)
    parsed, problems = parse_experiments(experiments_path)
    read += [path for one in parsed for _, path in one.paths()]
    problems += find_name_problems(parsed)
    focus.refuse_unmeasured(parsed, statistics=statistics)
    with (
        placing.claimed_outputs(out, overwrite=overwrite, inputs=read),
        _workers(parsed, processes, dask) as workers,
        placing.parts_folder(out) as folder,
    ):
        fovs, more = _describe_all(parsed, workers, progress=progress)
        raise_problems(experiments_path, problems + more)
        experiments = Experiments(experiments=tuple(parsed))
        common = common_pixel_size(parsed, fovs)
        frames = tau.in_frames_of(parsed, fovs)
        planes = focus.stored_planes(parsed, fovs)
        jobs = [
            PartJob(
                e, fovs[e.name], patch_size, common, frames[e.name], border, planes=planes.get(e.name, {})
            )
            for e in parsed
        ]
        parts = _build_parts(jobs, folder, workers, progress=progress)  # first: bad tracks are found at once
        united([(name, summary.columns) for name, (_, summary) in parts.items()])
        odd: Mapping[str, Sequence[OddFrame]] | None = None
        curves: Curves = {}
        stores = digest_of(list(experiments.experiments), fovs, missing_chunks)
        if statistics:
            from viscy_data.indexing.image_statistics import index_statistics  # noqa: PLC0415

            table, odd, curves = index_statistics(
                experiments, fovs, folder, workers=workers, missing_chunks=missing_chunks, progress=progress
            )
            images_read.check_images(table, odd, non_finite)
            images_read.check_stored(table, parsed, fovs)
            write_statistics(folder / written[1].name, table, {"stores": stores})
            planes |= focus.measured_planes(curves)
            jobs = [replace(job, planes=planes.get(job.experiment.name, {})) for job in jobs]
            if blank_frames == "drop":
                jobs = [replace(job, blank=images_read.left_out(odd, job.experiment)) for job in jobs]
            parts = _build_parts(jobs, folder, workers, progress=progress)
        pages = _write_focus(curves, folder, out)
        summaries = {name: summary for name, (_, summary) in parts.items()}
        counts = tuple(count for one in summaries.values() for count in one.counts)
        _check_any(counts)
        own = _own_columns(summaries)
        metadata = AnchorsMetadata(
            experiments,
            patch_size,
            tau,
            dropped={name: dict(one.dropped) for name, one in summaries.items()},
            common_pixel_size_um=common,
            border=border,
            missing_chunks=missing_chunks,
            non_finite=non_finite,
            stores=stores,
            columns={one.name: one.as_dict() for one in own},
            snapshots=[name for name, found in frames.items() if found is None],
            frames=None
            if odd is None
            else {e.name: images_read.count_frames(e, fovs[e.name], odd[e.name]) for e in parsed},
            planes=focus.planes_kept(parsed, fovs, planes),
        )
        with progress_bar("writing", sum(c.anchors for c in counts), unit="rows", shown=progress) as advance:
            files = [path for path, _ in parts.values()]
            merge_anchors(files, folder / out.name, metadata, advance, folder=out.parent, own=own)
        placing.place(out, [*written, *pages], folder)
    without = {name: one.without_tracks for name, one in summaries.items() if one.without_tracks}
    notes = [f"{name}: {note}" for name, one in summaries.items() for note in one.notes]
    notes += [
        *_notes(parsed, fovs),
        *images_read.image_notes(parsed, odd, blank_frames),
        *focus.focus_notes(curves),
    ]
    notes += _snapshot_notes(counts)
    return IndexSummary(
        out,
        statistics_path(out),
        counts,
        without,
        common,
        own,
        joins=tuple(join for one in summaries.values() for join in one.joins),
        notes=tuple(notes),
        focus_path=next(iter(pages), None),
    )


def _own_columns(summaries: Mapping[str, PartSummary]) -> tuple[OwnColumn, ...]:
    """Return the columns of one's own of all experiments; one that an experiment lacks is null there."""
    rows = {name: sum(count.anchors for count in one.counts) for name, one in summaries.items()}
    found = united([(name, one.columns) for name, one in summaries.items()])
    held = {name: {column.name for column in one.columns} for name, one in summaries.items()}
    lacking = {
        column.name: sum(rows[name] for name, names in held.items() if column.name not in names)
        for column in found
    }
    return tuple(replace(one, nulls=one.nulls + lacking[one.name]) for one in found)


def _write_focus(curves: "Curves", folder: Path, out: Path) -> list[Path]:
    """Write the page of what was measured, if anything was, into ``folder``; return where it belongs."""
    if not any(fov for found in curves.values() for fov in found.values()):
        return []
    from viscy_data.indexing.focus import focus_path  # noqa: PLC0415
    from viscy_data.indexing.focus_page import tell_focus  # noqa: PLC0415
    from viscy_data.pages.page import write_page  # noqa: PLC0415

    write_page(tell_focus(curves), folder / focus_path(out).name)
    return [focus_path(out)]


def _build_parts(
    jobs: Sequence[PartJob], folder: Path, workers: Workers, *, progress: bool
) -> dict[str, Part]:
    """Return path and summary of each experiment's part, by its name, sorted."""
    paths = {job.experiment.name: job.path(folder) for job in jobs}
    found = {name: (path, summary) for name, path in paths.items() if (summary := find_part(path))}
    todo = [(job, paths[job.experiment.name]) for job in jobs if job.experiment.name not in found]
    megabytes = {job.experiment.name: max(1, _size(job.experiment) >> 20) for job, _ in todo}
    with progress_bar("anchors", sum(megabytes.values()), unit="MB of tracks", shown=progress) as advance:
        for (job, path), summary in workers.run(build_part, todo):
            found[job.experiment.name] = path, summary
            advance(megabytes[job.experiment.name])
    return dict(sorted(found.items()))


def _workers(experiments: Sequence[Experiment], processes: int | None, dask: str | None) -> Workers:
    if processes is not None:
        if processes < 1:
            raise InvalidInputError(f"processes={processes!r}: at least 1 is needed")
        if dask is not None:
            raise InvalidInputError(f"processes={processes}, dask={dask!r}: give one of them")
        return Workers(processes)
    large = sum(map(_size, experiments)) > _WORTH_A_PROCESS
    return Workers(cores() if large else 1, dask)


def _size(experiment: Experiment) -> int:
    return sum(status.st_size for _, status in tracking_files(experiment))


def _describe_all(
    experiments: Sequence[Experiment], workers: Workers, *, progress: bool
) -> tuple[dict[str, list[FovInfo]], list[str]]:
    """Return the fields of view of each store, by experiment, and what is wrong with stores, as lines."""
    found: dict[str, list[FovInfo] | StoreError] = {}
    with progress_bar("stores", len(experiments), unit="experiments", shown=progress) as advance:
        for experiment, answer in workers.run(_try_describe, experiments):
            found[experiment.name] = answer
            advance(1)
    fovs = {e.name: one for e in experiments if not isinstance(one := found[e.name], StoreError)}
    problems = [f"experiment {e.name!r}: {found[e.name]}" for e in experiments if e.name not in fovs]
    return fovs, problems + find_problems([e for e in experiments if e.name in fovs], fovs)


def _notes(experiments: Sequence[Experiment], fovs: Mapping[str, Sequence[FovInfo]]) -> Iterator[str]:
    """Yield what was not understood, each thing once for an experiment, with the fields of view it is of."""
    for experiment in experiments:
        kept = [info for info in fovs[experiment.name] if info.fov not in experiment.exclude_fovs]
        for note in dict.fromkeys(note for info in kept for note in info.notes):
            where = [info.fov for info in kept if note in info.notes]
            places = "" if len(where) == len(kept) else f" ({', '.join(where)})"
            yield f"{experiment.name}{places}: {note}"


def _try_describe(experiment: Experiment) -> list[FovInfo] | StoreError:
    from viscy_data.images.arrays import check_arrays  # noqa: PLC0415
    from viscy_data.images.fovs import find_places  # noqa: PLC0415

    try:
        places = find_places(experiment)
        check_arrays(experiment, places)
        return [place.info for place in places]
    except StoreError as error:
        return error


def _check_any(counts: Sequence[ConditionCounts]) -> None:
    """Refuse a table of no row at all; that no row has a later relative is said, and never refused."""
    from viscy_data.tables.anchors.lost_rows import REMEDIES  # noqa: PLC0415

    if sum(one.anchors for one in counts):
        return
    lost: Counter[str] = Counter()
    for one in counts:
        lost.update(one.dropped)
    named = "; ".join(f"{c.experiment}: {c.anchors} anchors{_dropped(c.dropped)}" for c in counts)
    most, count = max(lost.items(), key=itemgetter(1), default=("", 0))
    remedy = REMEDIES[most] if count else "check the tracks"
    raise InvalidInputError(f"the table would have no anchor: {named}; {remedy}.")


def _snapshot_notes(counts: Sequence[ConditionCounts]) -> Iterator[str]:
    """Say how many cells have a later relative, where in some experiment none has."""
    rows: Counter[str] = Counter()
    followed: Counter[str] = Counter()
    for one in counts:
        rows[one.experiment] += one.anchors
        followed[one.experiment] += one.valid_anchors
    alone = sorted(name for name, count in rows.items() if count and not followed[name])
    if alone:
        more = f" and {len(alone) - 3} more" if len(alone) > 3 else ""
        yield (
            f"{followed.total():,} of {rows.total():,} anchors have a later relative within tau, and none of "
            f"{', '.join(alone[:3])}{more}; positive='self' takes them all, Pairing(by=...) pairs them by "
            "their values"
        )


def _dropped(by_reason: Mapping[str, int]) -> str:
    return "".join(f", {count} dropped ({reason})" for reason, count in by_reason.items())
