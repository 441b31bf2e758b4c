"""Ranks that were told different things, and ranks that die: real processes, as a scheduler starts them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from fit_runs import SMALL, start

from viscy_data import statistics_path
from viscy_train.ranks import refuse_different_ranks


def two(
    anchors: Path, folder: Path, *more: str, second: Sequence[str] = (), dies: bool = False
) -> list[tuple[int, str]]:
    """Run two ranks of a fit, the second with arguments of its own; return how each ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = ["--config", "small", f"--data.anchors={anchors}", *SMALL, "--trainer.max_steps=6"]
    common += ["--trainer.devices=2", "--trainer.strategy=ddp", *more]
    started = []
    for rank in (0, 1):
        env = {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2"}
        env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        how: dict[str, Any] = {"signum": int(signal.SIGKILL), "at_step": 2} if dies and rank == 1 else {}
        arguments = [*common, *(second if rank == 1 else ())]
        started.append(start(arguments, folder / str(rank), env=env, **how))
    ended = []
    for rank, process in enumerate(started):
        process.join(200)
        code = process.exitcode
        if code is None:
            process.kill()
        ended.append((-1 if code is None else code, (folder / str(rank) / "said").read_text()))
    return ended


@pytest.mark.parametrize("what", ["seed", "table"])
def test_what_another_rank_was_told_is_named_on_every_rank(
    what: str, anchors_path: Path, tmp_path: Path
) -> None:
    """The other table lies beside the first, of the same images, and lacks its last cells."""
    second, expected = ["--data.seed=1"], "data.seed=1 on rank 1, 0 on rank 0"
    if what == "table":
        other = tmp_path / "data" / "other.parquet"
        other.parent.mkdir()
        table = pq.read_table(anchors_path)
        pq.write_table(table.slice(0, table.num_rows - 5), other)
        shutil.copy(statistics_path(anchors_path), statistics_path(other))
        second, expected = [f"--data.anchors={other}"], "of data.anchors="
    for code, said in two(anchors_path, tmp_path, second=second):
        assert code == 1, said
        assert "Ranks were told different things" in said
        assert expected in said
        assert "on rank 1" in said
        assert "Traceback" not in said


def test_a_rank_that_dies_ends_the_other(anchors_path: Path, tmp_path: Path) -> None:
    (first, said), (second, _) = two(anchors_path, tmp_path, dies=True)
    assert second == -signal.SIGKILL
    assert first == 1, said
    assert "another rank ended" in said
    assert "holds step 0" in said
    assert "Traceback" not in said


def test_the_first_rank_probes_validation_cells_and_the_others_wait(
    anchors_path: Path, tmp_path: Path
) -> None:
    steps = ["--trainer.max_steps=4", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1"]
    for rank, (code, said) in enumerate(two(anchors_path, tmp_path, "--probe.cells=60", *steps)):
        assert code == 0, said
        assert ("AUROC of a probe of condition" in said) == (rank == 0), said
    (path,) = tmp_path.rglob("metrics.csv")
    assert path.is_relative_to(tmp_path / "0")
    probed = pd.read_csv(path)["val/probe_condition"].dropna()
    assert len(probed) == 2  # of two epochs
    assert probed.between(0, 1).all()


def test_one_rank_has_nothing_to_compare() -> None:
    refuse_different_ranks({"data.seed": 1}, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")
def test_a_rank_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    """The child only waits; its parent is killed; the pipe that the child holds closes when it ends."""
    child = (
        "import time; from viscy_train.ranks import join_launcher\n"
        "print(join_launcher(), flush=True)\ntime.sleep(300)"
    )
    parent = (
        "import os, subprocess, sys, time; from viscy_train.ranks import join_launcher\n"
        "join_launcher(); os.environ['LOCAL_RANK'] = '1'\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        process.kill()
        assert process.stdout.read() == ""


def test_what_a_process_starts_after_its_training_is_no_rank_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook that trained starts another program, which inherits the variable."""
    monkeypatch.setenv("VISCY_TRAIN_LAUNCHER", str(os.getpid()))
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    asks = "from viscy_train.ranks import is_launched; print(is_launched())"

    def told(**env: str) -> str:
        own = {**os.environ, **env}
        return subprocess.check_output([sys.executable, "-c", asks], env=own, text=True).strip()

    assert told() == "False"
    assert told(LOCAL_RANK="0") == "False"
    assert told(LOCAL_RANK="1") == "True"
