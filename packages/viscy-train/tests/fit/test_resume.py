"""A fit that goes on from a checkpoint has the batches and the losses of one that was not interrupted."""

from pathlib import Path
from typing import Any, override

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from viscy_data.errors import InvalidInputError
from viscy_train.datamodule import AnchorDataModule
from viscy_train.encoder import EncoderOptions
from viscy_train.module import ContrastiveModule
from viscy_train.parts import BatchOptions, SplitOptions

type Log = list[tuple[list[int], float]]

BATCHES = 4
"""Of an epoch, in every case."""


class Watch(Callback):
    """Note rows and loss of every batch; save at batches, validations and ends of epochs asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: Log = []

    @override
    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.seen.append((batch["rows"].tolist(), float(outputs["loss"])))
        if len(self.seen) in (2, BATCHES):
            trainer.save_checkpoint(self.folder / f"batch {len(self.seen)}.ckpt")

    @override
    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            trainer.save_checkpoint(self.folder / f"validation {len(self.seen)}.ckpt")

    @override
    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        trainer.save_checkpoint(self.folder / f"epoch {len(self.seen)}.ckpt")


def fit(anchors: Path, folder: Path, *, checkpoint: Path | None = None, **more: Any) -> Log:
    torch.manual_seed(0)
    watch = Watch(folder)
    options: dict[str, Any] = {"limit_train_batches": BATCHES, "limit_val_batches": 1} | more
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[watch],
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
        use_distributed_sampler=False,
        **options,
    )
    module = ContrastiveModule(EncoderOptions("small", in_channels=2, projection=8), crop=(32, 32))
    data = AnchorDataModule(anchors, BatchOptions(8, leaky=0.25), SplitOptions(0.3))
    trainer.fit(module, data, ckpt_path=checkpoint)
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
    "accumulation, loaders built anew": {
        "max_epochs": 2,
        "accumulate_grad_batches": 2,
        "reload_dataloaders_every_n_epochs": 1,
    },
}


@pytest.mark.parametrize("case", CASES)
def test_every_checkpoint_goes_on(case: str, anchors_path: Path, tmp_path: Path) -> None:
    options = CASES[case]
    whole = fit(anchors_path, tmp_path, **options)
    again = tmp_path / "again"
    checkpoints = sorted(tmp_path.glob("*.ckpt"))
    names = {"batch 2", "batch 4", "epoch 4"}
    assert names | {f"validation {BATCHES - BATCHES % options.get('val_check_interval', 1)}"} <= {
        path.stem for path in checkpoints
    }
    for checkpoint in checkpoints:
        done = int(checkpoint.stem.split()[1])
        found = fit(anchors_path, again, checkpoint=checkpoint, **options)
        assert [rows for rows, _ in found] == [rows for rows, _ in whole[done:]], checkpoint.name
        # gradients that add up to a step are in no checkpoint
        if (done % BATCHES) % options.get("accumulate_grad_batches", 1) == 0:
            assert found == whole[done:], checkpoint.name


def test_more_steps_than_planned_go_on_in_the_middle_of_an_epoch(anchors_path: Path, tmp_path: Path) -> None:
    steps = 2 * BATCHES + 1
    whole = fit(anchors_path, tmp_path / "whole", max_steps=steps)
    fit(anchors_path, tmp_path, max_steps=BATCHES + 2)
    # the trainer counts the epoch that it left as done
    found = fit(anchors_path, tmp_path, checkpoint=tmp_path / "epoch 6.ckpt", max_steps=steps)
    assert [rows for rows, _ in found] == [rows for rows, _ in whole[BATCHES + 2 :]]


def test_a_state_of_other_anchors_is_refused_with_both_fingerprints(anchors_path: Path) -> None:
    data = AnchorDataModule(anchors_path, BatchOptions(8), SplitOptions(0.3))
    data.setup("fit")
    other = AnchorDataModule(anchors_path, BatchOptions(8), SplitOptions(0.5))
    other.load_state_dict(data.state_dict())
    with pytest.raises(InvalidInputError, match=r"another anchors.*Fingerprints: \w+ there, \w+ here"):
        other.setup("fit")


def test_another_number_of_ranks_takes_up_whole_epochs_only(anchors_path: Path, tmp_path: Path) -> None:
    fit(anchors_path, tmp_path, max_epochs=1, limit_train_batches=1.0)
    saved: dict[str, Any] = torch.load(next(tmp_path.glob("epoch *.ckpt")), weights_only=True)
    state = saved["AnchorDataModule"]["training"]
    other = AnchorDataModule(anchors_path, BatchOptions(8, leaky=0.25), SplitOptions(0.3))
    other.trainer = Trainer(
        accelerator="cpu", devices=2, strategy="ddp", use_distributed_sampler=False, logger=False
    )
    other.setup("fit")
    other.load_state_dict({"training": state})
    assert other.state_dict() == {"training": state | {"ranks": 2}}
    with pytest.raises(InvalidInputError, match=r"ranks=1 in the checkpoint.* 2 ranks here"):
        other.load_state_dict({"training": state | {"position": 2, "step": 2}})
