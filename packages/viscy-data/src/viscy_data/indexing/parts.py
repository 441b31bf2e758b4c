"""One experiment of an index: its anchors and their positives, kept in a file until all are there.

A *part* is the file of one experiment (:func:`viscy_data.tables.anchors.write.write_part`), named by a digest
of everything that it depends on: the experiment, its fields of view, size and time of its tracking
files, and the options. A part that is there is therefore right, and is not built again.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np

from viscy_data.columns import CONDITION, GLOBAL_TRACK_ID, OUTSIDE
from viscy_data.tables.anchors.build import Built, build_experiment
from viscy_data.tables.anchors.channel_rows import BlankChannel
from viscy_data.tables.anchors.lost_rows import total_by_reason
from viscy_data.tables.anchors.write import read_note, write_part
from viscy_data.tables.borders import Border
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.lineage import BoolArray
from viscy_data.tables.own_columns.column import OwnColumn
from viscy_data.tables.own_columns.joins import JoinReport
from viscy_data.tables.positives import Positives
from viscy_data.tables.z_policy import Planes


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
    border
        Rows of which a part of the patch lies outside the image.
    dropped
        Detections that are not in the table, by reason.
    """

    experiment: str
    condition: str | None
    cells: int
    anchors: int
    valid_anchors: int
    border: int
    dropped: Mapping[str, int]


@dataclass(frozen=True)
class PartSummary:
    """What a part holds, and what it does not.

    Attributes
    ----------
    counts
        One entry for each condition, sorted.
    dropped
        Rows lost, by reason.
    without_tracks
        Fields of view for which there are no tracks.
    notes
        What else its user should know, one sentence each.
    columns, joins
        Columns of one's own, and what each join did.
    """

    counts: tuple[ConditionCounts, ...]
    dropped: dict[str, int]
    without_tracks: tuple[str, ...]
    notes: tuple[str, ...] = ()
    columns: tuple[OwnColumn, ...] = ()
    joins: tuple[JoinReport, ...] = ()

    def to_note(self) -> bytes:
        """Return the summary as a part holds it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_note(cls, note: bytes) -> Self:
        """Read what :meth:`to_note` wrote."""
        content = json.loads(note)
        counts = tuple(ConditionCounts(**one) for one in content["counts"])
        columns = tuple(
            OwnColumn(**one | {"values": one["values"] and tuple(one["values"])})
            for one in content["columns"]
        )
        joins = tuple(JoinReport(**one | {"columns": tuple(one["columns"])}) for one in content["joins"])
        without, notes = (tuple(content[name]) for name in ("without_tracks", "notes"))
        return cls(counts, content["dropped"], without, notes, columns, joins)


@dataclass(frozen=True)
class PartJob:
    """All that building a part takes.

    Attributes
    ----------
    experiment, fovs
        The experiment and its store's fields of view.
    patch_size
        Rows and columns of a patch.
    common_pixel_size_um
        Micrometres per pixel of patches; None: the store's own.
    frames
        (tau_min, tau_max) of positives; None: a snapshot has none.
    border
        What becomes of patches that reach over the border.
    blank
        Frames (fov, t), or (fov, t, channel) where a row is a channel, of which no row is kept.
    planes
        Slices in focus; empty where none is asked for, or while they are not known.
    """

    experiment: Experiment
    fovs: Sequence[FovInfo]
    patch_size: tuple[int, int]
    common_pixel_size_um: float | None
    frames: tuple[int, int] | None
    border: Border = "reflect"
    blank: tuple[tuple[str, int], ...] | tuple[BlankChannel, ...] = ()
    planes: Planes = field(default_factory=dict)

    def path(self, folder: Path) -> Path:
        """Return the part's file: its name changes with everything that its content depends on."""
        files = [(str(p), one.st_size, one.st_mtime_ns) for p, one in tracking_files(self.experiment)]
        return folder / f"{digest_of(asdict(self), files)}.arrow"


def tracking_files(experiment: Experiment) -> Iterator[tuple[Path, Any]]:
    """Yield every file under an experiment's ``tracks_path``, sorted by path, and its tables of columns.

    Each comes with its status.
    """
    path = experiment.tracks_path
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    files = [one for one in files if one.is_file() and not one.name.startswith("._")]
    tables = [one.path for one in (*experiment.well_columns, *experiment.cell_columns)]
    yield from ((file, file.stat()) for file in (*files, *tables))


def digest_of(*content: Any) -> str:
    """Return a digest of plain values, of experiments and of this package's version."""
    plain = json.dumps([version("viscy-data"), *content], default=_plain, sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, Experiment) else str(value)


def build_part(placed: tuple[PartJob, Path]) -> PartSummary:
    """Build the part of one experiment, and write it at the path that comes with the job.

    Raises
    ------
    TracksError
        Where the tracks are malformed.
    InvalidInputError
        Where a patch does not fit.
    """
    job, path = placed
    built = build_experiment(
        job.experiment,
        job.fovs,
        patch_size=job.patch_size,
        common_pixel_size_um=job.common_pixel_size_um,
        border=job.border,
        blank=job.blank,
        planes=job.planes,
    )
    valid = Positives(built.frame, {job.experiment.name: job.frames}).has_positive
    counts = tuple(_counts(job.experiment.name, built, valid))
    dropped, own = total_by_reason(built.dropped), built.own
    summary = PartSummary(counts, dropped, built.without_tracks, built.notes, own.described, own.joins)
    write_part(path, built.frame, valid, summary.to_note(), own.table)
    return summary


def find_part(path: Path) -> PartSummary | None:
    """Return the summary of a part that an earlier run finished, or None."""
    note = read_note(path)
    try:
        return None if note is None else PartSummary.from_note(note)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # damaged: built again
        return None


def _counts(name: str, built: Built, valid: BoolArray) -> Iterator[ConditionCounts]:
    condition = built.frame[CONDITION].cat
    at_border = built.frame[OUTSIDE].to_numpy() > 0
    codes, tracks = condition.codes.to_numpy(), built.frame[GLOBAL_TRACK_ID].cat.codes.to_numpy()
    code = {value: i for i, value in enumerate(condition.categories)}
    present: list[str | None] = list(condition.categories)
    present += [None] if (codes < 0).any() else []
    for value in sorted({*present, *built.dropped}, key=lambda one: (one is None, one or "")):
        # A condition of which every row was dropped has none: no code is -2.
        rows = codes == (-1 if value is None else code.get(value, -2))
        cells = np.count_nonzero(np.bincount(tracks[rows]))
        anchors, positives, border = (int(one.sum()) for one in (rows, rows & valid, rows & at_border))
        dropped = built.dropped.get(value, {})
        yield ConditionCounts(name, value, int(cells), anchors, positives, border, dropped)
