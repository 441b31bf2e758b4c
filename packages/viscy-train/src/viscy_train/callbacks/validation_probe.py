"""A probe on cells that validate, while a model trains: whether it learns what it is for.

Problem: the loss says how well views of one cell find each other, and not whether the embedding tells treated
from control; a run that learns the microscope has a good loss, too, and one sees it a day later. Idea: at the
end of each validation, or each so many, some validation cells are embedded and the probe of `viscy-train
evaluate` reads a label from them. The cells are the same each time, so that numbers can be compared.

Consequence: a curve beside the loss, ``val/probe_condition``. It is the AUROC on few cells, without interval:
its steps of some hundredths mean nothing.

Cost: 500 cells are read and encoded, and some logistic regressions are fitted, on the first rank alone. It
never ends a run: where it cannot be, the reason is said once.
"""

import warnings
from typing import Any, override

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from viscy_data import InvalidInputError, normalize_batch, read_anchors, suggest
from viscy_data.columns import EXPERIMENT, FOV, GLOBAL_TRACK_ID, LINEAGE_ID, WELL, T
from viscy_train.datamodule import AnchorDataModule
from viscy_train.evaluation.quick_probe import quick_probe
from viscy_train.saying import say

_NEEDED = (EXPERIMENT, WELL, FOV, GLOBAL_TRACK_ID, LINEAGE_ID, T)
_BATCH = 64


class ValidationProbe(Callback):
    """Probe validation cells for a label, and log ``val/probe_LABEL``.

    Parameters
    ----------
    label : str
        Column of the anchors table.
    cells : int
        How many validation cells are embedded, drawn once.
    every : int
        Validations from one probe to the next; 0 probes never.
    """

    def __init__(self, label: str = "condition", cells: int = 500, every: int = 1) -> None:
        if cells < 20 or every < 0:
            raise InvalidInputError(
                f"probe.cells={cells}, probe.every={every}: at least 20 cells, and a number of validations "
                "of at least 0, which probes never."
            )
        self.label = label
        self.cells = cells
        self.every = every
        self._validations = 0
        self._off = every == 0
        self._told = False
        self._positions: list[int] = []
        self._obs = pd.DataFrame()

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Probe, where it is time; whatever goes wrong is said once and ends the probes, not the run."""
        if self._off or trainer.sanity_checking or not trainer.is_global_zero:
            return
        self._validations += 1
        if (self._validations - 1) % self.every:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a probe that few cells cannot settle
                self._probe(trainer, pl_module)
        except Exception as error:  # noqa: BLE001  training is worth more than a number beside it
            self._end((str(error).splitlines() or [type(error).__name__])[0])

    def _probe(self, trainer: Trainer, module: LightningModule) -> None:
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, AnchorDataModule) or data.validation_sampler is None:
            self._end("there are no validation cells of an anchors table")
            return
        if not self._positions and not self._choose(data):
            return
        embedding = self._embedded(data, module)
        finite = np.isfinite(embedding).all(axis=1)
        found = quick_probe(embedding[finite], self._obs[finite], self.label)
        if found.value is None:
            self._end(found.reason)
            return
        module.log(f"val/probe_{self.label}", found.value, rank_zero_only=True, batch_size=1)
        if not self._told:
            self._told = True
            say(
                f"val/probe_{self.label}: AUROC of a probe of {self.label} on {found.cells:,} validation "
                f"cells, {found.left_out} left out; --probe.every 0 leaves it out"
            )

    def _choose(self, data: AnchorDataModule) -> bool:
        """Draw cells, and read their columns; False where there are no labels."""
        sampler = data.validation_sampler
        positions = np.empty(0, np.int64) if sampler is None else np.asarray(sampler.positions)
        rows = np.asarray(data.dataset.valid_rows)[positions]
        held = {str(name) for name in data.dataset.anchors.columns}
        try:
            wanted = list(dict.fromkeys([*_NEEDED, self.label]))
            obs = read_anchors(data.anchors, columns=wanted).iloc[rows].reset_index(drop=True)
        except (InvalidInputError, KeyError) as error:
            near = suggest(self.label, held)
            self._end(f"{str(error).splitlines()[0]}{near}")
            return False
        known = np.flatnonzero(obs[self.label].notna().to_numpy())
        if not known.size:
            self._end(f"no validation cell has a value of {self.label}")
            return False
        chosen = np.random.default_rng(0).permutation(known)[: self.cells]
        chosen.sort()  # as they lie on the disk
        self._positions = positions[chosen].tolist()
        self._obs = obs.iloc[chosen].reset_index(drop=True)
        return True

    def _embedded(
        self, data: AnchorDataModule, module: LightningModule
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Embed the cells chosen, without augmentation: (N, D)."""
        dataset, parts = data.dataset.unshifted(), []
        training = module.training
        module.eval()
        try:
            with torch.no_grad():
                for start in range(0, len(self._positions), _BATCH):
                    batch = normalize_batch(dataset.__getitems__(self._positions[start : start + _BATCH]))
                    parts.append(module(batch["anchor"].to(module.device))[0].float().cpu())
        finally:
            module.train(training)
        found: np.ndarray[Any, np.dtype[np.float32]] = torch.cat(parts).numpy()
        return found

    def _end(self, reason: str) -> None:
        """Say why there is no probe, and try no more."""
        self._off = True
        say(f"val/probe_{self.label} is not logged: {reason.rstrip('.')}; --probe.label names another column")
