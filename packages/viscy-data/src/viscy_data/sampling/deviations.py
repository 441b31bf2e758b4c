"""Where counts leave what was asked, by axis.

Batches hold whole anchors and epochs whole batches, so few shares can be met exactly, and a count that
is the whole number below or above its share follows the plan as well as any can. Tolerances are those of the
sampling contract: a count may be the floor or the ceiling of its exact share, and over k epochs a group stays
within 1 + log2(k) batches of it; leak and window are asked in whole anchors. The focal window is the one axis
that a table can starve: there, one anchor per batch on average counts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from viscy_data.sampling.report import MOST_APART, CompositionReport
from viscy_data.text import shown


@dataclass(frozen=True)
class Deviation:
    """One count outside its tolerance.

    Attributes
    ----------
    axis
        Such as "group", "balance", "leak", "focus".
    where
        The group or cell; empty where it concerns all batches.
    asked, held
        Texts for people, with units.
    """

    axis: str
    where: str
    asked: str
    held: str

    def __str__(self) -> str:
        where = f" of {shown(self.where)}" if self.where else ""
        return f"{self.axis}{where}: asked {self.asked}, held {self.held}"


def deviations(report: CompositionReport) -> tuple[Deviation, ...]:
    """Return every count of a report that leaves what was asked; none where all hold.

    Examples
    --------
    >>> import pandas as pd
    >>> from viscy_data import FlexibleBatchSampler
    >>> table = pd.DataFrame({"experiment": ["a"] * 40, "condition": ["x", "y"] * 20})
    >>> deviations(FlexibleBatchSampler(table, batch_size=8).report(batches=15))
    ()
    """
    return tuple(one for check in CHECKS for one in check(report))


def _groups(report: CompositionReport) -> Iterator[Deviation]:
    """Check that an epoch holds the floor or the ceiling of each share, and all epochs about its sum."""
    for g, name in enumerate(report.groups):
        exact = report.batches_asked[g]
        if report.batches_off[g]:
            held = range_text(report.batches_least[g], report.batches_most[g])
            asked = f"the floor or ceiling of {exact / report.epochs:.2f} batches an epoch"
            yield Deviation("group", name_text(name), asked, f"{held} in {report.batches_off[g]} epochs")
        if report.batches_far[g]:
            asked = f"{exact:.1f} batches within {report.batches_apart:.1f}"
            yield Deviation("group", name_text(name), asked, str(report.batches_held[g]))


def leaves_batches(report: CompositionReport, group: int) -> bool:
    """Return whether the batches of a group leave what was asked, in an epoch or over all."""
    return bool(report.batches_off[group] or report.batches_far[group])


def _strata(report: CompositionReport) -> Iterator[Deviation]:
    for g, s in np.argwhere(report.stratum_off > 0).tolist():
        where = name_text(report.groups[g], report.strata[s])
        asked = f"the floor or ceiling of {report.stratum_asked[g, s]:.2f} anchors in each batch"
        yield Deviation("balance", where, asked, f"another number in {report.stratum_off[g, s]} batches")


def _leak(report: CompositionReport) -> Iterator[Deviation]:
    if report.leak_off:
        asked = f"{report.leak_asked:.2f} anchors per batch"
        yield Deviation("leak", "", asked, f"another number in {report.leak_off} batches")


def _focus(report: CompositionReport) -> Iterator[Deviation]:
    if report.focal_asked is None or report.focal_held is None:
        return
    if abs(report.focal_held - report.focal_asked) * report.batch_size >= 1:
        asked = f"{report.focal_asked:.3f} of a batch inside the window, within one anchor of "
        held = f"{report.focal_held:.3f}, what the windows hold"
        yield Deviation("focus", "", f"{asked}{report.batch_size}", held)


def _repeats(report: CompositionReport) -> Iterator[Deviation]:
    if report.repeats_in_steps:
        held = f"{report.repeats_in_steps / report.batches:.2f} per batch"
        yield Deviation("repeats", "", "no anchor twice in a step", held)


def _caps(report: CompositionReport) -> Iterator[Deviation]:
    for number, over in enumerate(report.over_caps):
        if over:
            where = f"cap {number + 1}" if len(report.over_caps) > 1 else ""
            yield Deviation("caps", where, "no anchor over the cap", f"{over / report.batches:.2f} per batch")


def _frames(report: CompositionReport) -> Iterator[Deviation]:
    asked, most = report.frames_asked, report.frames_most
    if asked is not None and most is not None and most > asked:
        yield Deviation("frames", "", f"at most {asked} in a step", str(most))


def _coverage(report: CompositionReport) -> Iterator[Deviation]:
    """Check that visits in a cell differ by no more than passes through it do."""
    for g, s in np.argwhere(report.uneven).tolist():
        where = name_text(report.groups[g], report.strata[s])
        held = f"{report.visits_least[g, s]} to {report.visits_most[g, s]}"
        yield Deviation("coverage", where, f"visits of anchors that differ by at most {MOST_APART}", held)


def range_text(least: int, most: int) -> str:
    """Return "2" or "2 to 3"."""
    return f"{least}" if least == most else f"{least} to {most}"


def name_text(*names: object) -> str:
    """Return values of groups and strata for people; what is None, an axis that is off, is left out.

    Examples
    --------
    >>> name_text("a", None), name_text(("a", 1), "x")
    ('a', 'a, 1 / x')
    """
    given = (name for name in names if name is not None)
    return " / ".join(", ".join(map(shown, one)) if isinstance(one, tuple) else shown(one) for one in given)


CHECKS: tuple[Callable[[CompositionReport], Iterator[Deviation]], ...] = (
    _groups,
    _strata,
    _leak,
    _focus,
    _repeats,
    _caps,
    _frames,
    _coverage,
)
"""One per axis; a new axis adds its own."""
