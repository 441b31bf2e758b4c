"""Embed all anchors of a table into an AnnData file, chunk by chunk.

The file is AnnData's layout in Zarr: X (N, D) float32, obsm/X_projection (N, P) float32, obs the anchors'
columns under unique names ``global_track_id/t`` (and ``/channel`` where a row is one channel of a cell), uns
the provenance: config, version, digests of table and weights, and where the table was. Row i is row i of the
table: ``AnchorDataset.read([i])`` gives the patch that it was computed from, in a dataset of pairs, too; the
column ``row`` of obs keeps the number where rows are left out or sorted.

Rows hold finite numbers, or somebody is told: a cell that cannot be read, or whose embedding is not finite,
ends the work with an error that names it, or, where the dataset's ``Reading(on_error="skip")`` asks for it,
becomes a row of NaN. Those are counted, in uns and in a warning.

*chunk*: the rows of one Zarr chunk. A rank predicts every world-size-th chunk and writes it at once, so
memory does not grow with the number of cells, and ranks write disjoint files. Rank 0 makes the arrays
before and renames the finished file into place after: a file of that name is a whole file.
"""

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
import zarr
from anndata.io import write_elem
from numpy.typing import NDArray
from torch import Tensor, nn
from torch import distributed as dist

from viscy_data import (
    AnchorDataset,
    InvalidInputError,
    ViscyDataError,
    claimed,
    columns,
    marked,
    progress_bar,
    whole_folder,
)
from viscy_train.evaluation.reading import ANCHORS, FOLDER, PROVENANCE, quiet_anndata
from viscy_train.packed import model_digest

NOT_FINITE: Final = "rows_not_finite"
"""Key, in the provenance, of how many rows are NaN."""

ROW: Final = "row"
"""Column of obs: the row of the anchors table."""

_ROWS_PER_CHUNK: Final = 4096
_EMPTY: Final = ("layers", "obsm", "obsp", "varm", "varp")

type FloatArray = NDArray[np.float32]


