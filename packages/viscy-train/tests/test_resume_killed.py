"""A fit that was killed and started again has the batches and the losses of one that was not."""

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
type Log = list[tuple[list[int], float]]


def fit(anchors: Path, folder: Path, workers: int, die_after: int) -> None:
    """Fit, from the checkpoint where there is one, and log every batch; run in a process of its own."""
    import torch
    from lightning.pytorch import Callback, Trainer

    from viscy_train.datamodule import AnchorDataModule
    from viscy_train.encoder import EncoderOptions
    from viscy_train.fit import quiet_lightning
    from viscy_train.module import ContrastiveModule
    from viscy_train.parts import BatchOptions, SplitOptions

    checkpoint = folder / "mid.ckpt"

    class Watch(Callback):
        @override
        def on_train_batch_end(
            self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            with (folder / "log.jsonl").open("a") as file:
                file.write(json.dumps([batch["rows"].tolist(), outputs["loss"].item()]) + "\n")
                file.flush()
                os.fsync(file.fileno())
            if trainer.global_step == CHECKPOINT and not checkpoint.exists():
                trainer.save_checkpoint(checkpoint)
            if trainer.global_step == die_after:
                os.kill(os.getpid(), signal.SIGKILL)

    quiet_lightning()
    torch.manual_seed(0)
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[Watch()],
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
        max_epochs=2,
        use_distributed_sampler=False,
    )
    module = ContrastiveModule(EncoderOptions("small", in_channels=2, projection=8), crop=(32, 32))
    data = AnchorDataModule(anchors, BatchOptions(8, leaky=0.25), SplitOptions(0.3), num_workers=workers)
    trainer.fit(module, data, ckpt_path=checkpoint if checkpoint.exists() else None)


def read(folder: Path) -> Log:
    return [(rows, loss) for rows, loss in map(json.loads, (folder / "log.jsonl").read_text().splitlines())]


@pytest.fixture(scope="module")
def uninterrupted(anchors_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("whole")
    fit(anchors_path, folder, 0, 0)
    return read(folder)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_fit_goes_on(workers: int, anchors_path: Path, uninterrupted: Log, tmp_path: Path) -> None:
    command = [sys.executable, __file__, str(anchors_path), str(tmp_path), str(workers), str(KILLED)]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert killed.returncode == -9, killed.stderr[-3000:]
    assert read(tmp_path) == uninterrupted[:KILLED]
    (tmp_path / "log.jsonl").unlink()
    fit(anchors_path, tmp_path, workers, 0)
    assert read(tmp_path) == uninterrupted[CHECKPOINT:]


if __name__ == "__main__":
    fit(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
