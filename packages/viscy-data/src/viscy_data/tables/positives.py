"""Which cell is the positive of which anchor: the one place that says both whether and which.

A *positive* of an anchor at frame t is a detection at frame t + tau, tau_min <= tau <= tau_max, of the
same lineage *line*: of the anchor's track, a descendant or an ancestor of it, and with ``sisters``
of a track that has the same parent (:mod:`viscy_data.tables.relatives`). tau is at least 1, so that no cell
is its own positive.

Drawing is a race: every tau gets an exponential waiting time with the rate weight(tau), keyed by
(seed, epoch, batch number, place in the batch), and the first tau that exists for the anchor wins.
The winner among existing taus then has exactly the probability weight / sum of weights. With one race
per frame instead of one per place, the anchors of a frame share their tau wherever they can. An anchor
that occurs again in its batch runs in the same race and takes the next candidate.

Cost: 25 bytes are kept for each row, and a draw of B anchors over K taus in a table of N rows takes
O(B K log N).
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import CHANNEL, EXPERIMENT, FOV, PARENT_TRACK_ID, TRACK_ID, WELL, T
from viscy_data.composition import keyed
from viscy_data.composition.keyed import Purpose
from viscy_data.errors import InvalidInputError
from viscy_data.packing import pack
from viscy_data.tables.codes import codes_of
from viscy_data.tables.lineage import BoolArray, IntArray, build_forest
from viscy_data.tables.relatives import Relatives

type FloatArray = NDArray[np.float64]

# What a positive's random numbers are for.
_RACE_OF_PLACES, _RACE_OF_FRAMES, _CHOICE = range(3)


class Positives:
    """The positives of every row of an anchors table.

    Parameters
    ----------
    anchors
        The anchors table or any subset of it, M rows in any order. Columns used: ``experiment``, ``well``
        (where there is one), ``fov``, ``track_id``, ``parent_track_id``, ``t``, and ``channel`` where a row
        is one channel of a cell: a positive is then of the same channel.
    frames
        (tau_min, tau_max) in frames, both included, of each experiment by name; None: a snapshot, of which no
        cell has a later one.
    sisters
        Cells with the same parent are positives, too.
    decay
        weight(tau) = exp(-decay * (tau - tau_min) / max(1, tau_max - tau_min)).
    seed
        First word of the key.
    tau_per
        ``anchor``: each place in a batch draws its tau; ``frame``: each (experiment, well, fov, t) of
        the batch does, so that few frames are read.

    Raises
    ------
    InvalidInputError
        Where a column or an experiment's range is missing, or an option is not allowed.

    Examples
    --------
    >>> anchors = pd.DataFrame({"experiment": "a", "fov": "A/1/0", "track_id": [1, 1, 2],
    ...                         "parent_track_id": [-1, -1, 1], "t": [0, 1, 2]})
    >>> positives = Positives(anchors, {"a": (1, 1)})
    >>> positives.has_positive.tolist()
    [True, True, False]
    >>> positives.draw(np.array([1, 0]), epoch=0, number=0).tolist()
    [2, 1]
    """

    def __init__(
        self,
        anchors: pd.DataFrame,
        frames: Mapping[str, tuple[int, int] | None],
        *,
        sisters: bool = False,
        decay: float = 2.0,
        seed: int = 0,
        tau_per: Literal["anchor", "frame"] = "anchor",
    ) -> None:
        _check(anchors, decay, tau_per)
        self._decay, self._seed, self._per_frame = decay, seed, tau_per == "frame"
        experiment, self._ranges = _ranges(anchors, frames)
        ids, parents, t = (_whole(anchors[name].to_numpy()) for name in (TRACK_ID, PARENT_TRACK_ID, T))
        places, channels = lines_of_channels(anchors)
        forest = build_forest(places, ids, parents)
        self._group = forest.group // channels
        self._experiment = np.zeros(len(forest.parent), dtype=np.int32)
        self._experiment[forest.rows] = experiment
        self._relatives = Relatives(forest, t, sisters=sisters)
        self._span = int(t.max() - t.min()) if len(t) else 0
        self.has_positive: BoolArray = self._find_any()

    def draw(self, rows: IntArray, *, epoch: int, number: int, places: IntArray | None = None) -> IntArray:
        """Draw a positive for every anchor of a batch.

        Parameters
        ----------
        rows
            (B,) rows of the table that have a positive.
        epoch, number
            The batch's, part of the key.
        places
            (B,) places in the batch; None: 0 .. B-1.

        Returns
        -------
        IntArray
            (B,) rows of the table.

        Raises
        ------
        InvalidInputError
            Where a row is not in the table or has no positive.
        """
        rows, place, again = in_batch(rows, places, self.has_positive)
        low, high = self._ranges[self._experiment[self._relatives.track[rows]]].T
        steps = np.arange(min(int((high - low).max(initial=0)), self._span) + 1)
        taus = low[:, None] + steps
        counts = self._relatives.count(np.repeat(rows, len(steps)), taus.ravel()).reshape(taus.shape)
        counts[taus > high[:, None]] = 0
        order = self._race(rows, place, steps, high - low, epoch, number)
        counts = np.take_along_axis(counts, order, axis=1)
        total = np.cumsum(counts, axis=1)
        turn = again % total[:, -1]
        slot = np.argmax(total > turn[:, None], axis=1)
        here = np.arange(len(rows))
        step, count = order[here, slot], counts[here, slot]
        u = _uniform(*self._key(epoch, number), _CHOICE, place, step)
        start = (u * count).astype(np.int64)
        turn -= total[here, slot] - count
        return self._relatives.pick(rows, low + step, (start + turn) % count)

    def _race(
        self, rows: IntArray, place: IntArray, steps: IntArray, span: IntArray, epoch: int, number: int
    ) -> IntArray:
        """Return the taus of each anchor (B, K), as steps above its tau_min, in order of arrival."""
        if self._per_frame:
            runner, use = (
                (self._group[self._relatives.track[rows]] << 32) | self._relatives.t[rows],
                _RACE_OF_FRAMES,
            )
        else:
            runner, use = place, _RACE_OF_PLACES
        u = _uniform(*self._key(epoch, number), use, runner[:, None], steps[None, :])
        # The logarithm of -log(u) / weight: no decay makes a weight vanish.
        waits = np.log(-np.log(u)) + self._decay * steps / np.maximum(1, span)[:, None]
        return np.argsort(waits, axis=1, kind="stable")

    def _key(self, epoch: int, number: int) -> tuple[int, int, int, int]:
        return self._seed, Purpose.POSITIVE, epoch, number

    def _find_any(self) -> BoolArray:
        """Say for every row whether it has a positive at any of its taus."""
        # Beyond the longest movie there is nothing: what a range costs is bounded by the table, not by it.
        low, high = np.minimum(self._ranges, self._span + 1).T
        found = self._relatives.own_track(low[self._experiment], high[self._experiment])
        todo = self._relatives.by_time
        todo = todo[~found[todo]]
        for step in range(int((high - low).max(initial=-1)) + 1):
            experiment = self._experiment[self._relatives.track[todo]]
            tau = low[experiment] + step
            asked = tau <= high[experiment]
            todo, tau = todo[asked], tau[asked]
            hit = self._relatives.exist(todo, tau)
            found[todo[hit]] = True
            todo = todo[~hit]
        return found


def check_rows(rows: IntArray, has_positive: BoolArray) -> None:
    """Refuse rows that are not in the table, or have no positive."""
    outside = rows[(rows < 0) | (rows >= len(has_positive))]
    if len(outside):
        raise InvalidInputError(f"rows={outside[0]}: the table has rows 0 .. {len(has_positive) - 1}")
    alone = rows[~has_positive[rows]]
    if len(alone):
        raise InvalidInputError(
            f"rows={alone[0]} has no positive ({len(alone)} of {len(rows)}); see has_positive"
        )


def _check(anchors: pd.DataFrame, decay: float, tau_per: str) -> None:
    missing = [n for n in (EXPERIMENT, FOV, TRACK_ID, PARENT_TRACK_ID, T) if n not in anchors]
    if missing:
        held = ", ".join(map(str, anchors.columns))
        raise InvalidInputError(
            f"anchors: positives need the columns {', '.join(missing)}; the table has {held}"
        )
    if not (np.isfinite(decay) and decay >= 0):
        raise InvalidInputError(f"decay={decay!r}: a finite number >= 0 is needed")
    if tau_per not in ("anchor", "frame"):
        raise InvalidInputError(f"tau_per={tau_per!r}: 'anchor' or 'frame' are allowed")


def _whole(values: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Return whole numbers as narrow as they come."""
    return values if np.issubdtype(values.dtype, np.integer) else values.astype(np.int64)


