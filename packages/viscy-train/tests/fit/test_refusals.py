"""What ``viscy-train fit`` refuses: in a sentence, before anything is written or run."""

import os
import pickle
import re
import resource
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
import yaml
from fit_runs import SMALL

from viscy_data.errors import InvalidInputError, OutputError
from viscy_train.cli.app import main
from viscy_train.models.checkpoint_file import copy_checkpoint, read_checkpoint, write_checkpoint

type Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(arguments: list[str], capsys: Said) -> str:
    """Return the sentence; nothing was written and nothing else was said."""
    before = sorted(Path.cwd().rglob("*"))
    capsys.readouterr()
    assert main(["fit", *arguments]) == 1
    said = capsys.readouterr().err
    assert sorted(Path.cwd().rglob("*")) == before
    assert "usage" not in said
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if not line.startswith("Seed set")]
    assert lines[0].startswith("error: ")
    return "\n".join(lines).removeprefix("error: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model.los.beta", "1"], r"--model.los.beta: there is no such option. Did you mean '--model.loss"),
        (["--model.loss.bta=1"], r"Did you mean '--model.loss.beta'\?"),
        (["stray"], "'stray': there is nothing for it to belong to"),
        (["--config", "smal"], "smal': no such file, and none of the package"),
        (["--config", "http://127.0.0.1:9/a.yaml"], "nothing is fetched"),
        (["--config", "."], "no such file"),
        (["--data.batches.batch_size", "many"], "data.batches.batch_size='many': a whole number is allowed"),
        (["--model.encoder.backbone", "vit"], "backbone='vit': neither 'small', nor a network of timm"),
        (["--trainer.callbacks", "os.system"], "is not a Callback|os.system"),
        (["--trainer.logger", "nothing.Here"], "nothing.Here' cannot be used: No module named 'nothing'"),
        (["--trainer.devices", "0"], "devices"),
        (["--save.steps", "0"], "save.steps=0: a number of optimiser steps"),
        (["--data.anchors", "none.parquet"], "none.parquet"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    arguments: list[str], sentence: str, anchors_path: Path, capsys: Said
) -> None:
    said = refused(["--config", "small", f"--data.anchors={anchors_path}", *SMALL, *arguments], capsys)
    assert len(said.splitlines()) == 1
    assert re.search(sentence, said), said


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("data: {batches: {batch_size: many}}", "data.batches.batch_size='many': a whole number is allowed"),
        ("data: {batches: {batchsize: 3}}", "data.batches.batchsize: a configuration holds it"),
        ("data: [1, 2", "not valid YAML"),
        ("data: {seed: 1, seed: 2}", "given twice"),
        ("just text", "holds no options"),
        ("weights_only: false", "only tensors and plain values are read"),
        ("trainer: {callbacks: [{class_path: os.system}]}", "'os.system' is not a "),
    ],
)
def test_a_wrong_configuration_is_one_sentence(
    content: str, sentence: str, anchors_path: Path, tmp_path: Path, capsys: Said
) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    common = ["--config", "small", f"--data.anchors={anchors_path}", *SMALL]
    assert sentence in refused([*common, "--config", "mine.yaml"], capsys)


@pytest.mark.parametrize(
    ("logger", "package"), [("wandb", "wandb"), ("WandbLogger", "wandb"), ("mlflow", "mlflow")]
)
def test_a_missing_logger_says_what_to_install(
    logger: str, package: str, anchors_path: Path, capsys: Said
) -> None:
    if find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    common = ["--config", "small", f"--data.anchors={anchors_path}", *SMALL]
    assert f"uv pip install 'viscy-train[{package}]'" in refused(
        [*common, "--trainer.logger", logger], capsys
    )


def test_all_that_cannot_be_is_one_report(anchors_path: Path, capsys: Said) -> None:
    said = refused(
        [
            *("--config", "small", f"--data.anchors={anchors_path}", *SMALL),
            *("--model.encoder.in_channels=3", "--model.crop=[50, 50]", "--data.batches.batch_size=9999"),
            *("--model.optimizer.learning_rate=-1", "--model.encoder.depth=5", "--data.patches.z_window=1"),
        ],
        capsys,
    )
    assert "6 options cannot be" in said or "5 options cannot be" in said
    for part in ("in_channels=3", "crop=[50, 50]", "batch_size=9999", "learning_rate=-1", "depth=5"):
        assert part in said, said


