"""The page of an audit, of one plan or of two side by side."""

from collections.abc import Callable, Sequence
from typing import Final

import yaml

from viscy_data.audit.audited import Audited
from viscy_data.audit.charts import batches_chart, frames_chart, groups_chart, times_chart, visits_chart
from viscy_data.audit.tables import amount_text, audit_tables, name_text, unchecked_text
from viscy_data.check.finding import CheckReport
from viscy_data.pages.charts import batches_keys, shades_text
from viscy_data.pages.markup import Markup
from viscy_data.pages.page import Beside, Code, Drawing, Gallery, Page, Section, Verdict
from viscy_data.sampling.report import CompositionReport, plain
from viscy_data.text import shown

Chart = Callable[[CompositionReport], Markup]

CHARTS: Final[Sequence[tuple[str, str, tuple[Chart, ...]]]] = (
    (
        "The first batches",
        "A column is one batch. With one experiment per batch it has one colour, except for what leaks.",
        (batches_chart,),
    ),
    (
        "Batches of each group",
        "Bars are what was composed; the dark mark is the exact share asked for.",
        (groups_chart,),
    ),
    (
        "When anchors were seen",
        "Anchors drawn, by the clock of the plan, a line per stratum.",
        (times_chart,),
    ),
    (
        "Coverage and reading",
        "How often anchors came, and how many frames, (fov, t), a batch reads.",
        (visits_chart, frames_chart),
    ),
)
"""Heading, lead and pictures of each section; a new axis adds its own."""

PATCHES: Final = (
    "Cells of the first batch as the model gets them, normalised, and all in one contrast. Where experiments "
    "can be told apart at a glance, a model can tell them apart, too."
)
MOST = 12
"""Problems and deviations listed at most."""


def tell(
    audits: Sequence[Audited], *, check: CheckReport | None = None, galleries: Sequence[Gallery] = ()
) -> Page:
    """Return the page; with what a check of the table found, and with patches of batches, if there are."""
    several = len(audits) > 1
    checked = [] if check is None or not check.problems else [_checked(check)]
    drawn = (_section(*one, audits) for one in CHARTS)
    return Page(
        "Batch audit",
        f"What the first {amount_text(audits)} hold, against what was asked."
        + ("" if galleries else " No pixel was read."),
        [*checked, *(_verdict(one, _heading(one, several)) for one in audits)],
        [] if several else _facts(audits[0].report),
        [
            Section("Asked and held", "", list(audit_tables(audits))),
            *([Section("What a batch looks like", PATCHES, galleries)] if galleries else []),
            *(section for section in drawn if section.blocks),
            Section(
                "The plans" if several else "The plan", "", [Beside([_plan(one, several) for one in audits])]
            ),
        ],
    )


def _checked(check: CheckReport) -> Verdict:
    """Return the problems of the table that batches are composed from, above what batches hold."""
    return Verdict("The table has problems.", "bad", points=[one.text for one in check.problems[:MOST]])


def _verdict(audited: Audited, heading: str) -> Verdict:
    name = heading and f"{heading}:"
    notes = [*audited.notes, *map(unchecked_text, audited.report.not_checked)]
    if not audited.deviations:
        what = "Everything that was checked" if audited.report.not_checked else "Every axis"
        return Verdict(f"{what} holds what was asked.", heading=name, notes=notes)
    more = len(audited.deviations) - MOST
    lines = [str(one) for one in audited.deviations[:MOST]] + [f"and {more} more"] * (more > 0)
    return Verdict("Batches leave what was asked.", "bad", heading=name, points=lines, notes=notes)


def _facts(report: CompositionReport) -> list[tuple[str, str]]:
    strata = sum(one is not None for one in report.strata)
    facts = [
        ("anchors", f"{report.anchors:,}"),
        ("groups", str(sum(one is not None for one in report.groups) or "-")),
        ("strata", str(strata or "-")),
        ("batches per epoch", f"{round(report.batches / report.epochs):,}"),
        ("batch size", str(report.batch_size)),
    ]
    if report.lineages is not None:
        facts.append(("effective negatives", f"{report.lineages.negatives:.1f}"))
    if report.frames is not None:
        facts.append(("frames per batch", f"{report.frames.mean:.1f}"))
    return facts


def _section(heading: str, lead: str, charts: Sequence[Chart], audits: Sequence[Audited]) -> Section:
    drawn = [_drawing(audited, chart, len(audits) > 1) for chart in charts for audited in audits]
    shown_ones = [one for one in drawn if one.svg]
    return Section(heading, lead, [Beside(shown_ones)] if shown_ones else [])


def _drawing(audited: Audited, chart: Chart, several: bool) -> Drawing:
    svg, heading = chart(audited.report), _heading(audited, several)
    if chart not in (batches_chart, times_chart):
        return Drawing(svg, heading)
    groups, strata = (
        [name_text(one) for one in names] for names in (audited.report.groups, audited.report.strata)
    )
    return Drawing(svg, heading, batches_keys(groups, strata), shades_text(strata))


def _plan(audited: Audited, several: bool) -> Code:
    return Code(yaml.safe_dump(plain(audited.plan), sort_keys=False), _heading(audited, several))


def _heading(audited: Audited, several: bool) -> str:
    """Return the name of a plan where there are several to tell apart."""
    return shown(audited.name) if several else ""
