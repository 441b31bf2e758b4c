"""Packaged configurations, run as a user would, on small stores; then what comes of the run."""

import csv
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from viscy_data import Intensity
from viscy_data.errors import InvalidInputError
from viscy_train.callbacks import FitProgress
from viscy_train.cli.app import main
from viscy_train.evaluation import read_embeddings
from viscy_train.fit import FitCLI, packaged, run_fit
from viscy_train.models.embedding import embed_table
from viscy_train.models.packing import model_of_checkpoint, pack
from viscy_train.module import ContrastiveModule
from viscy_train.packed import Card, read_model

CONFIGS = Path(__file__).parents[2] / "src/viscy_train/configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))

# every configuration at a size that a test can pay
SMALL = [
    "--data.batches.batch_size=8",
    "--data.split.fraction=0.3",
    "--data.patches.size=[40, 40]",
    "--data.num_workers=0",
    "--model.crop=[32, 32]",
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
]


FAST = ("--trainer.fast_dev_run=1",)


def fit(config: str, anchors: Path, *more: str) -> FitCLI:
    return run_fit(["--config", config, f"--data.anchors={anchors}", *SMALL, *more])


def test_there_are_configurations() -> None:
    assert NAMES == ["fit", "small", "strong"]


def test_strong_augmentation_goes_on_top_of_a_configuration(anchors_path: Path, tmp_path: Path) -> None:
    cli = fit("small", anchors_path, "--config", "strong", f"--trainer.default_root_dir={tmp_path}", *FAST)
    assert isinstance(cli.model, ContrastiveModule)
    assert Intensity(**cli.model.hparams["intensity"]) == Intensity.strong()
    assert cli.model.encoder.options.backbone == "small"


@pytest.mark.parametrize("name", ["fit", "small"])
def test_configuration_runs(
    name: str,
    anchors_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)  # where a run without a logger leaves its checkpoints
    given = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    cli = fit(name, anchors_path, *FAST)
    assert cli.trainer.global_step == 1
    said = capsys.readouterr().err
    assert said.count("check: 0 problems") == 1  # of the table, in one line
    size = cli.datamodule.batches.batch_size
    assert f"each batch: {size} anchors of one experiment, equal shares of condition" in said
    module = cli.model
    assert isinstance(module, ContrastiveModule)
    assert module.encoder.options.backbone == given["model"]["encoder"]["backbone"]
    assert module.loss.temperature == given["model"]["loss"]["temperature"]
    assert cli.datamodule.batches.condition_balanced is True


