"""Who reads: each gives the batches of a plan, anchors and positives (B, C, Z, Y, X) float32, same crops.

A contender is built once for a store and asked for the batches of one plan after another. What a user
would write today is a map-style dataset over zarr-python in a ``DataLoader``; the floor is a memory map
of the same pixels.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import tensorstore as ts
import torch
import zarr
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from reads.plans import Rows
from reads.stores import CHANNELS, Size, fov_names
from viscy_data import (
    AnchorDataset,
    Experiment,
    Experiments,
    Pairing,
    Reading,
    TauRange,
    anchor_loader,
    normalize_batch,
)
from viscy_data.images.statistics_columns import ALL_FRAMES, STATISTICS_COLUMNS

type Pixels = NDArray[np.float32]
type Pair = tuple[Pixels, Pixels]
type Box = tuple[int, int, slice, slice]


class Places:
    """Where the two views of anchors lie: number of the fov, frame, rows, columns."""

    def __init__(self, anchors: pd.DataFrame, size: Size) -> None:
        self.size = size
        names = {name: number for number, name in enumerate(fov_names(size))}
        self.fov = anchors["fov"].map(names).to_numpy()
        self.t, self.track = anchors["t"].to_numpy(), anchors["track_id"].to_numpy()
        height, width = size.patch
        self.y, self.x = anchors["y_crop"].to_numpy() - height // 2, anchors["x_crop"].to_numpy() - width // 2
        keys = zip(self.fov.tolist(), self.t.tolist(), self.track.tolist(), strict=True)
        self.row = {key: row for row, key in enumerate(keys)}

    def positives(self, rows: Rows) -> Rows:
        """Return the same cells a frame later."""
        keys = zip(
            self.fov[rows].tolist(), (self.t[rows] + 1).tolist(), self.track[rows].tolist(), strict=True
        )
        return np.array([self.row[key] for key in keys])

    def box(self, row: int) -> Box:
        height, width = self.size.patch
        y, x = int(self.y[row]), int(self.x[row])
        return int(self.fov[row]), int(self.t[row]), slice(y, y + height), slice(x, x + width)

    def boxes(self, rows: Rows) -> list[Box]:
        return [self.box(int(row)) for row in np.concatenate([rows, self.positives(rows)])]

    def empty(self, count: int) -> Pixels:
        return np.empty((count, *self.size.shape[1:3], *self.size.patch), dtype=np.float32)


class MemoryMap:
    """Slices of a flat file of the pixels: nothing to decode, the page cache is the store."""

    def __init__(self, flat: Path, places: Places) -> None:
        self.pixels, self.places = np.load(flat, mmap_mode="r"), places

    def read(self, plan: list[Rows]) -> Iterator[Pair]:
        for rows in plan:
            boxes = self.places.boxes(rows)
            batch = self.places.empty(len(boxes))
            for place, (fov, t, y, x) in enumerate(boxes):
                batch[place] = self.pixels[fov, t, :, :, y, x]
            yield batch[: len(rows)], batch[len(rows) :]
            del batch


class ZarrPython:
    """zarr-python, patch by patch."""

    def __init__(self, store: Path, places: Places) -> None:
        self.arrays = [zarr.open_array(store / name / "0", mode="r") for name in fov_names(places.size)]
        self.places = places

    def read(self, plan: list[Rows]) -> Iterator[Pair]:
        for rows in plan:
            boxes = self.places.boxes(rows)
            batch = self.places.empty(len(boxes))
            for place, (fov, t, y, x) in enumerate(boxes):
                batch[place] = self.arrays[fov][t, :, :, y, x]
            yield batch[: len(rows)], batch[len(rows) :]
            del batch


class PlainTensorStore:
    """TensorStore: the futures of a batch all at once, no cache."""

    def __init__(self, store: Path, places: Places) -> None:
        self.places = places
        opening = [
            ts.open(
                {
                    "driver": "zarr3",
                    "kvstore": {"driver": "file", "path": f"{store / name / '0'}/"},
                    "recheck_cached_data": "open",
                    "recheck_cached_metadata": "open",
                },
                read=True,
                open=True,
            )
            for name in fov_names(places.size)
        ]
        self.arrays = [one.result() for one in opening]

    def read(self, plan: list[Rows]) -> Iterator[Pair]:
        for rows in plan:
            boxes = self.places.boxes(rows)
            batch = self.places.empty(len(boxes))
            asked = [self.arrays[fov][t, :, :, y, x].read() for fov, t, y, x in boxes]
            for place, one in enumerate(asked):
                batch[place] = one.result()
            yield batch[: len(rows)], batch[len(rows) :]
            del batch


class PairDataset(Dataset[tuple[Any, Any]]):
    """What a user would write today: one pair an item, zarr-python, opened in each worker."""

    def __init__(self, store: Path, places: Places) -> None:
        self.store, self.places = store, places
        self.arrays: list[Any] | None = None

    def __len__(self) -> int:
        return len(self.places.t)

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        if self.arrays is None:
            names = fov_names(self.places.size)
            self.arrays = [zarr.open_array(self.store / name / "0", mode="r") for name in names]
        boxes = self.places.boxes(np.array([row]))
        views = [self.arrays[fov][t, :, :, y, x].astype(np.float32) for fov, t, y, x in boxes]
        return torch.from_numpy(views[0]), torch.from_numpy(views[1])


class UserDataLoader:
    """`PairDataset` in a ``DataLoader``, its workers kept."""

    def __init__(self, store: Path, places: Places, workers: int) -> None:
        self.batches: list[list[int]] = []
        options: dict[str, Any] = {"multiprocessing_context": "forkserver", "persistent_workers": True}
        self.loader: DataLoader[Any] = DataLoader(
            PairDataset(store, places),
            batch_sampler=self.batches,
            num_workers=workers,
            **(options if workers else {}),
        )

    def read(self, plan: list[Rows]) -> Iterator[Pair]:
        self.batches[:] = [rows.tolist() for rows in plan]
        for anchor, positive in self.loader:
            yield anchor.numpy(), positive.numpy()


def open_dataset(
    store: Path,
    table: pd.DataFrame,
    size: Size,
    dtype: Literal["float32", "source"] | None = None,
    **reading: Any,
) -> AnchorDataset:
    """Return the pairs of the benchmark as an `AnchorDataset`: raw values, or normalised with a dtype."""
    experiment = Experiment(name="bench", data_path=store, tracks_path=store, channels=CHANNELS)
    rows = [
        dict.fromkeys(STATISTICS_COLUMNS, np.nan)
        | {"level": "field", "experiment": "bench", "fov": fov, "t": ALL_FRAMES, "channel": channel}
        | {"mean": 700.0 + place, "std": 90.0}
        for fov in fov_names(size)
        for place, channel in enumerate(CHANNELS)
    ]
    return AnchorDataset(
        table,
        experiments=Experiments(experiments=(experiment,)),
        patch_size=size.patch,
        z_window=size.depth,
        pairing=Pairing(tau=TauRange(frames=(1, 1))),
        normalization="none" if dtype is None else "mean_std",
        statistics=pd.DataFrame(rows),
        dtype=dtype or "float32",
        reading=Reading(**reading),
    )


class Ours:
    """An `AnchorDataset` in its loader."""

    def __init__(self, dataset: AnchorDataset, *, look_ahead: int = 0, workers: int = 0) -> None:
        self.dataset = dataset
        self.batches: list[list[int]] = []
        self.loader = anchor_loader(
            dataset, self.batches, num_workers=workers, look_ahead=look_ahead, pin_memory=False
        )

    def read(self, plan: list[Rows]) -> Iterator[Pair]:
        self.batches[:] = [rows.tolist() for rows in plan]
        for batch in self.loader:
            yield batch["anchor"].numpy(), batch["positive"].numpy()
            del batch

    def finished(self, rows: Rows) -> Pair:
        """Return one batch as a device makes it of what comes."""
        batch = normalize_batch(self.dataset.__getitems__(rows.tolist()))
        return batch["anchor"].numpy(), batch["positive"].numpy()
