"""The recipes of the guide on clusters, word for word, on two processes and a scheduler that only notes."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "guides" / "clusters.md").read_text(encoding="utf-8")
STEPS = 4

CONFIG = """
data: {batches: {batch_size: 8}, split: {fraction: 0.3}}
model: {crop: [24, 24], encoder: {backbone: small, projection: 8}}
save: {steps: 1}
trainer:
  accelerator: cpu
  strategy: ddp
  precision: 32-true
  sync_batchnorm: false
  max_steps: 4
  log_every_n_steps: 1
  limit_val_batches: 0
"""

# a rank that tells itself, in its second step, what SLURM tells it two minutes before the time is up
PROGRAM = """\
import os, signal, sys
import torch
from viscy_train.cli.app import main
from viscy_train.module import ContrastiveModule
torch.set_num_threads(1)
step = ContrastiveModule.training_step
def told(module, batch, batch_idx):
    if module.global_step == 1 and os.environ.get("TELL"):
        os.kill(os.getpid(), signal.SIGUSR1)
    return step(module, batch, batch_idx)
ContrastiveModule.training_step = told
if __name__ == "__main__":
    sys.exit(main())
"""

# what srun does on one machine with two tasks: it starts them, waits, and ends with the highest code
SRUN = """\
for task in 0 1; do
    SLURM_PROCID=$task SLURM_LOCALID=$task SLURM_NODEID=0 "$@" &
    tasks="$tasks $!"
done
code=0
for task in $tasks; do
    wait "$task" || { ended=$?; [ "$ended" -gt "$code" ] && code=$ended; }
done
exit "$code"
"""


def recipe(name: str, **changes: str) -> str:
    """Return a script of the guide, for two processes on this machine."""
    found = re.search(rf"^```bash {name}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"the guide has no recipe {name}"
    text = found[1].replace("--config fit", "--config fit --config here.yaml")
    for old, new in changes.items():
        assert old.replace("_", " ") in text.replace("-", " ").replace("_", " "), f"{old} is not in {name}"
        text = re.sub(rf"({re.escape(old).replace('_', '[-_]')}[ =])\S+", rf"\g<1>{new}", text)
    return text


@pytest.fixture(scope="module")
def anchors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from viscy_data import TauRange, build_index, synthesize

    folder = tmp_path_factory.mktemp("anchors")
    experiments = synthesize(
        folder / "data", experiments=2, wells=2, fovs=1, frames=5, cells=8, size=96, progress=False
    )
    table = folder / "anchors.parquet"
    build_index(experiments, table, patch_size=(32, 32), tau=TauRange(frames=(1, 2)), progress=False)
    return table


@pytest.fixture
def here(anchors: Path, tmp_path: Path) -> Path:
    """A folder with the table, a configuration that a CPU can pay, and the programs that recipes call."""
    (tmp_path / "here.yaml").write_text(CONFIG)
    (tmp_path / "anchors.parquet").symlink_to(anchors)
    for beside in anchors.parent.glob("anchors.*"):
        if beside.name != "anchors.parquet":
            (tmp_path / beside.name).symlink_to(beside)
    (tmp_path / "rank.py").write_text(PROGRAM)
    programs = {
        "viscy-train": f'exec {sys.executable} {tmp_path}/rank.py "$@"\n',
        "torchrun": f'exec {sys.executable} -m torch.distributed.run "$@"\n',
        "srun": SRUN,
        "scontrol": f'echo "$@" >> {tmp_path}/told\n',
    }
    for name, text in programs.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/bash\n{text}")
        program.chmod(0o755)
    return tmp_path


def start(script: str, folder: Path, **variables: str) -> "subprocess.Popen[str]":
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "MASTER_"))
    }
    environment |= {"PATH": f"{folder / 'bin'}:{environment['PATH']}", "OMP_NUM_THREADS": "1", **variables}
    return subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    said, _ = process.communicate(timeout=400)
    return process.returncode, said


def test_torchrun_on_one_machine(here: Path) -> None:
    script = recipe("torchrun", nproc_per_node="2", **{"trainer.devices": "2"})
    code, said = ended(start(script, here))
    assert code == 0, said
    assert f"last.ckpt holds step {STEPS}" in said
    assert "batches of 2 ranks in a step share their group" in said


def test_torchrun_on_two_machines(here: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    changes = {"trainer.devices": "1", "master_addr": "127.0.0.1", "master_port": port}
    nodes = [
        start(recipe(f"node-{node}", nproc_per_node="1", **changes), here, GLOO_SOCKET_IFNAME="lo")
        for node in (0, 1)
    ]
    found = [ended(node) for node in nodes]
    assert [code for code, _ in found] == [0, 0], found
    assert f"last.ckpt holds step {STEPS}" in found[0][1]


def test_slurm_requeues_and_the_same_script_goes_on(here: Path) -> None:
    script = recipe("slurm", **{"trainer.devices": "2", "trainer.num_nodes": "1"})
    job = {
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NAME": "fit",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NNODES": "1",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_JOB_NODELIST": "127.0.0.1",
    }
    code, said = ended(start(script, here, TELL="yes", **job))
    assert code == 138, said
    assert "stopped by SIGUSR1" in said
    assert (here / "told").read_text() == "requeue 4711\n"
    code, said = ended(start(script, here, **job))
    assert code == 0, said
    assert "from step 2" in said
    assert f"last.ckpt holds step {STEPS}" in said
    assert [one.name for one in (here / "runs" / "fit").iterdir()] == ["version_0"]
