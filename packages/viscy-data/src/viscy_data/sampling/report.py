"""What batches held against what was asked: counted over composed batches, without reading a pixel.

A plan may ask for what a table cannot give, and code may have faults: either way the batches themselves say.
So the first batches of training are composed, counted (`tally`), and set beside what each was asked to hold.
It costs about a second for 2,000 batches and is true for every plan; what cannot be checked is named
(`not_checked`) rather than passed over.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, log2
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.columns import HOURS
from viscy_data.composition.composer import BatchComposer
from viscy_data.sampling.asked import group_shares
from viscy_data.sampling.tally import Marks, MarkTally, Tally

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

BLOCK: Final = 1 << 16
"""Anchors composed at a time: enough that array operations set the pace, few enough for the cache."""
_SLACK: Final = 1e-9
"""Shares are exact fractions, compared as float64."""
MOST_APART: Final = 2
"""By how many visits passes let two anchors of a cell differ."""


@dataclass(frozen=True)
class Visits:
    """How often anchors came in all epochs.

    Attributes
    ----------
    times, anchors
        (n,) numbers of visits that occur, ascending, and how many anchors came so often.
    reached
        (groups, strata) anchors of the cell that came at all.
    """

    times: Integers
    anchors: Integers
    reached: Integers


@dataclass(frozen=True)
class Lineages:
    """Pairs of anchors of one lineage in one batch.

    Attributes
    ----------
    pairs
        Such pairs, over all batches; a lineage that comes n times in a batch makes n (n - 1) / 2.
    batches
        Batches with any.
    negatives
        Effective number of negatives: for each anchor, the other anchors of its batch that are not of
        its lineage; the mean over anchors. In a batch of n without such pairs it is n - 1, the N - 1
        of Chen et al. 2020 (arXiv 2002.05709), who see each twice, once per view. Anchors of one
        lineage are no true negatives of one another (Huynh et al. 2022, arXiv 2011.11765), and a loss
        that masks them, as `viscy_train.NTXentHCL` can, contrasts with this many.
    """

    pairs: int
    batches: int
    negatives: float


@dataclass(frozen=True)
class Frames:
    """Distinct frames, (fov, t), in a batch: what reading a batch costs.

    Attributes
    ----------
    mean
        Over batches.
    batches
        (batch_size + 1,) or fewer: batches with 0, 1, 2, ... distinct frames.
    """

    mean: float
    batches: Integers


@dataclass(frozen=True)
class FirstBatches:
    """The first batches, one by one, for a picture.

    Attributes
    ----------
    cells
        (batches, groups, strata) anchors.
    times
        (batches, bins) anchors in the report's bins of time.
    """

    cells: Integers
    times: Integers


@dataclass(frozen=True)
class CompositionReport:
    """Counts of what the first batches of training held.

    Attributes
    ----------
    epochs, batches, batch_size, anchors
        Epochs that the batches fill (a fraction), batches counted, anchors in a batch and in the table.
    groups, strata
        Values of the groups and strata; ``(None,)`` where the axis is off.
    not_checked
        Pairs (axis, why): what is not compared with what was asked.
    batches_asked, batches_held
        (groups,) batches of each group: exact share, and count.
    batches_least, batches_most
        (groups,) fewest and most batches of each group in one whole epoch; in all where none is whole.
    batches_off
        (groups,) whole epochs in which the number was neither the floor nor the ceiling of the share, counted
        in steps, give or take one for each further stage of a curriculum that the epoch follows.
    batches_apart, batches_far
        Most batches by which a group may miss its share over all whole epochs, and (groups,) whether it does.
    stratum_asked, stratum_held
        (groups, strata) mean anchors per batch of a group, by stratum; exact share, and mean.
    stratum_off
        (groups, strata) batches in which the count was neither the floor nor the ceiling of the share.
    leak_asked, leak_held, leak_off
        Mean anchors per batch that come from another group, asked in whole anchors, and the batches
        that held another number of them.
    focal_asked, focal_held
        Mean fraction of a batch inside its focal window; None where there is no window.
    repeats, repeats_in_steps
        Anchors that came a second time in one batch, and in one step.
    over_caps
        For each cap of the plan, anchors beyond it in their steps.
    frames_asked, frames_most
        Most frames, or fields of view, that a step may have and had; None where it may have any number.
    visits, visits_least, visits_most
        How often anchors came; (groups, strata) fewest and most visits of any anchor of a cell.
    uneven
        (groups, strata) whether the visits of a cell's anchors differ by more than passes let them.
    lineages, frames
        Of the anchors of each batch; None where the table does not say.
    variety
        Mean entropy, in bits, of the fields of view ("fov"), tracks ("track") and time points ("time") of a
        batch, as far as the table tells them.
    times
        (bins + 1,) edges on the clock, or None.
    clock
        Column of the clock: that of the plan's focus, else hours post infection; None without ``times``.
    by_time
        (groups, strata, bins) anchors held; one bin where neither plan nor table has a clock.
    first
        The first batches, one by one.
    """

    epochs: float
    batches: int
    batch_size: int
    anchors: int
    groups: tuple[Any, ...]
    strata: tuple[Any, ...]
    not_checked: tuple[tuple[str, str], ...]
    batches_asked: Floats
    batches_held: Integers
    batches_least: Integers
    batches_most: Integers
    batches_off: Integers
    batches_apart: float
    batches_far: NDArray[np.bool_]
    stratum_asked: Floats
    stratum_held: Floats
    stratum_off: Integers
    leak_asked: float
    leak_held: float
    leak_off: int
    focal_asked: float | None
    focal_held: float | None
    repeats: int
    repeats_in_steps: int
    over_caps: tuple[int, ...]
    frames_asked: int | None
    frames_most: int | None
    visits: Visits
    visits_least: Integers
    visits_most: Integers
    uneven: NDArray[np.bool_]
    lineages: Lineages | None
    frames: Frames | None
    variety: dict[str, float]
    times: Floats | None
    clock: str | None
    by_time: Integers
    first: FirstBatches

    def __str__(self) -> str:
        """Return a few lines for people; `deviations` says where counts leave what was asked."""
        lines = [f"{self.batches:,} batches of {self.batch_size} from {self.anchors:,} anchors"]
        lines += [f"from other groups: {self.leak_held:.2f} anchors per batch, {self.leak_asked:.2f} asked"]
        if self.focal_held is not None:
            lines.append(f"inside the window: {self.focal_held:.3f} of a batch, {self.focal_asked:.3f} asked")
        if self.lineages is not None:
            lines.append(f"pairs of one lineage: {self.lineages.pairs / self.batches:.2f} per batch")
        if self.frames is not None:
            lines.append(f"distinct frames: {self.frames.mean:.1f} per batch")
        lines.append(f"visits of an anchor: {self.visits.times.min()} to {self.visits.times.max()}")
        return "\n".join([*lines, *(f"not checked: {axis}: {why}" for axis, why in self.not_checked)])

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, texts, lists and mappings, as JSON takes them."""
        return plain(self)  # type: ignore[no-any-return]  # a dataclass becomes a dict


