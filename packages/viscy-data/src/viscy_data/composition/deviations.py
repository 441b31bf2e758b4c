"""Where counts leave what was asked, by axis.

Batches hold whole anchors and epochs whole batches, so that few shares can be met exactly, and a count that
is the whole number below or above its share follows the plan as well as any can. Tolerances are those of the
sampling contract: a count may be the floor or the ceiling of its exact share, and over k epochs a group stays
within 1 + log2(k) batches of it; leak and window are asked in whole anchors. The focal window is the one axis
that a table can starve: there, one anchor per batch on average counts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from viscy_data.composition.report import CompositionReport
from viscy_data.text import shown

_SLACK = 1e-9
"""Shares are exact fractions that a report keeps as float64."""


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
    >>> deviations(FlexibleBatchSampler(table, batch_size=8).report(epochs=3))
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
        if _is_far(report, g):
            asked = f"{exact:.1f} batches within {report.batches_apart:.1f}"
            yield Deviation("group", name_text(name), asked, str(report.batches_held[g]))


def leaves_batches(report: CompositionReport, group: int) -> bool:
    """Return whether the batches of a group leave what was asked, in an epoch or over all."""
    return bool(report.batches_off[group]) or _is_far(report, group)


def _is_far(report: CompositionReport, group: int) -> bool:
    off = abs(report.batches_held[group] - report.batches_asked[group])
    return bool(off > report.batches_apart + _SLACK)


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
        held = f"{report.focal_held:.3f}{_why(report)}"
        yield Deviation("focus", "", f"{asked}{report.batch_size}", held)


def _why(report: CompositionReport) -> str:
    """Say what the table allows, and where windows are too small."""
    window = None if report.expectation is None else report.expectation.window
    if window is None:
        return ""
    if not window.scarce.any():
        return f" (the table allows {window.held:.3f})"
    g, s = np.unravel_index(int(window.scarce.argmax()), window.scarce.shape)
    where = name_text(report.groups[g], report.strata[s]) or "the table"
    return (
        f" (the table allows {window.held:.3f}: windows of {where} hold less than its share at "
        f"{window.scarce[g, s]:.0%} of the focal times)"
    )


def _repeats(report: CompositionReport) -> Iterator[Deviation]:
    if report.repeats:
        held = f"{report.repeats / report.batches:.2f} per batch"
        short = () if report.expectation is None else report.expectation.short[:4]
        names = [f"{one.name}: {one.size} anchors, {one.most} asked" for one in short]
        more = f" ({'; '.join(names)})" if names else ""
        yield Deviation("repeats", "", "no anchor twice in a batch", held + more)


def _coverage(report: CompositionReport) -> Iterator[Deviation]:
    """Check that visits in a cell differ by no more than passes through it do."""
    if report.apart is None:
        return
    for g, s in np.argwhere(report.visits_most - report.visits_least > report.apart).tolist():
        where = name_text(report.groups[g], report.strata[s])
        held = f"{report.visits_least[g, s]} to {report.visits_most[g, s]}"
        yield Deviation("coverage", where, f"visits of anchors that differ by at most {report.apart}", held)


def _weights(report: CompositionReport) -> Iterator[Deviation]:
    """Check that visits follow the anchors' shares of their cells' weights."""
    if report.off_weight is not None and report.off_weight[0] > report.off_weight[1]:
        off, most = report.off_weight
        yield Deviation("weights", "", f"visits within {most:.1f} of an anchor's share", f"off by {off:.1f}")


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
    _coverage,
    _weights,
)
"""One per axis; a new axis adds its own."""