def _ranges(
    anchors: pd.DataFrame, frames: Mapping[str, tuple[int, int] | None]
) -> tuple[NDArray[np.int32], IntArray]:
    """Return the experiment of each row as a code, and each experiment's range of taus."""
    codes, names = codes_of(anchors[EXPERIMENT])
    used = names[np.bincount(codes, minlength=len(names)) > 0].astype(str).tolist()
    missing = [name for name in used if name not in frames]
    if missing:
        raise InvalidInputError(f"frames: no tau range for the experiments {', '.join(missing)}")
    given = {name: found for name in used if (found := frames[name]) is not None}
    wrong = [f"{name}: {found}" for name, found in given.items() if not 1 <= found[0] <= found[1]]
    if wrong:
        raise InvalidInputError(f"frames: a tau range is 1 <= tau_min <= tau_max; got {', '.join(wrong)}")
    ranges = np.array([given.get(str(name), (1, 0)) for name in names], dtype=np.int64).reshape(-1, 2)
    return codes.astype(np.int32), ranges


def place_numbers(anchors: pd.DataFrame) -> IntArray:
    """Return the number of each row's (experiment, well, fov); a table without wells does without."""
    columns = [codes_of(anchors[name])[0] for name in (EXPERIMENT, WELL, FOV) if name in anchors]
    # Tables are sorted by fov: number the runs, not the rows.
    changes = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    opens = np.concatenate([[0], np.flatnonzero(changes) + 1])[: len(anchors)]
    _, number = np.unique(pack([column[opens] for column in columns]), return_inverse=True)
    return np.repeat(number.astype(np.int64), np.diff(opens, append=len(anchors)))


