"""A fit on two real processes: it ends, ranks agree, and validation is that of one process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, override

import pytest


def fit(anchors: str, folder: Path, ranks: int) -> None:
    """Fit for two epochs and write what each rank saw; run in a process of its own."""
    from lightning.pytorch import Callback, Trainer, seed_everything

    from viscy_train.callbacks import CompositionLog, DataWait, FitProgress, PlanCheck
    from viscy_train.datamodule import AnchorDataModule
    from viscy_train.encoder import EncoderOptions
    from viscy_train.fit import quiet_lightning
    from viscy_train.module import ContrastiveModule
    from viscy_train.parts import BatchOptions, SplitOptions

    class Seen(Callback):
        def __init__(self) -> None:
            self.training: list[list[int]] = []
            self.figures: dict[str, float] = {}

        @override
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            self.training.append(batch["rows"].tolist())

        @override
        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            if not self.figures:
                self.figures = {
                    name: float(trainer.callback_metrics[name]) for name in ("val/loss", "val/alignment")
                }

    quiet_lightning()
    seed_everything(0, verbose=False)
    seen, composition, check = Seen(), CompositionLog(), PlanCheck()
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[seen, composition, check, DataWait(), FitProgress()],
        default_root_dir=folder,
        devices=ranks,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=False,
        max_epochs=2,
        # before any step, so that one process and two hold the same weights
        num_sanity_val_steps=-1,
        strategy="ddp" if ranks > 1 else "auto",
        use_distributed_sampler=False,
    )
    module = ContrastiveModule(EncoderOptions("small", in_channels=2, projection=16), crop=(32, 32))
    # as many batches to a step as two ranks take, so that one rank draws the same sequence
    batches = BatchOptions(batch_size=8, plan={"span": 2})
    data = AnchorDataModule(anchors, batches, SplitOptions(0.35))
    trainer.fit(module, data)
    weights = sum(float(weight.detach().abs().sum()) for weight in module.encoder.backbone.parameters())
    report = {
        "training": seen.training,
        "figures": seen.figures,
        "weights": weights,
        "batches": data.train_sampler.sampler.batches_per_epoch,
        "validation": data.validation_batches,
        "checked": [check.measured, check.deviating],
        "counted": int(composition.table()["anchors"].sum()),
    }
    (folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(report))


def run(anchors: Path, folder: Path, ranks: int) -> list[dict[str, Any]]:
    command = [sys.executable, __file__, str(anchors), str(folder), str(ranks)]
    # a session of its own: when a rank fails, Lightning ends the whole process group
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, start_new_session=True
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(ranks)]


@pytest.fixture(scope="module")
def two(anchors_path: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run(anchors_path, tmp_path_factory.mktemp("two"), 2)


@pytest.fixture(scope="module")
def one(anchors_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(anchors_path, tmp_path_factory.mktemp("one"), 1)[0]


def test_ranks_take_turns_in_the_sequence_of_one(two: list[dict[str, Any]], one: dict[str, Any]) -> None:
    steps = -(-one["batches"] // 2)
    for epoch in range(2):
        own = [rank["training"][epoch * steps : (epoch + 1) * steps] for rank in two]
        dealt = [batch for turn in zip(*own, strict=True) for batch in turn][: one["batches"]]
        assert dealt == one["training"][epoch * one["batches"] : (epoch + 1) * one["batches"]]


def test_ranks_end_with_the_same_weights(two: list[dict[str, Any]]) -> None:
    assert len(two[0]["training"]) == len(two[1]["training"])
    assert two[0]["weights"] == two[1]["weights"]


def test_validation_does_not_depend_on_the_number_of_ranks(
    two: list[dict[str, Any]], one: dict[str, Any]
) -> None:
    # an odd number, so that one rank must repeat a batch, which may not count
    assert one["validation"] % 2 == 1
    assert two[0]["figures"] == two[1]["figures"] == pytest.approx(one["figures"], rel=1e-5)


def test_composition_counts_both_ranks(two: list[dict[str, Any]]) -> None:
    anchors = sum(len(batch) for rank in two for batch in rank["training"])
    assert two[0]["counted"] == two[1]["counted"] == anchors


def test_every_batch_of_each_rank_is_the_plans(two: list[dict[str, Any]], one: dict[str, Any]) -> None:
    # an odd number, so that the epoch is rounded up for two ranks by a batch that is checked, too
    assert one["batches"] % 2 == 1
    for rank in (*two, one):
        assert rank["checked"] == [len(rank["training"]), 0]


if __name__ == "__main__":
    fit(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
