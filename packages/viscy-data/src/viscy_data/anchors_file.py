"""The anchors table as a Parquet file: written whole or not at all, read by column and by row.

String columns are dictionary-encoded in the file and categorical in memory. The file's metadata say
what the table was built from and with, so that nothing has to be said twice.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pa_parquet

from viscy_data.columns import ANCHOR_COLUMNS, EXPERIMENT, Column
from viscy_data.errors import InvalidInputError, suggest
from viscy_data.experiments import Experiments
from viscy_data.tau import TauRange
from viscy_data.whole_file import whole_file

SCHEMA_VERSION: Final = 1

_KEY = b"viscy_data"
# A row group is what filters can skip: small against an experiment, large against its own overhead.
_ROW_GROUP = 1 << 18


@dataclass(frozen=True)
class AnchorsMetadata:
    """What an anchors table was built from, kept in its file.

    Attributes
    ----------
    experiments, digest
        The experiments file's content and its digest.
    patch_size
        Rows and columns of a patch, for which ``y_crop`` and ``x_crop`` are clamped.
    tau
        How far apart an anchor and its positive may be.
    dropped
        Rows lost, by experiment, then by reason.
    common_pixel_size_um
        Micrometres per pixel of patches; None: the store's own pixels.
    schema_version
        Version of the columns and of these values.
    """

    experiments: Experiments
    patch_size: tuple[int, int]
    tau: TauRange
    digest: str = ""
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)
    common_pixel_size_um: float | None = None
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", self.digest or self.experiments.digest())

    def to_json(self, folder: Path) -> str:
        """Return the metadata as a file in ``folder`` holds them."""
        return json.dumps(
            {
                "folder": str(folder.absolute()),
                "schema_version": self.schema_version,
                "experiments": self.experiments.model_dump(mode="json"),
                "digest": self.digest,
                "patch_size": list(self.patch_size),
                "tau": self.tau.as_dict(),
                "dropped": self.dropped,
                "common_pixel_size_um": self.common_pixel_size_um,
            }
        )

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
        if content["schema_version"] != SCHEMA_VERSION:
            raise InvalidInputError(
                f"schema_version={content['schema_version']}: {SCHEMA_VERSION} is read; index again"
            )
        experiments = Experiments.model_validate_json(json.dumps(content["experiments"]))
        return cls(
            experiments=_found_beside(experiments, Path(content.get("folder", folder)), folder.absolute()),
            patch_size=tuple(content["patch_size"]),
            tau=TauRange.from_dict(content["tau"]),
            digest=content["digest"],
            dropped=content["dropped"],
            common_pixel_size_um=content["common_pixel_size_um"],
        )


def write_anchors(path: str | Path, frame: pd.DataFrame, metadata: AnchorsMetadata) -> None:
    """Write an anchors table; an existing file is replaced when the new one is complete.

    Raises
    ------
    InvalidInputError
        Where the frame lacks a column of the anchors table.
    OutputError
        Where the file cannot be written; no part of it is left.
    """
    missing = [column.name for column in ANCHOR_COLUMNS if column.name not in frame]
    if missing:
        raise InvalidInputError(f"frame: missing columns of the anchors table: {', '.join(missing)}")
    arrays = {column.name: _to_arrow(frame[column.name], column) for column in ANCHOR_COLUMNS}
    path = Path(path)
    said = metadata.to_json(path.parent).encode()
    table = pa.table(arrays).replace_schema_metadata({_KEY: said})
    with whole_file(path) as beside:
        pa_parquet.write_table(table, beside, row_group_size=_ROW_GROUP, compression="zstd")


def read_anchors(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    filters: Any = None,
    experiments: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Read an anchors table, or a part of it; what is not asked for is not read.

    Parameters
    ----------
    path
        The file that :func:`write_anchors` wrote.
    columns
        Names of the columns; None: all.
    filters
        Rows, as :func:`pyarrow.parquet.read_table` takes them: ``[("t", "<", 10)]`` or an expression.
    experiments
        Names of the experiments; None: all.

    Returns
    -------
    DataFrame
        String columns are categorical, with the categories that occur.

    Raises
    ------
    InvalidInputError
        Where the file is no anchors table, or a name is not in it.
    """
    known = read_metadata(path).experiments.experiments
    _check_names("columns", columns, [column.name for column in ANCHOR_COLUMNS])
    _check_names("experiments", experiments, [experiment.name for experiment in known])
    expression = None if filters is None else pa_parquet.filters_to_expression(filters)
    if experiments is not None:
        chosen = pa_parquet.filters_to_expression([(EXPERIMENT, "in", list(experiments))])
        expression = chosen if expression is None else expression & chosen
    try:
        table = pa_parquet.read_table(
            path,
            columns=None if columns is None else list(columns),
            filters=expression,
            partitioning=None,
            memory_map=True,
        )
        frame: pd.DataFrame = table.replace_schema_metadata(None).to_pandas(split_blocks=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InvalidInputError(
            f"path={str(path)!r}: the anchors table is damaged: {error}; index again"
        ) from error
    for name in frame.columns[frame.dtypes == "category"]:
        frame[name] = frame[name].cat.remove_unused_categories()
    return frame


def read_metadata(path: str | Path) -> AnchorsMetadata:
    """Read what an anchors table was built from, and no row of it.

    Raises
    ------
    InvalidInputError
        Where the file is missing or no anchors table.
    """
    try:
        found = pa_parquet.read_metadata(path).metadata or {}
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InvalidInputError(
            f"path={str(path)!r}: not a Parquet file that can be read: {error}"
        ) from error
    if _KEY not in found:
        raise InvalidInputError(
            f"path={str(path)!r}: not an anchors table; build one with 'viscy-data index'"
        )
    try:
        return AnchorsMetadata.from_json(found[_KEY], Path(path).parent)
    except InvalidInputError as error:
        raise InvalidInputError(f"path={str(path)!r}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
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

    paths = [
        one.model_copy(update={"data_path": found(one.data_path), "tracks_path": found(one.tracks_path)})
        for one in experiments.experiments
    ]
    return Experiments(experiments=tuple(paths))


def _to_arrow(values: "pd.Series[Any]", column: Column) -> Any:
    if column.dtype != "dictionary":
        return pa.array(values.to_numpy(), type=getattr(pa, column.dtype)(), from_pandas=True)
    coded = values if isinstance(values.dtype, pd.CategoricalDtype) else values.astype("category")
    codes = coded.cat.codes.to_numpy(np.int32)
    names = pa.array(coded.cat.categories.to_numpy(dtype=object), type=pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), names)


def _check_names(argument: str, asked: Sequence[str] | None, held: Sequence[str]) -> None:
    for name in asked or ():
        if name not in held:
            raise InvalidInputError(
                f"{argument}={name!r} is not in the table, which has {', '.join(held)}.{suggest(name, held)}"
            )
