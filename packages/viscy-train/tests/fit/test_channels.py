"""A run on a table of which a row is one channel of a cell, and what comes of it."""

import csv
from pathlib import Path

import anndata
import numpy as np
import pytest

from viscy_data.indexing.run import build_index
from viscy_data.synthetic.writing import synthesize
from viscy_data.tables.tau import TauRange
from viscy_train.embed import anchors_digest
from viscy_train.fit import run_fit
from viscy_train.models.embedding import embed_table
from viscy_train.module import ContrastiveModule

SMALL = [
    "--config=small",
    "--data.batches.batch_size=8",
    "--data.split.fraction=0.3",
    "--trainer.max_steps=6",
    "--trainer.log_every_n_steps=1",
    "--trainer.limit_val_batches=1",
]


@pytest.fixture(scope="module")
def anchors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five experiments of one to three channels."""
    folder = tmp_path_factory.mktemp("unlike")
    experiments = synthesize(
        folder / "data",
        experiments=5,
        wells=2,
        frames=4,
        cells=4,
        size=64,
        samples="channels",
        progress=False,
    )
    tau = TauRange(frames=(1, 2))
    build_index(experiments, folder / "anchors.parquet", patch_size=(40, 40), tau=tau, progress=False)
    return folder / "anchors.parquet"


@pytest.fixture(scope="module")
def run(anchors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log folder of a short run with one marker in each batch."""
    folder = tmp_path_factory.mktemp("fit")
    option = "--data.batches.plan={grouping: {by: marker}}"
    logger = f"--trainer.logger.init_args.save_dir={folder}"
    cli = run_fit([*SMALL, f"--data.anchors={anchors}", option, logger])
    assert isinstance(cli.model, ContrastiveModule)
    assert cli.model.encoder.options.in_channels == 1
    markers = cli.datamodule.dataset.valid_anchors["marker"]
    sampler = cli.datamodule.train_dataloader().batch_sampler
    batches = list(sampler)
    assert len(batches) > 5
    assert all(markers.iloc[batch].nunique() == 1 for batch in batches)
    assert {markers.iloc[batch].iloc[0] for batch in batches} == {"nucleus", "phase", "reporter"}
    return folder / "small" / "version_0"


def test_pairs_across_markers_are_of_one_cell_and_frame(anchors: Path, tmp_path: Path) -> None:
    logger = f"--trainer.logger.init_args.save_dir={tmp_path}"
    changes = ["--data.pairing.across=marker", "--data.batches.condition_balanced=false"]
    cli = run_fit([*SMALL, f"--data.anchors={anchors}", *changes, logger, "--trainer.max_steps=1"])
    dataset = cli.datamodule.dataset
    markers = dataset.anchors.groupby(["experiment", "cell_id"], observed=True)["marker"]
    assert (markers.transform("nunique") == 1).sum() == len(dataset.anchors) - len(dataset) > 0
    assert dataset.left_out.endswith("their cell shows no other marker in its frame")
    batch = next(iter(cli.datamodule.train_dataloader()))
    taken, positives = (dataset.anchors.iloc[batch[name].numpy()] for name in ("rows", "positive_rows"))
    for name in ("experiment", "cell_id"):
        assert taken[name].tolist() == positives[name].tolist()
    assert all(one != other for one, other in zip(taken["marker"], positives["marker"], strict=True))


def test_the_small_configuration_trains_on_one_marker_a_batch(run: Path) -> None:
    with (run / "metrics.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row.get("train/loss")]
    assert len(losses) == 6
    assert np.isfinite(losses).all()


@pytest.mark.filterwarnings("ignore:The 'future.infer_string' option:DeprecationWarning")
def test_an_embedding_has_a_row_of_each_channel(run: Path, anchors: Path, tmp_path: Path) -> None:
    from viscy_data import AnchorDataset

    (checkpoint,) = (run / "checkpoints").glob("last*.ckpt")
    out = embed_table(checkpoint, anchors, tmp_path / "e.zarr")
    table = AnchorDataset(anchors).anchors
    data = anndata.read_zarr(out)
    assert data.obs_names.is_unique
    first = table.iloc[0]
    assert data.obs_names[0] == f"{first['global_track_id']}/{first['t']}/{first['channel']}"
    for name in ("channel", "marker", "cell_id", "experiment", "t"):
        assert data.obs[name].astype(str).tolist() == table[name].astype(str).tolist()
    assert np.isfinite(np.asarray(data.X)).all()
    swapped = table.assign(channel=table["channel"].astype(str)[::-1].to_numpy())
    assert anchors_digest(table) != anchors_digest(swapped)
