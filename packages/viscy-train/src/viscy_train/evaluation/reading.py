"""Read an embeddings file: AnnData in Zarr, as `viscy_train.embed` writes it."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import anndata
import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from viscy_data import InvalidInputError, shown, suggest

PROVENANCE: Final = "viscy_train"
"""Key of the provenance in uns."""

ANCHORS: Final = "anchors"
"""Key, in the provenance, of the path of the table."""

FOLDER: Final = "folder"
"""Key, in the provenance, of the folder that the embeddings were written to."""

_OBJECTS: Final = frozenset({"pickle", "pickles", "dill", "cloudpickle"})
"""Codecs whose data are Python objects."""


@dataclass(frozen=True)
class EmbeddingsFile:
    """What an embeddings file holds.

    Attributes
    ----------
    embedding : ndarray (N, D) float32
    projection : ndarray (N, P) float32
        (N, 0) where the file has none.
    obs : DataFrame
        The anchors' columns of the N rows.
    provenance : dict
        Config, versions and digests.
    """

    embedding: NDArray[np.float32]
    projection: NDArray[np.float32]
    obs: pd.DataFrame
    provenance: dict[str, Any]


@contextmanager
def quiet_anndata() -> Iterator[None]:
    """Silence anndata's use of a pandas option that pandas 3.1 deprecates; it concerns no user."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The 'future.infer_string' option is deprecated")
        yield


def read_embeddings(path: str | Path, *, layer: str = "") -> EmbeddingsFile:
    """Read an embeddings file into memory.

    Parameters
    ----------
    path : str or Path
    layer : str
        Of the file's layers, the one to take as the embedding, such as ``corrected``; empty: X itself.

    Raises
    ------
    InvalidInputError
        If the file lacks the layer; if there is no such folder, it holds no embeddings, is damaged or
        claims more than this machine's memory, or an array is stored as Python objects, which run code
        when they are read.
    """
    named = f"path={str(path)!r}"
    if not Path(path).is_dir():
        there = "is not a folder" if Path(path).exists() else "does not exist"
        raise InvalidInputError(f"{named} {there}; give an embeddings file (AnnData in Zarr)")
    try:
        with quiet_anndata():
            check_arrays(named, path)
            data = anndata.read_zarr(path)
            embedding = np.asarray(_layer_of(data, layer, named), dtype=np.float32)
            projection = np.asarray(
                data.obsm.get("X_projection", np.zeros((len(embedding), 0))), dtype=np.float32
            )
    except InvalidInputError:
        raise
    except Exception as error:  # damaged files raise what their readers happen to do with the damage
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInputError(
            f"{named} cannot be read as embeddings (AnnData in Zarr): {reason[:200]}. Is it whole, and did "
            "viscy-train embed write it?"
        ) from error
    if embedding.ndim != 2:
        raise InvalidInputError(f"{named} has no embedding: X has {embedding.ndim} axes instead of 2.")
    return EmbeddingsFile(
        embedding=embedding,
        projection=projection,
        obs=cast("pd.DataFrame", data.obs),  # a backed table only where asked for
        provenance=dict(data.uns),
    )


def _layer_of(data: Any, layer: str, named: str) -> Any:
    """Return X, or the layer of this name."""
    if not layer:
        return data.X
    if layer not in data.layers:
        held = [str(name) for name in data.layers if name is not None]  # newer anndata's name of X
        there = f"it has {', '.join(map(shown, held))}" if held else "it has none"
        raise InvalidInputError(
            f"layer={layer!r} is not a layer of {named}; {there}.{suggest(layer, held)} viscy-train correct "
            "writes the layer 'corrected'."
        )
    return data.layers[layer]


def check_arrays(named: str, path: str | Path) -> None:
    """Refuse arrays that would run code when they are read, or that are larger than memory."""
    group = zarr.open_group(path, mode="r")
    if "X" not in group:
        raise InvalidInputError(f"{named} has no array X; give what viscy-train embed wrote.")
    claimed = 0
    for name, node in group.members(max_depth=None):
        if not isinstance(node, zarr.Array):
            continue
        codecs = set(_codecs_of(node.metadata.to_dict()))
        if codecs & _OBJECTS:
            raise InvalidInputError(
                f"{named}: the array {name!r} is stored by the codec {min(codecs & _OBJECTS)!r}, which "
                "runs code that the file holds; it is not read. Write it anew with anndata."
            )
        claimed += int(np.prod([float(size) for size in node.shape])) * node.dtype.itemsize
    if claimed > _memory_bytes():
        raise InvalidInputError(
            f"{named} claims arrays of {claimed / 1e9:.3g} GB, more than this machine's memory; is it "
            "damaged?"
        )


def _codecs_of(value: Any) -> Iterator[str]:
    """Yield the names of all codecs in the metadata of an array, of either version of Zarr."""
    if isinstance(value, Mapping):
        for key in ("id", "name"):
            if isinstance(value.get(key), str):
                yield str(value[key]).removeprefix("numcodecs.").lower()
        for one in value.values():
            yield from _codecs_of(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _codecs_of(one)


def _memory_bytes() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # no such figure on this system
        return float("inf")


def table_of(path: Path, provenance: Mapping[str, Any]) -> Path | None:
    """Return the table that embeddings are of: where it was, seen from them, or in its old place."""
    made = provenance.get(PROVENANCE)
    if not isinstance(made, Mapping) or ANCHORS not in made:
        return None
    old = Path(str(made[ANCHORS]))
    places = [old]
    try:
        below = old.relative_to(Path(str(made.get(FOLDER))), walk_up=True)
        places.insert(0, path.absolute().parent / below)
    except ValueError:  # on another drive
        pass
    return next((place for place in places if place.is_file()), None)
