"""The table that an embedding was made of, opened to read the patches of its cells again.

An embeddings file holds no pixels, but the path of its anchors table. That table may have been moved, or
built anew from other data since: then the pictures would be of other cells, and nobody could tell. So each
cell is looked up by its track, its frame and its channel, and its place in the image is compared.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from viscy_data import AnchorDataset, InvalidInputError, columns, shown
from viscy_train.evaluation.arrays import IntArray
from viscy_train.evaluation.reading import ANCHORS, PROVENANCE, table_of
from viscy_train.models.fitting import open_as_trained
from viscy_train.packed import TrainedOn

_KEYS = (columns.GLOBAL_TRACK_ID, columns.T, columns.CHANNEL)
_PLACES = (columns.Y, columns.X, columns.Y_CROP, columns.X_CROP)
_ROW = "__row"


def made_from(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings that an embeddings file was made with; nothing where it does not say."""
    try:
        found = json.loads(provenance[PROVENANCE]["config"])
    except (KeyError, TypeError, ValueError):
        return {}
    return found if isinstance(found, Mapping) else {}


def find_table(
    provenance: Mapping[str, Any], embeddings: Path, given: Path | None
) -> tuple[Path | None, str]:
    """Return the anchors table, else None and why there is none.

    Raises
    ------
    InvalidInputError
        If the table that was given does not exist.
    """
    if given is not None:
        if not given.is_file():
            raise InvalidInputError(
                f"anchors={str(given)!r}: there is no such file; give the table that viscy-data index wrote."
            )
        return given, ""
    found = table_of(embeddings, provenance)
    if found is not None:
        return found, ""
    made = provenance.get(PROVENANCE)
    named = made.get(ANCHORS) if isinstance(made, Mapping) else None
    if not named:
        return None, "the embeddings file does not say which table it was made of: give --anchors"
    return None, f"the table {shown(named, 300)} is not there any more: give --anchors"


def open_patches(provenance: Mapping[str, Any], anchors: Path) -> AnchorDataset:
    """Open a table so that patches are those that the model saw, where the file says what those are.

    Raises
    ------
    InvalidInputError, StoreError
        If it cannot be opened.
    """
    config = made_from(provenance)
    card = config.get("card")
    if isinstance(card, Mapping) and "trained_on" in card:
        trained = TrainedOn.model_validate(card["trained_on"], strict=False)
        channels, accept = config.get("channels") or {}, config.get("accept") or ()
        return open_as_trained(trained, anchors, channels=channels, accept=accept)
    return AnchorDataset(anchors, positive="self")


def rows_of_cells(obs: pd.DataFrame, table: pd.DataFrame, named: str) -> IntArray:
    """Return the row of the table that each cell is (N,).

    Parameters
    ----------
    obs : DataFrame
        Columns of the cells.
    table : DataFrame
        The anchors.
    named : str
        How the table is called in errors.

    Raises
    ------
    InvalidInputError
        If a cell is not in the table, or somewhere else in its image.
    """
    keys = [name for name in _KEYS if name in obs and name in table]
    places = [name for name in _PLACES if name in obs and name in table]
    tracks = set(obs[columns.GLOBAL_TRACK_ID].astype(str).unique())
    rows = np.flatnonzero(table[columns.GLOBAL_TRACK_ID].isin(tracks).to_numpy())
    theirs = _plain(table.iloc[rows], keys, places).assign(**{_ROW: rows})
    ours = _plain(obs, keys, places)
    found = ours.merge(theirs.drop_duplicates(keys), on=keys, how="left", suffixes=("", "_there"))
    lost = found[_ROW].isna().to_numpy()
    if lost.any():
        raise InvalidInputError(
            f"{named} is not the table that the embeddings are of: {lost.sum():,} of {len(obs):,} cells are "
            f"not in it, the first of them {_told(ours, int(lost.argmax()))}; give the table that they were "
            "embedded from, or leave the patches out."
        )
    for name in places:
        there = found[f"{name}_there"].to_numpy(np.float64)
        moved = ~np.isclose(found[name].to_numpy(np.float64), there, rtol=1e-5, atol=1e-3, equal_nan=True)
        if moved.any():
            first = int(moved.argmax())
            raise InvalidInputError(
                f"{named} is not the table that the embeddings are of: {moved.sum():,} of {len(obs):,} cells "
                f"are somewhere else, the first of them {_told(ours, first)}: "
                f"{name}={found[name].iloc[first]:g} when it was embedded, {there[first]:g} in the table. "
                "Embed the table anew, or leave the patches out."
            )
    return found[_ROW].to_numpy(np.int64)


def _plain(frame: pd.DataFrame, keys: list[str], places: list[str]) -> pd.DataFrame:
    """Return keys and places without categories, which differ between the two tables."""
    made = {name: frame[name].to_numpy(np.int64) for name in keys if name == columns.T}
    made |= {name: frame[name].astype(str).to_numpy(object) for name in keys if name != columns.T}
    return pd.DataFrame(made | {name: frame[name].to_numpy() for name in places})


def _told(ours: pd.DataFrame, place: int) -> str:
    one = ours.iloc[place]
    channel = f", channel {shown(one[columns.CHANNEL])!r}" if columns.CHANNEL in ours else ""
    return f"{shown(one[columns.GLOBAL_TRACK_ID])!r} at t={one[columns.T]}{channel}"
