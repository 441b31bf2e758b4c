"""Anchors as images: positions of a batch in, normalised patches of both views out.

*Rows* number the anchors table in its own order, and an embedding of it has the same rows. Not every row
has a positive; those that have are the valid anchors, and *positions* number them alone, in the same order.
A sampler is given ``dataset.valid_anchors`` and draws positions, which ``dataset[...]`` takes;
``dataset.read(rows)`` takes any rows, and ``valid_rows[positions]`` are the rows of positions. With
``positive="self"`` all anchors are valid, and both numbers are one. A *batch* is a dict:

    anchor, positive         (B, C, Z, Y, X) float32, normalised; with dtype="source" as stored, and
    anchor_scale, positive_scale   (B, 2, C) float32, centre and spread of each channel, to normalise by
    positions                (B,) int64, among the valid anchors
    rows, positive_rows      (B,) int64, of the table
    anchor_meta              {column: (B,) array or list of str or None}
    replaced                 int, anchors that could not be read and gave way to others (``on_error="skip"``)
    epoch, number            int, which batch it is, where the positions say so as an ``IndexBatch`` does

Invariant: a batch is a pure function of (table, options, seed, epoch, batch number, positions). Threads,
workers and ranks do not change a byte of it.
"""

import copy
import math
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, get_worker_info

from viscy_data.checks import check_choice, check_integer
from viscy_data.dataset.on_device import SCALES
from viscy_data.dataset.opening import (
    build_normalizer,
    cut_patches,
    given,
    load_table,
    normalization_by_channel,
    normalization_by_experiment,
)
from viscy_data.dataset.pairs import Pairs
from viscy_data.dataset.replacement import Cells
from viscy_data.dataset.sharing import Shared
from viscy_data.dataset.shown import ShownPatches, shown_patches
from viscy_data.dataset.views import ViewReader, Views
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.images.normalized_patches import Images
from viscy_data.images.read_counts import ReadCounts
from viscy_data.images.reading import Reading, ReadLimits
from viscy_data.images.statistics import statistics_of
from viscy_data.images.store import StoreReader
from viscy_data.images.z_window import ZWindow
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.normalizations import Normalization, NormalizationChoice
from viscy_data.tables.pairing import (
    Pairing,
    Positive,
    Rule,
    check_positive,
    positives_of,
    say_none,
    say_without,
)

type IntArray = NDArray[np.int64]
type Batch = dict[str, Any]

__all__ = ["AnchorDataset", "Batch", "Pairing", "Reading"]

_WORKER_SLOTS = 256


