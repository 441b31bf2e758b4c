"""The same command goes on with its run; other options, or ``--fresh``, begin another beside it."""

import json
import shutil
import signal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fit_runs import SMALL, losses, run

from viscy_data import InvalidInputError, statistics_path
from viscy_train.fit.earlier import EarlierRun, RunRecord, find_runs, keep_ids, take_lock
from viscy_train.fit.going_on import refuse_other_patches
from viscy_train.fit.packaged import namespace_of
from viscy_train.packed.trained_on import KEY

STEPS = 6


def arguments(anchors: Path, *more: str) -> list[str]:
    common = ["--config", "small", f"--data.anchors={anchors}", *SMALL, "--save.steps=2"]
    return [*common, f"--trainer.max_steps={STEPS}", *more]


@pytest.fixture(scope="module")
def stopped(anchors_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose run was told by SIGUSR1 to end in step 3."""
    folder = tmp_path_factory.mktemp("stopped")
    code, said = run(arguments(anchors_path), folder, signum=int(signal.SIGUSR1), at_step=2)
    assert code == 138
    assert "stopped by SIGUSR1" in said
    assert "The same command goes on" in said
    return folder


@pytest.fixture(scope="module")
def ended(anchors_path: Path, stopped: Path) -> Path:
    """The same folder, after the same command again."""
    code, said = run(arguments(anchors_path), stopped)
    assert code == 0, said
    assert "going on with runs/small/version_0/checkpoints/last.ckpt from step 3" in said
    return stopped


def versions(folder: Path) -> list[str]:
    return sorted(one.name for one in (folder / "runs/small").iterdir())


def test_the_same_command_goes_on_in_its_folder(ended: Path) -> None:
    assert sorted(losses(ended)) == list(range(STEPS))
    assert "version_0" in versions(ended)
    steps = pd.read_csv(ended / "runs/small/version_0/metrics.csv")
    trained = steps.dropna(subset=["train/loss"])["step"]
    assert trained.tolist() == list(range(STEPS))
    record = json.loads((ended / "runs/small/version_0/checkpoints/run.json").read_text())
    assert record["ended"] is True
    assert record["loggers"] == [["CSVLogger", 0]]


def test_a_run_that_has_ended_is_not_trained_again(anchors_path: Path, ended: Path) -> None:
    before = losses(ended)
    code, said = run(arguments(anchors_path), ended)
    assert code == 0, said
    assert "trained already" in said
    assert "raise trainer.max_steps" in said
    assert losses(ended) == before


def test_other_options_begin_another_run_and_say_which(anchors_path: Path, ended: Path) -> None:
    before = versions(ended)
    code, said = run(arguments(anchors_path, "--model.loss.beta=0.25"), ended)
    assert code == 0, said
    assert "a new run, since runs/small/version_0 has model.loss.beta=0.5" in said
    assert len(versions(ended)) == len(before) + 1


def test_fresh_begins_another_run(anchors_path: Path, ended: Path) -> None:
    before = versions(ended)
    code, said = run(arguments(anchors_path, "--fresh", "--trainer.max_steps=1"), ended)
    assert code == 0, said
    assert len(versions(ended)) == len(before) + 1
    assert "going on" not in said


@pytest.fixture(scope="module")
def copied(anchors_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of its own, and a run of one step on it."""
    folder = tmp_path_factory.mktemp("copied")
    for path in (anchors_path, statistics_path(anchors_path)):
        shutil.copy(path, folder)
    code, said = run(arguments(folder / anchors_path.name, "--trainer.max_steps=1"), folder)
    assert code == 0, said
    return folder / anchors_path.name


def test_another_table_under_the_same_path_begins_another_run(copied: Path) -> None:
    statistics = pd.read_parquet(statistics_path(copied))
    meta = pq.read_schema(statistics_path(copied)).metadata
    statistics["mean"] *= 2
    changed = pa.Table.from_pandas(statistics, preserve_index=False)
    pq.write_table(changed.replace_schema_metadata(meta), statistics_path(copied))
    code, said = run(arguments(copied, "--trainer.max_steps=1"), copied.parent)
    assert code == 0, said
    assert "a new run, since runs/small/version_0 has data.anchors.digest=" in said
    assert versions(copied.parent) == ["version_0", "version_1"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("channels", [["RFP"], ["Phase3D"]]), ("normalization", []), ("tau", {"frames": [9, 9]})],
)
def test_patches_of_another_kind_are_refused(name: str, value: object) -> None:
    here = {
        "channels": [["Phase3D"], ["RFP"]],
        "normalization": [{"method": "none"}],
        "tau": {"frames": (1, 2)},
    }
    checkpoint = {"datamodule_hyper_parameters": {KEY: {**here, "experiments": ["of another name"]}}}
    refuse_other_patches(here, checkpoint, "last.ckpt")
    refuse_other_patches(here, {"datamodule_hyper_parameters": {}}, "last.ckpt")
    with pytest.raises(InvalidInputError, match=f"was trained with {name}=.*the table has changed"):
        refuse_other_patches({**here, name: value}, checkpoint, "last.ckpt")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 100_000,
        "[]",
        "{}",
        '{"options": [], "names": {}, "limits": {}, "loggers": []}',
        '{"options": {}, "names": {}, "limits": 3, "loggers": []}',
        '{"options": {}, "names": {}, "limits": {}, "loggers": 5}',
        '{"options": {}, "names": {}, "limits": {}, "loggers": [], "ended": "no"}',
    ],
)
def test_a_broken_record_is_of_no_run(text: str, tmp_path: Path) -> None:
    (tmp_path / "version_0" / "checkpoints").mkdir(parents=True)
    (tmp_path / "version_0" / "checkpoints" / "last.ckpt").touch()
    (tmp_path / "version_0" / "checkpoints" / "run.json").write_text(text)
    kind = "lightning.pytorch.loggers.CSVLogger"
    logger = {"class_path": kind, "init_args": {"save_dir": str(tmp_path)}}
    config = namespace_of({"trainer": {"logger": logger, "default_root_dir": None}})
    assert find_runs(config) == []


def test_a_later_end_trains_longer(anchors_path: Path, tmp_path: Path) -> None:
    assert run(arguments(anchors_path, "--trainer.max_steps=1"), tmp_path)[0] == 0
    code, said = run(arguments(anchors_path, "--trainer.max_steps=2"), tmp_path)
    assert code == 0, said
    assert "trainer.max_steps=2: 1 when the run began" in said
    assert versions(tmp_path) == ["version_0"]
    assert sorted(losses(tmp_path)) == [0, 1]


def test_a_run_that_another_process_trains_is_left_to_it(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    first = take_lock(tmp_path)
    assert first is not None
    with pytest.raises(InvalidInputError, match=r"is being trained by another process.*--fresh"):
        take_lock(tmp_path)
    first.release()
    second = take_lock(tmp_path)
    assert second is not None
    second.release()


@pytest.mark.parametrize(
    ("kind", "option"), [("CSVLogger", "version"), ("WandbLogger", "id"), ("MLFlowLogger", "run_id")]
)
def test_each_logger_keeps_the_id_of_its_run(kind: str, option: str, tmp_path: Path) -> None:
    logger = {"class_path": f"lightning.pytorch.loggers.{kind}", "init_args": {option: None}}
    config = namespace_of({"trainer": {"logger": logger}})
    record = RunRecord(options={}, names={}, limits={}, loggers=[(kind, "a7")])
    keep_ids(config, EarlierRun(tmp_path, record))
    assert config.trainer.logger.init_args[option] == "a7"
