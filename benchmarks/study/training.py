"""Train one encoder of one arm and embed the cells with it: a file of embeddings per training."""

import time
import warnings
from pathlib import Path
from typing import Any, override

import numpy as np
import torch
from lightning.pytorch import Trainer
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from study.arms import ALL_OFF, ARMS, Arm
from study.data import CROP, EXPERIMENTS, Cells, anchors_path, cells_of
from viscy_data import Reading
from viscy_data.columns import CONDITION, EXPERIMENT
from viscy_train import (
    AnchorDataModule,
    BatchOptions,
    ContrastiveModule,
    EncoderOptions,
    LossOptions,
    OptimizerOptions,
    SplitOptions,
)
from viscy_train.demo.training import LossHistory
from viscy_train.encoder.small import SmallBackbone

BATCH_SIZE = 64
_CELLS_AT_ONCE = 512

type FloatArray = NDArray[np.float32]


def train(folder: Path, arm_name: str, number: int, seed: int, steps: int) -> dict[str, Any]:
    """Train encoder ``number`` of an arm on the data of a seed; return what its file holds."""
    arm = ARMS[arm_name]
    start = time.process_time()
    left_out = held_out_of(seed, number) if arm.held_out else ""
    data = _data(folder, arm, left_out, seed=1000 * seed + number)
    cells, twins = cells_of(folder, "data"), cells_of(folder, "twins")
    module = _module(arm, cells.crops.shape[1], seed=1000 * seed + number)
    losses = LossHistory()
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=steps,
        max_epochs=-1,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
        callbacks=[losses],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, datamodule=data)
    return {
        "arm": arm_name,
        "number": number,
        "seed": seed,
        "steps": steps,
        "held_out": left_out,
        "loss": np.array(losses.values, np.float32),
        "seconds": time.process_time() - start,
        "data": embed(module, cells, per_experiment=arm.backbone == "batchnorm"),
        "twins": embed(module, twins, per_experiment=arm.backbone == "batchnorm"),
    }


def held_out_of(seed: int, number: int) -> str:
    """Return the experiment that training ``number`` of an arm with one held out never sees."""
    return f"synthetic_{(seed + number) % EXPERIMENTS + 1}"


def embed(module: ContrastiveModule, cells: Cells, *, per_experiment: bool) -> NDArray[np.float16]:
    """Return embeddings (N, D); statistics of batch normalisation are taken over each experiment's cells."""
    out = np.empty((len(cells.obs), module.encoder.width), np.float16)
    groups = cells.obs[EXPERIMENT].to_numpy()
    for name in np.unique(groups) if per_experiment else [None]:
        rows = np.flatnonzero(groups == name) if per_experiment else np.arange(len(out))
        if per_experiment:
            _take_statistics(module.encoder, cells.crops[rows])
        module.eval()
        for first in range(0, len(rows), _CELLS_AT_ONCE):
            some = rows[first : first + _CELLS_AT_ONCE]
            with torch.no_grad():
                out[some] = module.encoder(_tensor(cells.crops[some])).embedding.numpy()
    return out


def _take_statistics(encoder: nn.Module, crops: NDArray[np.float16]) -> None:
    layers = [layer for layer in encoder.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over the batches that follow
    encoder.train()
    with torch.no_grad():
        # in equal parts: one cell left over alone has no variance
        for some in np.array_split(crops, -(-len(crops) // _CELLS_AT_ONCE)):
            encoder(_tensor(some))


def _tensor(crops: NDArray[np.float16]) -> Tensor:
    return torch.from_numpy(np.asarray(crops, np.float32))


class BatchNormBackbone(SmallBackbone):
    """The small backbone with batch in place of group normalisation."""

    def __init__(self, in_channels: int, depth: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Flatten(1, 2), nn.Conv2d(in_channels * depth, 24, 2, stride=2))
        for name, layer in list(self.named_modules()):
            if isinstance(layer, nn.GroupNorm):
                self.set_submodule(name, nn.BatchNorm2d(layer.num_channels))


class _LabelsModule(ContrastiveModule):
    """The same encoder, trained to tell the condition: conditions weigh the same, whatever their counts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.classify = nn.Linear(self.encoder.width, 2)

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        seen = self.augment(batch["anchor"], self._generator(batch_idx))
        logits = self.classify(self.encoder(seen).embedding)
        rows = batch["rows"].cpu().numpy()
        table = self.trainer.datamodule.dataset.anchors  # type: ignore[attr-defined]  # ours
        truth = torch.from_numpy((table[CONDITION].to_numpy()[rows] == "infected").astype(np.int64))
        return functional.cross_entropy(logits, truth)


def _data(folder: Path, arm: Arm, left_out: str, seed: int) -> AnchorDataModule:
    batches = BatchOptions(batch_size=BATCH_SIZE, **(ALL_OFF | arm.batches))
    split = SplitOptions(held_out=(left_out,)) if left_out else SplitOptions(fraction=0.0)
    if arm.loss == "labels":
        batches = BatchOptions(batch_size=BATCH_SIZE, **(ALL_OFF | {"condition_balanced": True}))
    return AnchorDataModule(
        anchors_path(folder), batches, split, reading=Reading(cache_bytes=1 << 30), seed=seed
    )


def _module(arm: Arm, channels: int, seed: int) -> ContrastiveModule:
    own = f"{BatchNormBackbone.__module__}.{BatchNormBackbone.__name__}"
    backbone = own if arm.backbone == "batchnorm" else arm.backbone
    kind = _LabelsModule if arm.loss == "labels" else ContrastiveModule
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(
            EncoderOptions(backbone, in_channels=channels, depth=1, projection=64),
            LossOptions(temperature=0.5, beta=0.5),
            OptimizerOptions(2e-3),
            intensity=arm.intensity,
            crop=(CROP, CROP),
            seed=seed,
        )
