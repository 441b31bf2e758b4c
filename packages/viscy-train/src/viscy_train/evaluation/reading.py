"""Read an embeddings file: AnnData in Zarr, as `viscy_train.embed` writes it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import anndata
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError


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


def read_embeddings(path: str | Path) -> EmbeddingsFile:
    """Read an embeddings file into memory.

    Raises
    ------
    InvalidInputError
        If there is no such folder.
    """
    if not Path(path).is_dir():
        raise InvalidInputError(f"path={str(path)!r} is no folder; give an embeddings file (AnnData in Zarr)")
    with quiet_anndata():
        data = anndata.read_zarr(path)
    embedding = np.asarray(data.X, dtype=np.float32)
    projection = data.obsm.get("X_projection", np.zeros((len(embedding), 0)))
    return EmbeddingsFile(
        embedding=embedding,
        projection=np.asarray(projection, dtype=np.float32),
        obs=cast("pd.DataFrame", data.obs),  # a backed table only where asked for
        provenance=dict(data.uns),
    )
