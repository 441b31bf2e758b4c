"""Data of one seed: five plates with wells of their own effect, and twins of other cells under the same
optics.

Experiments differ by their cell line, too, as they do in a laboratory: reading the experiment from an
embedding is partly biology, and the floor is what the cells' true sizes and textures give. The *twins* part
the two: further cells of one line, each seen through all five microscopes. How far the five embeddings of
one cell lie apart is exactly what the model knows of the microscope.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data import AnchorDataset, TauRange, build_index, center_crop, read_anchors, synthesize
from viscy_data.columns import CONDITION, EXPERIMENT, FOV, HOURS, TRACK_ID, WELL, T

EXPERIMENTS = 5
PATCH, CROP = 48, 32
_EVERY = {"data": 3, "twins": 4}
"""Every so many frames of a set are evaluated: neighbouring frames say the same."""
_ROWS_AT_ONCE = 512
_DONE = "made.json"


@dataclass(frozen=True)
class Cells:
    """Cells to embed, row by row.

    Attributes
    ----------
    obs
        Experiment, well, fov, track, frame, condition, hours, and the true phenotype.
    crops
        (N, C, Z, Y, X) float16, normalised as the encoder sees them.
    """

    obs: pd.DataFrame
    crops: NDArray[np.float16]


def make(folder: Path, seed: int, setting: Mapping[str, Any]) -> None:
    """Synthesise, index and cut out once; a folder that is made already stays as it is.

    Parameters
    ----------
    setting
        What differs from the usual data: arguments of `viscy_data.synthesize`.

    Raises
    ------
    ValueError
        The folder holds data of another seed or setting.
    """
    made = {"seed": seed} | ({"setting": dict(setting)} if setting else {})
    if (folder / _DONE).exists():
        if json.loads((folder / _DONE).read_text()) != made:
            raise ValueError(f"{folder} was not made as {made}: give another --folder, or remove it.")
        return
    kinds: dict[str, dict[str, Any]] = {
        "data": {},
        "twins": {"same_cells": True, "wells": 4, "frames": 16, "infected": None},
    }
    for name, changes in kinds.items():
        asked = {"experiments": EXPERIMENTS, **setting, **changes}
        experiments = synthesize(folder / name, seed=seed, overwrite=True, progress=False, **asked)
        build_index(
            experiments,
            folder / name / "anchors.parquet",
            patch_size=(PATCH, PATCH),
            tau=TauRange(hours=(0.0, 2.0)),
            overwrite=True,
            progress=False,
        )
        cut(folder, name, pd.read_parquet(folder / name / "truth.parquet"), ["phenotype"], _EVERY[name])
    (folder / _DONE).write_text(json.dumps(made))


def anchors_path(folder: Path) -> Path:
    """Return the table that encoders train on."""
    return folder / "data" / "anchors.parquet"


def cells_of(folder: Path, name: str) -> Cells:
    """Return the cells to embed of ``data`` or ``twins``."""
    return Cells(pd.read_parquet(folder / f"{name}.parquet"), np.load(folder / f"{name}.npy", mmap_mode="r"))


def cut(folder: Path, name: str, truth: pd.DataFrame, known: Sequence[str], every: int = 1) -> None:
    """Keep the crops of every so many frames, and what is known of them: ``NAME.npy`` and ``.parquet``.

    Parameters
    ----------
    truth
        One row per experiment, field of view, track and frame.
    known
        Its columns to keep.
    """
    path = folder / name / "anchors.parquet"
    table = read_anchors(path)
    rows = np.flatnonzero(table[T].to_numpy() % every == 0)
    dataset = AnchorDataset(path, positive="self")
    crops = [
        center_crop(dataset.read(rows[start : start + _ROWS_AT_ONCE]), (CROP, CROP)).numpy()
        for start in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    keys = [EXPERIMENT, FOV, TRACK_ID, T]
    shown = table.iloc[rows][[*keys, WELL, CONDITION, HOURS]].astype({EXPERIMENT: str, FOV: str})
    obs = shown.merge(truth[[*keys, *known]], on=keys, how="left", validate="1:1")
    obs.to_parquet(folder / f"{name}.parquet", index=False)
    np.save(folder / f"{name}.npy", np.concatenate(crops).astype(np.float16))
