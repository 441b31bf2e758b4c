"""What a table cannot give a plan: refused, or said once, before the first batch.

A plan can ask for more than a table holds: a leak of a tenth of eight anchors, a cell of ten anchors for a
share of sixteen, a window that holds three, five lineages for sixteen places. Drawing copes with all of it,
by rules that the plan's author may not expect. So a plan and a table are looked at together once, when they
meet, and every such rule that will be needed is said in one warning, with names and sizes. Cost: a look at
each cell, at some thousand focal times, and at as many anchors as show that a cap leaves enough.
"""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.composer import BatchComposer, Stage
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.focal import FocalTimes
from viscy_data.composition.layout import AnchorLayout, Values
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.plan_checks import NATURAL
from viscy_data.composition.shares import PLAN_NAMES, column_text
from viscy_data.errors import CompositionWarning, InvalidInputError
from viscy_data.text import shown

Integers = NDArray[np.int64]

_PACKAGE: Final = str(Path(__file__).parents[1])
"""Warnings point at the line outside of it that built the sampler."""
SHOWN: Final = 12
"""Cells that a message lists."""
STAGES_SHOWN: Final = 4
"""Notes of a curriculum that are told one by one."""
MOST_TIMES: Final = 1024
"""Focal times of a group that are looked at; of more, so many that lie evenly among them."""
CAPPED_TIMES: Final = 16
"""Focal times of a cell whose windows are counted for caps."""


def make_composer(
    plan: BatchPlan | Curriculum,
    layout: AnchorLayout,
    *,
    seed: int,
    drop_last: bool,
    names: Mapping[str, str] = PLAN_NAMES,
) -> BatchComposer:
    """Return what composes batches of a plan or a curriculum, and warn of what the table cannot give.

    Raises
    ------
    InvalidInputError
        The plan cannot be followed on this table.
    """
    composer = BatchComposer(plan, layout, seed=seed, drop_last=drop_last, names=names)
    notes = list(dict.fromkeys(note for stage in composer.stages for note in notes_of(stage)))
    if len(composer.stages) > 1 and len(notes) > STAGES_SHOWN:
        more = f"{len(notes) - STAGES_SHOWN} more like these, of other stages of the curriculum."
        notes = [*notes[:STAGES_SHOWN], more]
    for note in notes:
        warnings.warn(note, CompositionWarning, skip_file_prefixes=(_PACKAGE,))
    return composer


def notes_of(stage: Stage) -> Iterator[str]:
    """Yield what the table cannot give, in sentences.

    Raises
    ------
    InvalidInputError
        No focal time of some group has an anchor of every stratum in its window, and none may come from
        outside.
    """
    yield from _idle(stage)
    yield from _lacking(stage)
    yield from _rounded_away(stage)
    yield from _small_cells(stage)
    if stage.focal is not None:
        _refuse_empty_windows(stage, stage.focal)
        yield from _left_out(stage, stage.focal)
        yield from _short_windows(stage, stage.focal)
    for cap, axis in zip(stage.layout.caps, stage.plan._caps, strict=True):
        yield from _few_values(stage, cap, " x ".join(axis.by))


def cell_name(stage: Stage, cell: int) -> str:
    """Return a cell's group and stratum for people."""
    layout = stage.layout
    stratum, group = divmod(cell, len(layout.groups.values))
    names = [
        value_text(labels.values[number])
        for labels, number in ((layout.groups, group), (layout.strata, stratum))
        if labels.names
    ]
    return " / ".join(names) or "the table"


def _group_name(stage: Stage, group: int) -> str:
    """Return a group for people, in quotes; without groups it is the table."""
    return f"'{value_text(stage.layout.groups.values[group])}'" if stage.layout.groups.names else "the table"


def value_text(value: object) -> str:
    r"""Return a group or a stratum for people: a name is text, whatever it holds.

    Examples
    --------
    >>> print(value_text(("a", 1)), value_text("x" + chr(10) + "y"))
    a, 1 x\ny
    """
    return ", ".join(map(shown, value)) if isinstance(value, tuple) else shown(value)


def _idle(stage: Stage) -> Iterator[str]:
    """Say which groups get no batch."""
    idle = [stage.layout.groups.values[group] for group, own in enumerate(stage.shares.own) if own is None]
    if idle:
        listed = _listed([repr(value) for value in idle], ", ")
        yield f"{stage.names['ratio']} is 0 for every stratum of {listed}: no batch comes from there."


def _lacking(stage: Stage) -> Iterator[str]:
    """Say once which strata which groups lack: their shares go to the others of the group."""
    layout, balance = stage.layout, stage.plan.balance
    ratio = None if balance is None else balance.ratio
    if ratio == NATURAL:
        return
    texts = []
    for group, sizes in zip(layout.groups.values, layout.size.T.tolist(), strict=True):
        of_strata = zip(layout.strata.values, sizes, strict=True)
        absent = [
            repr(stratum)
            for stratum, size in of_strata
            if not size and (not isinstance(ratio, Mapping) or ratio[stratum] > 0)
        ]
        if absent:
            texts.append(f"{group!r} has no {_listed(absent, ', ')}")
    if texts:
        columns = column_text(layout.strata)
        listed = _listed(texts, "; ")
        yield f"Some groups lack values of {columns}; the others share their places: {listed}."


def _rounded_away(stage: Stage) -> Iterator[str]:
    plan, part = stage.plan, stage.counts.parts[0]
    asked = [("leak", plan._leak, sum(part.leaked))]
    if plan._window is not None:
        asked.append(("global_fraction", plan._window.global_fraction, part.own[1] + part.leaked[1]))
    for name, fraction, count in asked:
        if fraction > 0 and count == 0:
            yield (
                f"{stage.names[name]}={fraction} of a batch of {plan.batch_size} rounds to no anchor at "
                "all; raise it or batch_size, or set it to 0."
            )


