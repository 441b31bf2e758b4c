"""Read batches under one setting for some seconds, and say how fast they came.

Time is what the consumer waits for batches; a training step can be put between them, in which this process
sleeps as it does while a GPU works. Only what is read ahead gains from it.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from time import perf_counter, sleep
from typing import Final

import numpy as np
import pandas as pd

from viscy_data.bench.batches import frame_numbers, plan_batches
from viscy_data.bench.settings import Setting
from viscy_data.composition.axes import Locality
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.plan import BatchPlan
from viscy_data.dataset.anchor_dataset import AnchorDataset, Batch, Pairing, Reading
from viscy_data.dataset.loader import anchor_loader
from viscy_data.images.ngff import read_attributes
from viscy_data.images.store import MissingChunks, describe
from viscy_data.optimize.job import open_array
from viscy_data.optimize.metadata import first_level
from viscy_data.sampling.batch import IndexBatch
from viscy_data.sampling.notes import collect_notes
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_data.tables.experiment import FovInfo
from viscy_data.tables.experiments import Experiments

_PREFETCH: Final = 2


@dataclass(frozen=True)
class Case:
    """What is measured: stores, anchors and plan.

    Attributes
    ----------
    anchors
        The table.
    experiments
        Where the stores are.
    plan, seed
        Of the batches.
    z_window, missing_chunks
        As `viscy_data.AnchorDataset` and `viscy_data.Reading` have them.
    """

    anchors: Path
    experiments: Experiments
    plan: BatchPlan | Curriculum
    z_window: int = 1
    missing_chunks: MissingChunks = "error"
    seed: int = 0

    def pixel_bytes(self) -> int:
        """Return the size of all decoded pixels that the experiments' channels have.

        Raises
        ------
        StoreError
            Where a store cannot be read.
        """
        total = 0
        for experiment in self.experiments.experiments:
            found = [info for info in describe(experiment) if info.fov not in experiment.exclude_fovs]
            frames = sum(prod(info.shape) // info.shape[1] for info in found) * len(experiment.channels)
            total += frames * _itemsize(experiment.data_path, found)
        return total

    def dataset(self, setting: Setting) -> AnchorDataset:
        """Open the stores as a setting reads them."""
        return AnchorDataset(
            self.anchors,
            experiments=self.experiments,
            z_window=self.z_window,
            pairing=Pairing(tau_per=setting.tau_per),
            reading=Reading(missing_chunks=self.missing_chunks, cache_bytes=setting.cache_bytes),
            seed=self.seed,
        )


@dataclass(frozen=True)
class Rate:
    """How fast batches came.

    Attributes
    ----------
    patches, batches
        That came, both views counted.
    wait, step
        Seconds waited for them, and seconds of a step.
    frames
        Mean distinct frames of a batch, both views.
    """

    patches: int
    batches: int
    wait: float
    step: float
    frames: float

    @property
    def per_second(self) -> float:
        """Patches per second of waiting and stepping."""
        return self.patches / (self.wait + self.batches * self.step)

    @property
    def wait_per_batch(self) -> float:
        """Seconds waited for a batch."""
        return self.wait / self.batches


class Stream:
    """Batches of a case under a setting, without end.

    Parameters
    ----------
    case, setting
        What is read, and how.
    epoch
        Batches begin there: other batches than those of other streams.

    Attributes
    ----------
    batches
        The stream itself.
    """

    def __init__(self, case: Case, setting: Setting, epoch: int) -> None:
        self._setting = setting
        self._dataset = case.dataset(setting)
        self._frames = frame_numbers(self._dataset.anchors)
        self.batches = _read(self._dataset, self._rows(case, epoch), setting)
        self._warm = False

    @property
    def valid_anchors(self) -> pd.DataFrame:
        """What batches are composed of."""
        return self._dataset.valid_anchors

    def _rows(self, case: Case, epoch: int) -> Iterator[IndexBatch]:
        plan, setting = case.plan, self._setting
        if setting.frames is not None:
            plan = _from_few(plan, Locality(frames=setting.frames, hold=setting.hold))
        with collect_notes():
            sampler = FlexibleBatchSampler.from_plan(self._dataset.valid_anchors, plan, seed=case.seed)
        return plan_batches(sampler, epoch)

    def measure(self, seconds: float, step: float = 0.0) -> Rate:
        """Read for about ``seconds``; the first time, after a while that does not count.

        That while opens the stores, starts the workers and fills what is read ahead and the cache.
        """
        least = self._setting.workers * _PREFETCH + self._setting.look_ahead
        if not self._warm:
            self._run(seconds / 2 if self._setting.cache_bytes else 0.0, step, least + 1)
            self._warm = True
        return self._run(seconds, step, least + 1)

    def _run(self, seconds: float, step: float, least: int) -> Rate:
        wait, patches, batches, frames = 0.0, 0, 0, 0
        while batches < least or wait + batches * step < seconds:
            began = perf_counter()
            batch = next(self.batches)
            wait += perf_counter() - began
            rows = np.concatenate([batch["rows"].numpy(), batch["positive_rows"].numpy()])
            batches, patches = batches + 1, patches + len(rows)
            frames += len(np.unique(self._frames[rows]))
            sleep(step)
        return Rate(patches, batches, wait, step, frames / batches)

    def close(self) -> None:
        """End the workers."""
        self.batches.close()


def _from_few(plan: BatchPlan | Curriculum, locality: Locality) -> BatchPlan | Curriculum:
    """Return a plan, or every plan of a curriculum, with batches from few frames."""
    if isinstance(plan, BatchPlan):
        return replace(plan, locality=locality)
    return Curriculum({begin: replace(one, locality=locality) for begin, one in plan.plans.items()})


@contextmanager
def stream(case: Case, setting: Setting, epoch: int) -> Iterator[Stream]:
    """Give a stream that is closed in the end."""
    opened = Stream(case, setting, epoch)
    try:
        yield opened
    finally:
        opened.close()


def _itemsize(store: Path, found: Sequence[FovInfo]) -> int:
    """Return the bytes of a pixel of a store's first field of view."""
    group = store / found[0].fov if found[0].well else store
    return int(open_array(group / first_level(read_attributes(group))).dtype.numpy_dtype.itemsize)


def _read(
    dataset: AnchorDataset, rows: Iterator[IndexBatch], setting: Setting
) -> Generator[Batch, None, None]:
    """Yield the batches of rows as a setting reads them."""
    yield from anchor_loader(
        dataset,
        _Once(rows),
        num_workers=setting.workers,
        look_ahead=setting.look_ahead,
        persistent_workers=False,
        pin_memory=False,
    )


class _Once:
    """An iterator as something to iterate over."""

    def __init__(self, rows: Iterator[IndexBatch]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[IndexBatch]:
        return self._rows
