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

from viscy_data.dataset import AnchorDataset
from viscy_data.loader import anchor_loader
from viscy_data.sampler import FlexibleBatchSampler
from viscy_data.transforms import Augment

EPOCHS = 3
EVERY = 3  # batches from checkpoint to checkpoint


class Run:
    """Model, log and checkpoint of one rank; ``die_after`` batches of this process it kills itself."""

    def __init__(self, folder: Path, die_after: int, rank: int = 0) -> None:
        self.dataset = AnchorDataset(folder / "anchors.parquet")
        self.checkpoint = folder / "checkpoint.pt"
        self.log = folder / f"log{rank}.jsonl"
        self.die_after = die_after
        torch.manual_seed(0)
        self.model: Any = torch.nn.Linear(2 * 16 * 16, 4)
        self.optimizer: Any = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.augment = Augment((16, 16))
        self.batches = 0

    def sampler(self, **ranks: int) -> FlexibleBatchSampler:
        return FlexibleBatchSampler(self.dataset.valid_anchors, batch_size=8, leaky=0.25, **ranks)

    def step(self, batch: dict[str, Any], epoch: int, number: int) -> None:
        """Train on a batch, augmented by draws of its own."""
        key = int(np.random.SeedSequence([epoch, number]).generate_state(1)[0])
        generator = torch.Generator().manual_seed(key)
        views = [self.augment(batch[view], generator).flatten(1) for view in ("anchor", "positive")]
        first, second = (self.model(view) for view in views)
        loss = (1 - torch.cosine_similarity(first, second)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with self.log.open("a") as file:
            file.write(json.dumps([batch["rows"].tolist(), loss.item()]) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.batches += 1

    def save(self, more: dict[str, Any]) -> None:
        """Write a checkpoint now and then; die where it was asked for."""
        if self.batches % EVERY == 0:
            state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
            beside = self.checkpoint.with_suffix(".partial")
            torch.save(state | more, beside)
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
        self.optimizer.load_state_dict(state["optimizer"])
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
            state = sampler.state_dict(consumed=done)
            run.step(batch, int(state["epoch"]), int(state["position"]))
            run.save({"sampler": state})


def stateful(run: Run, workers: int) -> None:
    """Loop over torchdata's loader, which keeps the state."""
    from torchdata.stateful_dataloader import StatefulDataLoader

    loader: Any = anchor_loader(run.dataset, run.sampler(), num_workers=workers, loader=StatefulDataLoader)
    saved = run.load()
    if saved:
        loader.load_state_dict(saved["loader"])
    done = saved.get("done", 0)
    for epoch in range(saved.get("epoch", 0), EPOCHS):
        for batch in loader:
            done += 1
            run.step(batch, epoch, done)
            run.save({"loader": loader.state_dict(), "epoch": epoch, "done": done})
        done = 0


def accelerated(run: Run, workers: int) -> None:
    """Loop over a loader that is kept out of ``prepare``: the sampler knows ranks."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    sampler = run.sampler(num_replicas=accelerator.num_processes, rank=accelerator.process_index)
    loader = anchor_loader(run.dataset, sampler, num_workers=workers)
    run.model, run.optimizer = accelerator.prepare(run.model, run.optimizer)
    saved = run.checkpoint.with_suffix("")
    if saved.exists():
        accelerator.load_state(str(saved))
        sampler.load_state_dict(json.loads((saved / "sampler.json").read_text()))
    while sampler.epoch < EPOCHS:
        for done, batch in enumerate(loader, 1):
            state = sampler.state_dict(consumed=done)
            run.step(batch, int(state["epoch"]), int(state["position"]) + accelerator.process_index)
            if run.batches == EVERY:
                accelerator.save_state(str(saved))
                if accelerator.is_main_process:
                    (saved / "sampler.json").write_text(json.dumps(state))
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
