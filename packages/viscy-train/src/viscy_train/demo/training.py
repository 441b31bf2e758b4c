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


@dataclass(frozen=True)
class Job:
    """A training, and where its checkpoint goes: under the first word of its name."""

    name: str
    batches: BatchOptions
    anchors_path: Path
    channels: int
    settings: DemoSettings
    out: Path

    @property
    def checkpoint(self) -> Path:
        """The file that the training writes."""
        return self.out / f"{self.name.split(maxsplit=1)[0]}.ckpt"

    def data(self) -> AnchorDataModule:
        """Return the data, not set up."""
        return AnchorDataModule(
            self.anchors_path,
            self.batches,
            SplitOptions(fraction=0.0),
            PatchOptions(),
            reading=Reading(cache_bytes=_CACHE_BYTES),
            seed=self.settings.seed,
        )

    def module(self) -> ContrastiveModule:
        """Return an untrained module, its weights drawn from the seed alone."""
        settings = self.settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            return ContrastiveModule(
                EncoderOptions("small", in_channels=self.channels, depth=1, projection=settings.projection),
                LossOptions(settings.temperature, settings.beta),
                OptimizerOptions(settings.learning_rate),
                settings.geometry,
                settings.intensity,
                crop=(settings.crop, settings.crop),
                seed=settings.seed,
            )


def train(job: Job, *, progress: bool, title: str = "") -> Trained:
    """Train an encoder and keep it; the title of the progress bar is its own where none is given."""
    data, module, losses = job.data(), job.module(), LossHistory()
    trainer = Trainer(
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices=1,
        max_steps=job.settings.steps,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        enable_progress_bar=progress,
        callbacks=[losses, *([FitProgress(title or f"train, {job.name}")] if progress else [])],
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(module, datamodule=data)
    with whole_file(job.checkpoint) as beside:
        trainer.save_checkpoint(beside, weights_only=False)
    said = dict.fromkeys(str(one.message) for one in caught if "viscy_" in one.filename)
    return Trained(module.cpu(), data, np.array(losses.values), tuple(said))


class LossHistory(Callback):
    """Keep the loss of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.values.append(float(outputs["loss"]))
