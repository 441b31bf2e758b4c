"""Workers that die, workers that hang, and scripts that workers cannot import: sentences, soon.

Workers are real, and so are the signals that end them. None of these tests measures time: a loader that
waits for a worker that is gone waits longer than the limit that every test has.
"""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mortal_rows import Rows, Unreadable
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from viscy_data.dataset.loader import AnchorLoader, anchor_loader
from viscy_data.errors import InvalidInputError, WorkerError

LONG = 3600.0
BATCHES = [[number] for number in range(40)]


def load(dataset: Rows, **options: Any) -> Any:
    return anchor_loader(dataset, BATCHES, **{"num_workers": 2, "timeout": LONG} | options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("SIGKILL", r"was ended by SIGKILL \(from outside, or by the system because memory ran out\)"),
        ("SIGSEGV", "was ended by SIGSEGV"),
        ("SIGBUS", r"was ended by SIGBUS \(shared memory, /dev/shm, may be full\)"),
        ("exit", "ended with exit code 3"),
    ],
)
def test_a_worker_that_dies_while_it_reads_is_said(how: str, said: str) -> None:
    batches = iter(load(Rows(7, how)))
    with pytest.raises(WorkerError, match=rf"num_workers=2: a worker that reads batches {said}"):
        list(batches)


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata's call of PyTorch
@pytest.mark.parametrize("kind", [AnchorLoader, StatefulDataLoader, DataLoader])
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("epoch", [0, 1])
def test_a_worker_that_is_killed_between_batches_is_said(kind: Any, persistent: bool, epoch: int) -> None:
    loader = load(Rows(), loader=kind, persistent_workers=persistent)
    for _ in range(epoch):
        assert [batch["rows"].tolist() for batch in loader] == BATCHES
    batches = iter(loader)
    os.kill(next(batches)["pid"], signal.SIGKILL)
    with pytest.raises(WorkerError, match="SIGKILL"):
        list(batches)
    assert [batch["rows"].tolist() for batch in loader] == BATCHES, "another pass starts workers anew"


@pytest.mark.parametrize("kind", [AnchorLoader, StatefulDataLoader])
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata's call of PyTorch
def test_a_worker_that_dies_before_its_first_batch_is_said(kind: Any) -> None:
    """torchdata's asks its workers for their state before there is an iterator."""
    with pytest.raises(WorkerError, match=r"num_workers=2: a worker that reads batches (was|ended)"):
        list(load(Unreadable(), loader=kind))


def test_workers_that_were_killed_between_epochs_are_said() -> None:
    loader = load(Rows())
    for pid in {batch["pid"] for batch in loader}:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="SIGKILL"):
        list(loader)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_worker_that_is_killed_in_the_middle_of_a_message_is_said(num_workers: int) -> None:
    """A pipe takes 64 kB: the worker waits inside a message for who reads none, and is killed there."""
    batches = iter(load(Rows(filler=1 << 22), num_workers=num_workers))
    os.kill(next(batches)["pid"], signal.SIGKILL)
    with pytest.raises(WorkerError, match="SIGKILL"):
        list(batches)


def test_a_fork_server_that_is_killed_is_said() -> None:
    batches = iter(load(Rows()))
    worker = next(batches)["pid"]
    status = Path(f"/proc/{worker}/status").read_text().splitlines()
    os.kill(int(next(line for line in status if line.startswith("PPid:")).split()[1]), signal.SIGKILL)
    with pytest.raises(WorkerError, match="is gone with the process that started it"):
        list(batches)
    assert len(list(load(Rows()))) == len(BATCHES), "another fork server takes its place"


def test_a_worker_that_hangs_is_said_after_the_timeout() -> None:
    with pytest.raises(
        WorkerError, match=r"timeout=1\.5: no batch came for so many seconds, but all 2 workers"
    ):
        list(load(Rows(3, "hang"), timeout=1.5))


def test_what_a_dataset_raises_comes_through_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="what the dataset says") as caught:
        list(load(Rows(2, "raise")))
    assert not isinstance(caught.value, WorkerError)


def test_a_loader_that_is_no_class_keeps_its_own_ways() -> None:
    loader = load(Rows(), loader=partial(DataLoader, drop_last=False))
    assert [batch["rows"].tolist() for batch in loader] == BATCHES


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), "soon"])
def test_a_timeout_is_a_number_of_seconds(timeout: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"timeout={timeout!r} must be a number of seconds"):
        load(Rows(), timeout=timeout)


SCRIPT = """
import sys
from viscy_data import anchor_loader
from torch.utils.data import Dataset

print("the script runs", file=sys.stderr)

class Rows(Dataset):
    def __getitems__(self, rows):
        return {"rows": rows}

def main():
    try:
        print(*(batch["rows"] for batch in anchor_loader(DATASET, [[1], [2]], num_workers=1)))
    except RuntimeError as error:
        print(type(error).__name__, error)
"""
BARE = SCRIPT.replace("DATASET", "Rows()") + "\nmain()\n"
GUARDED = SCRIPT.replace("DATASET", "Rows()") + "\nif __name__ == '__main__':\n    main()\n"


def run(*arguments: str, given: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], input=given, capture_output=True, text=True, check=False
    )


def test_a_script_with_a_main_guard_runs_once_and_is_imported_once_by_each_worker(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(GUARDED)
    done = run(str(script))
    assert done.stdout.split("\n")[0] == "[1] [2]", done.stderr
    assert done.stderr.count("the script runs") == 2


def test_a_script_without_a_main_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(BARE)
    done = run(str(script))
    assert done.stdout.startswith("WorkerError num_workers=1: this script has no main guard. Each worker")
    assert "call it under `if __name__ == '__main__':`" in done.stdout
    assert "Traceback" not in done.stderr


ONE_LINE = (
    "import torch; from torch.utils.data import TensorDataset; from viscy_data import anchor_loader; "
    "loader = anchor_loader(TensorDataset(torch.arange(3)), [[1], [2]], num_workers=1); "
    "print(*(batch[0][0].item() for batch in loader))"
)


@pytest.mark.parametrize("arguments", [("-c", ONE_LINE), ("-i",)])
def test_code_that_is_in_no_file_needs_no_guard(arguments: tuple[str, ...]) -> None:
    done = run(*arguments, given=ONE_LINE + "\n")
    assert done.stdout == "1 2\n", done.stderr


def test_a_script_from_standard_input_is_refused() -> None:
    done = run("-", given=BARE.replace("except RuntimeError", "except ValueError"))
    assert "InvalidInputError num_workers=1: workers import the script" in done.stdout, done.stderr
    assert "'<stdin>' is not a file; save the script to a file" in done.stdout
