"""Reading where little is allowed: few files, no home, no terminal."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from small_project import WriteStore, index_project, write_project

READ = """
import sys
from viscy_data import AnchorDataset, FlexibleBatchSampler, anchor_loader
from viscy_data.errors import ViscyDataError

def main():
    try:
        dataset = AnchorDataset(sys.argv[1])
        sampler = FlexibleBatchSampler(dataset.valid_anchors, batch_size=10)
        loader = anchor_loader(dataset, sampler, num_workers=int(sys.argv[2]))
        print(sum(len(batch["rows"]) for batch in loader), len(dataset.read([0, 1])))
    except ViscyDataError as error:
        print("sentence:", error)

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def anchors(tmp_path: Path, write_store: WriteStore) -> Path:
    experiments = write_project(tmp_path / "project", write_store)
    return index_project(experiments, experiments.parent / "anchors.parquet")


def read(anchors: Path, workers: int = 0, **options: Any) -> str:
    script = anchors.parent / "script.py"
    script.write_text(READ)
    done = subprocess.run(
        [sys.executable, str(script), str(anchors), str(workers)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return str(done.stdout)


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def test_64_file_handles_are_enough_to_read(anchors: Path) -> None:
    assert read(anchors, preexec_fn=few_files).endswith(" 2\n")


def test_no_home_and_no_terminal_are_enough_to_read(anchors: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if name not in ("HOME", "TMPDIR", "TERM")}
    assert read(anchors, env=bare).endswith(" 2\n")
