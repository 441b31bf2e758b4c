"""Anchors to batches for a trainer: one dataset, in parts, each with its own sampler.

Training follows the trainer's epochs. Validation batches are those of epoch 0, in every epoch and at
every number of ranks, so that losses of two epochs are of the same cells. The trainer must not put a sampler
of its own around ours, which deals batches out to ranks itself.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, override

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from viscy_data import (
    AnchorDataset,
    AnchorLoader,
    BatchPlan,
    CompositionWarning,
    Experiment,
    InvalidInputError,
    Pairing,
    Reading,
    ZWindow,
    anchor_loader,
    normalize_batch,
    read_metadata,
)
from viscy_data.columns import LINEAGE_ID
from viscy_train.packed.trained_on import (
    KEY,
    TrainedOn,
    also_by_marker,
    code_digest,
    code_versions,
    table_digest,
)
from viscy_train.parts import (
    BatchOptions,
    FixedEpoch,
    IntArray,
    PartSampler,
    SplitOptions,
    choose_training,
    parts_of,
    sample_part,
)
from viscy_train.ranks import refuse_different_ranks
from viscy_train.resume import TrainerBatches, TrainerLoader

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PatchOptions:
    """What a patch shows; the arguments of `viscy_data.AnchorDataset` of the same names.

    Parameters
    ----------
    size : (int, int), optional
        Y, X in pixels; larger than the module's crop leaves room for rotation. None: as indexed.
    z_window : int
        Slices.
    z_offset : int
        Slices by which they lie above the cell's own, or below.
    z_shift : int
        In training, slices by which they are moved at most, at random.
    z_projection : str or dict, optional
        One picture instead of the slices: "max", "mean" or the cell's own "slice", or these by channel.
    positive : {"lineage", "self"}, optional
        Another frame of the same cell line, or the anchor's own patch augmented twice (SimCLR). None: as the
        pairing says, which is the lineage where it has neither ``by`` nor ``across``.
    normalization : str, dict or list, optional
        How intensities are normalised: a method, a mapping of its options, or either by channel; "none" keeps
        values as stored. None: as the experiments file says.
    dtype : {"float32", "source"}, optional
        Whether pixels travel to the device normalised, or as stored, which takes half the bytes. None: as
        stored to a GPU.
    """

    size: tuple[int, int] | None = None
    z_window: int = 1
    z_offset: int = 0
    z_shift: int = 0
    z_projection: str | dict[str, str] | None = None
    positive: Literal["lineage", "self"] | None = None
    normalization: str | dict[str, Any] | list[Any] | None = None
    dtype: Literal["float32", "source"] | None = None

    def __post_init__(self) -> None:
        _ = self.window  # which checks itself

    @property
    def window(self) -> ZWindow:
        """The slices of a patch."""
        return ZWindow(self.z_window, self.z_offset, self.z_shift, self.z_projection)  # type: ignore[arg-type]  # checked there


class AnchorDataModule(LightningDataModule):
    """Give the trainer composed batches of an anchors table.

    Use it with ``Trainer(use_distributed_sampler=False)``.

    Parameters
    ----------
    anchors : str or Path
        The table that ``viscy-data index`` wrote.
    batches : BatchOptions
        Composition, of training and validation alike.
    split : SplitOptions
        What validates.
    patches, pairing, reading
        See `PatchOptions`, `viscy_data.Pairing` and `viscy_data.Reading`.
    num_workers : int
        Processes that read; 0 reads, threaded, in this one.
    look_ahead : int
        Batches that this process reads ahead for a trainer, without workers.
    seed : int
        Of batches and positives.

    Attributes
    ----------
    dataset : AnchorDataset
        All anchors; there after `setup`.
    train_sampler, validation_sampler : PartSampler or None
        There after `setup`; no `validation_sampler` without validation.
    """

    dataset: AnchorDataset
    train_sampler: PartSampler
    validation_sampler: PartSampler | None

    def __init__(
        self,
        anchors: str | Path,
        batches: BatchOptions = BatchOptions(),  # noqa: B008 frozen
        split: SplitOptions = SplitOptions(),  # noqa: B008 frozen
        patches: PatchOptions = PatchOptions(),
        pairing: Pairing = Pairing(),  # noqa: B008 frozen
        reading: Reading = Reading(),  # noqa: B008 frozen
        num_workers: int = 0,
        look_ahead: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {"batches": batches, "split": split, "patches": patches, "pairing": pairing}
        plain = {name: asdict(value) for name, value in options.items()}
        # what a store's gaps mean is true wherever it is read; memory is the machine's own
        plain["reading"] = {"missing_chunks": reading.missing_chunks, "non_finite": reading.non_finite}
        # the module's own hyperparameters go to the logger, which refuses two that share a name
        self.save_hyperparameters({"anchors": str(anchors), **plain, "seed": seed}, logger=False)
        self.anchors = Path(anchors)
        self.batches = batches
        self.split = split
        self.patches = patches
        self.pairing = pairing
        self.reading = reading
        self.num_workers = num_workers
        self.look_ahead = look_ahead
        self.seed = seed
        self._ready = False
        self._state: dict[str, Any] = {}
        self._training: PartSampler | TrainerBatches | None = None

    @override
    def setup(self, stage: str | None = None) -> None:
        """Open the table, split it and lay out the batches; once, whatever the stage.

        Raises
        ------
        InvalidInputError
            The trainer would replace the sampler; options that do not fit the table; a part too small.
        """
        _refuse_foreign_sampler(self.trainer)
        if not self._ready:
            self._lay_out()
        if stage == "fit" and self.trainer is not None:
            refuse_different_ranks(self._identity(), self.trainer.world_size)
        if self.trainer is not None and stage == "fit":
            self._training = TrainerBatches(self.train_sampler, self.trainer)
        self.load_state_dict(self._state)

    def _gathering_ranks(self) -> int:
        """Return how many ranks take negatives from each other in one step."""
        if self.trainer is None:
            return 1
        loss = getattr(self.trainer.lightning_module, "loss", None)
        return self.trainer.world_size if getattr(loss, "gather", False) else 1

    def _identity(self) -> dict[str, Any]:
        """Return what all ranks must share, by the names of options, as plain values."""
        state = self.train_sampler.state_dict()
        told = {name: state[name] for name in ("table", "anchors", "plan")}
        module = None if self.trainer is None else self.trainer.lightning_module
        model = {} if module is None else dict(module.hparams)
        options = {f"model.{name}": value for name, value in model.items()}
        options |= {f"data.{name}": value for name, value in self.hparams.items() if name != "anchors"}
        return {**options, **{f"the {name} of data.anchors": value for name, value in told.items()}}

    def _lay_out(self) -> None:
        parts = parts_of(self.anchors, self.split, self.pairing)
        self.dataset = self._open(parts)
        valid = self.dataset.valid_anchors
        if parts is None:
            training = choose_training(valid, self.split)
        else:
            training = parts[self.dataset.valid_rows] == 1
        self.train_sampler = sample_part(
            "training", valid, training, self.batches, self.seed, ranks=self._gathering_ranks()
        )
        self.validation_sampler = None
        if not training.all():
            self.validation_sampler = sample_part("validation", valid, ~training, self.batches, self.seed)
        self._lineages = _codes(self.dataset.anchors[LINEAGE_ID])
        self._values = None
        if self.pairing.columns:
            self._values = _group_codes(self.dataset.anchors, self.pairing.columns)
            self._refuse_batches_of_one_value(self._values)
        plan = self.train_sampler.sampler.plan_at(0, epoch=0)
        self._groups = None if plan.grouping is None else _group_codes(self.dataset.anchors, plan.grouping.by)
        _warn_of_scattered_positives(plan, self.pairing, self.dataset.rule)
        # with it a checkpoint is enough to use its model elsewhere
        self.hparams[KEY] = self._trained_on().plain()
        self._training = self.train_sampler
        self._ready = True

    def _normalization(self, used: list[Experiment]) -> Any:
        """Return how each channel is normalised, as plain values."""
        chosen = self.dataset.normalization
        if isinstance(chosen, Mapping):
            return also_by_marker({name: one.as_dict() for name, one in chosen.items()}, used)
        return [one.as_dict() for one in chosen]

    def _window(self, used: list[Experiment]) -> dict[str, Any]:
        """Return which slices of its window a patch shows, as plain values."""
        options = asdict(self.patches.window)
        by_name = options["projection"]
        if isinstance(by_name, Mapping) and used[0].samples == "channels":
            every = {name: by_name.get(name, "slice") for one in used for name in one.channels}
            options["projection"] = also_by_marker(every, used)
        return options

    def _trained_on(self) -> TrainedOn:
        """Return what whoever has the model and not the table must know."""
        file, shown = read_metadata(self.anchors), self.dataset.shown
        used = [one for one in file.experiments.experiments if one.name in shown.experiments]
        table = table_digest(self.anchors)
        digests = {"experiments": file.digest, "stores": file.stores, "anchors": table}
        tau = self.pairing.tau or file.tau
        return TrainedOn(
            samples=shown.samples,
            channels=shown.channels,
            patch_size=shown.size,
            slices=shown.slices,
            pixel_size_um=shown.pixel_size_um,
            slice_um=shown.slice_um,
            depths=shown.depths,
            sizes_unknown=shown.sizes_unknown,
            z={
                **self._window(used),
                "policies": sorted({"tracks" if one.z is None else str(one.z) for one in used}),
            },
            normalization=self._normalization(used),
            border=shown.border,
            positive=self.dataset.rule,
            pairing=asdict(replace(self.pairing, tau=None)),
            tau=tau.as_dict(),
            plan=asdict(self.batches),
            experiments=shown.experiments,
            digests={**digests, "code": code_digest()},
            versions=code_versions(),
        )

    @override
    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        sampler: Sampler[list[int]]
        sampler = self.train_sampler if self._training is None else self._training
        if self.trainer is not None and self.trainer.overfit_batches > 0:  # type: ignore[attr-defined]  # a connector's
            # the same batches in every epoch are what it is for
            sampler = FixedEpoch(self.train_sampler)
        # Without a trainer nobody counts what was consumed: a state then says what was drawn.
        counted = isinstance(sampler, TrainerBatches)
        return self._loader(sampler, TrainerLoader, self.look_ahead if counted else 0)

    @override
    def val_dataloader(self) -> DataLoader[dict[str, Any]] | list[DataLoader[dict[str, Any]]]:
        if self.validation_sampler is None:
            return []
        sampler = FixedEpoch(self.validation_sampler)
        return self._loader(sampler, AnchorLoader, self.look_ahead, self.dataset.unshifted())

    def _loader(
        self,
        sampler: Iterable[list[int]],
        loader: type[AnchorLoader],
        look_ahead: int,
        dataset: AnchorDataset | None = None,
    ) -> DataLoader[dict[str, Any]]:
        return anchor_loader(
            dataset or self.dataset,
            sampler,
            num_workers=self.num_workers,
            look_ahead=look_ahead,
            loader=loader,
        )

    @property
    def validation_batches(self) -> int:
        """Number of batches that validate; ranks may repeat some to be equally long, which do not count."""
        sampler = self.validation_sampler
        return 0 if sampler is None else sampler.sampler.batches_per_epoch

    @override
    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Add codes that say which rows are no negatives of each other.

        ``lineage_ids`` (B,); where batches are of one group, ``group_ids`` (B,). Where positives are
        other cells of the same values, ``value_ids`` (B,), and ``lineage_ids`` (2B,) of both views.
        """
        rows = batch["rows"].numpy()
        added = {"lineage_ids": torch.from_numpy(self._lineages[rows])}
        if self._values is not None:
            both = np.concatenate([rows, batch["positive_rows"].numpy()])
            added["lineage_ids"] = torch.from_numpy(self._lineages[both])
            added["value_ids"] = torch.from_numpy(self._values[rows])
        if self._groups is not None:
            # leaked anchors carry the group of the batch they came in, which is the one most are of
            group = int(np.bincount(self._groups[rows] + 1).argmax()) - 1
            added["group_ids"] = torch.full((len(rows),), group)
        return {**batch, **added}

    @override
    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Normalise what came as stored, on the device."""
        return normalize_batch(batch)

    @override
    def state_dict(self) -> dict[str, Any]:
        """Return where training is, as plain values: after the last batch that a trainer trained on."""
        return {"training": self._training.state_dict()} if self._training is not None else {}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from where `state_dict` was taken; before `setup`, remember to.

        Raises
        ------
        InvalidInputError
            The state is of other anchors or other options.
        """
        if self._training is None:
            self._state = state_dict
        elif state_dict:
            self._training.load_state_dict(state_dict["training"])

    def _refuse_batches_of_one_value(self, values: IntArray) -> None:
        """Refuse a plan of which a batch holds cells of one value only: none is a negative of another."""
        positions = np.asarray(self.train_sampler.batch(0, epoch=0))
        if len(np.unique(values[self.dataset.valid_rows[positions]])) == 1:
            named = " and ".join(self.pairing.columns)
            raise InvalidInputError(
                f"pairing.by={list(self.pairing.columns)}: all cells of a batch have the same {named}, so "
                "that none is a negative of another; group batches by other columns (data.batches.plan)."
            )

    def _open(self, parts: NDArray[np.int8] | None) -> AnchorDataset:
        return AnchorDataset(
            self.anchors,
            patch_size=self.patches.size,
            z_window=self.patches.window,
            positive=self.patches.positive,
            pairing=self.pairing,
            parts=parts,
            normalization=self.patches.normalization,
            dtype=self.patches.dtype or ("source" if self._is_on_gpu() else "float32"),
            reading=self._shared_reading(),
            seed=self.seed,
        )

    def _is_on_gpu(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"

    def _shared_reading(self) -> Reading:
        """Return how to read, with all processes of the node that share the memory.

        Workers of training and of validation are there at the same time; without workers, both read here.
        """
        ranks = 1 if self.trainer is None else self.trainer.num_devices
        processes = self.reading.processes or ranks * max(1, 2 * self.num_workers)
        return replace(self.reading, processes=processes)


def _codes(column: "pd.Series[Any]") -> IntArray:
    return np.asarray(column.astype("category").cat.codes, dtype=np.int64)


def _group_codes(anchors: "pd.DataFrame", by: str | Sequence[str]) -> IntArray:
    """Return a number for each combination of values of some columns (N,); -1 where one is not known."""
    names = [by] if isinstance(by, str) else list(by)
    numbers = anchors.groupby(names, observed=True).ngroup()  # NaN where one is not known
    return np.asarray(numbers.fillna(-1), dtype=np.int64)


def _warn_of_scattered_positives(plan: BatchPlan, pairing: Pairing, rule: str) -> None:
    """Say that positives undo what few frames bring, where each is drawn from frames of its own."""
    own_frames = {
        "by": f"pairing.by={list(pairing.columns)} draws positives from any frame",
        "lineage": "pairing.tau_per='anchor' draws the time to each positive apart",
    }
    later = rule == "across" and pairing.tau is not None
    scattered = rule == "by" or ((rule == "lineage" or later) and pairing.tau_per == "anchor")
    if plan.locality is not None and scattered:
        few = plan.locality.frames or plan.locality.fovs
        why = own_frames["by" if rule == "by" else "lineage"]
        remedy = "batches are read no faster for it" if rule == "by" else "set tau_per to 'frame'"
        warnings.warn(
            f"The plan takes batches from {few} frames or fields of view, but {why}, so that positives come "
            f"from many more frames; {remedy}.",
            CompositionWarning,
            stacklevel=4,
        )


def _refuse_foreign_sampler(trainer: Any) -> None:
    """Refuse a trainer that would put its own sampler around ours, before it fails on its own terms."""
    if trainer is None or trainer.world_size == 1:
        return
    if trainer._accelerator_connector.use_distributed_sampler:  # Lightning has no public name for it
        raise InvalidInputError(
            "use_distributed_sampler=True: the batch sampler deals out batches to ranks itself; "
            "pass Trainer(use_distributed_sampler=False)"
        )
