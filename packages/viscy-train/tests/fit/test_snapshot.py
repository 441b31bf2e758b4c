"""A pooled screen of one time point, from index to embeddings: no cell has a later self, each has a gene."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from viscy_data import AnchorDataset, Pairing, read_anchors, read_metadata, read_valid_anchors
from viscy_data.cli.app import app
from viscy_data.errors import InvalidInputError
from viscy_data.synthetic.writing import synthesize
from viscy_train.evaluation import read_embeddings
from viscy_train.fit import FitCLI, run_fit
from viscy_train.models.embedding import embed_table

SMALL = [
    "--config=small",
    "--data.batches.batch_size=8",
    "--data.batches.condition_balanced=false",
    "--data.split.fraction=0.3",
    "--model.crop=[32, 32]",
    "--model.encoder.projection=8",
    "--trainer.max_steps=2",
    "--trainer.limit_val_batches=1",
    "--trainer.enable_progress_bar=false",
]
GENES = ("TP53", "MYC", "KRAS")


def viscy_data(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The anchors table of 64 cells in two experiments; one cell has a gene of its own, one has none."""
    folder = tmp_path_factory.mktemp("screen")
    file = synthesize(
        folder / "data", experiments=2, wells=4, fovs=1, frames=1, cells=8, size=96, progress=False
    )
    for number, path in enumerate(sorted((folder / "data").glob("*/tracks/*/*/*/tracks.csv"))):
        tracks = pd.read_csv(path)
        tracks["gene"] = [GENES[track % 3] for track in tracks["track_id"]]
        if number == 0:
            tracks.loc[:1, "gene"] = ["ACTB", None]
        tracks.to_csv(path, index=False)
    content = yaml.safe_load(file.read_text())
    for one in content["experiments"]:
        one |= {"track_columns": ["gene"], "interval_minutes": 0}
    file.write_text(yaml.safe_dump(content))
    out = folder / "anchors.parquet"
    said = viscy_data("index", file, "-o", out, "--patch-size", 40, 40)
    assert "0 of 64 anchors have a later relative" in " ".join(said.split())
    return out


def fit(anchors: Path, *more: str) -> FitCLI:
    return run_fit([*SMALL, f"--data.anchors={anchors}", *more])


@pytest.fixture(scope="module")
def gone(screen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of ``last.ckpt``, of a run that paired cells of a gene."""
    folder = tmp_path_factory.mktemp("gone")
    fit(screen, "--data.pairing.by=gene", f"--trainer.logger.init_args.save_dir={folder}")
    (folder / "small/version_0/checkpoints/last.ckpt").rename(folder / "last.ckpt")
    return folder


def test_the_index_keeps_every_cell_and_checks_find_no_problem(screen: Path) -> None:
    table = read_anchors(screen)
    assert len(table) == 64
    assert table["hours_post_infection"].notna().all()
    assert sorted(read_metadata(screen).snapshots) == ["synthetic_1", "synthetic_2"]
    said = viscy_data("check", screen)
    assert "2 experiments of one time point" in " ".join(said.split())


def test_audit_counts_by_the_rule(screen: Path) -> None:
    options = ("audit", screen, "--batch-size", 8, "--batches", 20)
    assert "left out" not in viscy_data(*options, "--positive", "self", "--strict")
    by_gene = " ".join(viscy_data(*options, "--positive", "by=gene", "--by", "gene", "--strict").split())
    assert "2 of 64 anchors are left out: no other cell of their experiment has the same gene" in by_gene
    assert "MYC" in by_gene
    refused = " ".join(viscy_data(*options, code=2).split())
    assert "none of the 64 anchors has a positive: their cell has no later relative within tau" in refused


@pytest.mark.parametrize(
    ("positive", "pairing", "count"),
    [
        ("self", Pairing(), 64),
        (None, Pairing(by="gene"), 62),
        (None, Pairing(by=["gene", "well"]), None),
        (None, Pairing(by="gene", within=None), 62),
    ],
)
def test_rows_read_for_a_rule_are_those_of_its_dataset(
    screen: Path, positive: str | None, pairing: Pairing, count: int | None
) -> None:
    read = read_valid_anchors(screen, columns=["lineage_id", "gene"], positive=positive, pairing=pairing)
    dataset = AnchorDataset(screen, positive="self" if positive else None, pairing=pairing)
    pd.testing.assert_frame_equal(read, dataset.valid_anchors[["lineage_id", "gene"]])
    assert count in (None, len(read))
    left_out = len(dataset.anchors) - len(read)
    assert dataset.left_out.startswith(f"{left_out} of 64 anchors are left out") == (left_out > 0)


def test_fit_pairs_cells_of_a_gene_and_embeds_all_cells(
    screen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ["--data.pairing.by=gene", '--data.batches.plan={"at_most": {"by": "gene", "count": 4}}']
    logger = f"--trainer.logger.init_args.save_dir={tmp_path}"
    cli = fit(screen, *changes, logger)
    said = capsys.readouterr().err
    assert "anchors are left out: no other cell of their experiment has the same gene in their part" in said
    assert "check: 0 problems" in said
    assert cli.trainer.global_step == 2
    anchors = cli.datamodule.dataset.anchors
    batch = cli.datamodule.on_before_batch_transfer(next(iter(cli.datamodule.train_dataloader())), 0)
    genes, theirs = (anchors["gene"].iloc[batch[name].numpy()] for name in ("rows", "positive_rows"))
    assert genes.tolist() == theirs.tolist()
    assert genes.value_counts().max() <= 4
    checkpoint = tmp_path / "small" / "version_0" / "checkpoints" / "last.ckpt"
    embed_table(checkpoint, screen, tmp_path / "all.zarr", batch_size=32)
    held = read_embeddings(tmp_path / "all.zarr")
    assert len(held.obs) == 64
    assert held.obs["gene"].notna().sum() == 63


@pytest.mark.parametrize("stated", [[], ["--data.pairing.by=gene"], ["--data.pairing.by=[well]"]])
def test_a_run_goes_on_with_the_columns_of_its_pairs(gone: Path, screen: Path, stated: list[str]) -> None:
    logger = f"--trainer.logger.init_args.save_dir={gone}"
    options = [*stated, logger, f"--ckpt_path={gone / 'last.ckpt'}", "--trainer.max_steps=3"]
    if stated and "well" in stated[0]:
        with pytest.raises(
            InvalidInputError, match=r"data.pairing.by=\['well'\]: the checkpoint was trained with"
        ):
            fit(screen, *options)
    else:
        cli = fit(screen, *options)
        assert (cli.trainer.global_step, cli.datamodule.pairing.columns) == (3, ("gene",))


def test_fit_augments_a_cell_twice_with_self(screen: Path, tmp_path: Path) -> None:
    logger = f"--trainer.logger.init_args.save_dir={tmp_path}"
    cli = fit(screen, "--data.patches.positive=self", logger)
    assert cli.trainer.global_step == 2
    assert len(cli.datamodule.dataset) == 64
    assert cli.datamodule.dataset.left_out == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([], "none of the 64 anchors has a positive: their cell has no later relative"),
        (["--data.pairing.by=genes"], "by='genes' is not a column .* Did you mean 'gene'"),
        (["--data.pairing.by=gene", "--data.patches.positive=self"], "positive='self' with pairing: by="),
        (["--data.pairing.across=marker"], "across='marker': .* 'samples: channels'"),
    ],
)
def test_fit_refuses_before_anything_is_written(
    screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match=said):
        fit(screen, *changes)
    assert list(tmp_path.iterdir()) == []
