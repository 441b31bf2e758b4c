"""One batch of rows, from wherever it came, measured against a plan.

A batch does not say which group it is of: it is the one whose own anchors and strata have the numbers
asked for, or else the one that most anchors are of.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.bounds import bounds_of, short_cells
from viscy_data.composition.deviations import Deviation, name_text, range_text
from viscy_data.composition.draw import BatchComposer
from viscy_data.composition.marks import Marks, Sharing
from viscy_data.composition.windows import focal_flow
from viscy_data.errors import InvalidInputError

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BatchMeasure:
    """What a batch holds.

    Attributes
    ----------
    size, repeats
        Anchors, and how many of them came a second time.
    group, groups
        The batch's group, and how many groups its anchors are of.
    leak
        Fraction of anchors of other groups.
    strata
        (strata,) fraction of anchors of each stratum.
    spread_hours
        Standard deviation of the anchors' times; None without a clock.
    focal_share
        Largest fraction of the batch inside the window of any focal time of its group; None without one,
        and of a Gaussian.
    lineage_pairs
        Pairs of anchors of one lineage; None where the table does not say.
    deviations
        Where the batch leaves the plan; none where it does not.
    """

    size: int
    repeats: int
    group: Any
    groups: int
    leak: float
    strata: Floats
    spread_hours: float | None
    focal_share: float | None
    lineage_pairs: int | None
    deviations: tuple[Deviation, ...]


class BatchGauge:
    """Measures batches of rows against a plan, in O(batch * log N), after one pass over the table.

    Parameters
    ----------
    composer
        The plan on its table; nothing is drawn from it.
    marks
        What is known of the anchors besides the columns of the plan, by row.

    Raises
    ------
    InvalidInputError
        A number of the plan follows a schedule: rows do not say which step they are of.
    """

    def __init__(self, composer: BatchComposer, marks: Marks) -> None:
        if composer.plan.scheduled:
            raise InvalidInputError(
                f"{' and '.join(composer.plan.scheduled)} follows a Schedule, and rows do not say when they "
                "were composed. Measure against the plan at one time: "
                "FlexibleBatchSampler.from_plan(anchors, sampler.plan_at(number, epoch=...)).gauge()."
            )
        self._composer, self._layout, self._marks = composer, composer.layout, marks
        self._place = np.empty(len(composer.layout), dtype=np.uint32)
        self._place[composer.layout.rows] = np.arange(len(composer.layout), dtype=np.uint32)
        self._bounds = bounds_of(composer)
        self._short = any(True for _ in short_cells(composer))
        window = composer.plan.window
        self._ample = None if window is None or window.kernel != "box" else _ample(composer)

    @property
    def strata(self) -> tuple[Any, ...]:
        """Values of the strata, in the order of `BatchMeasure.strata`."""
        return self._layout.strata.values

    def measure(self, rows: Sequence[int] | Integers) -> BatchMeasure:
        """Measure the batch of table rows (B,), B > 0."""
        row = np.asarray(rows, dtype=np.int64)
        place = self._place[row].astype(np.int64)
        groups, strata = len(self._layout.groups.values), len(self.strata)
        cell = self._layout.cell_of(place)
        of_group = np.bincount(cell % groups, minlength=groups)
        of_stratum = np.bincount(cell // groups, minlength=strata)
        group = self._group_of(row.size, of_group, of_stratum)
        kind = self._kind(row.size)
        own = cell % groups == group
        shared = self._shared(row)
        focus = self._focus(group, kind, place, own)
        leaked = row.size - int(own.sum())
        found = _Found(kind, group, leaked, of_stratum, row.size - int(shared[0].distinct[0]), focus)
        return BatchMeasure(
            size=row.size,
            repeats=found.repeats,
            group=self._layout.groups.values[group],
            groups=int((of_group > 0).sum()),
            leak=leaked / row.size,
            strata=of_stratum / row.size,
            spread_hours=self._spread(place, row),
            focal_share=focus.best,
            lineage_pairs=None if shared[1] is None else int(shared[1].pairs[0]),
            deviations=tuple(self._leaves(found)),
        )

    def _shared(self, row: Integers) -> tuple[Sharing, Sharing | None]:
        """Return how anchors of one batch share rows, and lineages."""
        whole, lineage = np.zeros(row.size, dtype=np.int64), self._marks.lineage
        rows = Sharing.of(whole, row, batches=1)
        return rows, None if lineage is None else Sharing.of(whole, lineage[row], batches=1)

    def _kind(self, size: int) -> int | None:
        """Return which of the epoch's batch sizes this is."""
        sizes = self._composer.sizes
        return sizes.index(size) if size in sizes else None

    def _group_of(self, size: int, of_group: Integers, of_stratum: Integers) -> int:
        kind = self._kind(size)
        if kind is not None:
            own = self._composer.parts.parts[kind].halves[0]
            least, most = (bound[kind] for bound in self._bounds)
            fits = (of_group == own) & ((least <= of_stratum) & (of_stratum <= most)).all(axis=1)
            if fits.any():
                return int(fits.argmax())
        return int(of_group.argmax())

    def _spread(self, place: Integers, row: Integers) -> float | None:
        if self._layout.run_time is not None:
            return float(self._layout.time_of(place).std())
        if self._marks.hours is None:
            return None
        known = self._marks.hours[row]
        known = known[np.isfinite(known)]
        return float(known.astype(np.float64).std()) if known.size else None

    def _focus(self, group: int, kind: int | None, place: Integers, own: NDArray[np.bool_]) -> "_Focus":
        if self._ample is None:
            return _Focus(None, None, None)
        time = self._layout.time_of(place)
        best = self._most_inside(group, time) / time.size
        if kind is None or not self._ample[group]:
            return _Focus(best, None, None)
        asked = self._composer.parts.parts[kind].own[0]
        return _Focus(best, asked, self._most_inside(group, time[own]) if own.any() else 0)

    def _most_inside(self, group: int, time: Floats) -> int:
        """Return how many of the times the best window of the group holds.

        It is enough to try, for each time, the first focal time whose window reaches up to it.
        """
        layout, window = self._layout, self._composer.plan.window
        if (
            window is None
            or layout.run_time is None
            or layout.group_run is None
            or layout.group_start is None
        ):
            return 0
        reach = self._composer.plan.reach
        runs = layout.group_run[layout.group_start[group] : layout.group_start[group + 1]]
        focal = layout.run_time[runs]
        at = np.searchsorted(focal, time - reach)
        tried = focal[at[at < focal.size]]
        ordered = np.sort(time)
        upper = np.searchsorted(ordered, tried + reach, side="right")
        return int((upper - np.searchsorted(ordered, tried - reach)).max(initial=0))

    def _leaves(self, found: "_Found") -> Iterator[Deviation]:
        composer, where = self._composer, name_text(self._layout.groups.values[found.group])
        if found.repeats and not self._short:
            yield Deviation("repeats", "", "no anchor twice in a batch", str(found.repeats))
        if found.kind is None:
            sizes = " or ".join(map(str, composer.sizes))
            yield Deviation("batch size", "", sizes, str(int(found.of_stratum.sum())))
            return
        if not composer.shares.groups[found.group]:
            yield Deviation("group", where, "no batch of it", "one")
        leak = sum(composer.parts.parts[found.kind].leaked)
        if found.leaked != leak:
            yield Deviation("leak", where, f"{leak} anchors of other groups", str(found.leaked))
        least, most = (bound[found.kind, found.group] for bound in self._bounds)
        for s in np.flatnonzero((found.of_stratum < least) | (found.of_stratum > most)).tolist():
            asked = f"{range_text(least[s], most[s])} anchors"
            place = name_text(self._layout.groups.values[found.group], self.strata[s])
            yield Deviation("balance", place, asked, str(int(found.of_stratum[s])))
        if found.focus.asked is not None and (found.focus.held or 0) < found.focus.asked:
            asked = f"{found.focus.asked} own anchors inside one window"
            yield Deviation("focus", where, asked, f"at most {found.focus.held}")


def _ample(composer: BatchComposer) -> NDArray[np.bool_]:
    """Return (groups,) which are held to their windows: those that every window has enough for.

    Where values must be kept apart, or batches come from few frames, a window may lack some, and none is held
    to it.
    """
    plan, flow = composer.plan, focal_flow(composer)
    inside = composer.parts.parts[0].own[0]
    shares = [own or (Fraction(0),) * flow.scarce.shape[0] for own in composer.shares.own]
    most = np.array([[plan.span * ceil(inside * share) for share in own] for own in shares]).T
    is_scarce = (plan.span > 1) & (flow.window_least < most)
    return (
        ~(flow.scarce > 0).any(axis=0)
        & ~is_scarce.any(axis=0)
        & (plan.distinct is None)
        & (plan.locality is None)
    )


@dataclass(frozen=True)
class _Focus:
    """Best share of a batch in a window; own anchors asked and held there, None where nothing is asked."""

    best: float | None
    asked: int | None
    held: int | None


@dataclass(frozen=True)
class _Found:
    """Counts of a batch that the plan speaks of."""

    kind: int | None
    group: int
    leaked: int
    of_stratum: Integers
    repeats: int
    focus: _Focus