# so small a table fills a batch with the same cells
@pytest.mark.filterwarnings("ignore::viscy_data.errors.CompositionWarning")
def test_the_table_sets_the_run_up(anchors_path: Path, tmp_path: Path, capsys: Said) -> None:
    """A table of unknown conditions and hours: with nothing but its name, both axes are left out."""
    from viscy_data.indexing.run import build_index
    from viscy_data.tables.tau import TauRange

    data = anchors_path.parent / "data"
    content = yaml.safe_load((data / "experiments.yaml").read_text())
    for experiment in content["experiments"]:
        experiment |= {"condition_wells": None, "interval_minutes": None, "start_hpi": None}
        for key in ("data_path", "tracks_path"):
            experiment[key] = str(data / experiment[key])
    (tmp_path / "experiments.yaml").write_text(yaml.safe_dump(content))
    table = tmp_path / "unknown.parquet"
    build_index(
        tmp_path / "experiments.yaml", table, patch_size=(40, 40), tau=TauRange(frames=(1, 2)), progress=False
    )
    common = ["--config", "small", f"--data.anchors={table}"]
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.log_every_n_steps=1"]
    assert main(["fit", *common, "--trainer.max_steps=1", *quiet]) == 0
    said = capsys.readouterr().err
    for part in (
        "model.encoder.in_channels=2: the table's channels are",
        "model.crop=(32, 32): of patches of 40 x 40",
        "data.batches.batch_size=",
        "data.batches.condition_balanced=False: condition is not known in",
        "viscy-train embed runs/small/version_0/model.viscy",
    ):
        assert part in said, said
    before = sorted(tmp_path.rglob("*"))
    assert main(["fit", *common, "--data.batches.condition_balanced=true"]) == 1
    assert "condition_balanced=True: condition is not known" in capsys.readouterr().err
    assert main(["fit", *common, "--data.batches.temporal_enrichment=true"]) == 1
    assert "temporal_enrichment=True: hours_post_infection is not known in" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


class _Counting(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_error(404)

    do_HEAD = do_GET  # noqa: N815 as the server looks for it


def test_a_configuration_fetches_nothing(anchors_path: Path, tmp_path: Path, capsys: Said) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Counting)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/a"
    common = ["--config", "small", f"--data.anchors={anchors_path}", *SMALL]
    (tmp_path / "mine.yaml").write_text(f"ckpt_path: {address}.ckpt\nweights_only: false\n")
    refused([*common, "--config", "mine.yaml"], capsys)
    (tmp_path / "mine.yaml").write_text(f"ckpt_path: {address}.ckpt\n")
    assert "nothing is fetched" in refused([*common, "--config", "mine.yaml"], capsys)
    refused([*common, "--config", f"{address}.yaml"], capsys)
    refused(["--config", "small", *SMALL, "--data.anchors", f"{address}.parquet"], capsys)
    server.shutdown()
    server.server_close()
    assert _Counting.asked == 0


