"""The lineages of twelve real embryos, from their table to an index."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from viscy_data.composition.axes import Distinct, Grouping
from viscy_data.composition.plan import BatchPlan
from viscy_data.indexing.run import build_index
from viscy_data.tables.anchors.read import read_anchors
from viscy_data.tables.tau import TauRange

TABLE = Path(__file__).resolve().parents[5] / "shared" / "data" / "tables" / "celegans_live_tools.csv.gz"
pytestmark = pytest.mark.skipif(not TABLE.exists(), reason=f"the real table is not here: {TABLE}")
KEY = ["experiment", "track_id"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_csv(TABLE)


@pytest.fixture(scope="module")
def path(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index all embryos; they share a store that holds metadata alone."""
    from iohub.ngff import open_ome_zarr

    folder = tmp_path_factory.mktemp("embryos")
    with open_ome_zarr(folder / "e.zarr", layout="fov", mode="w-", channel_names=["c"]) as node:
        node.create_zeros("0", (200, 1, 80, 800, 800), np.uint16, chunks=(1, 1, 1, 800, 800))
    entries: list[dict[str, Any]] = []
    for name, own in table.groupby("experiment"):
        own.to_csv(folder / f"{name}.csv", index=False)
        entries.append({"name": name, "data_path": "e.zarr", "tracks_path": f"{name}.csv", "channels": ["c"]})
    (folder / "experiments.yaml").write_text(yaml.safe_dump({"experiments": entries}))
    out = folder / "anchors.parquet"
    build_index(
        folder / "experiments.yaml", out, tau=TauRange(frames=(1, 1)), progress=False, statistics=False
    )
    return out


def test_every_child_begins_one_frame_after_its_parent(table: pd.DataFrame, path: Path) -> None:
    anchors = read_anchors(path)
    assert len(anchors) == len(table) == 252_147
    spans = anchors.groupby(KEY, observed=True).agg(
        first=("t", "min"),
        last=("t", "max"),
        parent_track_id=("parent_track_id", "max"),
        lineage_id=("lineage_id", "first"),
    )
    children = spans[spans["parent_track_id"] >= 0].reset_index()
    families = children.groupby(["experiment", "parent_track_id"], observed=True).size()
    assert (families == 2).sum() == 4585
    parents = spans.reindex(pd.MultiIndex.from_frame(children[["experiment", "parent_track_id"]]))
    assert (children["first"].to_numpy() == parents["last"].to_numpy() + 1).all()
    assert (
        children["lineage_id"].astype(str).to_numpy() == parents["lineage_id"].astype(str).to_numpy()
    ).all()


def test_anchors_have_a_positive_where_the_cell_or_a_daughter_follows(
    table: pd.DataFrame, path: Path
) -> None:
    anchors = read_anchors(path)
    own = set(zip(table["experiment"], table["track_id"], table["t"], strict=True))
    daughters = set(zip(table["experiment"], table["parent_track_id"], table["t"], strict=True))
    keys = zip(anchors["experiment"].astype(str), anchors["track_id"], anchors["t"] + 1, strict=True)
    expected = np.array([key in own or key in daughters for key in keys])
    plan = BatchPlan(64, grouping=Grouping("experiment"), at_most=Distinct("lineage_id"))
    found = read_anchors(path, plan=plan)
    wanted = anchors.loc[expected, ["experiment", "lineage_id"]].reset_index(drop=True)
    assert list(found.columns) == ["experiment", "lineage_id"]
    for name in found:
        assert found[name].dtype == "category"
        assert (found[name].astype(str) == wanted[name].astype(str)).all()
