"""A fit that goes on from a checkpoint has the batches and the losses of one that was not interrupted."""

from pathlib import Path
from typing import Any, override

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from viscy_train.datamodule import AnchorDataModule
from viscy_train.encoder import EncoderOptions
from viscy_train.module import ContrastiveModule
from viscy_train.parts import BatchOptions, SplitOptions

BATCHES = 5
"""Of an epoch, in every case."""


class Watch(Callback):
    """Note rows and loss of every batch; save at batches, validations and ends of epochs asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: list[tuple[list[int], float]] = []

    @override
    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.seen.append((batch["rows"].tolist(), float(outputs["loss"])))
        if len(self.seen) in (2, BATCHES, BATCHES + 2):
            trainer.save_checkpoint(self.folder / f"batch {len(self.seen)}.ckpt")

    @override
    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            trainer.save_checkpoint(self.folder / f"validation {len(self.seen)}.ckpt")

    @override
    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        trainer.save_checkpoint(self.folder / f"epoch {len(self.seen)}.ckpt")


def fit(
    anchors: Path,
    folder: Path,
    *,
    checkpoint: Path | None = None,
    data: dict[str, Any] | None = None,
    **more: Any,
) -> list[tuple[list[int], float]]:
    torch.manual_seed(0)
    watch = Watch(folder)
    options: dict[str, Any] = {"limit_train_batches": BATCHES, "use_distributed_sampler": False} | more
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[watch],
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
        **options,
    )
    module = ContrastiveModule(EncoderOptions("small", in_channels=2, projection=8), crop=(32, 32))
    arguments: dict[str, Any] = {"batches": BatchOptions(8, leaky=0.25), "split": SplitOptions(0.3)}
    trainer.fit(module, AnchorDataModule(anchors, **arguments | (data or {})), ckpt_path=checkpoint)
    return watch.seen


CASES: dict[str, dict[str, Any]] = {
    "epochs": {"max_epochs": 2},
    "steps": {"max_steps": 2 * BATCHES + 1},
    "validation inside": {"max_epochs": 2, "val_check_interval": 2},
    "validation across": {
        "max_epochs": 2,
        "val_check_interval": 3,
        "check_val_every_n_epoch": None,
        "num_sanity_val_steps": 0,
    },
    "loaders built anew": {"max_epochs": 2, "reload_dataloaders_every_n_epochs": 1},
    "accumulation": {"max_epochs": 2, "accumulate_grad_batches": 2},
}


@pytest.mark.parametrize("case", CASES)
def test_every_checkpoint_goes_on(case: str, anchors_path: Path, tmp_path: Path) -> None:
    options = CASES[case]
    whole = fit(anchors_path, tmp_path, **options)
    again = tmp_path / "again"
    checkpoints = sorted(tmp_path.glob("*.ckpt"))
    assert {"batch 2.ckpt", "batch 5.ckpt", "batch 7.ckpt", "epoch 5.ckpt"} <= {p.name for p in checkpoints}
    for checkpoint in checkpoints:
        done = int(checkpoint.stem.split()[1])
        found = fit(anchors_path, again, checkpoint=checkpoint, **options)
        assert [rows for rows, _ in found] == [rows for rows, _ in whole[done:]], checkpoint.name
        # gradients that add up to a step are in no checkpoint
        if (done % BATCHES) % options.get("accumulate_grad_batches", 1) == 0:
            assert found == whole[done:], checkpoint.name
