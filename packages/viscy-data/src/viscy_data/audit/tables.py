"""What batches hold, as tables: for the terminal, and for the page."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viscy_data.audit.audited import Audited
from viscy_data.columns import HOURS
from viscy_data.composition.curriculum import Curriculum
from viscy_data.pages.table import Table
from viscy_data.sampling.deviations import leaves_batches
from viscy_data.sampling.report import MOST_APART, CompositionReport
from viscy_data.text import shown

VARIETY = {"fov": "fields of view", "track": "tracks", "time": "time points"}
"""What the marks of `CompositionReport.variety` are called; an effective number is 2 to the entropy."""
SHOWN = 40
"""Groups shown at most; the JSON holds all."""


def audit_tables(audits: Sequence[Audited]) -> Iterator[Table]:
    """Give the tables of one plan, or of several side by side."""
    yield overall_table(audits)
    for audited in audits:
        yield groups_table(audited)
    for audited in audits:
        yield from (split.table(shown(audited.name) if len(audits) > 1 else "") for split in audited.splits)


def overall_table(audits: Sequence[Audited]) -> Table:
    """Asked and held over all batches, one row per axis, two columns per plan."""
    columns = [overall_rows(audited.report) for audited in audits]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [(name, *(text for column in columns for text in column.get(name, ("", "")))) for name in names]
    headings = [text for audited in audits for text in _headings(audited, len(audits) > 1)]
    title = f"{amount_text(audits)} from {audits[0].report.anchors:,} anchors"
    return Table(title, ("per batch", *headings), tuple(rows))


def amount_text(audits: Sequence[Audited]) -> str:
    """Say how many batches were composed and how many epochs they fill; the same of several plans once."""
    return " and ".join(dict.fromkeys(_amount(audited.report) for audited in audits))


def _amount(report: CompositionReport) -> str:
    batches = "1 batch" if report.batches == 1 else f"{report.batches:,} batches"
    epochs = float(f"{report.epochs:.2g}") if report.epochs < 10 else round(report.epochs)
    return f"{batches} ({epochs:,g} {'epoch' if epochs == 1 else 'epochs'})"


def unchecked_text(one: tuple[str, str]) -> str:
    """Say what is not compared with what was asked, and why."""
    return f"not checked: {one[0]}: {one[1]}"


def overall_rows(report: CompositionReport) -> dict[str, tuple[str, str]]:
    """Return {what: (asked, held)}; what is not asked is shown as "-"."""
    rows = {
        "batches": (f"{report.batches_asked.sum():,.0f}", f"{report.batches:,}"),
        "anchors": (f"{report.batch_size}", f"{report.by_time.sum() / report.batches:.1f}"),
        "anchors from other groups": (f"{report.leak_asked:.2f}", f"{report.leak_held:.2f}"),
    }
    if report.focal_asked is not None:
        rows["fraction inside the window"] = (f"{report.focal_asked:.3f}", f"{report.focal_held:.3f}")
    rows["repeated anchors"] = ("0", f"{report.repeats / report.batches:.2f}")
    if report.repeats_in_steps != report.repeats:
        rows["repeated anchors, in steps"] = ("0", f"{report.repeats_in_steps / report.batches:.2f}")
    for number, over in enumerate(report.over_caps, start=1):
        cap = "the cap" if len(report.over_caps) == 1 else f"cap {number}"
        rows[f"anchors over {cap}"] = ("0", f"{over / report.batches:.2f}")
    if report.frames_asked is not None:
        rows["frames or fields of a step, at most"] = (f"{report.frames_asked}", f"{report.frames_most}")
    if report.lineages is not None:
        rows["pairs of one lineage"] = ("-", f"{report.lineages.pairs / report.batches:.2f}")
        rows["effective negatives of an anchor"] = ("-", f"{report.lineages.negatives:.2f}")
    if report.frames is not None:
        rows["distinct frames"] = ("-", f"{report.frames.mean:.1f}")
    for name, entropy in report.variety.items():
        rows[f"{VARIETY[name]}, effective number"] = ("-", f"{2**entropy:.1f}")
    reached = int(report.visits.reached.sum())
    rows["anchors reached at all"] = ("-", f"{reached / report.anchors:.1%}")
    rows["visits of an anchor"] = (_visits_asked(report), _visits_held(report))
    return rows


def groups_table(audited: Audited) -> Table:
    """One row per group: batches, mean anchors by stratum, visits, and a bar per time.

    Batches and their anchors come in whole numbers. What was asked is shown beside what was held only where
    `deviations` finds a count that is neither the floor nor the ceiling of its share.
    """
    report = audited.report
    strata = [name_text(one, "anchors") for one in report.strata]
    headings = [_group_text(audited), "batches", *strata, "visits"]
    if report.times is not None:
        middle = (report.times[:-1] + report.times[1:]) / 2
        headings.append(f"{middle[0]:.3g} to {middle[-1]:.3g} {clock_text(report)}")
    rows = [_group_row(report, g) for g in range(min(len(report.groups), SHOWN))]
    more = len(report.groups) - SHOWN
    tail = f" (and {more} more)" if more > 0 else ""
    title = (
        f"{shown(audited.name)}: batches, and mean anchors per batch; asked > held where a count is neither "
        f"whole number next to its share{tail}"
    )
    return Table(title, tuple(headings), tuple(rows), bars=report.times is not None)


def bars(counts: NDArray[np.int64]) -> str:
    """Return a line of bars, the highest for the largest count and a blank for none.

    Examples
    --------
    >>> bars(np.array([0, 1, 8]))
    ' ▁█'
    """
    marks = " ▁▂▃▄▅▆▇█"
    heights = np.ceil(counts / max(1, int(counts.max())) * (len(marks) - 1)).astype(int)
    return "".join(marks[height] for height in heights)


def _group_row(report: CompositionReport, g: int) -> tuple[str, ...]:
    shares = zip(report.stratum_asked[g], report.stratum_held[g], report.stratum_off[g], strict=True)
    batches = f"{report.batches_held[g]:,}"
    row = [
        name_text(report.groups[g]),
        f"{report.batches_asked[g]:.1f} > {batches}" if leaves_batches(report, g) else batches,
        *(f"{asked:.2f} > {held:.2f}" if off else f"{held:.2f}" for asked, held, off in shares),
        f"{report.visits_least[g].min()} to {report.visits_most[g].max()}",
    ]
    if report.times is not None:
        row.append(bars(report.by_time[g].sum(axis=0)))
    return tuple(row)


def _headings(audited: Audited, several: bool) -> tuple[str, str]:
    return (f"{shown(audited.name)}: asked", "held") if several else ("asked", "held")


def _visits_asked(report: CompositionReport) -> str:
    is_checked = all(axis != "coverage" for axis, _ in report.not_checked)
    return f"apart by {MOST_APART} in a cell" if is_checked else "not checked"


def _visits_held(report: CompositionReport) -> str:
    return f"{report.visits.times.min()} to {report.visits.times.max()}"


def clock_text(report: CompositionReport) -> str:
    """Return what the report's clock counts: hours, or the name of its column."""
    return "hours" if report.clock in (None, HOURS) else shown(report.clock)


def _group_text(audited: Audited) -> str:
    """Return the columns that make the groups; those of a curriculum's plans are the same."""
    plan = audited.plan
    grouping = (plan.plans[0] if isinstance(plan, Curriculum) else plan).grouping
    return "group" if grouping is None else name_text(grouping.by)


def name_text(value: Any, none: str = "all") -> str:
    """Return the name of a group or a stratum, which several columns may make."""
    if value is None:
        return none
    return ", ".join(map(shown, value)) if isinstance(value, tuple) else shown(value)
