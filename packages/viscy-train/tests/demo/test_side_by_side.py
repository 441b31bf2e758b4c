"""Trainings in processes of their own: what becomes of them when one fails.

That they find what one process finds: test_demo.
"""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from viscy_data.errors import WorkerError
from viscy_train.demo import DemoSettings, side_by_side
from viscy_train.demo.training import Job, Trained
from viscy_train.parts import BatchOptions

STARTED: list["subprocess.Popen[bytes]"] = []


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Two jobs without a table, and two threads to do them at once."""

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            STARTED.append(self)

    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(subprocess, "Popen", Noted)
    first = Job("first", BatchOptions(), tmp_path / "none.parquet", 1, DemoSettings(), tmp_path)
    return [first, replace(first, name="second")]


def test_what_a_process_died_of_is_said(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(job: Job, **_: Any) -> Trained:
        return None  # type: ignore[return-value]

    monkeypatch.setattr(side_by_side, "train", nothing)
    with pytest.raises(WorkerError, match=r"trains on second ended with code 1: .*none\.parquet"):
        side_by_side.train_all(jobs, progress=False)


def test_no_process_outlives_the_first(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(job: Job, **_: Any) -> Trained:
        raise KeyboardInterrupt

    monkeypatch.setattr(side_by_side, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        side_by_side.train_all(jobs, progress=False)
    assert STARTED[-1].returncode is not None
