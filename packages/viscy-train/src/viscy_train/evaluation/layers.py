"""Write a corrected embedding into its own file, as another layer.

Problem: a corrected copy of an embedding in a second file loses its cells' columns and provenance, or carries
them twice. Idea: AnnData has a place for a second array of the same shape, ``layers``; what was done is kept
with it, in its attributes and in uns. The layer is made beside the file and moved in when it is whole; X and
all else stay untouched.

Cost: a second array as large as X on the disk. Memory holds one experiment at a time, as each is corrected on
its own.
"""

import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import zarr
from anndata.io import read_elem, write_elem
from zarr.errors import ZarrUserWarning

from viscy_data import InvalidInputError, claimed, clear_leftovers, columns, marked, shown, whole_folder
from viscy_train.evaluation.arrays import BoolArray
from viscy_train.evaluation.correction import Controls, Method, correct_by_controls
from viscy_train.evaluation.reading import check_arrays, quiet_anndata

if TYPE_CHECKING:
    import pandas as pd

CORRECTED: Final = "corrected"
"""Name of the layer, where no other is asked for."""

DONE: Final = "viscy_train_layers"
"""Key of uns under which each layer has what was done, as JSON."""

_ROWS: Final = 65_536
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True)
class Corrected:
    """What was corrected: cells, of them controls, experiments, and rows that were not finite."""

    cells: int
    controls: int
    experiments: int
    not_finite: int


