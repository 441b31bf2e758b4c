"""Batches measured as a real trainer consumes them: the plan's own, and ones slipped in."""

from pathlib import Path
from typing import Any, override

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger

from viscy_data import CompositionWarning, FlexibleBatchSampler
from viscy_data.dataset.loader import anchor_loader
from viscy_train.callbacks import PlanCheck
from viscy_train.datamodule import AnchorDataModule
from viscy_train.parts import BatchOptions, SplitOptions

BATCHES = BatchOptions(
    batch_size=8, condition_balanced=True, leaky=0.25, temporal_enrichment=True, temporal_window_hours=2.0
)


class Tiny(LightningModule):
    """One weight: what is trained does not matter here."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    @override
    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        mean: torch.Tensor = batch["anchor"].mean()
        return self.weight * mean

    @override
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Validate nothing; the data module has batches for it."""

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


class Slipped(AnchorDataModule):
    """The data module with a loader that somebody built without its sampler."""

    rows: np.ndarray[Any, Any]

    @override
    def train_dataloader(self) -> Any:
        rng = np.random.default_rng(0)
        return anchor_loader(self.dataset, [rng.choice(self.rows, 8).tolist() for _ in range(6)])


def fit(data: AnchorDataModule, callback: PlanCheck, folder: Path) -> Path:
    logger = CSVLogger(folder)
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=4,
        logger=logger,
        log_every_n_steps=1,
        callbacks=[callback],
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(Tiny(), datamodule=data)
    return Path(logger.log_dir) / "metrics.csv"


def build(kind: type[AnchorDataModule], path: Path) -> Any:
    data = kind(path, batches=BATCHES, split=SplitOptions(0.3))
    data.setup("fit")
    return data


def test_the_plans_own_batches_are_logged_and_do_not_warn(anchors_path: Path, tmp_path: Path) -> None:
    callback = PlanCheck()
    log = np.genfromtxt(
        fit(build(AnchorDataModule, anchors_path), callback, tmp_path), delimiter=",", names=True
    )
    assert (callback.measured, dict(callback.deviating)) == (4, {})
    assert log["compositionleak"].tolist() == [0.25] * 4
    assert log["compositiondeviations"].tolist() == [0] * 4
    assert (log["compositionis_infected"] + log["compositionis_uninfected"]).tolist() == [1] * 4
    assert (log["compositiongroups"] > 1).all()
    for name in ("spread_hours", "focal_share", "lineage_pairs"):
        assert np.isfinite(log[f"composition{name}"]).all()


def test_another_sampler_is_noticed(anchors_path: Path, tmp_path: Path) -> None:
    data = build(Slipped, anchors_path)
    data.rows = data.train_sampler.positions
    callback = PlanCheck()
    with pytest.warns(CompositionWarning) as caught:
        fit(data, callback, tmp_path)
    texts = [str(one.message) for one in caught if one.category is CompositionWarning]
    assert len(texts) == len(callback.deviating)  # each axis once
    assert any("leaves the plan: leak" in text and "batch_sampler" in text for text in texts)
    assert callback.deviating["leak"] >= 2


def test_anchors_that_validate_are_noticed_in_training(anchors_path: Path, tmp_path: Path) -> None:
    data = build(Slipped, anchors_path)
    data.rows = data.validation_sampler.positions
    callback = PlanCheck(every=2)
    with pytest.warns(CompositionWarning, match="8 of 8 anchors are not of the training part"):
        fit(data, callback, tmp_path)
    assert (callback.measured, callback.deviating["split"]) == (2, 2)


def test_sampler_and_table_may_be_given(anchors_path: Path, tmp_path: Path) -> None:
    data = build(AnchorDataModule, anchors_path)
    other = FlexibleBatchSampler(data.dataset.valid_anchors, 4)
    with pytest.warns(CompositionWarning, match="batch size: asked 4"):
        fit(data, PlanCheck(sampler=other, anchors=data.dataset.valid_anchors), tmp_path)


def test_arguments_that_do_not_fit_are_refused(anchors_path: Path) -> None:
    with pytest.raises(ValueError, match="every=0"):
        PlanCheck(every=0)
    with pytest.raises(ValueError, match="give both"):
        PlanCheck(anchors=build(AnchorDataModule, anchors_path).dataset.anchors)
