"""How far positives are when the time to them is drawn per frame rather than per anchor, and what is read.

Positives lie in other frames than their anchors, and each time ahead that is drawn adds frames to read. With
one draw per frame, anchors that share a frame share the frame of their positives; the price is that a batch
has fewer different times. The table shows both side by side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import EXPERIMENT, FOV, T
from viscy_data.pages.table import Table
from viscy_data.sampling.batch import IndexBatch
from viscy_data.tables.positives import Positives

Integers = NDArray[np.int64]

KINDS: Final = ("anchor", "frame")


@dataclass(frozen=True)
class Taus:
    """Times to positives of some batches.

    Attributes
    ----------
    shares
        By tau in frames: the fraction of positives so far away, drawn per anchor and per frame.
    frames
        Mean number of distinct frames of a batch, positives included, of either kind.
    """

    shares: dict[int, tuple[float, ...]]
    frames: tuple[float, ...]

    @classmethod
    def of(
        cls,
        anchors: pd.DataFrame,
        tau_frames: Mapping[str, tuple[int, int] | None],
        batches: Sequence[IndexBatch],
        *,
        seed: int = 0,
    ) -> "Taus":
        """Draw the positives of batches of rows of the anchors table, in both ways.

        Parameters
        ----------
        anchors
            The whole table: positives may be rows that are not valid anchors.
        tau_frames
            Range of tau by experiment, as `Positives` takes it.
        batches
            Rows of the table.
        """
        frame = anchors.groupby([EXPERIMENT, FOV, T], observed=True, sort=False).ngroup().to_numpy()
        time = anchors[T].to_numpy().astype(np.int64)
        counts, frames = [], []
        for kind in KINDS:
            positives = Positives(anchors, tau_frames, seed=seed, tau_per=kind)
            pairs = [_pair(positives, batch) for batch in batches]
            taus = np.concatenate([time[found] - time[rows] for rows, found in pairs])
            counts.append(np.bincount(taus) / taus.size)
            read = [np.unique(frame[np.concatenate(pair)]).size for pair in pairs]
            frames.append(float(np.mean(read)))
        longest = max(count.size for count in counts)
        table = np.stack([np.pad(count, (0, longest - count.size)) for count in counts], axis=1)
        return cls({tau: tuple(row) for tau, row in enumerate(table.tolist()) if any(row)}, tuple(frames))

    def table(self) -> Table:
        """Return the table that people read."""
        rows = [(f"{tau} frames away", *(f"{share:.1%}" for share in of)) for tau, of in self.shares.items()]
        rows.append(("frames read for a batch", *(f"{mean:.1f}" for mean in self.frames)))
        return Table("Positives, with tau drawn", ("", *(f"per {kind}" for kind in KINDS)), tuple(rows))


def _pair(positives: Positives, batch: IndexBatch) -> tuple[Integers, Integers]:
    rows = np.asarray(batch, dtype=np.int64)
    return rows, positives.draw(rows, epoch=batch.epoch, number=batch.number)