def lines_of_channels(anchors: pd.DataFrame) -> tuple[IntArray, int]:
    """Return a number of each row's place and channel, place * channels + channel, and how many channels.

    Tracks are told apart by it, so that those of one cell in different channels have nothing to do with each
    other. Where a row shows all channels it is the place's own number, and there is one channel.
    """
    places = place_numbers(anchors)
    if CHANNEL not in anchors:
        return places, 1
    channel, names = codes_of(anchors[CHANNEL])
    return places * len(names) + channel, len(names)


def in_batch(
    rows: IntArray, places: IntArray | None, has_positive: BoolArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the rows of a batch (B,), the place at which each occurs first, and how many came before it.

    Raises
    ------
    InvalidInputError
        Where a row is not in the table or has no positive.
    """
    rows = np.asarray(rows, dtype=np.int64)
    check_rows(rows, has_positive)
    places = np.arange(len(rows)) if places is None else np.asarray(places, dtype=np.int64)
    first, again = occurrences(rows)
    return rows, places[first], again


def occurrences(rows: IntArray) -> tuple[IntArray, IntArray]:
    """Return of each row (B,) the place of its first occurrence, and how many came before it."""
    order = np.argsort(rows, kind="stable")
    opens = np.flatnonzero(np.diff(rows[order], prepend=-1))
    counts = np.diff(opens, append=len(rows))
    first, again = np.empty_like(order), np.empty_like(order)
    first[order] = np.repeat(order[opens], counts)
    again[order] = np.arange(len(rows)) - np.repeat(opens, counts)
    return first, again


def _uniform(*key: int | IntArray) -> FloatArray:
    """Return numbers strictly between 0 and 1, a function of the key alone."""
    words = keyed.words(*key)
    return np.asarray(((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)
