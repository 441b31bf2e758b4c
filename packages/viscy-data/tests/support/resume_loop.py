"""A training loop in a process of its own, to be killed and started again: batches, losses, checkpoints.

`main` trains a linear encoder in one of `LOOPS`, goes on from a checkpoint where there is one, appends
rows and loss of every batch to a log that survives the process, and ends by SIGKILL where it is told to.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sampling_cases import make_table, quiet_sampler
from torch.utils.data import Dataset

from viscy_data.dataset.loader import anchor_loader
from viscy_data.sampling.sampler import FlexibleBatchSampler

EPOCHS = 3
EVERY = 3  # batches from checkpoint to checkpoint
CELLS = {("a", "x"): 10, ("a", "y"): 14, ("b", "x"): 24, ("b", "y"): 16}
FEATURES = 5


class NoisyDataset(Dataset[Any]):
    """A few numbers for each row, and noise that is the batch's own, as positives and augmentation are."""

    def __init__(self) -> None:
        self.features = np.random.default_rng(0).normal(size=(sum(CELLS.values()), FEATURES))

    def __getitems__(self, rows: Any) -> dict[str, Any]:
        noise = np.random.default_rng([rows.epoch, rows.number]).normal(size=(len(rows), FEATURES))
        return {"rows": list(rows), "values": torch.from_numpy(self.features[rows] + noise).float()}


class Run:
    """Model, log and checkpoint of one rank, which kills itself after ``die_after`` of its batches."""

    def __init__(self, folder: Path, die_after: int, rank: int = 0) -> None:
        self.dataset: Any = NoisyDataset()
        self.checkpoint = folder / "checkpoint.pt"
        self.log = folder / f"log{rank}.jsonl"
        self.die_after = die_after
        torch.manual_seed(0)
        self.model: Any = torch.nn.Linear(FEATURES, 2)
        self.batches = 0

    def sampler(self, **ranks: int) -> FlexibleBatchSampler:
        return quiet_sampler(make_table(CELLS), batch_size=8, leaky=0.25, temporal_enrichment=True, **ranks)

    def step(self, batch: dict[str, Any]) -> None:
        """Train on a batch and write it down."""
        loss = self.model(batch["values"]).square().mean()
        loss.backward()
        with torch.no_grad():  # by hand: importing PyTorch's optimizers takes seconds
            for weight in self.model.parameters():
                weight.sub_(0.1 * weight.grad)
                weight.grad = None
        with self.log.open("a") as file:
            file.write(json.dumps([batch["rows"], loss.item()]) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.batches += 1

    def save(self, more: dict[str, Any]) -> None:
        """Write a checkpoint now and then; die where it was asked for."""
        if self.batches % EVERY == 0:
            beside = self.checkpoint.with_suffix(".partial")
            torch.save({"model": self.model.state_dict(), **more}, beside)
            beside.replace(self.checkpoint)
        self.die()

    def die(self) -> None:
        if self.batches == self.die_after:
            os.kill(os.getpid(), signal.SIGKILL)

    def load(self) -> dict[str, Any]:
        """Return what `save` was given, or nothing."""
        if not self.checkpoint.exists():
            return {}
        state: dict[str, Any] = torch.load(self.checkpoint)
        self.model.load_state_dict(state["model"])
        return state


def plain(run: Run, workers: int) -> None:
    """Loop over a DataLoader and count what was consumed."""
    sampler = run.sampler()
    loader = anchor_loader(run.dataset, sampler, num_workers=workers)
    saved = run.load()
    if saved:
        sampler.load_state_dict(saved["sampler"])
    while sampler.epoch < EPOCHS:
        for done, batch in enumerate(loader, 1):
            run.step(batch)
            run.save({"sampler": sampler.state_dict(consumed=done)})


def stateful(run: Run, workers: int) -> None:
    """Loop over torchdata's loader, which keeps the state."""
    from torchdata.stateful_dataloader import StatefulDataLoader

    loader: Any = anchor_loader(run.dataset, run.sampler(), num_workers=workers, loader=StatefulDataLoader)
    saved = run.load()
    if saved:
        loader.load_state_dict(saved["loader"])
    for epoch in range(saved.get("epoch", 0), EPOCHS):
        for batch in loader:
            run.step(batch)
            run.save({"loader": loader.state_dict(), "epoch": epoch})


def accelerated(run: Run, workers: int) -> None:
    """Loop over a loader that is kept out of ``prepare``: the sampler knows ranks."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    sampler = run.sampler(num_replicas=accelerator.num_processes, rank=accelerator.process_index)
    loader = anchor_loader(run.dataset, sampler, num_workers=workers)
    run.model = accelerator.prepare(run.model)
    saved = run.checkpoint.with_suffix("")
    if saved.exists():
        accelerator.load_state(str(saved))
        sampler.load_state_dict(json.loads((saved / "sampler.json").read_text()))
    while sampler.epoch < EPOCHS:
        for done, batch in enumerate(loader, 1):
            run.step(batch)
            if run.batches == EVERY:
                accelerator.save_state(str(saved))
                if accelerator.is_main_process:
                    (saved / "sampler.json").write_text(json.dumps(sampler.state_dict(consumed=done)))
                accelerator.wait_for_everyone()
            run.die()
    accelerator.end_training()


LOOPS: dict[str, Callable[[Run, int], None]] = {
    "plain": plain,
    "stateful": stateful,
    "accelerated": accelerated,
}


def main(loop: str, folder: Path, workers: int = 0, die_after: int = 0) -> None:
    """Run a loop to its end, or to this process's."""
    LOOPS[loop](Run(folder, die_after, int(os.environ.get("RANK", "0"))), workers)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
