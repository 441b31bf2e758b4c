"""Twelve traced embryos, as they are published: strain, reporter and cell name become columns of a plan."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from viscy_data.images.plates import create_plate
from viscy_data.indexing.run import IndexSummary, build_index
from viscy_data.sampling.flat import flat_plan
from viscy_data.sampling.plan_options import set_fields
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_data.tables.anchors.read import read_anchors
from viscy_data.tables.tau import TauRange

TABLE = Path(__file__).resolve().parents[6] / "shared" / "data" / "tables" / "celegans_live_tools.csv.gz"
EMBRYOS = 5
SETTINGS = ["balance.by=strain", "weighting.by=reporter", "at_most.by=cell", "grouping=null", "batch_size=60"]

pytestmark = pytest.mark.skipif(not TABLE.exists(), reason=f"the real table is not here: {TABLE}")


@pytest.fixture(scope="module")
def source() -> pd.DataFrame:
    table = pd.read_csv(TABLE)
    names = table.drop_duplicates("condition")["experiment"].tolist()  # one embryo of each strain
    return table[table["experiment"].isin(names[:EMBRYOS])]


@pytest.fixture(scope="module")
def indexed(source: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> IndexSummary:
    """An index of plates without pixels, which reads none."""
    folder = tmp_path_factory.mktemp("embryos")
    # A reporter weighs by what is above the background, and never nothing.
    reporter = source[["experiment", "track_id", "t"]].assign(
        fov="A/1/0", reporter=source["blot"].clip(lower=0) / 1000 + 0.1
    )
    reporter.to_parquet(folder / "reporter.parquet")
    entries = []
    for name, own in source.groupby("experiment"):
        create_plate(
            folder / f"{name}.zarr",
            {"A/1/0": (181, 1, 70, 750, 720)},
            channels=["nuclei"],
            dtype=np.uint8,
            pixel_size_um=None,
            interval_minutes=None,
        )
        own.drop(columns=["experiment", "condition"]).to_csv(folder / f"{name}.csv", index=False)
        entries.append(
            {
                "name": name,
                "data_path": f"{name}.zarr",
                "tracks_path": f"{name}.csv",
                "channels": ["nuclei"],
                "interval_minutes": 1.5,
                "columns": {"strain": own["condition"].iloc[0]},
                "cell_columns": "reporter.parquet",
                "track_columns": ["cell", "blot"],
            }
        )
    file = folder / "experiments.yaml"
    file.write_text(yaml.safe_dump({"experiments": entries}))
    return build_index(
        file,
        folder / "anchors.parquet",
        patch_size=(64, 64),
        tau=TauRange(frames=(1, 3)),
        statistics=False,
        progress=False,
    )


def test_columns_are_those_of_the_published_table(indexed: IndexSummary, source: pd.DataFrame) -> None:
    table = read_anchors(indexed.anchors_path)
    assert len(table) == len(source)
    both = table.astype({"experiment": str}).merge(
        source, on=["experiment", "track_id", "t"], suffixes=("", "_there")
    )
    assert len(both) == len(source)
    assert (both["cell"].astype(str) == both["cell_there"]).all()
    assert (both["blot"] == both["blot_there"]).all()
    assert (both["strain"].astype(str) == both["condition_there"]).all()
    np.testing.assert_allclose(both["reporter"], both["blot_there"].clip(lower=0) / 1000 + 0.1)
    assert {one.matched == one.rows for one in indexed.joins} == {True}
    kinds = {one.name: (one.level, one.type) for one in indexed.columns}
    assert kinds == {
        "strain": ("experiment", "text"),
        "reporter": ("cell", "double"),
        "cell": ("track", "text"),
        "blot": ("track", "int64"),
    }


def test_batches_hold_strains_evenly_and_cells_by_their_reporter(indexed: IndexSummary) -> None:
    plan = set_fields(flat_plan(condition_balanced=False), SETTINGS)
    anchors = read_anchors(indexed.anchors_path, plan=plan)
    assert set(anchors) == {"strain", "reporter", "cell"}
    sampler = FlexibleBatchSampler.from_plan(anchors, plan, seed=3)
    strains, rows = anchors["strain"].cat.categories, []
    for number in range(100):
        batch = np.asarray(sampler.batch(number, epoch=0))
        counts = np.bincount(anchors["strain"].cat.codes.to_numpy()[batch], minlength=len(strains))
        assert set(counts.tolist()) <= {60 // len(strains), -(-60 // len(strains))}
        assert anchors["cell"].iloc[batch].is_unique
        rows.append(batch)
    drawn = anchors.iloc[np.concatenate(rows)].groupby("strain", observed=True)["reporter"].mean()
    even = anchors.groupby("strain", observed=True)["reporter"].mean()
    varied = anchors.groupby("strain", observed=True)["reporter"].std() > even
    assert varied.any()
    assert (drawn[varied] > 1.5 * even[varied]).all()
