"""A plate map and annotations beside synthetic plates, from files to the anchors table."""

import pandas as pd
import pytest

from viscy_data.columns import EXPERIMENT, FOV, TRACK_ID, T
from viscy_data.indexing.run import IndexSummary, build_index
from viscy_data.synthetic.knowledge import DRUGS, WEIGHTS
from viscy_data.synthetic.writing import TRUTH_FILE, synthesize
from viscy_data.tables.anchors.read import read_anchors
from viscy_data.tables.tau import TauRange


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> IndexSummary:
    folder = tmp_path_factory.mktemp("known")
    file = synthesize(
        folder, experiments=2, wells=4, frames=8, cells=6, size=96, columns=True, progress=False
    )
    tau = TauRange(frames=(1, 2))
    return build_index(
        file, folder / "anchors.parquet", patch_size=(32, 32), tau=tau, statistics=False, progress=False
    )


def test_every_well_has_a_drug_and_every_cell_a_label(indexed: IndexSummary) -> None:
    table = read_anchors(indexed.anchors_path)
    assert set(zip(table["drug"], table["dose_um"], strict=True)) <= set(DRUGS)
    assert (table.groupby([EXPERIMENT, "well"], observed=True)["drug"].nunique() == 1).all()
    assert not table[["drug", "dose_um", "microscope", "label", "weight"]].isna().any().any()
    assert [(one.name, one.level) for one in indexed.columns] == [
        ("microscope", "experiment"),
        ("drug", "well"),
        ("dose_um", "well"),
        ("label", "cell"),
        ("weight", "cell"),
    ]


def test_labels_are_those_of_the_truth_where_a_track_is_annotated(indexed: IndexSummary) -> None:
    keys = [EXPERIMENT, FOV, TRACK_ID, T]
    table = read_anchors(indexed.anchors_path).astype({EXPERIMENT: str, FOV: str, "label": str})
    truth = pd.read_parquet(indexed.anchors_path.with_name(TRUTH_FILE))
    both = table.merge(truth, on=keys, suffixes=("", "_true"))
    assert len(both) == len(table)
    annotated = both[TRACK_ID] % 2 == 0
    assert (both.loc[~annotated, "label"] == "not annotated").all()
    assert (both.loc[~annotated, "weight"] == 1).all()
    assert (
        (both["phenotype"] > 0.5)[annotated] <= both["label"].isin(["round", "dividing"])[annotated]
    ).all()
    assert (both.loc[annotated, "weight"] == both.loc[annotated, "label"].map(WEIGHTS)).all()
    assert both.loc[annotated, "label"].nunique() > 1
