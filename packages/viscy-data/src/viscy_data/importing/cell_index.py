"""VisCy's cell index, a table with a row for each cell, frame and channel, as tracks and an experiments file.

The table is a selection that somebody made, often the only place where it is known, so tracks are taken from
it and not from the files that they once came from. Each experiment becomes a table of tracks beside the
experiments file, with whatever columns say something of a cell; what says one thing of the whole experiment
goes into the experiments file (:mod:`viscy_data.importing.cell_values`).

Not carried, for it is found anew: names of cells, tracks and lineages (they are made of the experiment, field
of view and track), sizes and statistics of images, the plane in focus. A ``perturbation`` becomes the
condition where it belongs to wells; where cells of one well differ in it, as in a pooled screen, it is a
column. A z of 0 in every row is a placeholder and left out. One experiment at a time is in memory.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pa_compute
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pa_parquet

from viscy_data.columns import EXPERIMENT, FOV, PARENT_TRACK_ID, TRACK_ID, WELL, T, X, Y, Z
from viscy_data.errors import ExperimentsFileError, suggest
from viscy_data.importing.cell_values import Cells, only_value, values_of, whole
from viscy_data.importing.entries import Imported, Shown, channels_entry, part_names, placed
from viscy_data.tables.experiment_fields import Samples
from viscy_data.tables.own_columns.column import is_exact
from viscy_data.text import shown

CHANNEL: Final = "channel_name"
MARKER: Final = "marker"
STORE: Final = "store_path"
INTERVAL: Final = "interval_minutes"
PERTURBATION: Final = "perturbation"
HOURS: Final = "hours_post_perturbation"
PIXEL: Final = "pixel_size_xy_um"
NUMBERS: Final = (T, TRACK_ID, PARENT_TRACK_ID, Y, X, Z, INTERVAL, HOURS, PIXEL)
NEEDED: Final = (EXPERIMENT, STORE, FOV, CHANNEL, T, TRACK_ID, Y, X)

_FOUND_ANEW: Final = re.compile(
    r"cell_id|global_track_id|lineage_id|tracks_path|[TCZYX]_shape|norm_\w+|z_focus_mean|__index_level_\d+__"
)
_TAKEN: Final = {*NEEDED, WELL, Z, PARENT_TRACK_ID, MARKER, INTERVAL, HOURS, PERTURBATION, PIXEL}


def read_cell_index(
    source: Path, out: Path, folder: Path, samples: Samples, leave_out: Sequence[str]
) -> Imported:
    """Return the entries of a cell index, and write the tracks that they name into ``folder``.

    Parameters
    ----------
    source
        The Parquet file, or a folder of such files.
    out
        Where the experiments file will be, to which its paths are relative.
    folder
        Where tracks are written now; it will be ``tracks`` beside the experiments file.
    samples
        What a row of the table will be.
    leave_out
        Columns that are not carried.

    Raises
    ------
    ExperimentsFileError
        Where it is not such a table.
    """
    imported = Imported()
    try:
        dataset = pa_dataset.dataset(source, format="parquet")
        names = _experiments(source, dataset)
        columns = [name for name in dataset.schema.names if name not in leave_out and _is_carried(name)]
        imported.problems += _type_problems(dataset.schema, columns)
        if imported.problems:
            return imported
        for name in names:
            rows = pa_dataset.field(EXPERIMENT).cast(pa.string()) == name
            frame = _plain(dataset.to_table(columns=columns, filter=rows))
            try:
                _import(name, frame, _Places(source, out, folder), samples, imported)
            except ValueError as error:
                imported.problems.append(f"experiment {shown(name)!r}: {error}")
    except (OSError, pa.ArrowException) as error:
        raise ExperimentsFileError(f"{source}: the cell index cannot be read: {shown(error, 300)}") from error
    return imported


@dataclass(frozen=True)
class _Places:
    source: Path
    out: Path
    folder: Path


def _is_carried(name: str) -> bool:
    return _FOUND_ANEW.fullmatch(name) is None


def _type_problems(schema: Any, columns: Sequence[str]) -> list[str]:
    """Return a line for each column whose type cannot be carried."""
    problems = []
    for name in columns:
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if name in NUMBERS and not numeric and not pa.types.is_null(kind):
            problems.append(f"column {name!r} holds {kind}: numbers are needed; convert it")
        elif pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            problems.append(
                f"column {name!r} holds {kind}: text or numbers are needed; convert it, or leave it out "
                f"(--leave-out {shown(name)})"
            )
    return problems


def _plain_type(name: str, column: Any) -> Any:
    """Return the type that a column is read as.

    Dates are text, and so are what comes as a dictionary and ids that a float would round.
    """
    kind = column.type
    if pa.types.is_integer(kind) and name not in NUMBERS and not is_exact(column):
        return pa.string()
    if pa.types.is_temporal(kind) or pa.types.is_dictionary(kind):
        return pa.string()
    return pa.float64() if pa.types.is_decimal(kind) else kind


def _experiments(source: Path, dataset: Any) -> list[str]:
    held = dataset.schema.names
    missing = [name for name in NEEDED if name not in held]
    if missing:
        raise ExperimentsFileError(
            f"{source}: no cell index: column {', '.join(map(repr, missing))} is missing; it has "
            f"{', '.join(map(shown, held[:40]))}.{suggest(missing[0], held)}"
        )
    column = dataset.to_table(columns=[EXPERIMENT])[EXPERIMENT]
    names = pa_compute.unique(column).to_pylist()
    if None in names or "" in names:
        raise ExperimentsFileError(
            f"{source}: column {EXPERIMENT!r}: a row has no value; name its experiment"
        )
    if not names:
        raise ExperimentsFileError(f"{source}: the cell index has no row")
    return [str(name) for name in names]


def _plain(table: Any) -> pd.DataFrame:
    """Return a table with text as categories; empty text is missing."""
    kinds = pa.schema([(name, _plain_type(name, table[name])) for name in table.schema.names])
    frame = table.cast(kinds).to_pandas(strings_to_categorical=True)
    for name in {FOV, WELL, CHANNEL, MARKER, PERTURBATION} & set(frame):
        if not isinstance(frame[name].dtype, pd.CategoricalDtype):
            frame[name] = frame[name].astype("str").where(frame[name].notna()).astype("category")
    for name in frame:
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype) and "" in column.cat.categories:
            frame[name] = column.cat.remove_categories([""])
    return pd.DataFrame(frame)


def _import(name: str, frame: pd.DataFrame, places: _Places, samples: Samples, imported: Imported) -> None:
    """Add one experiment, or what becomes of it."""
    for column in (FOV, CHANNEL, T, TRACK_ID, Y, X):
        if frame[column].isna().any():
            row = int(np.argmax(frame[column].isna().to_numpy()))
            raise ValueError(f"column {column!r}: row {row} of the experiment has no value; leave it out")
    for column in {T, TRACK_ID, PARENT_TRACK_ID} & set(frame):
        frame[column] = whole(frame[column])
    store, interval = only_value(frame, STORE), only_value(frame, INTERVAL)
    if store is None:
        raise ValueError(f"column {STORE!r} has no value; name the store")
    frame[FOV], wells = _whole_fovs(frame)
    parts = _parts(frame)
    names = part_names(name, [list(here) for here in parts])
    if len(parts) > 1:
        imported.notes.append(
            f"{name}: channels differ between fields of view; it becomes {len(parts)} experiments: "
            f"{', '.join(map(shown, names))}"
        )
    for own, (here, fovs) in zip(names, parts.items(), strict=True):
        part = frame[frame[FOV].isin(fovs)] if len(parts) > 1 else frame
        cells = Cells.of(part, len(here))
        entry: dict[str, Any] = {
            "name": own,
            "data_path": placed(str(store), places.source, places.out),
            "tracks_path": f"tracks/{_file_name(own, len(imported.entries))}",
        }
        entry |= channels_entry(here, samples)
        table = _tracks(own, cells, imported.notes, entry)
        columns, track_columns = _own_columns(cells, entry, table, wells, interval, own, imported.notes)
        entry["pixel_size_um"] = only_value(part, PIXEL)
        entry["exclude_fovs"] = sorted(set(frame[FOV].cat.categories) - set(fovs))
        entry |= {"columns": columns} if columns else {}
        entry |= {"track_columns": track_columns} if track_columns else {}
        pa_parquet.write_table(
            pa.Table.from_pandas(table, preserve_index=False), places.folder / Path(entry["tracks_path"]).name
        )
        imported.entries.append(entry)


def _whole_fovs(frame: pd.DataFrame) -> tuple[pd.Categorical, dict[str, str]]:
    """Return fields of view as ``row/column/position``, and the well of each."""
    pairs = frame[[FOV, WELL]] if WELL in frame else frame[[FOV]].assign(**{WELL: None})
    found = pairs.drop_duplicates()
    whole: dict[tuple[str, Any], str] = {}
    wells = {}
    for fov, well in found.itertuples(index=False):
        said = None if pd.isna(well) else str(well).strip("/")
        name = str(fov).strip("/")
        if "/" not in name and said:
            name = f"{said}/{name}"
        if said and not name.startswith(f"{said}/"):
            raise ValueError(f"column {WELL!r} says {said!r} of fov {name!r}; correct one of both")
        whole[fov, well if said else None] = name
        wells[name] = said or name.rpartition("/")[0]
    names = sorted(set(whole.values()))
    code = {name: i for i, name in enumerate(names)}
    keys = pd.Series([code[one] for one in whole.values()], index=range(len(whole)))
    place = pairs.groupby([FOV, WELL], observed=True, dropna=False, sort=False).ngroup()
    return pd.Categorical.from_codes(
        keys.to_numpy(np.int32)[place.to_numpy()], categories=pd.Index(names, dtype="str")
    ), wells


def _parts(frame: pd.DataFrame) -> dict[tuple[Shown, ...], list[str]]:
    """Return each set of channels that fields of view have, with these fields of view."""
    held = frame[[FOV, CHANNEL, *([MARKER] if MARKER in frame else [])]].drop_duplicates()
    by_fov: dict[str, list[Shown]] = defaultdict(list)
    for row in held.itertuples(index=False):
        marker = None if MARKER not in held or pd.isna(row[2]) else str(row[2])
        by_fov[str(row[0])].append(Shown(str(row[1]), marker))
    order = {str(name): i for i, name in enumerate(frame[CHANNEL].cat.categories)}
    found: dict[tuple[Shown, ...], list[str]] = defaultdict(list)
    for fov, shown_here in sorted(by_fov.items()):
        names = [one.channel for one in shown_here]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            markers = ", ".join(str(one.marker) for one in shown_here if one.channel == twice)
            raise ValueError(
                f"column {MARKER!r}: channel {twice!r} of fov {fov!r} shows several things ({markers}); a "
                "channel of a field of view shows one"
            )
        found[tuple(sorted(shown_here, key=lambda one: order[one.channel]))].append(fov)
    return dict(found)


def _tracks(name: str, cells: Cells, notes: list[str], entry: dict[str, Any]) -> pd.DataFrame:
    """Return the tracks of an experiment, and say in its entry what reading them takes."""
    given = [column for column in (Y, X, Z, PARENT_TRACK_ID) if column in cells.frame]
    for column in given:
        row = cells.differs(column)
        if row is not None:
            raise ValueError(
                f"column {column!r} differs between the channels of {cells.named(row)}; correct it"
            )
    rows = cells.first()
    table = rows[[FOV, TRACK_ID, T, Y, X]].copy()
    if Z in rows and rows[Z].notna().any():
        if (rows[Z].fillna(0) == 0).all():
            notes.append(
                f"{name}: z is 0 in every row, a placeholder: left out, so that patches show the middle "
                "slice; set z in the experiments file for another"
            )
        else:
            table[Z] = rows[Z]
    if PARENT_TRACK_ID in rows:
        parent = rows[PARENT_TRACK_ID]
        table[PARENT_TRACK_ID] = parent
        pairs = pd.MultiIndex.from_arrays([table[FOV], parent])
        known = pairs.isin(pd.MultiIndex.from_frame(table[[FOV, TRACK_ID]].drop_duplicates()))
        lost = int(pairs[(parent.to_numpy() >= 0) & ~known].nunique())
        if lost:
            entry["missing_parents"] = "cut"
            notes.append(f"{name}: {lost} mothers are not in the table: their daughters begin lineages")
    return table


def _own_columns(
    cells: Cells,
    entry: dict[str, Any],
    table: pd.DataFrame,
    wells: dict[str, str],
    interval: Any,
    name: str,
    notes: list[str],
) -> tuple[dict[str, Any], list[str]]:
    """Fill in conditions and clock, add columns of cells to the tracks, and return columns of both levels."""
    rows = cells.first()
    entry["condition_wells"] = _conditions(rows, wells) if PERTURBATION in rows else None
    entry["interval_minutes"] = interval
    entry["start_hpi"] = _start(rows, interval) if HOURS in rows else None
    kept = [str(column) for column in rows if column not in _TAKEN]
    if PERTURBATION in rows and entry["condition_wells"] is None and rows[PERTURBATION].notna().any():
        kept.append(PERTURBATION)
        notes.append(f"{name}: perturbation differs within wells, so it is a column, and no condition")
    if HOURS in rows and entry["start_hpi"] is None and rows[HOURS].notna().any():
        kept.append(HOURS)
        notes.append(f"{name}: {HOURS} is not a start and an interval, so it is a column")
    columns: dict[str, Any] = {}
    of_cells = []
    for column in kept:
        row = cells.differs(column)
        if row is not None:
            raise ValueError(
                f"column {column!r} differs between the channels of {cells.named(row)}: columns are of "
                f"cells, so it cannot be carried; leave it out (--leave-out {shown(column)})"
            )
        values = values_of(rows[column])
        if len(values) == 1 and rows[column].notna().all():
            columns[column] = values[0]
        elif values:
            table[column] = rows[column]
            of_cells.append(column)
    return columns, of_cells


def _conditions(rows: pd.DataFrame, wells: dict[str, str]) -> dict[str, list[str]] | None:
    """Return the wells of each condition; None: cells of one well differ, or some have none."""
    if rows[PERTURBATION].isna().any():
        return None
    found: dict[str, set[str]] = defaultdict(set)
    for fov, label in rows[[FOV, PERTURBATION]].drop_duplicates().itertuples(index=False):
        found[str(label)].add(wells[str(fov)])
    every = [well for own in found.values() for well in own]
    if len(set(every)) < len(every) or "" in every:
        return None
    return {label: sorted(own) for label, own in sorted(found.items())}


def _start(rows: pd.DataFrame, interval: Any) -> float | None:
    """Return the hours at frame 0 where they and the interval give those of all rows."""
    if rows[HOURS].isna().any() or (interval is None and rows[T].nunique() > 1):
        return None
    start = rows[HOURS].to_numpy(np.float64) - rows[T].to_numpy(np.float64) * (interval or 0) / 60
    if np.ptp(start) > 1e-3:  # hours are 32-bit floats
        return None
    return float(np.round(np.median(start), 3))


def _file_name(name: str, number: int) -> str:
    plain = re.sub(r"[^\w.-]+", "_", name).strip("._")[:80]
    return f"{number:03d}_{plain}.parquet"
