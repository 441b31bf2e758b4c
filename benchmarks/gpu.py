"""What a GPU reaches: training from memory and from this disk, the loss's memory, embedding. One command.

    uv run python benchmarks/gpu.py --folder data --out gpu.json

synthesises two plates in ``--folder`` (kept there for the next run), indexes them, and trains ConvNeXt-tiny
on 2 channels, 160 x 160, 256 pairs a batch, in bf16, for a few dozen steps each way. Under ten minutes on one
GPU. The first steps are not counted: they compile kernels and fill caches. ``--smallest`` runs all of it on
a CPU in half a minute, with a small encoder, to see that it runs; its figures say nothing.

- ``memory``: batches that were read before, on the device: what model and loss alone allow.
- ``disk``: composed batches from the plates (one experiment, balanced), and the same from 24 frames held
  for 4 batches; with the share of time that steps wait for them.
- ``loss``: the peak of device memory for NT-Xent of N = 512 pairs, forward and backward.
- ``embed``: cells embedded a second, from disk to a file.
"""

import argparse
import json
import platform
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, override

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, IterableDataset

from viscy_data import Pairing, TauRange, build_index, synthesize
from viscy_train import (
    AnchorDataModule,
    BatchOptions,
    ContrastiveModule,
    DataWait,
    EncoderOptions,
    NTXentHCL,
    PatchOptions,
    SplitOptions,
)
from viscy_train.embed import embed
from viscy_train.fit import quiet_lightning

CHANNELS = 2
"""Of a synthetic plate."""


@dataclass(frozen=True)
class Size:
    """What is made and measured."""

    backbone: str = "convnext_tiny"
    plates: int = 2
    wells: int = 8
    frames: int = 24
    cells: int = 60
    image: int = 1024
    patch: int = 214
    crop: int = 160
    pairs: int = 256
    warm_up: int = 10
    steps: int = 60
    in_memory: int = 4
    loss_pairs: int = 512
    precision: str = "bf16-mixed"


SMALLEST = Size(
    backbone="small",
    wells=2,
    frames=12,
    cells=8,
    image=128,
    patch=32,
    crop=24,
    pairs=4,
    warm_up=1,
    steps=2,
    in_memory=2,
    loss_pairs=16,
    precision="32-true",  # few CPUs compute in bf16, and the others take seconds a step
)


class Clock(Callback):
    """Seconds, and seconds waited for data, of the steps after the first ones."""

    def __init__(self, wait: DataWait, warm_up: int) -> None:
        self.wait = wait
        self.warm_up = warm_up
        self.counted = 0
        self.seconds = 0.0
        self.waited = 0.0

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.warm_up:
            finish(pl_module.device)
            self.seconds, self.waited = -time.perf_counter(), -self.wait.seconds
        if trainer.global_step == trainer.max_steps:
            finish(pl_module.device)
            self.seconds += time.perf_counter()
            self.waited += self.wait.seconds
            self.counted = trainer.global_step - self.warm_up


class Repeated(IterableDataset[dict[str, Any]]):
    """A few batches, again and again."""

    def __init__(self, batches: list[dict[str, Any]]) -> None:
        self.batches = batches

    @override
    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            yield from self.batches


def finish(device: torch.device) -> None:
    """Wait for the device: its work goes on behind Python's back."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def make_table(folder: Path, size: Size) -> Path:
    """Return the table of plates like `size`, made where they are not there."""
    table = folder / f"anchors_{size.image}_{size.patch}.parquet"
    if not table.exists():
        plates = synthesize(
            folder / f"plates_{size.image}",
            experiments=size.plates,
            wells=size.wells,
            fovs=1,
            frames=size.frames,
            cells=size.cells,
            size=size.image,
            overwrite=True,
        )
        build_index(plates, table, patch_size=(size.patch, size.patch), tau=TauRange(frames=(1, 2)))
    return table


def data_of(table: Path, size: Size, plan: dict[str, Any] | None = None) -> AnchorDataModule:
    batches = BatchOptions(
        batch_size=size.pairs, experiment_aware=True, condition_balanced=True, plan=plan or {}
    )
    return AnchorDataModule(
        table,
        batches=batches,
        split=SplitOptions(fraction=0.1),
        patches=PatchOptions(z_window=1),
        pairing=Pairing(tau_per="frame"),  # positives of few frames come from few frames
    )


def module_of(size: Size) -> ContrastiveModule:
    encoder = EncoderOptions(backbone=size.backbone, in_channels=CHANNELS, depth=1)  # type: ignore[arg-type]
    return ContrastiveModule(encoder, crop=(size.crop, size.crop))


def on_device(data: AnchorDataModule, batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Return what a step takes of a batch, on the device."""
    whole = data.on_before_batch_transfer(batch, 0)
    return {name: value.to(device) for name, value in whole.items() if isinstance(value, torch.Tensor)}