class AnchorDataset(Dataset[Batch]):
    """Patches of anchors and of their positives.

    Parameters
    ----------
    anchors
        Path of an anchors table, or the table itself; with the latter ``experiments``,
        ``patch_size``, ``statistics`` and ``pairing.tau`` must say what the file would.
    experiments, patch_size
        None: those the anchors file was built with. A ``patch_size`` (rows, columns) larger than the
        file's leaves room for rotation; at borders the file's rule holds for it, too. A table that comes
        without a file is reflected at borders.
    pixel_size_um
        Micrometres per pixel of patches, such as a model was trained at; None: as the anchors file says. A
        field of view whose own pixel size is not known is refused then.
    z_window
        Slices of a patch, centred on the anchor's and moved to lie inside the image; a `ZWindow` says more:
        an offset, a shift in training, a projection.
    positive
        ``"lineage"``: another time of the same cell line; ``"self"``: the anchor's own patch. None: as
        ``pairing`` says, which is the lineage where it has neither ``by`` nor ``across``.
    pairing
        Options of the rule, see `Pairing`.
    parts
        With ``pairing.by``: (M,) whole numbers from 0, the part of each row of the table. Rows of different
        parts, such as training and validation, are never a pair.
    normalization
        How intensities are normalised: a method's name (``"none"``: raw values), a `Normalization`, or a
        mapping of them by channel. None: as the experiments file says.
    statistics
        None: the table stored beside the anchors file.
    dtype
        Of the patches of batches: ``"float32"``, normalised; or ``"source"``, as stored wherever possible,
        with what :func:`viscy_data.normalize_batch` needs to finish them on the device: half the bytes.
        What ``read`` returns is finished either way.
    reading
        Errors, missing chunks, pixels that are not finite, and cache.
    seed
        Of the draws of positives and stand-ins.

    Raises
    ------
    InvalidInputError
        Where arguments disagree with each other, the table or the stores; nothing has been read yet.
    StoreError
        Where a store's metadata cannot be read.
    """

    def __init__(  # noqa: PLR0913 - what a patch shows is asked for one by one
        self,
        anchors: str | Path | pd.DataFrame,
        *,
        experiments: Experiments | None = None,
        patch_size: tuple[int, int] | None = None,
        pixel_size_um: float | None = None,
        z_window: int | ZWindow = 1,
        positive: Positive | None = None,
        pairing: Pairing = Pairing(),  # noqa: B008  frozen
        parts: NDArray[np.integer[Any]] | None = None,
        normalization: NormalizationChoice | None = None,
        statistics: pd.DataFrame | None = None,
        dtype: Literal["float32", "source"] = "float32",
        reading: Reading = Reading(),  # noqa: B008  frozen
        seed: int = 0,
    ) -> None:
        rule = check_positive(positive, pairing)
        check_choice("dtype", dtype, ("float32", "source"))
        self._z_window = z_window if isinstance(z_window, ZWindow) else ZWindow(z_window)
        seed = check_integer("seed", seed, 0)
        table, file = load_table(anchors)
        self._path = None if isinstance(anchors, pd.DataFrame) else Path(anchors)
        experiments = given("experiments", experiments, file, lambda of: of.experiments)
        size = given("patch_size", patch_size, file, lambda of: of.patch_size)
        reader = StoreReader(
            experiments,
            cache_bytes=reading.cache_bytes or 0,
            missing_chunks=reading.missing_chunks or (file.missing_chunks if file else "error"),
        )
        tau = file.tau if file else None
        positives = positives_of(
            table, experiments, positive=positive, pairing=pairing, tau=tau, parts=parts, seed=seed
        )
        pairs = Pairs.build(table, positives, lacking=say_none(len(table), positive, pairing))
        self._rule: Rule = rule
        self._without = "" if rule == "self" else say_without(positive, pairing)
        if parts is not None:
            self._without += " in their part"
        cut = (size, self._z_window)
        patches, common = cut_patches(pairs.anchors, experiments, reader, file, cut, pixel_size_um)
        self._shown = shown_patches(experiments.experiments, patches, (self._z_window.slices, *size), common)
        channels = len(experiments.patch_channels)
        choices = normalization_by_experiment(normalization, experiments)
        self._normalization = normalization_by_channel(choices, experiments)
        raw = all(one.method == "none" for chosen in choices.values() for one in chosen)
        if statistics is None and not raw and not isinstance(anchors, pd.DataFrame):
            statistics = statistics_of(anchors, file.stores if file else "")
        normalizer = None if raw else build_normalizer(choices, statistics, patches, experiments)
        non_finite = reading.non_finite or (file.non_finite if file else "error")
        shape = (channels, self._z_window.depth, *size)
        named = {one.name: one.channels for one in experiments.experiments}
        projections = self._z_window.projections(named, together=experiments.samples == "cells")
        images = Images(reader, patches, shape, normalizer, non_finite, projections)
        cells = Cells(pairs.anchors, seed, pairs.valid) if reading.on_error == "skip" else None
        views = ViewReader(pairs, images, cells, self._z_window.shift, seed, raw=dtype == "source")
        self._parts = Shared(views)
        self._reading = reading
        self._share, self._largest = (0, 0), 0
        self.share_memory(workers=1, batches=1)
        # Counts of each worker, in memory that all of them share: anchors skipped, chunks wanted, loaded.
        self._counts = torch.zeros((_WORKER_SLOTS, 3), dtype=torch.int64)
        try:
            self._counts.share_memory_()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        except RuntimeError as error:  # as where /dev/shm is full, or files may not be so large
            raise MemoryError(f"shared memory is not available: {error}") from error

    @property
    def path(self) -> Path | None:
        """The file that the anchors were read from; None where a table was given."""
        return self._path

    @property
    def anchors(self) -> pd.DataFrame:
        """All anchors in the order of rows, which is that of the table."""
        return self._parts.value.pairs.anchors

    @property
    def valid_anchors(self) -> pd.DataFrame:
        """The anchors that have a positive: what a sampler is given. Their index is their positions.

        Where some have none it is a copy: keep it rather than ask for it again.
        """
        return self._parts.value.pairs.valid_anchors()

    @property
    def valid_rows(self) -> IntArray:
        """The row of each position: (V,)."""
        return self._parts.value.pairs.rows_of(np.arange(len(self)))

    @property
    def left_out(self) -> str:
        """How many anchors have no positive, and why, in a line; empty where all have one."""
        count = len(self.anchors) - len(self)
        return f"{count:,} of {len(self.anchors):,} anchors are left out: {self._without}" if count else ""

    @property
    def rule(self) -> Rule:
        """What makes the pairs: "lineage", "self", "by" (the same values) or "across" (markers)."""
        return self._rule

    @property
    def channels(self) -> int:
        """Channels of a patch."""
        return self._parts.value.images.shape[0]

    @property
    def shown(self) -> ShownPatches:
        """What patches show, without the table that they are of."""
        return self._shown

    @property
    def normalization(self) -> tuple[Normalization, ...] | dict[str, Normalization]:
        """How each channel of a patch is normalised; by name, where a row is one channel."""
        return self._normalization

    @property
    def z_window(self) -> ZWindow:
        """Which slices patches show."""
        return self._z_window

    def unshifted(self) -> "AnchorDataset":
        """Return the same dataset without the random shift of windows: what validation reads.

        Both share their reader and what it keeps.
        """
        if not self._z_window.shift:
            return self
        other = copy.copy(self)
        other._z_window = replace(self._z_window, shift=0)
        other._parts = Shared(replace(self._parts.value, shift=0))
        return other

    @property
    def reading(self) -> Reading:
        """How pixels are read."""
        return self._reading

    @property
    def skipped(self) -> int:
        """How many anchors were replaced because they could not be read, in all workers."""
        return int(self._counts[:, 0].sum())

    @property
    def read_counts(self) -> ReadCounts:
        """How many chunks batches wanted, and how many of them were read from files, in all workers."""
        return ReadCounts(*self._counts[:, 1:].sum(dim=0).tolist())

    def share_memory(self, *, workers: int, batches: int) -> None:
        """Say how many workers of this rank read, and how many batches each holds at a time.

        ``anchor_loader`` does. It matters where ``Reading`` states ``memory_bytes``.

        Raises
        ------
        InvalidInputError
            Where so many batches leave no memory for reading.
        """
        if self._share != (workers, batches):
            self._share, self._largest = (workers, batches), 0
            self._limits(pairs=1)

    def _limits(self, pairs: int) -> ReadLimits:
        workers, batches = self._share
        batch_bytes = 2 * pairs * math.prod(self._parts.value.images.shape) * np.dtype(np.float32).itemsize
        return self._reading.limits(workers=workers, batches=batches, batch_bytes=batch_bytes)

    def _keep_to_memory(self, pairs: int) -> None:
        """Limit the reader to the memory that batches as large as any so far leave."""
        if pairs > self._largest:
            self._largest = pairs
            self._parts.value.images.reader.limit(self._limits(pairs))

    def __len__(self) -> int:
        """Return the number of valid anchors."""
        return self._parts.value.pairs.count

    def read(self, rows: Sequence[int] | IntArray) -> torch.Tensor:
        """Return the patches of any rows of the table, whether or not they have a positive.

        Rows are those of ``anchors``, and of an embedding of the same table: its row i shows the cell of
        ``read([i])``. Nothing is drawn and nothing replaced; ``on_error`` has no effect.

        Parameters
        ----------
        rows
            (B,) rows of ``anchors``.

        Returns
        -------
        Tensor
            (B, C, Z, Y, X) float32, normalised, as a batch's ``anchor``.

        Raises
        ------
        InvalidInputError
            Where there is no such row.
        StoreError
            Where a patch cannot be read.
        """
        patches, failed = self.try_read(rows)
        if failed:
            raise failed[min(failed)]
        return patches

    def try_read(self, rows: Sequence[int] | IntArray) -> tuple[torch.Tensor, dict[int, StoreError]]:
        """Do as ``read``; return also the error of each place (0 .. B-1) that could not be read.

        The patches of those places hold NaN.
        """
        asked = self._asked("rows", rows, len(self.anchors), "rows of the table")
        self._keep_to_memory(len(asked))
        images = self._parts.value.images
        patches, failed = images.read(asked)
        patches[sorted(failed)] = np.nan
        self._add_counts(0)
        return torch.from_numpy(patches), failed

    @staticmethod
    def _asked(name: str, given: Sequence[int] | IntArray, count: int, what: str) -> IntArray:
        asked = np.asarray(given)
        if asked.dtype.kind not in "iu" or asked.ndim != 1 or not len(asked):
            raise InvalidInputError(
                f"{name}={str(given)[:80]} must be one or more whole numbers, the {what}."
            )
        if asked.min() < 0 or asked.max() >= count:
            raise InvalidInputError(
                f"{name}={asked.tolist()[:8]}{'...' if len(asked) > 8 else ''} must lie in 0 .. {count - 1}, "
                f"the {what}."
            )
        return asked.astype(np.int64)

    def __getitem__(self, position: int) -> Batch:
        """Return one pair: a batch of one, without the batch axis.

        Raises
        ------
        IndexError
            Where there is no such valid anchor.
        """
        if not 0 <= position < len(self):
            raise IndexError(f"position={position!r} is not in 0 .. {len(self) - 1}, the valid anchors.")
        batch = self.__getitems__([position])
        meta = {name: values[0] for name, values in batch["anchor_meta"].items()}
        tensors = {name: value[0] for name, value in batch.items() if isinstance(value, torch.Tensor)}
        return {**tensors, "anchor_meta": meta}

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """Return the batch (module docstring) of ``positions``.

        Parameters
        ----------
        positions
            Positions in ``valid_anchors``. Their ``epoch`` and ``number``, where they have them as an
            ``IndexBatch`` does, key the draw of positives; otherwise the positions themselves do.

        Raises
        ------
        InvalidInputError
            Where there is no such valid anchor.
        StoreError
            Where a patch cannot be read and, with ``on_error="skip"``, no stand-in either.
        """
        asked = self._asked("positions", positions, len(self), "valid anchors")
        epoch, number = _key(positions, asked)
        self._keep_to_memory(len(asked))
        parts = self._parts.value
        taken = parts.read(parts.pairs.rows_of(asked), epoch, number)
        self._add_counts(taken.replaced)
        if taken.replaced:
            warnings.warn(
                f"{taken.replaced} of {len(taken.rows)} anchors were replaced by others of their experiment "
                f"and condition (epoch {epoch}, batch {number}); the first because: {taken.reason}",
                stacklevel=2,
            )
        meta = self.anchors.take(taken.rows)
        return {
            "anchor": torch.from_numpy(taken.anchor),
            "positive": torch.from_numpy(taken.positive),
            "positions": torch.from_numpy(parts.pairs.positions_of(taken.rows)),
            "rows": torch.from_numpy(taken.rows),
            "positive_rows": torch.from_numpy(taken.positive_rows),
            **self._scales(taken),
            "anchor_meta": {str(name): _plain(meta[name]) for name in meta},
            "replaced": taken.replaced,
            **({"epoch": epoch, "number": number} if _is_numbered(positions) else {}),
        }

    def _scales(self, taken: Views) -> dict[str, torch.Tensor]:
        """Return what finishes the views, where they are raw."""
        if not self._parts.value.raw:
            return {}
        images, rows = self._parts.value.images, (taken.rows, taken.positive_rows)
        return {
            name: torch.from_numpy(images.scale_of(of))
            for name, of in zip(SCALES.values(), rows, strict=True)
        }

    def _add_counts(self, replaced: int) -> None:
        worker = get_worker_info()
        own = self._counts[0 if worker is None else (worker.id + 1) % _WORKER_SLOTS]
        own += torch.tensor([replaced, *self._parts.value.images.reader.drain_counts()])


def _key(positions: Sequence[int], asked: IntArray) -> tuple[int, int]:
    if not _is_numbered(positions):
        return 0, zlib.crc32(asked.tobytes())
    numbered: Any = positions
    return int(numbered.epoch), int(numbered.number)


def _is_numbered(positions: Sequence[int]) -> bool:
    return all(getattr(positions, name, None) is not None for name in ("epoch", "number"))


def _plain(column: "pd.Series[Any]") -> Any:
    """Return numbers as an array, anything else as a list of str or None."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy()
    if isinstance(column.dtype, pd.CategoricalDtype):
        # Only the batch's own categories are made Python objects, not the table's.
        codes = column.cat.codes.to_numpy()
        names = column.cat.categories.take(codes[codes >= 0]).tolist()
        taken = iter(names)
        return [next(taken) if code >= 0 else None for code in codes]
    return [None if pd.isna(value) else str(value) for value in column]
