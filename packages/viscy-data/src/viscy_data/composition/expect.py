"""What batches will hold, in closed form: from plan and table alone, before anything is drawn.

Counts over an epoch are means over all epochs; a single epoch differs from them by rounding, and by
chance where a focal time or a leak is drawn. `report` counts the same by composing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.bounds import ShortCell, short_cells
from viscy_data.composition.draw import BatchComposer
from viscy_data.composition.parts import PartSizes
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.weighed import weight_range
from viscy_data.composition.windows import FocalFlow, focal_flow
from viscy_data.errors import InvalidInputError

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

TIME_BINS = 24


@dataclass(frozen=True)
class WindowExpectation:
    """What focal windows give of what is asked of them.

    Attributes
    ----------
    asked, held
        Fraction of a batch inside its window: as the plan rounds it, and as the table allows it.
    least
        (groups, strata) fewest anchors of the cell in a window of its own group.
    scarce
        (groups, strata) fraction of the group's focal times whose window holds less than the cell's share.
    """

    asked: float
    held: float
    least: Integers
    scarce: Floats


@dataclass(frozen=True)
class Expectation:
    """Means of what batches will hold.

    Attributes
    ----------
    batches_per_epoch, batch_size, anchors
        Batches of an epoch, anchors in a full batch and in the table.
    groups, strata
        Values of the groups and strata; ``(None,)`` where the axis is off.
    sizes
        (groups, strata) anchors of each cell.
    batches
        (groups,) batches per epoch: the exact share, of which an epoch holds the floor or the ceiling.
    stratum_means
        (groups, strata) anchors per batch of a group, by stratum.
    leak
        Anchors per batch that come from other groups.
    window
        What the focal windows give; None where there is none.
    visits
        (groups, strata) visits per epoch of an anchor of each cell.
    visits_least, visits_most
        (groups, strata) the same for the anchors at the time that is visited least, and most.
    times, by_time
        (bins + 1,) edges in hours and (groups, strata, bins) anchors per epoch; None without a window.
    short
        Cells of which a batch asks more than they hold.
    notes
        What else is worth a warning.
    """

    batches_per_epoch: int
    batch_size: int
    anchors: int
    groups: tuple[Any, ...]
    strata: tuple[Any, ...]
    sizes: Integers
    batches: Floats
    stratum_means: Floats
    leak: float
    window: WindowExpectation | None
    visits: Floats
    visits_least: Floats
    visits_most: Floats
    times: Floats | None
    by_time: Floats | None
    short: tuple[ShortCell, ...]
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, texts, lists and mappings, as JSON takes them."""
        return plain(self)  # type: ignore[no-any-return]  # a dataclass becomes a dict


def why_open(plan: BatchPlan) -> str:
    """Return why a plan has no closed form, and what to do; an empty text where it has one."""
    compose = "compose some epochs with FlexibleBatchSampler.report instead"
    if plan.scheduled:
        return (
            f"{' and '.join(plan.scheduled)} follows a Schedule, so that epochs differ: ask for the plan at "
            f"one time, as FlexibleBatchSampler.plan_at(number, epoch=...) gives it, or {compose}."
        )
    if plan.window is not None and plan.window.kernel != "box":
        return f"Focus.kernel={plan.window.kernel!r} has no closed form; {compose}."
    if plan.weighting is not None and (plan.window is not None or plan.leak):
        return f"Draws by weight around a focal time or from other groups have no closed form; {compose}."
    if plan.window is not None and plan.locality is not None:
        return f"What few frames hold of a focal window has no closed form; {compose}."
    if plan.window is not None and plan.span > 1:
        return f"Focal windows shared by BatchPlan.span={plan.span} batches have no closed form; {compose}."
    return ""


def expect_composition(composer: BatchComposer) -> Expectation:
    """Work out what the composer's batches will hold; nothing is drawn.

    Raises
    ------
    InvalidInputError
        The plan has no closed form: a number of it follows a schedule, its window is a Gaussian, or
        the batches of a step share a window.
    """
    if reason := why_open(composer.plan):
        raise InvalidInputError(f"Nothing can be expected of this plan before it is composed. {reason}")
    layout, shares = composer.layout, composer.shares
    batches = np.array([float(share * composer.batches) for share in shares.groups])
    means = stratum_means(composer)
    flow = None if composer.plan.window is None else focal_flow(composer)
    visits = _visits(composer)
    least, most = _visit_range(composer, flow, visits)
    times, by_time = _by_time(composer, flow)
    return Expectation(
        batches_per_epoch=composer.batches,
        batch_size=composer.plan.batch_size,
        anchors=len(layout),
        groups=layout.groups.values,
        strata=layout.strata.values,
        sizes=layout.size.T,
        batches=batches,
        stratum_means=means,
        leak=mean_count(composer, lambda part: sum(part.leaked)),
        window=None if flow is None else _window(composer, flow),
        visits=visits,
        visits_least=least,
        visits_most=most,
        times=times,
        by_time=by_time,
        short=tuple(short_cells(composer)),
    )


def mean_count(composer: BatchComposer, count: Callable[[PartSizes], int]) -> float:
    """Return the mean of a count over an epoch's batches, the last of which may be smaller."""
    total = sum(n * count(part) for n, part in _sizes(composer))
    return total / composer.batches