def report_composition(
    composer: BatchComposer,
    batches: int,
    advance: Callable[[int], None] = lambda _: None,
    *,
    marks: Marks | None = None,
) -> CompositionReport:
    """Compose the first batches of training and count.

    Parameters
    ----------
    composer
        What composes.
    batches
        How many; made up to whole steps.
    advance
        Called with the number of batches done since the last call.
    marks
        What is known of the anchors besides the columns of the plan, by row of the table.
    """
    tally, span = Tally(composer, marks or Marks()), composer.plan.span
    block = max(span, BLOCK // composer.plan.batch_size // span * span)
    left, epoch = batches, 0
    while left > 0:
        tally.start_epoch()
        end = min(-(-left // span) * span, composer.batches)
        for start in range(0, end, block):
            numbers = np.arange(start, min(start + block, end))
            tally.add(epoch, numbers)
            advance(numbers.size)
        left, epoch = left - end, epoch + 1
    return _report(composer, tally)


def _report(composer: BatchComposer, tally: Tally) -> CompositionReport:
    epochs = np.array(tally.epoch_batches)
    counted = epochs.sum(axis=1).tolist()
    exact = [group_shares(composer, epoch) for epoch in range(len(epochs))]
    whole = np.array([count == composer.batches for count in counted])
    of_whole = epochs[whole] if whole.any() else epochs
    group_batches = epochs.sum(axis=0)
    batches = int(group_batches.sum())
    has_window = any(stage.focal is not None for stage in composer.stages)
    shape = tally.layout.size.shape
    least, most, reached = _visit_range(tally)
    apart = _apart(composer, whole)
    locality = composer.stages[0].plan.locality
    why_uneven = _why_uneven(composer)
    return CompositionReport(
        epochs=batches / composer.batches,
        batches=batches,
        batch_size=composer.plan.batch_size,
        anchors=len(tally.layout),
        groups=tally.layout.groups.values,
        strata=tally.layout.strata.values,
        not_checked=tuple(_not_checked(composer, why_uneven, has_whole=bool(whole.any()))),
        batches_asked=np.array(counted) @ np.array(exact, dtype=np.float64) / composer.batches,
        batches_held=group_batches,
        batches_least=of_whole.min(axis=0),
        batches_most=of_whole.max(axis=0),
        batches_off=_off(composer, epochs, exact, whole),
        batches_apart=apart,
        batches_far=_far(epochs, exact, whole, apart),
        stratum_asked=tally.asked / np.maximum(group_batches, 1)[:, None],
        stratum_held=tally.held / np.maximum(group_batches, 1)[:, None],
        stratum_off=tally.stratum_off,
        leak_asked=tally.leak_asked / batches,
        leak_held=tally.leaked / batches,
        leak_off=tally.leak_off,
        focal_asked=tally.inside_asked / tally.drawn if has_window else None,
        focal_held=tally.inside / tally.drawn if has_window else None,
        repeats=tally.repeats,
        repeats_in_steps=tally.repeats_in_steps,
        over_caps=tuple(tally.over),
        frames_asked=None if locality is None else locality._most,
        frames_most=None if locality is None else tally.most_units,
        visits=_visits(tally, reached),
        visits_least=least,
        visits_most=most,
        uneven=_uneven(composer, most - least) if not why_uneven else np.zeros(shape[::-1], dtype=np.bool_),
        lineages=None if tally.lineages is None else _lineages(tally.lineages, tally.drawn),
        frames=None if tally.frames is None else _frames(tally.frames, batches),
        variety={name: one.entropy / batches for name, one in tally.variety.items()},
        times=tally.edges,
        clock=None if tally.edges is None else _clock(composer),
        by_time=tally.by_time.reshape(*shape, -1).transpose(1, 0, 2),
        first=FirstBatches(tally.first_cells, tally.first_times),
    )


def plain(value: Any) -> Any:
    """Return numbers, texts, lists and dicts for a value of ours, as JSON takes them."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _stages(composer: BatchComposer, epoch: int) -> int:
    """Return how many plans an epoch follows."""
    return len(composer.by_stage(epoch, np.arange(composer.batches)))


def _not_checked(composer: BatchComposer, why_uneven: str, *, has_whole: bool) -> list[tuple[str, str]]:
    found = []
    if not has_whole:
        found.append(("group", f"fewer batches than an epoch of {composer.batches:,} were composed"))
    if why_uneven:
        found.append(("coverage", why_uneven))
    if composer.layout.slots is not None:
        found.append(("weights", "visits follow weights on average only"))
    return found


def _why_uneven(composer: BatchComposer) -> str:
    """Return why the visits of anchors are even on average only; an empty text where passes bound them."""
    if len(composer.stages) > 1:
        return "every stage of a curriculum has passes of its own"
    plan = composer.stages[0].plan
    why = [
        (plan._window is not None, "the focal window decides who comes"),
        (bool(plan._caps), "caps decide who comes"),
        (plan.weighting is not None, "weights decide who comes"),
        (plan.locality is not None, "frames decide who comes"),
        (plan._leak > 0, "leaks come on top of passes, by chance"),
    ]
    return "; ".join(text for holds, text in why if holds)


def _uneven(composer: BatchComposer, apart: Integers) -> NDArray[np.bool_]:
    """Return (groups, strata) cells of at least three steps' shares whose visits differ too much."""
    visit = composer.stages[0].most_per_step()[0].sum(axis=0).T
    found: NDArray[np.bool_] = (3 * visit <= composer.layout.size.T) & (visit > 0) & (apart > MOST_APART)
    return found


def _off(
    composer: BatchComposer, held: Integers, exact: Sequence[Sequence[Fraction]], whole: NDArray[np.bool_]
) -> Integers:
    """Return (groups,) whole epochs in which a count was neither the floor nor the ceiling of its share."""
    found = np.zeros(held.shape[1], dtype=np.int64)
    for epoch in np.flatnonzero(whole).tolist():
        slack = _stages(composer, epoch) * composer.plan.span - 1
        for group, share in enumerate(exact[epoch]):
            found[group] += not floor(share) - slack <= held[epoch, group] <= ceil(share) + slack
    return found


def _apart(composer: BatchComposer, whole: NDArray[np.bool_]) -> float:
    """Return by how many batches a group may miss its share over all whole epochs: one and more per stage."""
    epochs = int(whole.sum())
    stages = sum(_stages(composer, epoch) - 1 for epoch in np.flatnonzero(whole).tolist())
    return composer.plan.span * (1 + log2(max(epochs, 1)) + stages)


def _far(
    held: Integers, exact: Sequence[Sequence[Fraction]], whole: NDArray[np.bool_], apart: float
) -> NDArray[np.bool_]:
    asked = np.zeros(held.shape[1])
    for epoch in np.flatnonzero(whole).tolist():
        asked += np.array(exact[epoch], dtype=np.float64)
    return np.abs(held[whole].sum(axis=0) - asked) > apart + _SLACK


def _clock(composer: BatchComposer) -> str:
    focus = composer.stages[0].plan.focus  # all stages use the same columns
    return HOURS if focus is None else focus.by


def _visit_range(tally: Tally) -> tuple[Integers, Integers, Integers]:
    """Return (groups, strata) fewest and most visits of an anchor, and anchors that came at all."""
    start, shape = tally.layout.start, tally.layout.size.shape
    occupied = np.diff(start) > 0
    found = []
    for reduce, values in (
        (np.minimum, tally.visits),
        (np.maximum, tally.visits),
        (np.add, tally.visits > 0),
    ):
        by_cell = np.zeros(occupied.size, dtype=np.int64)
        by_cell[occupied] = reduce.reduceat(values, start[:-1][occupied], dtype=np.int64)
        found.append(by_cell.reshape(shape).T)
    return found[0], found[1], found[2]


def _visits(tally: Tally, reached: Integers) -> Visits:
    counts = np.bincount(tally.visits)
    times = np.flatnonzero(counts)
    return Visits(times, counts[times], reached)


def _lineages(tally: MarkTally, drawn: int) -> Lineages:
    return Lineages(tally.pairs, tally.with_pairs, (tally.ordered - 2 * tally.pairs) / drawn)


def _frames(tally: MarkTally, batches: int) -> Frames:
    return Frames(tally.distinct / batches, tally.by_distinct)
