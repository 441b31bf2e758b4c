"""What batches held against what was asked: counted over whole epochs, without reading a pixel."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.draw import BatchComposer
from viscy_data.composition.expect import (
    Expectation,
    expect_composition,
    focal_share,
    mean_count,
    plain,
    stratum_means,
    why_open,
)
from viscy_data.composition.marks import Marks
from viscy_data.composition.tally import MarkTally, Tally

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

BLOCK = 1 << 16
"""Anchors composed at a time: enough that array operations set the pace, few enough for the cache."""


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
    """Counts of what the batches of some epochs held.

    Attributes
    ----------
    epochs, batches, batch_size, anchors
        Epochs counted, batches in all of them, anchors in a batch and in the table.
    groups, strata
        Values of the groups and strata; ``(None,)`` where the axis is off.
    expectation
        The same in closed form; None where there is none (see `expect`).
    batches_asked, batches_held
        (groups,) batches of each group: exact share, and count.
    batches_least, batches_most
        (groups,) fewest and most batches of each group in one epoch.
    batches_off
        (groups,) epochs in which the number was neither the floor nor the ceiling of the share.
    batches_apart
        Most batches by which a group may miss its share over all epochs.
    stratum_asked, stratum_held
        (groups, strata) mean anchors per batch of a group, by stratum; exact share, and mean.
    stratum_off
        (groups, strata) batches in which the count was neither the floor nor the ceiling of the share.
    leak_asked, leak_held, leak_off
        Mean anchors per batch that come from another group, asked in whole anchors, and the batches
        that held another number of them.
    focal_asked, focal_held
        Mean fraction of a batch inside its focal window; None where there is no window.
    repeats
        Anchors that came a second time in one batch.
    apart
        Most that the visits of two anchors of a cell may differ by; None where a focal window or
        `Distinct` decides who comes, or weights do.
    off_weight
        How far an anchor's visits are from its share of its cell's draws at the most, and how far they
        may be; None where nothing is drawn by weight, or something is that follows shares on average only.
    visits, visits_least, visits_most
        How often anchors came; (groups, strata) fewest and most visits of any anchor of a cell.
    lineages, frames
        Of the anchors of each batch; None where the table does not say.
    variety
        Mean entropy, in bits, of the fields of view ("fov"), tracks ("track") and time points ("time") of a
        batch, as far as the table tells them.
    times
        (bins + 1,) edges in hours, or None.
    by_time
        (groups, strata, bins) anchors held; one bin where neither plan nor table has a clock.
    first
        The first batches, one by one.
    """

    epochs: int
    batches: int
    batch_size: int
    anchors: int
    groups: tuple[Any, ...]
    strata: tuple[Any, ...]
    expectation: Expectation | None
    batches_asked: Floats
    batches_held: Integers
    batches_least: Integers
    batches_most: Integers
    batches_off: Integers
    batches_apart: float
    stratum_asked: Floats
    stratum_held: Floats
    stratum_off: Integers
    leak_asked: float
    leak_held: float
    leak_off: int
    focal_asked: float | None
    focal_held: float | None
    repeats: int
    apart: int | None
    off_weight: tuple[float, float] | None
    visits: Visits
    visits_least: Integers
    visits_most: Integers
    lineages: Lineages | None
    frames: Frames | None
    variety: dict[str, float]
    times: Floats | None
    by_time: Integers
    first: FirstBatches

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, texts, lists and mappings, as JSON takes them."""
        return plain(self)  # type: ignore[no-any-return]  # a dataclass becomes a dict