def embed(
    model: nn.Module,
    dataset: AnchorDataset,
    out: str | Path,
    *,
    config: Mapping[str, Any] | None = None,
    batch_size: int = 256,
    overwrite: bool = False,
    inputs: Sequence[str | Path] = (),
    table: str | Path | None = None,
    progress: bool = True,
) -> Path:
    """Predict all anchors of a dataset and write them to an embeddings file.

    Under an initialised `torch.distributed` every rank calls this, and each predicts its own rows.

    Parameters
    ----------
    model : nn.Module
        Patches (B, C, Z, Y, X) to (embedding (B, D), projection (B, P)); run as it is on the device
        of its weights, in evaluation mode, without augmentation.
    dataset : AnchorDataset
        What reads the cells, those without a positive, too. Its reading says how: with
        ``on_error="skip"`` what cannot be read, or gives no finite embedding, becomes a row of NaN.
    out : str or Path
        The file to write, a folder whose name ends in ``.zarr``.
    config : mapping, optional
        Settings to keep with the embedding; plain values for JSON.
    batch_size : int
        Patches predicted at once.
    overwrite : bool
        Replace an existing file that was written by this function.
    inputs : sequence of str or Path
        What was read to get here, which is never replaced.
    table : str or Path, optional
        The file whose rows the dataset's are, where the dataset was made of some of them in memory.
    progress : bool
        Show a progress bar (rank 0).

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InvalidInputError
        If `out` exists and is not to be overwritten, or another process is writing it; if `batch_size` is
        below 1, or weights or an embedding are not finite.
    OutputError
        If it cannot be written, as on a full disk; what was there before still is.
    """
    target = Path(out)
    _check(model, batch_size)
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    with _output(target, overwrite=overwrite, inputs=inputs) as beside, evaluation_mode(model):
        first = predict(model, dataset, range(min(batch_size, len(dataset.anchors))))
        widths = (first[0].shape[1], first[1].shape[1])
        cells = len(dataset.anchors)
        layout = _Layout(cells, widths, min(_ROWS_PER_CHUNK, -(-cells // world)))
        if rank == 0:
            provenance = _provenance(model, dataset, config or {}) | _places(dataset.path or table, target)
            _create(beside, layout, dataset.anchors, provenance)
        _wait()
        chunks = layout.chunks()[rank::world]
        rows, left_out = sum(map(len, chunks)), 0
        failed: Exception | None = None
        try:
            title, told = f"embed, {target.name}", progress and rank == 0
            with progress_bar(title, rows, unit="cells", shown=told) as advance:
                for chunk in chunks:
                    *values, lost = _predict_chunk(model, dataset, chunk, batch_size, advance)
                    _write_chunk(beside, chunk, (values[0], values[1]))
                    left_out += lost
        except Exception as error:  # noqa: BLE001  told to the other ranks, which would wait for this one
            failed = error
        _end_together(failed)
        left_out = sum(_of_all_ranks(left_out))
        if rank == 0:
            _note(beside, left_out)
    if left_out and rank == 0:
        warnings.warn(
            f"{left_out} of {cells} cells could not be read or have no finite embedding; their rows are NaN.",
            stacklevel=2,
        )
    return target


@contextmanager
def _output(target: Path, *, overwrite: bool, inputs: Sequence[str | Path]) -> Iterator[Path]:
    """Give every rank the folder that the first one writes beside the output and moves there in the end."""
    with ExitStack() as stack:
        told: list[Any] = [None, None]
        if not dist.is_initialized() or dist.get_rank() == 0:
            try:
                claim = claimed(target, kind="folder", overwrite=overwrite, inputs=inputs, make_parents=True)
                told[0] = stack.enter_context(whole_folder(stack.enter_context(claim)))
            except ViscyDataError as error:
                told[1] = error
        if dist.is_initialized():
            dist.broadcast_object_list(told, src=0)
        if told[1] is not None:
            raise told[1]
        yield told[0]
        _wait()  # the others have written their chunks
    _wait()  # it is there


@dataclass(frozen=True)
class _Layout:
    """How the arrays are cut: N rows, D and P wide, `rows_per_chunk` to a chunk."""

    rows: int
    widths: tuple[int, int]
    rows_per_chunk: int

    def chunks(self) -> list[range]:
        starts = range(0, self.rows, self.rows_per_chunk)
        return [range(start, min(start + self.rows_per_chunk, self.rows)) for start in starts]


def _check(model: nn.Module, batch_size: int) -> None:
    if batch_size < 1:
        raise InvalidInputError(f"batch_size={batch_size} is below 1; 256 is usual")
    _check_weights(model)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch training behaviour and gradients off, and training behaviour back to what it was."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


def predict(model: nn.Module, dataset: AnchorDataset, rows: range) -> tuple[Tensor, Tensor, Tensor]:
    """Return embedding (B, D) and projection (B, P), float32 on the CPU, of some rows of a dataset.

    The third value (B,) says which of them are finite; rows that are not hold NaN.

    Raises
    ------
    StoreError
        If a cell cannot be read, and the dataset's reading does not skip such cells.
    InvalidInputError
        If an embedding is not finite, likewise.
    """
    patches, failed = dataset.try_read(rows)
    skip = dataset.reading.on_error == "skip"
    if failed and not skip:
        raise failed[min(failed)]
    patches[list(failed)] = 0  # what others in the batch see of them, where a model looks at all of it
    weights = next(model.parameters(), None)
    given = patches if weights is None else patches.to(weights.device)
    embedding, projection = (part.float().cpu() for part in model(given))
    finite = torch.isfinite(embedding).all(dim=1) & torch.isfinite(projection).all(dim=1)
    finite[list(failed)] = False
    bad = torch.nonzero(~finite).flatten().tolist()
    if bad and not skip:
        cell = dataset.anchors.iloc[rows[bad[0]]]
        raise InvalidInputError(
            f"the embeddings of {len(bad)} of {len(rows)} cells are not finite, the first of "
            f"row={rows[bad[0]]}, {cell[columns.GLOBAL_TRACK_ID]!r} at t={cell[columns.T]}. Look at its "
            "pixels and statistics, or write such rows as NaN: on_error='skip'."
        )
    embedding[bad], projection[bad] = torch.nan, torch.nan
    return embedding, projection, finite


def _predict_chunk(
    model: nn.Module, dataset: AnchorDataset, chunk: range, batch_size: int, advance: Any
) -> tuple[FloatArray, FloatArray, int]:
    """Return both arrays of a chunk, and how many of its rows are NaN."""
    parts = []
    for start in range(0, len(chunk), batch_size):
        rows = chunk[start : start + batch_size]
        parts.append(predict(model, dataset, rows))
        advance(len(rows))
    embeddings, projections, finite = (torch.cat(part) for part in zip(*parts, strict=True))
    return embeddings.numpy(), projections.numpy(), int((~finite).sum())


def _check_weights(model: nn.Module) -> None:
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor) and value.is_floating_point() and not torch.isfinite(value).all():
            raise InvalidInputError(
                f"the weights {name!r} hold numbers that are not finite; take a checkpoint from before "
                "training went wrong."
            )


def _create(path: Path, layout: _Layout, anchors: pd.DataFrame, provenance: dict[str, str]) -> None:
    """Make the file with all but the values of its two arrays."""
    group = zarr.open_group(path, mode="w")
    group.attrs.update(marked({"encoding-type": "anndata", "encoding-version": "0.1.0"}, "viscy-train"))
    with quiet_anndata():
        write_elem(group, "obs", _observations(anchors))
        write_elem(group, "var", pd.DataFrame(index=_names("feature_", layout.widths[0])))
        write_elem(group, "uns", {PROVENANCE: provenance})
        for name in _EMPTY:
            write_elem(group, name, {})
    for name, width in zip(("X", "obsm/X_projection"), layout.widths, strict=True):
        array = group.create_array(
            name, shape=(layout.rows, width), chunks=(layout.rows_per_chunk, width), dtype="float32"
        )
        array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def _write_chunk(path: Path, chunk: range, values: tuple[FloatArray, FloatArray]) -> None:
    group = zarr.open_group(path, mode="r+")
    for name, part in zip(("X", "obsm/X_projection"), values, strict=True):
        array = group[name]
        array[chunk.start : chunk.stop] = part  # type: ignore[index]  # an array, as created above


def _note(path: Path, left_out: int) -> None:
    """Keep how many rows are NaN."""
    with quiet_anndata():
        write_elem(zarr.open_group(path, mode="r+")[f"uns/{PROVENANCE}"], NOT_FINITE, str(left_out))


def _of_all_ranks[V](own: V) -> list[V]:
    """Return what every rank gives; all call this."""
    if not dist.is_initialized():
        return [own]
    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, own)
    return found


def _end_together(failed: Exception | None) -> None:
    """Raise on every rank where one has failed; all call this."""
    reasons = [one for one in _of_all_ranks(None if failed is None else str(failed)) if one is not None]
    if failed is not None:
        raise failed
    if reasons:
        raise ViscyDataError(f"another rank could not go on: {reasons[0]}")


def _wait() -> None:
    if dist.is_initialized():
        dist.barrier()


def _observations(anchors: pd.DataFrame) -> pd.DataFrame:
    """Anchors' columns as AnnData stores them: text as plain objects, unique row names.

    AnnData refuses pandas' own strings, which categories of a table read from Parquet are.
    """
    names = anchors[columns.GLOBAL_TRACK_ID].astype(str) + "/" + anchors[columns.T].astype(str)
    if columns.CHANNEL in anchors:
        names += "/" + anchors[columns.CHANNEL].astype(str)
    obs = pd.DataFrame({name: _plain(anchors[name]) for name in anchors})
    obs[ROW] = np.arange(len(anchors))
    return obs.set_index(pd.Index(names.to_numpy(dtype=object), dtype=object))


def _plain(column: "pd.Series[Any]") -> "pd.Series[Any]":
    if isinstance(column.dtype, pd.CategoricalDtype):
        kept = column.cat.remove_unused_categories()
        names = pd.Index(kept.cat.categories.to_list(), dtype=object)
        return pd.Series(pd.Categorical.from_codes(kept.cat.codes, names), index=column.index)
    return column if pd.api.types.is_numeric_dtype(column.dtype) else column.astype(object)


def _names(prefix: str, count: int) -> "pd.Index[Any]":
    return pd.Index([f"{prefix}{number}" for number in range(count)], dtype=object)


def _provenance(model: nn.Module, dataset: AnchorDataset, config: Mapping[str, Any]) -> dict[str, str]:
    return {
        "version": version("viscy-train"),
        "config": json.dumps(dict(config), sort_keys=True, default=str),
        "model_digest": model_digest(model),
        "anchors_digest": anchors_digest(dataset.anchors),
    }


def _places(anchors: str | Path | None, target: Path) -> dict[str, str]:
    """Return where table and embeddings are, so that both are found where they move together."""
    if anchors is None:
        return {}
    return {ANCHORS: str(Path(anchors).absolute()), FOLDER: str(target.absolute().parent)}


def anchors_digest(anchors: pd.DataFrame) -> str:
    """Return the SHA-256 of which cell each row is: global_track_id and t, and its channel if it is of one.

    Examples
    --------
    >>> table = pd.DataFrame({"global_track_id": ["a/1/0/3"], "t": [7]})
    >>> anchors_digest(table)[:8] == anchors_digest(table.copy())[:8]
    True
    """
    keys = (columns.GLOBAL_TRACK_ID, columns.T, columns.CHANNEL)
    rows = anchors[[name for name in keys if name in anchors]]
    return hashlib.sha256(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes()).hexdigest()
