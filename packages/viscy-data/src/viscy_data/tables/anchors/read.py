"""The anchors table as a Parquet file, read by column and by row; see also `write`.

String columns are dictionary-encoded in the file and categorical in memory. The file's metadata say
what the table was built from and with, so that nothing has to be said twice.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any, Final, Literal, Self

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pa_dataset
import pyarrow.fs as pa_fs
import pyarrow.parquet as pa_parquet

from viscy_data.columns import ANCHOR_COLUMNS, CHANNEL_COLUMNS, EXPERIMENT, HAS_POSITIVE
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.plan import BatchPlan
from viscy_data.errors import InvalidInputError, suggest
from viscy_data.tables.anchors.row_groups import Categories, Numbers
from viscy_data.tables.borders import Border, check_border
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.tau import TauRange

SCHEMA_VERSION: Final = 3

# Rows that are decoded at a time; a row group holds no more.
_BATCH: Final = 1 << 18
# Batches decoded ahead: what lies ready for long is in no cache any more. Arrow's 16 take an eighth longer.
_AHEAD: Final = 4

_HOW_TO_ADD: Final = (
    " Columns of one's own come from columns, well_columns, cell_columns and track_columns of the "
    "experiments file: name it there, and index again."
)

METADATA_KEY: Final = b"viscy_data"
"""Where the file's metadata hold :class:`AnchorsMetadata`."""