def report_composition(
    composer: BatchComposer,
    epochs: range,
    advance: Callable[[int], None] = lambda _: None,
    *,
    marks: Marks | None = None,
) -> CompositionReport:
    """Compose whole epochs and count.

    Parameters
    ----------
    composer
        What composes.
    epochs
        Which epochs.
    advance
        Called with the number of batches done since the last call.
    marks
        What is known of the anchors besides the columns of the plan, by row of the table.
    """
    tally = Tally(composer, marks or Marks())
    block = max(1, BLOCK // composer.plan.batch_size)
    for epoch in epochs:
        tally.start_epoch()
        for numbers in _blocks(composer.batches, block):
            tally.add(epoch, numbers)
            advance(numbers.size)
    return _report(composer, tally, epochs)


def _blocks(batches: int, size: int) -> Iterator[Integers]:
    for start in range(0, batches, size):
        yield np.arange(start, min(start + size, batches))


def _report(composer: BatchComposer, tally: Tally, counted: range) -> CompositionReport:
    epochs = np.array(tally.epoch_batches)
    exact = [[share * composer.batches for share in composer.schedule.shares(one)] for one in counted]
    plan, asked = composer.plan, None if composer.stages is None else tally.asked
    group_batches = epochs.sum(axis=0)
    batches = int(group_batches.sum())
    has_edges = plan.window is not None and plan.window.kernel == "box"
    focal_asked = focal_share(composer) if asked is None else asked.inside / tally.drawn
    least, most, reached = _visit_range(composer, tally)
    shape = composer.layout.size.shape
    return CompositionReport(
        epochs=len(epochs),
        batches=batches,
        batch_size=composer.plan.batch_size,
        anchors=len(composer.layout),
        groups=composer.layout.groups.values,
        strata=composer.layout.strata.values,
        expectation=None if why_open(plan) else expect_composition(composer),
        batches_asked=np.array([float(sum(column)) for column in zip(*exact, strict=True)]),
        batches_held=group_batches,
        batches_least=epochs.min(axis=0),
        batches_most=epochs.max(axis=0),
        batches_off=_off(epochs, exact),
        batches_apart=len(epochs) if "Grouping.weights" in plan.scheduled else 1 + log2(len(epochs)),
        stratum_asked=stratum_means(composer)
        if asked is None
        else asked.strata / np.maximum(group_batches, 1)[:, None],
        stratum_held=tally.held / np.maximum(group_batches, 1)[:, None],
        stratum_off=tally.stratum_off,
        leak_asked=mean_count(composer, lambda part: sum(part.leaked))
        if asked is None
        else asked.leaked / batches,
        leak_held=tally.leaked / batches,
        leak_off=tally.leak_off,
        focal_asked=focal_asked if has_edges else None,
        focal_held=tally.inside / tally.drawn if has_edges else None,
        repeats=tally.repeats,
        apart=_apart(composer, len(epochs), groups=int((group_batches > 0).sum())),
        off_weight=_off_weight(composer, tally),
        visits=_visits(tally, reached),
        visits_least=least,
        visits_most=most,
        lineages=None if tally.lineages is None else _lineages(tally.lineages, tally.drawn),
        frames=None if tally.frames is None else _frames(tally.frames, batches),
        variety={name: one.entropy / batches for name, one in tally.variety.items()},
        times=tally.edges,
        by_time=tally.by_time.reshape(*shape, -1).transpose(1, 0, 2),
        first=FirstBatches(tally.first_cells, tally.first_times),
    )


def _off(held: Integers, exact: Sequence[Sequence[Fraction]]) -> Integers:
    """Return (groups,) epochs in which a count was neither the floor nor the ceiling of the exact one."""
    off = [
        [not floor(share) <= count <= ceil(share) for count, share in zip(*row, strict=True)]
        for row in zip(held.tolist(), exact, strict=True)
    ]
    return np.array(off, dtype=np.int64).sum(axis=0)


def _apart(composer: BatchComposer, epochs: int, *, groups: int) -> int | None:
    """Return by how many visits passes let two anchors of a cell differ: one, and one for each leak to it.

    Where quotas change, passes begin anew with every epoch.
    """
    plan = composer.plan
    if plan.window is not None or plan.distinct is not None or plan.weighting is not None:
        return None
    if plan.locality is not None:
        return None
    return (1 + (groups if plan.leak else 0)) * (1 if composer.stages is None else epochs)


def _off_weight(composer: BatchComposer, tally: Tally) -> tuple[float, float] | None:
    """Return how far visits are from the anchors' shares at the most, and how far they may be.

    Only where all draws follow shares: without window, leak, `Distinct` and moving quotas.
    """
    plan, start, sums = composer.plan, composer.layout.start, composer.layout.weight_sum
    free = plan.window is None and plan.distinct is None and not plan.leak and composer.stages is None
    if sums is None or not free:
        return None
    worst = 0.0, 2.0
    for low, high in pairwise(start.tolist()):
        drawn = int(tally.visits[low:high].sum(dtype=np.int64))
        if drawn:
            share = np.diff(sums[low : high + 1]) / (sums[high] - sums[low])
            off = float(np.abs(tally.visits[low:high] - drawn * share).max())
            worst = max(worst, (off, 2 + log2(drawn)), key=lambda pair: pair[0] / pair[1])
    return worst


def _visit_range(composer: BatchComposer, tally: Tally) -> tuple[Integers, Integers, Integers]:
    """Return (groups, strata) fewest and most visits of an anchor, and anchors that came at all."""
    start, shape = composer.layout.start, composer.layout.size.shape
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
