"""The training step: two views of each cell, one encoder, one contrastive loss.

Training and validation share one step; they differ in what happens before it - random augmentation in
training, the centre crop in validation - and in that training gathers negatives over ranks. What is
random is keyed by (seed, global step, rank): the global random state is read by nothing here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, override

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from viscy_data import Augment, Geometry, Intensity, InvalidInputError, center_crop
from viscy_train.encoder import ContrastiveEncoder, Encoded, EncoderOptions
from viscy_train.finite import NotFiniteError, all_finite
from viscy_train.losses import NTXentHCL, alignment, effective_rank, pair_similarities, uniformity
from viscy_train.packed import load_weights
from viscy_train.schedules import WarmupCosine

Stage = Literal["train", "val"]

Batch = Mapping[str, Any]
"""What `AnchorDataModule` gives: anchor and positive (B, C, Z, Y, X), rows and ids."""


@dataclass(frozen=True)
class LossOptions:
    """Which `viscy_train.losses.NTXentHCL` to use; its arguments."""

    temperature: float = 0.07
    beta: float = 0.5
    gather: bool = True
    across_groups: bool = False


@dataclass(frozen=True)
class OptimizerOptions:
    """AdamW and its schedule.

    Parameters
    ----------
    learning_rate : float
        The highest that the schedule reaches.
    weight_decay : float
        Of matrices and kernels; biases and norms have none.
    warmup : float
        Share of all steps in which the rate rises.
    floor : float
        Final rate over the highest.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate={self.learning_rate}: must be above 0")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay={self.weight_decay}: must be at least 0")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup={self.warmup}: a share of all steps, in [0, 1)")


