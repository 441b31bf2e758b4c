"""Which cells of an embeddings file are shown.

Cells without a finite embedding have no place on a map and are left out. Of more cells than a page can hold,
whole lineages are drawn evenly over experiments: a track that is drawn is drawn whole.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from viscy_data import InvalidInputError, columns
from viscy_train.evaluation import Resampling, read_embeddings
from viscy_train.evaluation.arrays import FloatArray, IntArray, unit_rows
from viscy_train.evaluation.cells import codes_of, paired
from viscy_train.evaluation.evaluate import thin

NEEDED = (columns.EXPERIMENT, columns.FOV, columns.TRACK_ID, columns.GLOBAL_TRACK_ID, columns.LINEAGE_ID)


@dataclass(frozen=True)
class Viewed:
    """Cells to show.

    Attributes
    ----------
    unit : ndarray (N, D)
        The embedding, centred, each row of length one.
    obs : DataFrame
        Their columns.
    of_cells : int
        Rows of the file.
    not_finite : int
        Of those, how many have no finite embedding.
    provenance : dict
        What the file says of how it was made.
    """

    unit: FloatArray
    obs: pd.DataFrame
    of_cells: int
    not_finite: int
    provenance: dict[str, object]

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.obs)

    @property
    def experiment(self) -> IntArray:
        """Codes of the experiments (N,)."""
        return codes_of(self.obs[columns.EXPERIMENT])

    @property
    def marker(self) -> IntArray:
        """Codes of what rows show (N,), 0 where they show all channels."""
        obs = self.obs
        return codes_of(obs[columns.MARKER]) if columns.MARKER in obs else np.zeros(len(obs), np.int64)

    @property
    def track(self) -> IntArray:
        """Codes of tracks (N,), those of each channel apart."""
        channel = codes_of(self.obs[columns.CHANNEL]) if columns.CHANNEL in self.obs else None
        return paired(codes_of(self.obs[columns.GLOBAL_TRACK_ID]), channel)


def viewed_cells(path: str | Path, *, max_cells: int, seed: int, layer: str = "") -> Viewed:
    """Read an embeddings file and choose what is shown of it.

    Raises
    ------
    InvalidInputError
        If it is not a file of embeddings, lacks the layer or a column that every page needs, or holds no
        finite row.
    """
    file = read_embeddings(path, layer=layer)
    named = f"embeddings={str(path)!r}"
    missing = [name for name in (*NEEDED, columns.T) if name not in file.obs.columns]
    if missing:
        raise InvalidInputError(
            f"{named} lacks the columns {', '.join(missing)} of obs; give what viscy-train embed wrote."
        )
    finite = np.isfinite(file.embedding).all(axis=1)
    if not finite.any():
        raise InvalidInputError(f"{named}: none of {len(finite)} rows is finite; embed them anew.")
    obs = file.obs[finite]
    kept = thin(obs, max_cells, Resampling(seed=seed))
    return Viewed(
        unit_rows(file.embedding[finite][kept].astype(np.float64)),
        obs[kept],
        of_cells=len(finite),
        not_finite=int((~finite).sum()),
        provenance=file.provenance,
    )
