"""Loops that were killed and started again train on the batches, with the losses, of one that was not."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from resume_loop import EVERY, Run, main

SUPPORT = Path(__file__).parents[1] / "support"
KILLED = EVERY + 2
# torchdata's own use of what newer PyTorch renames
pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
type Log = list[tuple[list[int], float]]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("whole")
    main("plain", folder)
    return read(folder)


def read(folder: Path, rank: int = 0) -> Log:
    lines = (folder / f"log{rank}.jsonl").read_text().splitlines()
    return [(rows, loss) for rows, loss in map(json.loads, lines)]


def start(loop: str, folder: Path, workers: int, die_after: int, **more: str) -> "subprocess.Popen[str]":
    paths = [str(SUPPORT), os.environ.get("PYTHONPATH", "")]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1", **more}
    command = [sys.executable, str(SUPPORT / "resume_loop.py"), loop, str(folder), str(workers)]
    return subprocess.Popen(
        [*command, str(die_after)], env=os.environ | environment, stderr=subprocess.PIPE, text=True
    )


def ended(process: "subprocess.Popen[str]") -> int:
    errors = process.communicate(timeout=240)[1]
    assert process.returncode in (0, -9), errors[-3000:]
    return process.returncode


@pytest.mark.parametrize(("loop", "workers"), [("plain", 0), ("plain", 2), ("stateful", 2)])
def test_a_killed_loop_goes_on(loop: str, workers: int, uninterrupted: Log, tmp_path: Path) -> None:
    folder = tmp_path
    assert ended(start(loop, folder, workers, KILLED)) == -9
    assert read(folder) == uninterrupted[:KILLED]
    (folder / "log0.jsonl").unlink()
    main(loop, folder, workers)
    assert read(folder) == uninterrupted[EVERY:]


def start_ranks(folder: Path, ranks: int, die_after: int) -> list["subprocess.Popen[str]"]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    own = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(ranks)]
    return [start("accelerated", folder, 0, die_after, **shared, **one) for one in own]


def test_killed_ranks_of_accelerate_go_on_together_and_alone(uninterrupted: Log, tmp_path: Path) -> None:
    folder = tmp_path / "together"
    folder.mkdir()
    processes = start_ranks(folder, 2, KILLED)
    assert [ended(process) for process in processes] == [-9, -9]
    for log in folder.glob("*.jsonl"):
        log.unlink()
    alone = Run(folder, 0).sampler()
    alone.load_state_dict(json.loads((folder / "checkpoint" / "sampler.json").read_text()))
    processes = start_ranks(folder, 2, 0)
    assert [ended(process) for process in processes] == [0, 0]
    expected = [rows for rows, _ in uninterrupted[2 * EVERY :]]
    turns = zip(read(folder, 0), read(folder, 1), strict=True)
    n = len(uninterrupted) // 3
    assert n % 2 == 0  # no batch only rounds an epoch up
    assert [rows for turn in turns for rows, _ in turn] == expected
    assert [batch for _ in range(3) for batch in alone] == expected