def write_corrected(
    path: str | Path,
    controls: Controls,
    *,
    method: Method = "scale",
    hours: float | None = None,
    layer: str = CORRECTED,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Corrected:
    """Correct an embeddings file by its control cells and write the result as a layer of it.

    Parameters
    ----------
    path : str or Path
        AnnData in Zarr, as `viscy_train.embed` writes it.
    controls, method, hours
        As for `correct_by_controls`.
    layer : str
        Its name in the file.
    overwrite : bool
        Replace a layer of that name which this function wrote.
    progress : callable, optional
        Told how many more cells are done.

    Returns
    -------
    Corrected

    Raises
    ------
    InvalidInputError
        If it is not such a file, the layer exists, or an experiment cannot be corrected; nothing is written.
    OutputError
        If the layer cannot be written; the file is as before.
    """
    file = Path(os.path.realpath(path))  # beside it, not beside a link to it, as moving stays on one disk
    named = f"path={str(path)!r}"
    if not _NAME.fullmatch(layer):
        raise InvalidInputError(
            f"layer={layer!r}: letters, digits, '-' and '_' are needed; 'corrected' is usual."
        )
    with claimed(file.with_name(f".{file.name}.layers"), kind="folder", argument="layer"):
        group = _opened(file, named)
        beside = file.with_name(f".{file.name}.{layer}")
        _clear(file / "layers" / layer, beside)
        _check_free(group, layer, named, overwrite=overwrite)
        array = cast("zarr.Array[Any]", group["X"])
        with quiet_anndata():
            obs = cast("pd.DataFrame", read_elem(group["obs"]))
        finite = _checked(array, obs, named)
        # the counts of controls alone, before anything is written: one feature that is 0, or NaN where X is
        stand_in = np.where(finite, 0.0, np.nan)[:, None]
        correct_by_controls(stand_in, obs, controls, method="scale", hours=hours)
        experiments = obs[columns.EXPERIMENT].astype(str).to_numpy()
        done = {
            "controls": str(controls),
            "method": method,
            "hours": hours,
            "version": version("viscy-train"),
        }
        with whole_folder(beside) as folder:
            written = _created(folder, array, group.metadata.zarr_format, done)
            for name in np.unique(experiments):
                rows = np.flatnonzero(experiments == name)
                values = np.asarray(array.oindex[rows, :], dtype=np.float32)
                if finite[rows].any():
                    values = correct_by_controls(
                        values, obs.iloc[rows], controls, method=method, hours=hours
                    ).astype(np.float32)
                written.oindex[rows, :] = values
                if progress is not None:
                    progress(rows.size)
        _move_in(file, beside, layer, done)
    found = controls.rows(obs) & finite
    return Corrected(
        int(finite.sum()), int(found.sum()), int(np.unique(experiments).size), int((~finite).sum())
    )


def _created(folder: Path, array: "zarr.Array[Any]", zarr_format: Any, done: dict[str, Any]) -> Any:
    """Return the layer's array, like X and without values."""
    return zarr.create_array(
        folder,
        shape=array.shape,
        chunks=array.chunks,
        dtype="float32",
        zarr_format=zarr_format,
        attributes=marked(
            {"encoding-type": "array", "encoding-version": "0.2.0", "correction": done}, "viscy-train"
        ),
        overwrite=True,
    )


def _checked(array: "zarr.Array[Any]", obs: "pd.DataFrame", named: str) -> BoolArray:
    """Return which rows of X are finite (N,), of a file that can be corrected."""
    if array.ndim != 2 or array.shape[0] != len(obs):
        raise InvalidInputError(
            f"{named}: X of shape {array.shape} does not go with obs of {len(obs)} rows; embed again."
        )
    finite = _finite_rows(array)
    if not finite.any():
        raise InvalidInputError(f"{named}: none of {len(finite)} rows is finite; embed them anew.")
    return finite


def correction_of(provenance: Mapping[str, Any], layer: str) -> str:
    """Return what uns says of how a layer was corrected; empty for X, and for layers of others."""
    known = provenance.get(DONE)
    said = known.get(layer, "") if layer and isinstance(known, Mapping) else ""
    try:
        values = json.loads(str(said)) if said else {}
        return ", ".join(
            f"{name}={values[name]}" for name in ("controls", "method", "hours") if name in values
        )
    except (ValueError, TypeError):
        return str(said)


def _opened(file: Path, named: str) -> "zarr.Group":
    if not file.is_dir():
        there = "is not a folder" if file.exists() else "does not exist"
        raise InvalidInputError(f"{named} {there}; give an embeddings file (AnnData in Zarr)")
    try:
        check_arrays(named, file)
        group = zarr.open_group(file, mode="r", use_consolidated=False)
        whole = isinstance(group.get("X"), zarr.Array) and "obs" in group
    except InvalidInputError:
        raise
    except Exception as error:  # damaged files raise what their readers happen to do with the damage
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInputError(
            f"{named} cannot be read as embeddings (AnnData in Zarr): {shown(reason, 200)}. Is it whole, and "
            "did viscy-train embed write it?"
        ) from error
    if not whole:
        raise InvalidInputError(f"{named} has no array X with obs; give what viscy-train embed wrote.")
    return group


def _aside(beside: Path) -> Path:
    """Return where an older layer is while the new one takes its place."""
    return beside.with_name(f"{beside.name}.old")


def _clear(place: Path, beside: Path) -> None:
    """Remove what a killed run left beside the file; a layer that it had moved aside comes back."""
    old = _aside(beside)
    if old.exists() and place.parent.is_dir() and not place.exists():
        old.rename(place)
    for left in (old, beside):
        shutil.rmtree(left, ignore_errors=True)
    clear_leftovers(beside)


def _check_free(group: "zarr.Group", layer: str, named: str, *, overwrite: bool) -> None:
    """Refuse a layer that is there, and is not to be replaced."""
    held = group.get(f"layers/{layer}")
    if held is None:
        return
    if not str(held.attrs.get("made_by", "")).startswith("viscy-"):
        raise InvalidInputError(
            f"layer={layer!r} of {named} bears no mark of this program, and stays; give another name."
        )
    if not overwrite:
        raise InvalidInputError(
            f"layer={layer!r} exists in {named}; say --overwrite (overwrite=True), or give another name."
        )


def _finite_rows(array: "zarr.Array[Any]") -> BoolArray:
    """Tell which rows are finite (N,), some at a time."""
    finite = np.zeros(array.shape[0], dtype=np.bool_)
    for start in range(0, array.shape[0], _ROWS):
        part = np.asarray(array[start : start + _ROWS])
        finite[start : start + _ROWS] = np.isfinite(part).all(axis=1)
    return finite


def _move_in(file: Path, beside: Path, layer: str, done: dict[str, Any]) -> None:
    """Give the finished array its place in the file, and note in uns what it is."""
    group = zarr.open_group(file, mode="r+", use_consolidated=False)
    with quiet_anndata():
        for name in ("layers", "uns"):
            if name not in group:
                write_elem(group, name, {})
    place = file / "layers" / layer
    old = _aside(beside)
    if place.exists():
        place.rename(old)
    try:
        beside.rename(place)
    except OSError:
        if old.exists():
            old.rename(place)
        shutil.rmtree(beside, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    with quiet_anndata():
        uns = cast("zarr.Group", group["uns"])
        known = cast("dict[str, Any]", read_elem(uns[DONE])) if DONE in uns else {}
        write_elem(uns, DONE, {**known, layer: json.dumps(done)})
    if zarr.open_group(file, mode="r").metadata.consolidated_metadata is not None:
        with warnings.catch_warnings():  # that it is no standard yet: whoever wrote the file chose it
            warnings.simplefilter("ignore", ZarrUserWarning)
            zarr.consolidate_metadata(file)  # else readers that trust it would not see the layer
