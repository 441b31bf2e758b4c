"""Labels that people may ask for by mistake."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from viscy_data import InvalidInputError
from viscy_train.evaluation import evaluate_arrays, read_embeddings
from viscy_train.evaluation.labelling import label_cells
from viscy_train.evaluation.reading import quiet_anndata


def cells(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "experiment": "a",
            "fov": "A/1/0",
            "global_track_id": [f"a/A/1/A/1/0/{row}" for row in range(rows)],
            "lineage_id": [f"a/A/1/A/1/0/{row}" for row in range(rows)],
            "t": 0,
            "plate": [f"plate {row}" for row in range(rows)],
        }
    )


def test_no_label_at_all_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"labels=\(\): name at least one column of obs"):
        evaluate_arrays(np.eye(4), cells(4), labels=[])


def test_leaving_out_very_many_values_is_said() -> None:
    with pytest.warns(UserWarning, match=r"leave_out='plate' has 101 values, .* may take hours"):
        evaluate_arrays(np.ones((101, 2)), cells(101), leave_out="plate")


def test_a_file_without_layers_says_that_it_has_none(tmp_path: Path) -> None:
    with quiet_anndata():
        anndata.AnnData(np.eye(3, dtype=np.float32)).write_zarr(tmp_path / "e.zarr")
    with pytest.raises(InvalidInputError, match=r"layer='corrected' is not a layer of .*; it has none\."):
        read_embeddings(tmp_path / "e.zarr", layer="corrected")


def test_labels_that_are_there_stay_and_no_option_is_named_that_there_is_not(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("mine")
    with pytest.raises(InvalidInputError, match=r"labels\.csv' exists, .* choose another name, or remove it"):
        label_cells(tmp_path / "e.zarr", tmp_path / "probe.json", tmp_path / "labels.csv")
    assert (tmp_path / "labels.csv").read_text() == "mine"