class _Runs:
    """What unpickling would run."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("was_run",)


def test_wrong_checkpoints_are_one_sentence_and_run_nothing(
    anchors_path: Path, tmp_path: Path, capsys: Said
) -> None:
    (tmp_path / "text.ckpt").write_text("weights")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "pickle.ckpt").write_bytes(pickle.dumps(_Runs()))
    torch.save({"state_dict": _Runs()}, tmp_path / "object.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    whole = (tmp_path / "other.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    expected = {
        "text.ckpt": "is not a checkpoint",
        "empty.ckpt": "is empty",
        "folder": "is a folder",
        "pickle.ckpt": "is not a checkpoint",
        "object.ckpt": "holds more than tensors and plain values",
        "other.ckpt": "lacks datamodule_hyper_parameters, hyper_parameters",
        "cut.ckpt": "is not a checkpoint, or only a part of one",
        "none.ckpt": "no such file",
        "/dev/zero": "is not a regular file",
        "s3://bucket/a.ckpt": "nothing is fetched",
    }
    common = ["--config", "small", f"--data.anchors={anchors_path}", *SMALL]
    for name, sentence in expected.items():
        said = refused([*common, "--ckpt_path", name], capsys)
        assert sentence in said, said
        assert len(said.splitlines()) == 1
        assert "weights_only" not in said, "the reader's advice to run the file"
        assert "likely succeed" not in said
    assert not Path("was_run").exists()


@pytest.fixture(scope="module")
def trained(anchors_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of two steps."""
    folder = tmp_path_factory.mktemp("trained")
    common = ["--config", "small", f"--data.anchors={anchors_path}", *SMALL, "--trainer.max_steps=2"]
    assert main(["fit", *common, "--trainer.logger=false", f"--trainer.default_root_dir={folder}"]) == 0
    assert [one.name for one in folder.iterdir()] == ["checkpoints"]
    found = sorted(one.name for one in (folder / "checkpoints").iterdir())
    assert found == [".running", "last.ckpt", "model.viscy", "run.json"]
    return folder / "checkpoints" / "last.ckpt"