@dataclass(frozen=True)
class AnchorsMetadata:
    """What an anchors table was built from, kept in its file.

    Attributes
    ----------
    experiments, digest
        The experiments file's content and its digest.
    patch_size
        Rows and columns of a patch, of which the column ``outside`` says how much lies outside the image.
    tau
        How far apart an anchor and its positive may be.
    dropped
        Rows lost, by experiment, then by reason.
    common_pixel_size_um
        Micrometres per pixel of patches; None: the store's own pixels.
    border
        What becomes of patches that reach over the border of their image (:mod:`viscy_data.tables.borders`).
    schema_version
        Version of the columns and of these values.
    stores
        Digest of experiments, fields of view and settings that images were read by; statistics have the same.
    frames
        How many frames were read for statistics, and how many of them are ``blank`` or have ``non_finite``
        pixels, by experiment; None: not known, as none was read.
    columns
        Columns of one's own, in order: level, type, rows without a value, and values or range of each.
    snapshots
        Experiments of one frame, or of an interval of 0: no range of tau was asked of them.
    planes
        Slices of each channel, frame by frame or one for all frames, by experiment and field of view, where
        channels of a row show different ones (:mod:`viscy_data.tables.z_policy`); None: that of the row.
    missing_chunks, non_finite
        How the stores' missing chunks, and pixels that are NaN or infinite, are read (`viscy_data.Reading`).

    Notes
    -----
    The file holds every field. One whose value JSON holds as it is needs no more than its line below.
    """

    experiments: Experiments
    patch_size: tuple[int, int]
    tau: TauRange
    digest: str = ""
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)
    common_pixel_size_um: float | None = None
    border: Border = "reflect"
    schema_version: int = SCHEMA_VERSION
    missing_chunks: Literal["error", "fill"] = "error"
    non_finite: Literal["error", "fill"] = "error"
    stores: str = ""
    frames: dict[str, dict[str, int]] | None = None
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    snapshots: list[str] = field(default_factory=list)
    planes: dict[str, dict[str, list[list[int] | None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_border(self.border)
        object.__setattr__(self, "digest", self.digest or self.experiments.digest())

    @property
    def column_names(self) -> list[str]:
        """The columns of the table, ours first, then those of one's own."""
        by_channel = CHANNEL_COLUMNS if self.experiments.experiments[0].samples == "channels" else ()
        return [*(column.name for column in (*ANCHOR_COLUMNS, *by_channel)), *self.columns]

    def to_json(self, folder: Path) -> str:
        """Return the metadata as a file in ``folder`` holds them."""
        held = {one.name: getattr(self, one.name) for one in fields(self)}
        held |= {"experiments": self.experiments.model_dump(mode="json"), "tau": self.tau.as_dict()}
        return json.dumps({"folder": str(folder.absolute())} | held)

    @classmethod
    def from_json(cls, text: str | bytes, folder: Path) -> Self:
        """Read what :meth:`to_json` wrote, from a file that is in ``folder`` now.

        Stores and tracks that moved along with it are found where they are: at the same place relative to
        the file.

        Raises
        ------
        InvalidInputError
            Where the file was written with another version of the schema.
        """
        content = json.loads(text)
        version = content["schema_version"]
        if version != SCHEMA_VERSION:
            raise InvalidInputError(
                f"schema_version={version!r}: the table is of {_other(version)} version of viscy-data, and "
                f"{SCHEMA_VERSION} is read; build it again: 'viscy-data index EXPERIMENTS.yaml -o TABLE "
                "--overwrite'"
            )
        experiments = Experiments.model_validate_json(json.dumps(content["experiments"]))
        old = Path(content.get("folder", folder))
        held = {one.name: content[one.name] for one in fields(cls) if one.name in content}
        held |= {
            "experiments": _found_beside(experiments, old, folder.absolute()),
            "patch_size": tuple(content["patch_size"]),
            "tau": TauRange.from_dict(content["tau"]),
        }
        return cls(**held)


def _other(version: object) -> str:
    return "an older" if isinstance(version, int) and version < SCHEMA_VERSION else "another"


def read_anchors(
    path: str | Path,
    *,
    plan: BatchPlan | Curriculum | None = None,
    columns: Sequence[str] | None = None,
    filters: Any = None,
    experiments: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Read an anchors table, or a part of it; what is not asked for is not read.

    Parameters
    ----------
    path
        The anchors table.
    plan
        Read for sampling: the columns that the plan needs, of the anchors that have a positive. Rows are
        then those of ``AnchorDataset(path).valid_anchors``, where its ``pairing`` is the file's.
    columns
        Names of the columns, those of one's own among them; None: all, or those of ``plan``.
    filters
        Rows, as :func:`pyarrow.parquet.read_table` takes them: ``[("t", "<", 10)]`` or an expression.
    experiments
        Names of the experiments; None: all.

    Returns
    -------
    DataFrame
        String columns are categorical, with the categories that occur, sorted.

    Raises
    ------
    InvalidInputError
        Where the file is not an anchors table, is damaged, or a name is not in it.

    Notes
    -----
    Row groups are read one after the other: memory is what is returned, and one column more.
    """
    metadata = read_metadata(path)
    known, held = metadata.experiments.experiments, metadata.column_names
    if columns is None:
        columns = held if plan is None else plan.columns
    _check_names("columns", columns, held, _HOW_TO_ADD)
    _check_names("experiments", experiments, [experiment.name for experiment in known])
    rows = [] if filters is None else [pa_parquet.filters_to_expression(filters)]
    if experiments is not None:
        rows.append(pa_parquet.filters_to_expression([(EXPERIMENT, "in", list(experiments))]))
    if plan is not None:
        rows.append(_has_positive(path))
    try:
        return _read_rows(path, list(columns), reduce(and_, rows) if rows else None)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InvalidInputError(
            f"path={str(path)!r}: the table cannot be read: {error}; is the file whole? If not, index again"
        ) from error


def read_metadata(path: str | Path) -> AnchorsMetadata:
    """Read what an anchors table was built from, and no row of it.

    Raises
    ------
    InvalidInputError
        Where the file is missing or no anchors table.
    """
    try:
        found = pa_parquet.read_metadata(path).metadata or {}
    except FileNotFoundError:
        raise InvalidInputError(
            f"path={str(path)!r} does not exist; build the anchors table with 'viscy-data index'"
        ) from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InvalidInputError(
            f"path={str(path)!r}: not a Parquet file that can be read; build the anchors table with "
            f"'viscy-data index'. ({error})"
        ) from error
    if METADATA_KEY not in found:
        raise InvalidInputError(
            f"path={str(path)!r}: not an anchors table; build one with 'viscy-data index'"
        )
    try:
        return AnchorsMetadata.from_json(found[METADATA_KEY], Path(path).parent)
    except InvalidInputError as error:
        raise InvalidInputError(f"path={str(path)!r}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"path={str(path)!r}: what the anchors table says of itself is damaged: {error!r}; index again"
        ) from error


def _found_beside(experiments: Experiments, old: Path, new: Path) -> Experiments:
    """Return experiments with the paths that they have since a folder moved, where there is something."""
    if old == new:
        return experiments

    def found(path: Path) -> Path:
        moved = Path(os.path.normpath(new / os.path.relpath(path, old)))
        return moved if moved.exists() else path

    return Experiments(experiments=tuple(one.with_paths(found) for one in experiments.experiments))


def _check_names(argument: str, asked: Sequence[str] | None, held: Sequence[str], remedy: str = "") -> None:
    for name in asked or ():
        if name not in held:
            raise InvalidInputError(
                f"{argument}={name!r} is not in the table, which has {', '.join(held)}.{suggest(name, held)}"
                f"{remedy}"
            )


def _has_positive(path: str | Path) -> Any:
    if HAS_POSITIVE not in pa_parquet.read_schema(path).names:
        raise InvalidInputError(
            f"path={str(path)!r}: the table does not say which anchors have a positive; index again"
        )
    return pa_parquet.filters_to_expression([(HAS_POSITIVE, "==", True)])


def _read_rows(path: str | Path, columns: list[str], rows: Any) -> pd.DataFrame:
    """Read columns of the rows that an expression holds for (None: all), a row group at a time."""
    whole = pa_dataset.ParquetFileFormat().make_fragment(str(path), pa_fs.LocalFileSystem())
    # Row groups of which the file's statistics say that no row fits are not read.
    chosen = whole if rows is None else whole.subset(filter=rows, schema=whole.physical_schema)
    most = sum(group.num_rows for group in chosen.row_groups)
    strings = {one.name for one in whole.physical_schema if pa.types.is_dictionary(one.type)}
    found = {name: Categories(most) if name in strings else Numbers(most) for name in columns}
    count = 0
    # Batches come in order, and the next ones are decoded meanwhile.
    scan = chosen.to_batches(columns=columns, filter=rows, batch_size=_BATCH, batch_readahead=_AHEAD)
    for batch in scan:
        count += batch.num_rows
        for name, column in found.items():
            column.add(batch[name])
    return pd.DataFrame({name: found.pop(name).result() for name in columns}, index=range(count), copy=False)


def column_names(path: str | Path) -> list[str]:
    """Return the names of the columns of an anchors table, those of ``index`` among them."""
    return [str(name) for name in pa_parquet.read_schema(path).names]


def read_blocks(path: str | Path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Read columns a row group at a time: blocks of a bounded number of rows, in order.

    String columns are categorical, with the categories of their block.

    Raises
    ------
    InvalidInputError
        Where the file is damaged.
    """
    try:
        with pa_parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH, columns=list(columns)):
                yield batch.to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InvalidInputError(
            f"path={str(path)!r}: the table cannot be read: {error}; is the file whole? If not, index again"
        ) from error


def row_count(path: str | Path) -> int:
    """Return the number of rows of a table."""
    return int(pa_parquet.read_metadata(path).num_rows)
