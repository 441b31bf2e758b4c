"""Both views of a batch: anchors and their positives, read together, with stand-ins where asked for.

A *view* is a row and its patch. A place of the batch *fails* where the patch of either view cannot be
read; then both are replaced, by another anchor of the cell and a positive of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.dataset.pairs import Pairs
from viscy_data.dataset.replacement import Cells
from viscy_data.errors import StoreError
from viscy_data.images.normalized_patches import Images, Patches, narrow

type IntArray = NDArray[np.int64]

type _Key = tuple[int, int, IntArray]
"""Epoch, number of the batch, and places in it (B,)."""

_ATTEMPTS = 8


@dataclass
class Views:
    """The two views of a batch.

    Attributes
    ----------
    rows, positive_rows
        (B,).
    anchor, positive
        (B, C, Z, Y, X) float32, or as stored.
    replaced, reason
        How many anchors were replaced, and why the first was.
    """

    rows: IntArray
    positive_rows: IntArray
    anchor: Patches
    positive: Patches
    replaced: int = 0
    reason: StoreError | None = None


@dataclass(frozen=True)
class ViewReader:
    """What every process needs to read batches.

    Attributes
    ----------
    pairs, images
        Which rows, and their patches.
    cells
        Where stand-ins come from; None: what cannot be read is an error.
    shift, seed
        Slices by which the window of each view is moved at most, and the seed of that.
    raw
        Whether patches are left as stored, for the device to normalise.
    """

    pairs: Pairs
    images: Images
    cells: Cells | None
    shift: int = 0
    seed: int = 0
    raw: bool = False

    def read(self, rows: IntArray, epoch: int, number: int) -> Views:
        """Read ``rows`` (B,) and the positives that batch ``number`` of ``epoch`` draws for them.

        Raises
        ------
        StoreError
            Where a patch cannot be read, nor, where there are ``cells``, a stand-in.
        """
        places = np.arange(len(rows))
        positive_rows = self.pairs.draw(rows, epoch=epoch, number=number, places=places)
        views, failed = self._read(rows, positive_rows, (epoch, number, places))
        if failed:
            views.reason = failed[min(failed)]
            if self.cells is None:
                raise views.reason
            self._replace(views, failed, self.cells, (epoch, number))
            views.replaced = len(failed)
        return views

    def _read(
        self, rows: IntArray, positive_rows: IntArray, key: _Key
    ) -> tuple[Views, dict[int, StoreError]]:
        if self.pairs.positives is None and not self.shift:
            patches, failed = self.images.read(rows, raw=self.raw)
            return Views(rows.copy(), positive_rows, patches, patches.copy()), failed
        both = np.concatenate([rows, positive_rows])
        patches, failures = self.images.read(both, shift=self._shifts(key), raw=self.raw)
        failed = {place % len(rows): error for place, error in failures.items()}
        return Views(rows.copy(), positive_rows, patches[: len(rows)], patches[len(rows) :]), failed

    def _shifts(self, key: _Key) -> IntArray | int:
        """Return the slices (2 B,) by which the windows of anchors, then of positives, are moved."""
        if not self.shift:
            return 0
        epoch, number, places = key
        view = np.repeat([0, 1], len(places))
        drawn = keyed.words(self.seed, keyed.Purpose.Z_SHIFT, epoch, number, np.tile(places, 2), view)
        return keyed.below(drawn, 2 * self.shift + 1).astype(np.int64) - self.shift

    def _replace(
        self, views: Views, failed: dict[int, StoreError], cells: Cells, batch: tuple[int, int]
    ) -> None:
        """Fill the places that failed, in place."""
        tried, (epoch, number) = set(views.rows.tolist()), batch
        for attempt in range(_ATTEMPTS):
            places = np.array(sorted(failed))
            for place in places.tolist():
                stand_in = cells.draw(int(views.rows[place]), tried, (epoch, number, place, attempt))
                if stand_in is None:
                    raise failed[place]
                tried.add(stand_in)
                views.rows[place] = stand_in
            positive_rows = self.pairs.draw(views.rows[places], epoch=epoch, number=number, places=places)
            read, still = self._read(views.rows[places], positive_rows, (epoch, number, places))
            views.positive_rows[places] = positive_rows
            views.anchor = _placed(views.anchor, places, read.anchor)
            views.positive = _placed(views.positive, places, read.positive)
            failed = {int(places[i]): error for i, error in still.items()}
            if not failed:
                return
        raise failed[min(failed)]


def _placed(patches: Patches, places: IntArray, others: Patches) -> Patches:
    """Put other patches at their places; in a dtype that holds both."""
    if patches.dtype != others.dtype:
        patches = patches.astype(narrow(patches.dtype, others.dtype))
    patches[places] = others
    return patches