def train(data: AnchorDataModule, size: Size, *, in_memory: bool) -> dict[str, float]:
    """Return steps/s and the share of time that steps waited."""
    wait = DataWait()
    clock = Clock(wait, size.warm_up)
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        precision=size.precision,  # type: ignore[arg-type]
        max_steps=size.warm_up + size.steps,
        max_epochs=-1,
        limit_val_batches=0,
        logger=False,
        callbacks=[wait, clock],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    if in_memory:
        data.setup()
        device = trainer.strategy.root_device
        loader = iter(data.train_dataloader())
        batches = [on_device(data, next(loader), device) for _ in range(size.in_memory)]
        trainer.fit(module_of(size), DataLoader(Repeated(batches), batch_size=None))
    else:
        data.trainer = trainer
        data.setup()
        trainer.fit(module_of(size), data)
    return {
        "steps_per_s": clock.counted / clock.seconds,
        "patches_per_s": 2 * size.pairs * clock.counted / clock.seconds,
        "waiting": clock.waited / clock.seconds,
    }


def loss_memory(size: Size, device: torch.device) -> dict[str, float]:
    """Return the peak of device memory that the loss of two views (N, 128) adds, in bytes."""
    views = [torch.randn(size.loss_pairs, 128, device=device, requires_grad=True) for _ in range(2)]
    loss = NTXentHCL()
    if device.type != "cuda":
        loss(*views).backward()
        return {}
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    loss(*views).backward()
    return {"peak_bytes": torch.cuda.max_memory_allocated(device) - before}


def embedding(data: AnchorDataModule, size: Size, device: torch.device, folder: Path) -> dict[str, float]:
    """Return cells embedded a second, from disk to a file."""
    model = module_of(size).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=size.precision != SMALLEST.precision):
        start = time.perf_counter()
        embed(
            model,
            data.dataset,
            folder / "embeddings.zarr",
            batch_size=size.pairs,
            progress=False,
            overwrite=True,
        )
        seconds = time.perf_counter() - start
    return {"cells_per_s": len(data.dataset.anchors) / seconds, "cells": len(data.dataset.anchors)}


def measure(folder: Path, size: Size) -> dict[str, Any]:
    quiet_lightning()
    warnings.filterwarnings("ignore", message="You defined a `validation_step`")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
    table = make_table(folder, size)
    data = data_of(table, size)
    found: dict[str, Any] = {"device": name, "torch": torch.__version__, "size": asdict(size)}
    found["memory"] = train(data, size, in_memory=True)
    found["disk"] = train(data_of(table, size), size, in_memory=False)
    frames = {"locality": {"frames": min(24, size.frames), "hold": 4}}
    found["disk, 24 frames held for 4"] = train(data_of(table, size, frames), size, in_memory=False)
    found["loss"] = loss_memory(size, device)
    found["embed"] = embedding(data, size, device, folder)
    return found


def show(found: dict[str, Any], console: Console) -> None:
    table = Table("measured", "figure", "value", title=found["device"])
    for part, values in found.items():
        if isinstance(values, dict) and part != "size":
            for name, value in values.items():
                shown = (
                    f"{value:.0%}"
                    if name == "waiting"
                    else f"{value:,.2f}"
                    if value < 100
                    else f"{value:,.0f}"
                )
                table.add_row(part, name, shown)
    console.print(table)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="where plates are made and kept; by default a temporary one"
    )
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--steps", type=int, help="counted steps of each training")
    parser.add_argument("--smallest", action="store_true", help="a small encoder and plates: does it run?")
    options = parser.parse_args(arguments)
    size = SMALLEST if options.smallest else Size()
    size = replace(size, steps=options.steps or size.steps)
    if not (options.smallest or torch.cuda.is_available()):
        parser.error("no GPU is here; --smallest tries the command on a CPU")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(folder, size)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))
    show(found, Console(width=120))
    return found


if __name__ == "__main__":
    main()