@pytest.fixture(scope="module")
def run(anchors_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log folder of a short run of the small configuration."""
    folder = tmp_path_factory.mktemp("fit")
    logger = f"--trainer.logger.init_args.save_dir={folder}"
    fit("small", anchors_path, logger, "--trainer.max_steps=4", "--trainer.log_every_n_steps=1")
    return folder / "small" / "version_0"


def test_run_logs_figures_waits_and_composition(run: Path) -> None:
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    logged = {name for row in rows for name, value in row.items() if value}
    figures = ["loss", "effective_rank", "positive_similarity", "data_wait", "patches_per_second"]
    figures += ["data_wait_fraction", "experiments", "conditions"]
    assert {f"train/{name}" for name in figures} <= logged
    steps = [row for row in rows if row["train/experiments"]]
    assert len(steps) == 4
    assert {float(row["train/experiments"]) for row in steps} == {1.0}
    assert all(float(row["train/data_wait"]) >= 0 for row in steps)
    assert all(0 <= float(row["train/data_wait_fraction"]) <= 1 for row in steps)
    assert all(float(row["train/patches_per_second"]) > 0 for row in steps)


def test_run_writes_what_its_batches_held(run: Path) -> None:
    table = pd.read_csv(run / "composition.csv")
    assert list(table) == ["epoch", "experiment", "condition", "anchors"]
    assert table["anchors"].sum() == 4 * 8
    assert set(table["condition"]) == {"infected", "uninfected"}


# a new run has a folder of its own
@pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning")
def test_a_run_goes_on_from_its_last_checkpoint(run: Path, anchors_path: Path, tmp_path: Path) -> None:
    more = ["--trainer.max_steps=5", f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"]
    cli = fit("small", anchors_path, f"--trainer.logger.init_args.save_dir={tmp_path}", *more)
    assert cli.trainer.global_step == 5
    state = cli.datamodule.state_dict()["training"]
    steps = cli.datamodule.train_sampler.sampler.batches_per_epoch
    assert state["epoch"] * steps + state["step"] == 5


# a new run has a folder of its own
@pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning")
def test_a_curriculum_is_followed_and_goes_on(
    anchors_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = '--data.batches.plan={"stages": {0: {}, 3: {"grouping": {"leak": 0.25}}}}'
    more = [f"--trainer.logger.init_args.save_dir={tmp_path}", "--trainer.log_every_n_steps=1", stages]
    fit("small", anchors_path, *more, "--trainer.max_steps=2")
    assert "each batch, at first: " in capsys.readouterr().err
    first, later = (tmp_path / "small" / f"version_{n}" for n in range(2))
    last = f"--ckpt_path={first / 'checkpoints' / 'last.ckpt'}"
    fit("small", anchors_path, *more, "--trainer.max_steps=6", last)
    logged = [pd.read_csv(folder / "metrics.csv") for folder in (first, later)]
    leaks = [leak for table in logged for leak in table["composition/leak"].dropna().tolist()]
    assert leaks == [0, 0, 0, 0.25, 0.25, 0.25]
    assert all((table["composition/deviations"].dropna() == 0).all() for table in logged)


def test_run_keeps_its_configuration(run: Path) -> None:
    kept = yaml.safe_load((run / "config.yaml").read_text())
    assert kept["data"]["batches"]["batch_size"] == 8
    assert kept["model"]["encoder"]["backbone"] == "small"


def test_a_run_leaves_models_that_know_their_data(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = read_model(run / "model.viscy")
    assert not model.network.training
    assert (model.card.step, model.card.crop) == (4, (32, 32))
    trained = model.card.trained_on
    assert trained.channels == (("Phase3D",), ("RFP",))
    assert (trained.patch_size, trained.slices, trained.depths) == ((40, 40), 1, (1, 1))
    assert trained.pixel_size_um == pytest.approx(0.65)
    assert trained.tau["frames"] == [1, 2]
    assert {"experiments", "stores", "anchors", "code"} == set(trained.digests)
    assert trained.plan["batch_size"] == 8
    assert [one["method"] for one in trained.normalization] == ["mean_std", "mean_std"]
    assert trained.z["policies"] == ["tracks"]
    assert main(["show", str(run / "model.viscy")]) == 0
    said = capsys.readouterr().out
    assert "channel 1:         RFP\n" in said
    assert "pixel size:        0.65 um\n" in said
    assert "evaluation:        none; pack --evaluation adds one\n" in said
    assert main(["show", str(run / "model.viscy"), "--json"]) == 0
    assert Card.model_validate_json(capsys.readouterr().out) == model.card


def test_a_checkpoint_is_packed(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint, out = run / "checkpoints" / "last.ckpt", tmp_path / "packed" / "model.viscy"
    arguments = ["pack", str(checkpoint), "-o", str(out)]
    assert main(arguments) == 0
    assert read_model(out).card.weights == read_model(run / "model.viscy").card.weights
    assert main(arguments) == 1
    assert "exists" in capsys.readouterr().err
    metrics = tmp_path / "metrics.json"
    metrics.write_text("{}")
    assert main([*arguments, "--overwrite", "--evaluation", str(metrics)]) == 1
    assert "holds no metrics; give what viscy-train evaluate -o wrote" in capsys.readouterr().err


def test_a_checkpoint_that_does_not_know_its_data_is_refused(run: Path, tmp_path: Path) -> None:
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    del content["datamodule_hyper_parameters"]["trained_on"]
    torch.save(content, tmp_path / "old.ckpt")
    with pytest.raises(InvalidInputError, match="does not say what its model was trained on; fit it"):
        model_of_checkpoint(tmp_path / "old.ckpt")


def test_checkpoint_embeds_every_cell(run: Path, anchors_path: Path, tmp_path: Path) -> None:
    checkpoint = run / "checkpoints" / "last.ckpt"
    out = tmp_path / "embeddings.zarr"
    arguments = ["embed", str(checkpoint), str(anchors_path), "-o", str(out), "--device", "cpu"]
    assert main(arguments) == 0
    file = read_embeddings(out)
    assert file.embedding.shape == (len(pd.read_parquet(anchors_path)), 128)
    with pytest.raises(InvalidInputError, match="exists"):
        embed_table(checkpoint, anchors_path, out)


def test_embeddings_are_evaluated(
    run: Path, anchors_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, metrics = run / "model.viscy", tmp_path / "metrics.json"
    out = embed_table(model, anchors_path, tmp_path / "e.zarr", device="cpu")
    assert main(["evaluate", str(out), "-o", str(metrics)]) == 0
    assert metrics.is_file()
    assert "guess" in capsys.readouterr().out
    packed = pack(model, tmp_path / "model.viscy", evaluation=metrics)
    assert main(["show", str(packed)]) == 0
    assert "condition_left_out" in capsys.readouterr().out
    metrics.write_text(metrics.read_text().replace(read_model(model).card.weights, "0" * 64))
    with pytest.raises(InvalidInputError, match="is of the embeddings of another model"):
        pack(model, tmp_path / "again.viscy", evaluation=metrics)


def test_a_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(InvalidInputError, match="lacks datamodule_hyper_parameters, hyper_parameters"):
        model_of_checkpoint(tmp_path / "other.ckpt")


def test_names_of_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small").write_text("")
    monkeypatch.chdir(tmp_path)
    assert packaged(["--config", "small", "-c", "mine.yaml"]) == ["--config", "small", "-c", "mine.yaml"]
    assert packaged(["--data.anchors", "fit", "--config=fit.yaml"])[1] == "fit"
    assert packaged(["--config=fit.yaml"]) == [f"--config={CONFIGS / 'fit.yaml'}"]


def test_a_callback_of_ones_own_takes_part(
    anchors_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = ["--trainer.callbacks+=own_callbacks.Counting", "--trainer.callbacks.first=10"]
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.logger=false"]
    cli = fit("small", anchors_path, *own, *quiet, "--trainer.max_steps=2")
    callbacks: list[Any] = cli.trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
    assert [one.steps for one in callbacks if type(one).__name__ == "Counting"] == [12]
    assert not any(isinstance(one, FitProgress) for one in callbacks)
