"""Batches compared as a real trainer consumes them: the plan's own, and ones slipped in."""

import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, override
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger

from viscy_data import CompositionWarning, FlexibleBatchSampler, IndexBatch
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

    batches_drawn: list[list[int]]

    @override
    def train_dataloader(self) -> Any:
        return anchor_loader(self.dataset, self.batches_drawn)


def fit(data: AnchorDataModule, callback: PlanCheck, folder: Path, **more: Any) -> Path:
    logger = CSVLogger(folder)
    options: dict[str, Any] = {"max_steps": 4} | more
    checkpoint = options.pop("ckpt_path", None)
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        logger=logger,
        log_every_n_steps=1,
        callbacks=[callback],
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **options,
    )
    trainer.fit(Tiny(), datamodule=data, ckpt_path=checkpoint)
    trainer.save_checkpoint(folder / "last.ckpt")
    return Path(logger.log_dir) / "metrics.csv"


def build(kind: type[AnchorDataModule], path: Path, **plan: Any) -> Any:
    data = kind(path, batches=replace(BATCHES, plan=plan), split=SplitOptions(0.3))
    data.setup("fit")
    return data


def own_batches(data: AnchorDataModule, count: int) -> list[IndexBatch]:
    return [data.train_sampler.batch(number, epoch=0) for number in range(count)]


def test_the_plans_own_batches_are_logged_and_do_not_warn(anchors_path: Path, tmp_path: Path) -> None:
    callback = PlanCheck()
    log = np.genfromtxt(
        fit(build(AnchorDataModule, anchors_path), callback, tmp_path), delimiter=",", names=True
    )
    assert (callback.measured, callback.deviating) == (4, 0)
    assert log["compositiondeviations"].tolist() == [0] * 4
    assert log["compositionleak"].tolist() == [0.25] * 4
    assert (log["compositionis_infected"] + log["compositionis_uninfected"]).tolist() == [1] * 4
    assert (log["compositiongroups"] > 1).all()
    assert (log["compositionspread"] > 0).all()


def test_what_is_logged_is_what_the_batches_hold(anchors_path: Path, tmp_path: Path) -> None:
    data = build(AnchorDataModule, anchors_path)
    log = np.genfromtxt(fit(data, PlanCheck(), tmp_path), delimiter=",", names=True)
    for row, batch in zip(log, own_batches(data, 4), strict=True):
        held = data.dataset.valid_anchors.iloc[batch]
        assert row["compositiongroups"] == held["experiment"].nunique()
        assert row["compositionis_infected"] == (held["condition"] == "infected").mean()
        hours = held["hours_post_infection"].to_numpy(dtype=float)
        assert row["compositionspread"] == pytest.approx(hours.std(), rel=1e-5)


@pytest.mark.filterwarnings(
    "ignore::viscy_data.errors.CompositionWarning"
)  # small cells; what counts is counted
@pytest.mark.parametrize(
    "plan",
    [
        {"span": 2, "at_most": {"by": "lineage_id", "count": 2}},
        {"stages": {0: {}, 3: {"grouping": {"leak": 0.0}}}},
        {"grouping": None, "balance": None, "focus": None},
    ],
)
def test_accumulated_batches_of_any_plan_are_its_own(
    plan: dict[str, Any], anchors_path: Path, tmp_path: Path
) -> None:
    callback = PlanCheck()
    data = build(AnchorDataModule, anchors_path, **plan)
    log = np.genfromtxt(fit(data, callback, tmp_path, accumulate_grad_batches=2), delimiter=",", names=True)
    assert (callback.measured, callback.deviating) == (8, 0)
    assert not log["compositiondeviations"].any()
    if "stages" in plan:
        assert set(log["compositionleak"].tolist()) == {0.25, 0.0} or log["compositionleak"][-1] == 0