def test_going_on_with_other_options_is_refused_by_name(
    trained: Path, anchors_path: Path, capsys: Said
) -> None:
    common = ["--config", "small", f"--data.anchors={anchors_path}", "--ckpt_path", str(trained)]
    said = refused([*common, "--model.loss.beta=0.9", "--data.seed=3", "--data.patches.z_window=1"], capsys)
    assert "2 options cannot be" in said
    assert "model.loss.beta=0.9: the checkpoint was trained with 0.5" in said
    assert "data.seed=3: the checkpoint was trained with 0" in said
    assert "nothing is left to train" in refused([*common, "--trainer.max_steps=2"], capsys)
    # options that nobody stated are the checkpoint's
    more = ["--trainer.max_steps=3", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    assert main(["fit", *common, *more]) == 0
    gone_on = read_checkpoint("runs/small/version_0/checkpoints/last.ckpt")
    before = read_checkpoint(trained)
    for name in ("hyper_parameters", "datamodule_hyper_parameters"):
        assert gone_on[name] == before[name]


@pytest.mark.filterwarnings("ignore::viscy_data.errors.CompositionWarning")
def test_a_checkpoint_of_other_anchors_is_refused(
    trained: Path, anchors_path: Path, tmp_path: Path, capsys: Said
) -> None:
    from viscy_data.indexing.run import build_index
    from viscy_data.tables.tau import TauRange

    data = anchors_path.parent / "data"
    content = yaml.safe_load((data / "experiments.yaml").read_text())
    content["experiments"] = content["experiments"][:2]
    for experiment in content["experiments"]:
        for key in ("data_path", "tracks_path"):
            experiment[key] = str(data / experiment[key])
    (tmp_path / "experiments.yaml").write_text(yaml.safe_dump(content))
    tau = TauRange(frames=(1, 2))
    table = tmp_path / "fewer.parquet"
    build_index(tmp_path / "experiments.yaml", table, patch_size=(40, 40), tau=tau, progress=False)
    arguments = ["--config", "small", "--data.anchors=fewer.parquet", "--ckpt_path", str(trained)]
    assert "is of other anchors than data.anchors='fewer.parquet'" in refused(arguments, capsys)


def test_a_checkpoint_of_another_model_is_refused(
    trained: Path, anchors_path: Path, tmp_path: Path, capsys: Said
) -> None:
    content = read_checkpoint(trained)
    content["state_dict"] = {"weight": torch.zeros(3)}
    torch.save(content, tmp_path / "other.ckpt")
    common = ["--config", "small", f"--data.anchors={anchors_path}", "--ckpt_path", "other.ckpt"]
    assert "is of another model" in refused(common, capsys)


def test_without_a_logger_an_earlier_checkpoint_is_not_replaced(
    trained: Path, anchors_path: Path, capsys: Said
) -> None:
    before = trained.read_bytes()
    common = ["--config", "small", f"--data.anchors={anchors_path}", *SMALL, "--model.loss.beta=0.1"]
    folder = trained.parents[1]
    said = refused([*common, "--trainer.logger=false", f"--trainer.default_root_dir={folder}"], capsys)
    assert "is of an earlier run" in said
    assert trained.read_bytes() == before


def test_a_loss_that_is_not_finite_ends_the_run(anchors_path: Path, capsys: Said) -> None:
    common = ["--config", "small", f"--data.anchors={anchors_path}", *SMALL, "--trainer.max_steps=9"]
    more = ["--model.optimizer.learning_rate=1e30", "--model.optimizer.warmup=0", "--save.steps=1"]
    assert main(["fit", *common, *more]) == 1
    said = capsys.readouterr().err
    assert "error: step " in said
    last = read_checkpoint("runs/small/version_0/checkpoints/last.ckpt")
    assert f"holds step {last['global_step']}" in said
    assert all(bool(one.isfinite().all()) for one in last["state_dict"].values())


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    write_checkpoint({"step": 1}, path)
    before = path.read_bytes()
    limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
    try:
        with pytest.raises(OutputError, match=r"checkpoint=.*cannot be written.*The one before it is kept"):
            write_checkpoint({"weights": torch.zeros(10_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_next_save_clears_what_a_killed_one_left(tmp_path: Path) -> None:
    """That of a process that lives, and files of other names, stay."""
    code = "import os; print(os.getpid())"
    dead = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    left = tmp_path / f".last.ckpt.{dead}.partial"
    kept = {f".last.ckpt.{os.getppid()}.partial", f".best.ckpt.{dead}.partial", ".last.ckpt.mine.partial"}
    for place in (left, *(tmp_path / name for name in kept)):
        place.write_bytes(b"PK half")
    write_checkpoint({"step": 1}, tmp_path / "last.ckpt")
    assert {one.name for one in tmp_path.iterdir()} == {"last.ckpt", *kept}
    left.write_bytes(b"PK half")
    copy_checkpoint(tmp_path / "last.ckpt", tmp_path / "last.ckpt")
    assert {one.name for one in tmp_path.iterdir()} == {"last.ckpt", *kept}


def test_a_checkpoint_replaces_no_link(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("1")
    (tmp_path / "last.ckpt").symlink_to(tmp_path / "thesis")
    with pytest.raises(OutputError, match=r"checkpoint=.*is a link"):
        write_checkpoint({}, tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").is_symlink()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"checkpoint=.*cannot be written"):
        write_checkpoint({}, tmp_path / "file" / "last.ckpt")
    with pytest.raises(InvalidInputError, match="nothing is fetched"):
        write_checkpoint({}, "http://127.0.0.1:9/last.ckpt")


def test_results_that_cannot_be_written_are_one_sentence(
    anchors_path: Path, tmp_path: Path, capsys: Said
) -> None:
    (tmp_path / "file").write_text("")
    common = ["--config", "small", f"--data.anchors={anchors_path}", *SMALL, "--trainer.max_steps=2"]
    assert main(["fit", *common, "--trainer.logger.init_args.save_dir=file"]) == 1
    said = capsys.readouterr().err
    assert "choose a folder that can be written" in said
    assert "Traceback" not in said


def test_overfitting_repeats_its_batches(anchors_path: Path) -> None:
    from viscy_train.fit import run_fit
    from viscy_train.module import ContrastiveModule

    seen: list[list[int]] = []
    step = ContrastiveModule.training_step

    def noted(module: ContrastiveModule, batch: Any, batch_idx: int) -> Any:
        seen.append(batch["rows"].tolist())
        return step(module, batch, batch_idx)

    common = ["--config", "small", f"--data.anchors={anchors_path}", *SMALL, "--trainer.max_steps=6"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ContrastiveModule, "training_step", noted)
        run_fit([*common, "--trainer.overfit_batches=2", "--trainer.limit_train_batches=1.0"])
    assert seen == seen[:2] * 3
    assert seen[0] != seen[1]


def test_a_configuration_that_changes_another_does_not_stand_alone(capsys: Said) -> None:
    assert "--config small --config strong" in refused(["--config", "strong"], capsys)
