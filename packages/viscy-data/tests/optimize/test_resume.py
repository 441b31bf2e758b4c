"""Runs that end too early: killed, out of space, harmed in between; and what the next run makes of them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError
from viscy_data.optimize.job import plan_job
from viscy_data.optimize.run import Summary, rewrite

Pixels = NDArray[Any]

SHAPE = (6, 2, 1, 64, 64)
PATCH = (1, 32, 32)

# Dies by SIGKILL in the middle of noting the third shard: half of its line is in the journal.
KILLED = """
import os, signal, sys
from viscy_data.optimize import journal
from viscy_data.optimize.job import plan_job
from viscy_data.optimize.run import rewrite

def add(self, one, whole=journal.Journal.add):
    if len(self.finished) == 2:
        self._file.write('{"file": "A/1')
        self._file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    whole(self, one)

journal.Journal.add = add
rewrite(plan_job(sys.argv[1], sys.argv[2], patch=(1, 32, 32)), progress=False)
"""

FULL = """
import sys
from viscy_data.errors import StoreError
from viscy_data.optimize.job import plan_job
from viscy_data.optimize.run import rewrite
try:
    rewrite(plan_job(sys.argv[1], sys.argv[2], patch=(1, 32, 32)), progress=False)
except StoreError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(1, 60000, SHAPE, dtype=np.uint16)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, pixels: Pixels) -> Path:
    from iohub.ngff import open_ome_zarr

    path = tmp_path_factory.mktemp("store") / "plate.zarr"
    with open_ome_zarr(path, layout="hcs", mode="w-", channel_names=["a", "b"], version="0.5") as plate:
        plate.create_position("A", "1", "0").create_image("0", pixels, chunks=(1, 1, 1, 64, 64))
    return path


def shards(store: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of every shard: a file written again has others."""
    return {
        str(path.relative_to(store)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in (store / "A/1/0/0/c").rglob("*")
        if path.is_file() and "lock" not in path.name
    }


def noted(work: Path) -> list[str]:
    lines = (work / "journal.jsonl").read_text().split("\n")[1:-1]
    return [json.loads(line)["file"] for line in lines]


def finish(store: Path, out: Path, pixels: Pixels, **options: Any) -> Summary:
    summary = rewrite(plan_job(store, out, patch=PATCH, **options), progress=False)
    assert np.array_equal(zarr.open_array(out / "A/1/0/0", mode="r")[:], pixels)
    assert not [path for path in out.parent.rglob("*") if "lock" in path.name or "partial" in path.name]
    return summary


@pytest.fixture(scope="module")
def left_over(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Path:
    """Kill a run; return what it leaves."""
    out = tmp_path_factory.mktemp("killed") / "out.zarr"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, store, out], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    assert not out.exists()
    return plan_job(store, out, patch=PATCH).work


@pytest.fixture
def killed(tmp_path: Path, left_over: Path) -> Path:
    """Return the output of a run that was killed; what it left lies beside."""
    shutil.copytree(left_over, tmp_path / left_over.name)
    return tmp_path / "out.zarr"


def test_after_a_kill_finished_shards_are_not_redone(killed: Path, store: Path, pixels: Pixels) -> None:
    work = plan_job(store, killed, patch=PATCH).work
    first, kept = noted(work), shards(work / "store")
    assert len(first) == 2
    summary = finish(store, killed, pixels)
    assert (summary.found, summary.shards) == (2, SHAPE[0])
    now = shards(killed)
    assert {name: now[name] for name in first} == {name: kept[name] for name in first}
    assert len(now) == SHAPE[0]


def test_a_whole_run_and_a_resumed_one_are_the_same(
    killed: Path, store: Path, pixels: Pixels, tmp_path: Path
) -> None:
    resumed = finish(store, killed, pixels)
    whole = finish(store, tmp_path / "whole.zarr", pixels)
    assert resumed.digest == whole.digest
    files = [path for path in killed.rglob("*") if path.is_file()]
    assert all(path.read_bytes() == (whole.out / path.relative_to(killed)).read_bytes() for path in files)


@pytest.mark.parametrize("harm", ["noise", "cut", "deleted"])
def test_a_finished_shard_that_was_harmed_is_written_again(
    killed: Path, store: Path, pixels: Pixels, harm: str
) -> None:
    work = plan_job(store, killed, patch=PATCH).work
    file = work / "store" / noted(work)[0]
    data = file.read_bytes()
    file.unlink() if harm == "deleted" else file.write_bytes(
        data[:-1] if harm == "cut" else data[:50] + bytes([data[50] ^ 1]) + data[51:]
    )
    assert finish(store, killed, pixels).found == 1


def test_other_terms_are_refused_by_name(killed: Path, store: Path) -> None:
    with pytest.raises(InvalidInputError, match="unfinished run with other compression"):
        rewrite(plan_job(store, killed, patch=PATCH, compression="none"), progress=False)
    with pytest.raises(InvalidInputError, match="unfinished run with other images"):
        rewrite(plan_job(store, killed, patch=(1, 16, 16)), progress=False)
    assert not killed.exists()


def _mounts() -> bool:
    program = shutil.which("unshare")
    asked = [str(program), "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return program is not None and subprocess.run(asked, capture_output=True, check=False).returncode == 0


def test_a_full_disk_is_an_error_and_no_output(tmp_path: Path, store: Path) -> None:
    if not _mounts():
        pytest.skip("a small disk needs unshare and a namespace of one's own")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = (
        f'mount -t tmpfs -o size=48k none "{disk}" && "$0" -c "$1" "$2" "{disk}/out.zarr" && ls -A "{disk}"'
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command, sys.executable, FULL, store],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "the disk is full" in done.stdout, done.stdout + done.stderr
    assert "run again to go on" in done.stdout
    assert done.stdout.splitlines()[-1] == ".out.zarr.partial"


def test_a_file_that_may_not_grow_is_an_error_and_no_output(
    tmp_path: Path, store: Path, pixels: Pixels
) -> None:
    resource = pytest.importorskip("resource")
    out = tmp_path / "out.zarr"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    done = subprocess.run(
        [sys.executable, "-c", FULL, store, out],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    assert "the disk is full" in done.stdout, done.stdout + done.stderr
    assert not out.exists()
    finish(store, out, pixels)
