"""A fit that was killed and started again has the batches and the losses of one that was not.

On one process and on two, which agree on gradients and take turns in the batches.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, override

import pytest

CHECKPOINT = 4  # batches trained on when the checkpoint is written, and when the process dies
KILLED = 6
WORKERS = 2  # which have drawn ahead when the process dies; without them goes on what test_resume.py stops
type Log = list[tuple[list[int], float]]


def fit(anchors: Path, folder: Path, workers: int, die_after: int, ranks: int = 1) -> None:
    """Fit, from the checkpoint where there is one, and log every batch; run in a process of its own."""
    import torch
    from lightning.pytorch import Callback, Trainer

    from viscy_train.datamodule import AnchorDataModule
    from viscy_train.encoder import EncoderOptions
    from viscy_train.fit import quiet_lightning
    from viscy_train.module import ContrastiveModule
    from viscy_train.parts import BatchOptions, SplitOptions

    checkpoint = folder / "mid.ckpt"
    resumes = checkpoint.exists()

    class Watch(Callback):
        @override
        def on_train_batch_end(
            self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            with (folder / f"log{trainer.global_rank}.jsonl").open("a") as file:
                file.write(json.dumps([batch["rows"].tolist(), outputs["loss"].item()]) + "\n")
                file.flush()
                os.fsync(file.fileno())
            if trainer.global_step == CHECKPOINT and not resumes:
                trainer.save_checkpoint(checkpoint)
            if trainer.global_step == die_after:
                os.kill(os.getpid(), signal.SIGKILL)

    quiet_lightning()
    torch.manual_seed(0)
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[Watch()],
        default_root_dir=folder,
        devices=ranks,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
        limit_val_batches=1.0 if ranks == 1 else 0,  # starting workers takes seconds
        max_epochs=2 if ranks == 1 else 1,
        strategy="ddp" if ranks > 1 else "auto",
        use_distributed_sampler=False,
    )
    module = ContrastiveModule(EncoderOptions("small", in_channels=2, projection=8), crop=(32, 32))
    # as many batches to a step as two ranks take, so that one rank draws the same sequence
    batches = BatchOptions(8, leaky=0.25, plan={"span": 2})
    data = AnchorDataModule(anchors, batches, SplitOptions(0.3), num_workers=workers)
    trainer.fit(module, data, ckpt_path=checkpoint if resumes else None)


def read(folder: Path, rank: int = 0) -> Log:
    lines = (folder / f"log{rank}.jsonl").read_text().splitlines()
    return [(rows, loss) for rows, loss in map(json.loads, lines)]


def started(anchors: Path, folder: Path, workers: int, die_after: int, ranks: int = 1) -> tuple[int, str]:
    """Run a fit in a process of its own, or in several; return how it ended and what it said."""
    arguments = [str(anchors), str(folder), str(workers), str(die_after), str(ranks)]
    # a session of its own: when a rank fails, Lightning ends the whole process group
    ended = subprocess.run(
        [sys.executable, __file__, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        start_new_session=True,
    )
    return ended.returncode, ended.stderr[-3000:]


@pytest.fixture(scope="module")
def uninterrupted(anchors_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("whole")
    code, said = started(anchors_path, folder, 0, 0)  # a process of its own: losses depend on its threads
    assert code == 0, said
    return read(folder)


def test_a_killed_fit_goes_on(anchors_path: Path, uninterrupted: Log, tmp_path: Path) -> None:
    code, said = started(anchors_path, tmp_path, WORKERS, KILLED)
    assert code == -9, said
    assert read(tmp_path) == uninterrupted[:KILLED]
    (tmp_path / "log0.jsonl").unlink()
    code, said = started(anchors_path, tmp_path, WORKERS, 0)
    assert code == 0, said
    assert read(tmp_path) == uninterrupted[CHECKPOINT:]


def test_two_killed_ranks_go_on(anchors_path: Path, uninterrupted: Log, tmp_path: Path) -> None:
    """Each kills itself in the middle of an epoch; its batches are its own of those of one rank alone."""
    code, said = started(anchors_path, tmp_path, WORKERS, KILLED, 2)
    assert code != 0, said
    n = len(uninterrupted) // 2
    assert n > 2 * KILLED
    own = [[rows for rows, _ in uninterrupted[rank:n:2]] for rank in range(2)]
    for rank in range(2):
        seen = [rows for rows, _ in read(tmp_path, rank)]
        assert seen == own[rank][: len(seen)]
        assert len(seen) >= CHECKPOINT
        (tmp_path / f"log{rank}.jsonl").unlink()
    code, said = started(anchors_path, tmp_path, WORKERS, 0, 2)
    assert code == 0, said
    for rank in range(2):
        found = [rows for rows, _ in read(tmp_path, rank)]
        assert len(found) == -(-n // 2) - CHECKPOINT  # the last may only round the epoch up
        assert found[: len(own[rank]) - CHECKPOINT] == own[rank][CHECKPOINT:]


if __name__ == "__main__":
    fit(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