def _small_cells(stage: Stage) -> Iterator[str]:
    """List the cells, and what other groups hold for a leak, that hold less than is taken of them."""
    size = stage.layout.size
    held = [size, size.sum(axis=1, keepdims=True) - size]
    texts = []
    for half, most in enumerate(stage.most_per_step().sum(axis=1)):
        for stratum, group in np.argwhere(held[half] < most).tolist():
            name = cell_name(stage, stratum * size.shape[1] + group)
            texts.append(f"{'leaked to ' if half else ''}{name}: {held[half][stratum, group]}")
    if texts:
        what = _unit(stage)
        yield (
            f"These cells, each the anchors of a stratum in a group, hold fewer than a {what} takes from "
            f"them, so that anchors repeat in a {what}: {_listed(texts, ', ')}."
        )


def _refuse_empty_windows(stage: Stage, focal: FocalTimes) -> None:
    drawn = np.array([share > 0 for share in stage.shares.groups])
    empty = np.flatnonzero(focal.empty & drawn).tolist()
    if empty:
        hours = stage.plan.focus.window_hours if stage.plan.focus else 0.0
        named = _listed([_group_name(stage, group) for group in empty], ", ")
        leak = ", or no other group has one to leak" if stage.plan._leak else ""
        raise InvalidInputError(
            f"{stage.names['global_fraction']}=0 with a window of {hours:g}: at every time of {named} "
            f"some stratum has no anchor in the window{leak}. Widen the window, let something come from "
            "outside it, or leave these groups out by weights."
        )


def _left_out(stage: Stage, focal: FocalTimes) -> Iterator[str]:
    texts = [
        f"{_group_name(stage, group)}: {focal.left_out[group]} times"
        for group in np.flatnonzero(focal.left_out).tolist()
        if stage.shares.groups[group]
    ]
    if texts:
        yield (
            f"{stage.names['global_fraction']}=0: times at which some stratum has no anchor in the window "
            f"are never focal: {_listed(texts, ', ')}."
        )


def _short_windows(stage: Stage, focal: FocalTimes) -> Iterator[str]:
    """List the cells whose windows hold less than is taken of them, and at how many times."""
    near = stage.most_per_step()[0, 0]
    texts = []
    for stratum, group in np.argwhere(near > 0).tolist():
        times = _spread(focal.times(group), MOST_TIMES)
        cell = stratum * near.shape[1] + group
        short = int((focal.held(cell, times) < near[stratum, group]).sum())
        if short:
            texts.append(f"{cell_name(stage, cell)}: {short / max(times.size, 1):.0%} of its times")
    if texts:
        then = (
            "repeat their anchors"
            if focal.only_near
            else "give all they have, and the outside gives the rest"
        )
        yield (
            "Windows of these cells, each the anchors of a stratum in a group, hold fewer than a "
            f"{_unit(stage)} takes from them; they {then}: {_listed(texts, ', ')}."
        )


def _few_values(stage: Stage, cap: Values, columns: str) -> Iterator[str]:
    """List the cells that cannot give what is taken of them within a cap."""
    if cap.min_hours is not None:
        return  # how many anchors of a value go together depends on which are drawn
    layout, most = stage.layout, stage.most_per_step()[0]
    texts = []
    for stratum, group in np.argwhere(most.sum(axis=0) > 0).tolist():
        cell = stratum * most.shape[2] + group
        name = cell_name(stage, cell)
        low, high = layout.start[cell : cell + 2].tolist()
        wanted = min(int(most[:, stratum, group].sum()), high - low)
        held = _capacity(cap, low, high, wanted)
        if held < wanted:
            texts.append(f"{name}: {held} for {wanted} anchors")
        elif stage.focal is not None and (layout.units is None or not layout.units.are_fovs):
            texts += _few_in_windows(stage.focal, cap, cell, int(most[0, stratum, group]), group, name)
    if texts:
        where = "cells" if stage.focal is None else "cells, or windows in them,"
        yield (
            f"These {where} have too few values of {columns} for what a {_unit(stage)} takes from "
            f"them, so that values repeat beyond the cap: {_listed(texts, '; ')}."
        )


def _few_in_windows(
    focal: FocalTimes, cap: Values, cell: int, near: int, group: int, name: str
) -> Iterator[str]:
    times = _spread(focal.times(group), CAPPED_TIMES)
    lows, highs = focal.window(np.full(times.size, cell), times)
    for low, high in zip(lows.tolist(), highs.tolist(), strict=True):
        wanted = min(near, high - low)
        held = _capacity(cap, low, high, wanted)
        if held < wanted:
            yield f"{name} in a window: {held} for {wanted} anchors"
            return


def _capacity(cap: Values, low: int, high: int, wanted: int) -> int:
    """Return how many anchors from ``low`` to ``high`` a cap lets together; ``wanted`` where that is more."""
    looked = max(64, 4 * wanted)
    while True:
        step = max(1, (high - low) // looked)  # anchors from all along the range
        _, counts = np.unique(cap.code[low:high:step], return_counts=True)
        held = int(np.minimum(counts, cap.count).sum())
        if held >= wanted or step == 1:
            return min(held, wanted)
        looked *= 8


def _spread(times: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    if times.size <= most:
        return times
    return times[np.arange(most) * times.size // most]


def _unit(stage: Stage) -> str:
    return "batch" if stage.plan.span == 1 else "step"


def _listed(texts: list[str], separator: str) -> str:
    more = f"{separator}and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return separator.join(texts[:SHOWN]) + more
