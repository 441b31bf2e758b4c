"""Every axis of a plan takes columns of one's own, from the index to batches."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from viscy_data.composition.plan import BatchPlan
from viscy_data.indexing.run import build_index
from viscy_data.sampling.plan_options import set_fields
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_data.synthetic.writing import synthesize
from viscy_data.tables.anchors.read import read_anchors
from viscy_data.tables.tau import TauRange

type Check = Callable[[pd.DataFrame], bool]

SIZE = 12


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plans")
    file = synthesize(
        folder, experiments=2, wells=4, frames=6, cells=6, size=96, columns=True, progress=False
    )
    content = yaml.safe_load(file.read_text())
    for entry in content["experiments"]:
        tracks = folder / entry["tracks_path"]
        for path in tracks.rglob("*.csv"):
            table = pd.read_csv(path)
            table.assign(age=table["t"] * 10.0, clone=table["track_id"] % 5).to_csv(path, index=False)
        entry["track_columns"] = ["age", "clone"]
    file.write_text(yaml.safe_dump(content))
    out, tau = folder / "anchors.parquet", TauRange(frames=(1, 2))
    build_index(file, out, patch_size=(32, 32), tau=tau, statistics=False, progress=False)
    return out


def _even(column: str) -> Check:
    return lambda batch: batch[column].value_counts().pipe(lambda n: n.max() - n.min()) <= 1


@pytest.mark.parametrize(
    ("settings", "columns", "holds"),
    [
        (["grouping.by=microscope"], {"microscope"}, lambda batch: batch["microscope"].nunique() == 1),
        (
            ["grouping.by=[microscope, drug]"],
            {"microscope", "drug"},
            lambda batch: len(batch[["microscope", "drug"]].drop_duplicates()) == 1,
        ),
        (["balance.by=drug"], {"drug"}, _even("drug")),
        (["balance.by=dose_um"], {"dose_um"}, _even("dose_um")),
        (
            ["focus={by: age, window_hours: 10, global_fraction: 0}"],
            {"age"},
            lambda batch: np.ptp(batch["age"]) <= 20,
        ),
        (
            ["at_most={by: clone, count: 3}"],
            {"clone"},
            lambda batch: batch["clone"].value_counts().max() <= 3,
        ),
        (["weighting.by=weight"], {"weight"}, lambda batch: len(batch) == SIZE),
        (
            ["locality.frames=2", "weighting.by=weight", "balance.by=drug"],
            {"weight", "drug", "experiment", "fov", "t"},
            lambda batch: len(batch[["experiment", "fov", "t"]].drop_duplicates()) <= 2,
        ),
        (
            [
                "grouping.by=microscope",
                "balance.by=drug",
                "weighting.by=weight",
                "at_most.by=[clone, age, well]",
            ],
            {"microscope", "drug", "weight", "clone", "age", "well"},
            lambda batch: batch["microscope"].nunique() == 1 and _even("drug")(batch),
        ),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else None,
)
def test_an_axis_takes_a_column_and_reads_no_other(
    index: Path, settings: list[str], columns: set[str], holds: Check
) -> None:
    plan = set_fields(BatchPlan(SIZE), settings)
    anchors = read_anchors(index, plan=plan)
    assert set(anchors) == columns
    sampler = FlexibleBatchSampler.from_plan(anchors, plan, seed=1)
    for number in range(10):
        assert holds(anchors.iloc[sampler.batch(number, epoch=0)])