def focal_share(composer: BatchComposer) -> float:
    """Return the mean fraction of a batch that is asked to lie inside the window."""
    drawn = mean_count(composer, lambda part: sum(part.halves))
    return mean_count(composer, lambda part: part.own[0] + part.leaked[0]) / drawn


def time_edges(composer: BatchComposer) -> Floats | None:
    """Return the edges in hours of the bins that reports count in; None where the plan has no clock."""
    layout = composer.layout
    if layout.run_time is None or layout.group_run is None or layout.group_start is None:
        return None
    return edges_of(np.split(layout.run_time[layout.group_run], layout.group_start[1:-1]))


def edges_of(times: Sequence[NDArray[Any]]) -> Floats:
    """Return (bins + 1,) edges for the distinct, ascending times of each group.

    A bin is as wide as the slowest group's interval, so that each holds a frame of each group while it
    lasts; there are at most `TIME_BINS`.
    """
    held = [one for one in times if one.size]
    low, high = (float(f(f(one) for one in held)) for f in (min, max))
    interval = max((float(np.median(np.diff(one))) for one in held if one.size > 1), default=1.0)
    width = max(interval, (high - low) / (TIME_BINS - 1))
    bins = floor((high - low) / width + 0.5 + 1e-9) + 1  # the last edge lies beyond high
    return np.asarray(low + width * (np.arange(bins + 1) - 0.5), dtype=np.float64)


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


def _sizes(composer: BatchComposer) -> Iterator[tuple[int, PartSizes]]:
    """Yield how many batches of an epoch have which parts."""
    schedule = composer.schedule
    yield from zip((schedule.full, schedule.partial), composer.parts.parts, strict=False)


def _half_means(composer: BatchComposer) -> NDArray[np.object_]:
    """Return (own | leaked, groups, strata) exact mean anchors per batch."""
    shares = composer.shares
    strata = len(composer.layout.strata.values)
    none = (Fraction(0),) * strata
    own = [one or none for one in shares.own]
    leaked = [none] * len(own) if shares.leaked is None else [one or none for one in shares.leaked]
    halves = []
    for half, of in enumerate((own, leaked)):
        total = sum(n * part.halves[half] for n, part in _sizes(composer))
        halves.append([[Fraction(total, composer.batches) * share for share in row] for row in of])
    return np.array(halves, dtype=object)


def stratum_means(composer: BatchComposer) -> Floats:
    """Return (groups, strata) mean anchors per batch of a group; of a plan whose quotas stay."""
    return _half_means(composer).sum(axis=0).astype(np.float64)


def _visits(composer: BatchComposer) -> Floats:
    """Return (groups, strata) mean visits of an anchor per epoch: own draws, and those of leaks."""
    own, leaked = _half_means(composer).astype(np.float64)
    size = composer.layout.size.T
    batches = np.array([float(share * composer.batches) for share in composer.shares.groups])[:, None]
    elsewhere = size.sum(axis=0) - size
    per_anchor = batches * leaked / np.maximum(elsewhere, 1)  # of each anchor of the other groups
    visits: Floats = batches * own / np.maximum(size, 1) + per_anchor.sum(axis=0) - per_anchor
    return np.where(size > 0, visits, 0)


def _visit_range(composer: BatchComposer, flow: FocalFlow | None, visits: Floats) -> tuple[Floats, Floats]:
    if composer.layout.weight_sum is not None:
        least, most = weight_range(composer.layout)
        return visits * least.T, visits * most.T
    if flow is None:
        return visits, visits
    cell_run = composer.layout.cell_run
    assert cell_run is not None
    held = np.diff(cell_run) > 0
    shape = composer.layout.size.shape
    found = []
    for extreme in (np.minimum, np.maximum):
        by_cell = np.zeros(held.size)
        by_cell[held] = extreme.reduceat(flow.rate, cell_run[:-1][held])
        found.append(by_cell.reshape(shape).T)
    return found[0], found[1]


def _by_time(composer: BatchComposer, flow: FocalFlow | None) -> tuple[Floats | None, Floats | None]:
    layout, edges = composer.layout, time_edges(composer)
    if flow is None or edges is None:
        return None, None
    assert layout.run_time is not None
    assert layout.run_start is not None
    assert layout.cell_run is not None
    cells = layout.size.size
    cell = np.repeat(np.arange(cells), np.diff(layout.cell_run))
    bin_ = np.searchsorted(edges, layout.run_time, side="right") - 1
    run_start = layout.run_start.astype(np.int64)
    drawn = flow.rate * (run_start[1:] - run_start[:-1])
    bins = edges.size - 1
    counts = np.bincount(cell * bins + bin_, weights=drawn, minlength=cells * bins)
    return edges, counts.reshape(*layout.size.shape, -1).transpose(1, 0, 2)


def _window(composer: BatchComposer, flow: FocalFlow) -> WindowExpectation:
    drawn = mean_count(composer, lambda part: sum(part.halves))
    return WindowExpectation(
        asked=focal_share(composer),
        held=flow.inside / (drawn * composer.batches),
        least=flow.window_least.T,
        scarce=flow.scarce.T,
    )