def test_a_run_that_goes_on_consumes_the_plans_batches(anchors_path: Path, tmp_path: Path) -> None:
    first, later = PlanCheck(), PlanCheck()
    fit(build(AnchorDataModule, anchors_path), first, tmp_path, max_steps=3)
    data = AnchorDataModule(anchors_path, batches=BATCHES, split=SplitOptions(0.3))
    fit(data, later, tmp_path, max_steps=7, ckpt_path=tmp_path / "last.ckpt")
    assert [(one.measured, one.deviating) for one in (first, later)] == [(3, 0), (4, 0)]


def test_another_sampler_is_noticed(anchors_path: Path, tmp_path: Path) -> None:
    data = build(Slipped, anchors_path)
    rng = np.random.default_rng(0)
    data.batches_drawn = [rng.choice(data.train_sampler.positions, 8).tolist() for _ in range(6)]
    callback = PlanCheck()
    with pytest.warns(CompositionWarning) as caught:
        fit(data, callback, tmp_path)
    (text,) = [str(one.message) for one in caught if one.category is CompositionWarning]
    assert "Batch 1 that training consumed is not the plan's: it does not carry the epoch and number" in text
    assert "batch_sampler" in text
    assert (callback.measured, callback.deviating) == (4, 4)


def test_one_other_anchor_is_noticed(anchors_path: Path, tmp_path: Path) -> None:
    data = build(Slipped, anchors_path)
    data.batches_drawn = own_batches(data, 4)
    other = next(one for one in data.train_sampler.positions.tolist() if one not in data.batches_drawn[2])
    data.batches_drawn[2][5] = other
    callback = PlanCheck()
    with pytest.warns(
        CompositionWarning, match="Batch 3 .* 1 of 8 anchors are not those of batch 2 of epoch 0"
    ):
        log = np.genfromtxt(fit(data, callback, tmp_path), delimiter=",", names=True)
    assert (callback.measured, callback.deviating) == (4, 1)
    assert log["compositiondeviations"].tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize(("replaced", "deviating"), [(0, 1), (1, 1), (2, 0)])
def test_anchors_that_could_not_be_read_are_not_held_against_the_plan(
    replaced: int, deviating: int, anchors_path: Path
) -> None:
    data = build(AnchorDataModule, anchors_path)
    callback = PlanCheck()
    callback.on_fit_start(SimpleNamespace(datamodule=data), MagicMock())  # type: ignore[arg-type]  # a stand-in
    positions = list(own_batches(data, 1)[0])
    others = [one for one in data.train_sampler.positions.tolist() if one not in positions]
    batch = {"positions": torch.tensor([*others[:2], *positions[2:]]), "epoch": 0, "number": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompositionWarning)
        callback.on_train_batch_start(MagicMock(), MagicMock(), batch | {"replaced": replaced}, 0)
    assert callback.deviating == deviating


def test_anchors_that_validate_are_noticed_in_training(anchors_path: Path, tmp_path: Path) -> None:
    data = build(Slipped, anchors_path)
    rng = np.random.default_rng(0)
    data.batches_drawn = [rng.choice(data.validation_sampler.positions, 8).tolist() for _ in range(6)]
    callback = PlanCheck(every=2)
    with pytest.warns(CompositionWarning, match="8 of 8 anchors are not of the training part"):
        fit(data, callback, tmp_path)
    assert (callback.measured, callback.deviating) == (2, 2)


def test_sampler_and_table_may_be_given(anchors_path: Path, tmp_path: Path) -> None:
    data = build(AnchorDataModule, anchors_path)
    other = FlexibleBatchSampler(data.dataset.valid_anchors, 4)
    with pytest.warns(CompositionWarning, match="it holds 8 anchors, and batch 0 of epoch 0 holds 4"):
        fit(data, PlanCheck(sampler=other, anchors=data.dataset.valid_anchors), tmp_path)


def test_arguments_that_do_not_fit_are_refused(anchors_path: Path) -> None:
    with pytest.raises(ValueError, match="every=0"):
        PlanCheck(every=0)
    with pytest.raises(ValueError, match="give both"):
        PlanCheck(anchors=build(AnchorDataModule, anchors_path).dataset.anchors)
