"""Train the demo's two encoders: the same except for their batches.

Weights, augmentation, positives, steps and batch size are the same; *composed* batches have the
axes on that the data allow, *random* ones have all off.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, override

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray

from viscy_data import Reading, whole_file
from viscy_train.callbacks import FitProgress
from viscy_train.datamodule import AnchorDataModule, PatchOptions
from viscy_train.demo.settings import DemoSettings
from viscy_train.demo.source import Source
from viscy_train.encoder import EncoderOptions
from viscy_train.module import ContrastiveModule, LossOptions, OptimizerOptions
from viscy_train.parts import BatchOptions, SplitOptions

_CACHE_BYTES = 512 << 20


@dataclass(frozen=True)
class Trained:
    """An encoder, the data it was trained on, and how that went.

    Attributes
    ----------
    module : ContrastiveModule
    data : AnchorDataModule
        Set up.
    losses : ndarray (steps,)
    warnings : tuple of str
        What the sampler had to say about the table.
    """

    module: ContrastiveModule
    data: AnchorDataModule
    losses: NDArray[np.float64]
    warnings: tuple[str, ...]


def composed_batches(source: Source, settings: DemoSettings) -> BatchOptions:
    """Return batches with every axis on that the data allow."""
    return BatchOptions(
        batch_size=batch_size_for(source, settings),
        experiment_aware=True,
        condition_balanced=source.has_conditions,
        temporal_enrichment=source.has_hours and settings.focus,
    )


def random_batches(source: Source, settings: DemoSettings) -> BatchOptions:
    """Return batches drawn at random: all axes off."""
    return BatchOptions(
        batch_size=batch_size_for(source, settings),
        experiment_aware=False,
        condition_balanced=False,
        temporal_enrichment=False,
    )


def batch_size_for(source: Source, settings: DemoSettings) -> int:
    """Return the batch size, halved until a few batches make an epoch."""
    valid = sum(one.valid_anchors for one in source.summary.counts)
    size = settings.batch_size
    while size > 8 and 4 * size > valid:
        size //= 2
    return size


def train(
    name: str, batches: BatchOptions, source: Source, settings: DemoSettings, out: Path, *, progress: bool
) -> Trained:
    """Train an encoder and keep it under the first word of its name."""
    data = AnchorDataModule(
        source.anchors_path,
        batches,
        SplitOptions(fraction=0.0),
        PatchOptions(),
        reading=Reading(cache_bytes=_CACHE_BYTES),
        seed=settings.seed,
    )
    module = _module(source, settings)
    losses = LossHistory()
    trainer = Trainer(
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices=1,
        max_steps=settings.steps,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        enable_progress_bar=progress,
        callbacks=[losses, *([FitProgress(f"train, {name}")] if progress else [])],
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(module, datamodule=data)
    with whole_file(out / f"{name.split(maxsplit=1)[0]}.ckpt") as beside:
        trainer.save_checkpoint(beside, weights_only=False)
    said = dict.fromkeys(str(one.message) for one in caught if "viscy_" in one.filename)
    return Trained(module.cpu(), data, np.array(losses.values), tuple(said))


def _module(source: Source, settings: DemoSettings) -> ContrastiveModule:
    """Return an untrained module, its weights drawn from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return ContrastiveModule(
            EncoderOptions(
                "small", in_channels=len(source.channels), depth=1, projection=settings.projection
            ),
            LossOptions(settings.temperature, settings.beta),
            OptimizerOptions(settings.learning_rate),
            settings.geometry,
            settings.intensity,
            crop=(settings.crop, settings.crop),
            seed=settings.seed,
        )


class LossHistory(Callback):
    """Keep the loss of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.values.append(float(outputs["loss"]))
