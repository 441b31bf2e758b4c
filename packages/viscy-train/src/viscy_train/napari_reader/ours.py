"""Which files are ours, by their metadata alone.

napari asks this of every Parquet file, Zarr store and folder that somebody opens; what reads them takes
seconds to import, and this does not.
"""

import json
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pa_parquet

from viscy_data.columns import EXPERIMENT, FOV, TRACK_ID, T, X, Y

NEEDED: Final = (EXPERIMENT, FOV, TRACK_ID, T, Y, X)
"""Columns without which there is nothing to show."""


def is_index(path: Path) -> bool:
    """Return whether a file is an anchors table."""
    if not path.is_file():
        return False
    try:
        return b"viscy_data" in (pa_parquet.read_metadata(path).metadata or {})
    except (OSError, ValueError, pa.ArrowException):
        return False


def is_embeddings(path: Path) -> bool:
    """Return whether a folder is AnnData in Zarr whose obs places cells in images."""
    columns = _attributes(path / "obs").get("column-order") if path.is_dir() else None
    return isinstance(columns, list) and set(NEEDED) <= set(columns)


def _attributes(group: Path) -> dict[str, object]:
    """Return the attributes of a group of Zarr, of either version; empty where there are none."""
    for name, key in (("zarr.json", "attributes"), (".zattrs", None)):
        try:
            content = json.loads((group / name).read_text(encoding="utf-8"))
            found = content if key is None else content[key]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(found, dict):
            return found
    return {}