class ContrastiveModule(LightningModule):
    """Train an encoder by contrast; every option is saved in the checkpoint as plain values.

    Parameters
    ----------
    encoder : EncoderOptions
        Its `in_channels` and `depth` are those of the patches.
    loss : LossOptions
        Temperature, hardness and which negatives count.
    optimizer : OptimizerOptions
        Learning rate and schedule, over the whole run that the trainer plans.
    geometry, intensity : Geometry, Intensity
        Random augmentation, in training only; channel dropout is part of `intensity`.
    crop : (int, int), optional
        Y, X that the encoder sees: cut at random places and angles in training, from the centre
        otherwise. None keeps the size of the patches.
    seed : int
        Of augmentation. (Weights start from the global generator, as everywhere in PyTorch.)
    init_from : str, optional
        A model's file whose weights training begins with; its encoder has the same shapes.
    init_part : {"all", "encoder"}
        Whether the head begins with its weights, too.
    """

    def __init__(
        self,
        encoder: EncoderOptions = EncoderOptions(),  # noqa: B008 frozen
        loss: LossOptions = LossOptions(),
        optimizer: OptimizerOptions = OptimizerOptions(),
        geometry: Geometry = Geometry(),  # noqa: B008 frozen
        intensity: Intensity = Intensity(),  # noqa: B008 frozen
        crop: tuple[int, int] | None = None,
        seed: int = 0,
        init_from: str | None = None,
        init_part: Literal["all", "encoder"] = "all",
    ) -> None:
        super().__init__()
        encoder, loss = _revive(EncoderOptions, encoder), _revive(LossOptions, loss)
        optimizer = _revive(OptimizerOptions, optimizer)
        geometry, intensity = _revive(Geometry, geometry), _revive(Intensity, intensity)
        options: dict[str, Any] = {
            "encoder": encoder,
            "loss": loss,
            "optimizer": optimizer,
            "geometry": geometry,
            "intensity": intensity,
        }
        plain = {name: asdict(value) for name, value in options.items()}
        self.save_hyperparameters({**plain, "crop": crop, "seed": seed})
        self.optimizer_options = optimizer
        self.seed = seed
        self.crop = None if crop is None else (crop[0], crop[1])
        self.encoder = ContrastiveEncoder(encoder)
        if init_from is not None:
            # a class of one's own that is built here anyway may be that of the file, too
            load_weights(self, init_from, init_part, own_class=encoder.backbone)
        self.loss = NTXentHCL(**plain["loss"])
        self.augment = Augment(self.crop, geometry=geometry, intensity=intensity)

    def forward(self, patches: Tensor) -> Encoded:
        """Encode patches (B, C, Z, Y, X) as they are, except for the centre crop."""
        return self._encode(patches if self.crop is None else center_crop(patches, self.crop))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Augment both views, each sample on its own; return the loss."""
        generator = self._generator(batch_idx)
        anchor, positive = (self.augment(batch[view], generator) for view in ("anchor", "positive"))
        return self._step(anchor, positive, batch, "train", len(anchor))

    @override
    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Take both views as they are; return the loss of this rank's batch."""
        anchor, positive = batch["anchor"], batch["positive"]
        if self.crop is not None:
            anchor, positive = center_crop(anchor, self.crop), center_crop(positive, self.crop)
        return self._step(anchor, positive, batch, "val", self._weight(batch_idx, len(anchor)))

    @override
    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return rows (B,), embedding (B, D) and projection (B, P) of the anchors."""
        encoded = self(batch["anchor"])
        return {"rows": batch["rows"], "embedding": encoded.embedding, "projection": encoded.projection}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW and its rate per step over the run that the trainer plans.

        Raises
        ------
        InvalidInputError
            The trainer has no end: set max_epochs or max_steps.
        """
        total = self.trainer.estimated_stepping_batches
        if not 1 <= total < float("inf"):
            raise InvalidInputError(
                f"the trainer plans {total} steps, and a cosine schedule must know where it ends: "
                "set max_steps or max_epochs"
            )
        options = self.optimizer_options
        warmup = min(round(options.warmup * total), int(total) - 1)
        optimizer = torch.optim.AdamW(
            _parameter_groups(self, options.weight_decay), lr=options.learning_rate, weight_decay=0.0
        )
        rate = WarmupCosine(warmup, int(total), options.floor)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @override
    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Look at the gradients, which are those of all ranks.

        Raises
        ------
        NotFiniteError
            One is infinite or not a number.
        """
        # float16 scales gradients until one overflows, and then leaves the step out itself
        if getattr(self.trainer.precision_plugin, "scaler", None) is not None:
            return
        weights = {name: one.grad for name, one in self.named_parameters() if one.grad is not None}
        if all_finite(weights.values()):
            return
        bad = [name for name, gradient in weights.items() if not all_finite([gradient])]
        raise NotFiniteError(
            f"{self._place()}: gradients of {len(bad)} weights are infinite or not numbers, first of "
            f"{bad[0]}. Lower model.optimizer.learning_rate, or raise model.loss.temperature."
        )

    def _place(self) -> str:
        """Return where training is, for errors; steps and batches count from 0, as in the logs."""
        trainer = self.trainer
        loop = trainer.fit_loop.epoch_loop
        progress = loop.val_loop.batch_progress if trainer.evaluating else loop.batch_progress
        number = progress.current.ready - 1
        return f"step {self.global_step}, batch {number} of epoch {self.current_epoch}"

    def _step(self, anchor: Tensor, positive: Tensor, batch: Batch, stage: Stage, weight: int) -> Tensor:
        encoded = self._encode(torch.cat([anchor, positive]))
        first, second = encoded.projection.chunk(2)
        loss: Tensor = self.loss(
            first,
            second,
            lineage_ids=batch.get("lineage_ids"),
            group_ids=batch.get("group_ids"),
            value_ids=batch.get("value_ids"),
        )
        if not all_finite([loss]):
            where = _where_from(anchor, positive, batch)
            raise NotFiniteError(f"{self._place()}: the {stage} loss is {float(loss.detach())}. {where}")
        self.log(f"{stage}/loss", loss, prog_bar=True, **self._logging(stage, weight))
        if stage == "val" or self._logs_now():
            for name, value in _figures(first, second, encoded.embedding.chunk(2)[0]).items():
                self.log(f"{stage}/{name}", value, **self._logging(stage, weight))
        return loss

    def _logging(self, stage: Stage, weight: int) -> dict[str, Any]:
        """Training logs each step of its rank; validation the mean over batches of all ranks."""
        training = stage == "train"
        return {
            "on_step": training,
            "on_epoch": not training,
            "batch_size": weight,
            "sync_dist": not training,
        }

    def _weight(self, batch_idx: int, size: int) -> int:
        """Return 0 for a batch that only rounds the epoch up to the number of ranks, else its size."""
        planned = getattr(getattr(self.trainer, "datamodule", None), "validation_batches", None)
        number = batch_idx * self.trainer.world_size + self.global_rank
        return size if planned is None or number < planned else 0

    def _encode(self, patches: Tensor) -> Encoded:
        encoded: Encoded = self.encoder(patches)
        return encoded

    def _generator(self, batch_idx: int) -> torch.Generator:
        """Return the generator of this step: on the device, and of nothing that came before.

        Batches whose gradients add up to one step (accumulation) share the step and differ by turn.
        """
        turn = batch_idx % self.trainer.accumulate_grad_batches
        words = np.random.SeedSequence([self.seed, self.global_step, self.global_rank, turn])
        key = int(words.generate_state(1, np.uint64)[0])
        # bit 63 would make it a negative number for torch
        return torch.Generator(self.device).manual_seed(key >> 1)

    def _logs_now(self) -> bool:
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by a connector
        return bool(every) and (self.global_step + 1) % every == 0


def _where_from(anchor: Tensor, positive: Tensor, batch: Batch) -> str:
    """Say whether the patches hold what is not finite, and what to do."""
    bad = [one.flatten(1).isfinite().all(1).logical_not() for one in (anchor, positive)]
    if not (bad[0] | bad[1]).any():
        return "The patches are finite: lower model.optimizer.learning_rate, or raise model.loss.temperature."
    rows = [
        row
        for name, found in zip(("rows", "positive_rows"), bad, strict=True)
        if name in batch
        for row in batch[name][found.to(batch[name].device)].tolist()
    ]
    return (
        f"Patches of {len(rows)} rows of the table hold values that are not finite, first of rows "
        f"{', '.join(map(str, rows[:5]))}: look at their frames, or leave their fields of view out."
    )


def _figures(first: Tensor, second: Tensor, embedding: Tensor) -> dict[str, Tensor]:
    similarity = pair_similarities(first, second)
    return {
        "positive_similarity": similarity.positive,
        "negative_similarity": similarity.negative,
        "alignment": alignment(first, second),
        "uniformity": uniformity(first),
        "effective_rank": effective_rank(embedding),
    }


def _parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices and kernels decay; biases and norms, which have one axis, do not."""
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    return [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]


def _revive[Options](kind: type[Options], value: Options | Mapping[str, Any]) -> Options:
    """Return options, also from the plain values that a checkpoint holds."""
    return kind(**value) if isinstance(value, Mapping) else value
