"""The page of an audit, of one plan or of two side by side; pictures are inline SVG, all text is escaped."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import yaml

from viscy_data.audit.audited import Audited
from viscy_data.audit.charts import (
    batches_chart,
    frames_chart,
    groups_chart,
    legend,
    shades,
    times_chart,
    visits_chart,
)
from viscy_data.audit.tables import amount_text, audit_grids, unchecked_text
from viscy_data.check.finding import CheckReport
from viscy_data.files.outputs import write_text
from viscy_data.pages.grid import html_table
from viscy_data.pages.page import page, section
from viscy_data.sampling.report import CompositionReport, plain
from viscy_data.text import html_text, shown

Chart = Callable[[CompositionReport], str]

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
        "Anchors drawn by hour, a line per stratum.",
        (times_chart,),
    ),
    (
        "Coverage and reading",
        "How often anchors came, and how many frames, (fov, t), a batch reads.",
        (visits_chart, frames_chart),
    ),
)
"""Heading, lead and pictures of each section; a new axis adds its own."""


def render(audits: Sequence[Audited], title: str = "Batch audit", *, check: CheckReport | None = None) -> str:
    """Return the page as one HTML document; with what a check of the table found, if there is one."""
    return page(
        title,
        f"What the first {amount_text(audits)} hold, against what was asked. No pixel was read.",
        verdicts=_checked(check) + "".join(_verdict(one, named=len(audits) > 1) for one in audits),
        facts=_facts(audits),
        sections="".join([_tables(audits), *(_section(*one, audits) for one in CHARTS), _plans(audits)]),
    )


def write_page(audits: Sequence[Audited], path: Path, *, check: CheckReport | None = None) -> None:
    """Write the page, whole or not at all."""
    write_text(path, render(audits, check=check), argument="html")


def _checked(check: CheckReport | None) -> str:
    """Return the problems of the table that batches are composed from, above what batches hold."""
    if check is None or not check.problems:
        return ""
    lines = "".join(f"<li>{html_text(one.text)}</li>" for one in check.problems[:12])
    return f'<div class="verdict bad">The table has problems.<ul>{lines}</ul></div>'


def _verdict(audited: Audited, *, named: bool) -> str:
    name = f"<strong>{html_text(shown(audited.name))}</strong>: " if named else ""
    said = [*audited.notes, *map(unchecked_text, audited.report.not_checked)]
    notes = "".join(f'<p class="note">{html_text(note)}</p>' for note in said)
    if not audited.deviations:
        what = "Everything that was checked" if audited.report.not_checked else "Every axis"
        return f'<div class="verdict">{name}{what} holds what was asked.{notes}</div>'
    lines = "".join(f"<li>{html_text(str(one))}</li>" for one in audited.deviations[:12])
    more = len(audited.deviations) - 12
    rest = f"<li>and {more} more</li>" if more > 0 else ""
    return f'<div class="verdict bad">{name}Batches leave what was asked.<ul>{lines}{rest}</ul>{notes}</div>'


def _facts(audits: Sequence[Audited]) -> list[tuple[str, str]]:
    report = audits[0].report
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
    return facts if len(audits) == 1 else []


def _tables(audits: Sequence[Audited]) -> str:
    grids = "".join(html_table(one) for one in audit_grids(audits))
    return section("Asked and held", grids)


def _section(heading: str, lead: str, charts: Sequence[Chart], audits: Sequence[Audited]) -> str:
    drawn = [
        _figure(audited, chart, named=len(audits) > 1)
        for chart in charts
        for audited in audits
        if chart(audited.report)
    ]
    if not drawn:
        return ""
    shape = "pair" if len(drawn) > 1 else "single"
    return section(heading, f'<div class="{shape}">{"".join(drawn)}</div>', lead=lead)


def _figure(audited: Audited, chart: Chart, *, named: bool) -> str:
    name = f"<h3>{html_text(shown(audited.name))}</h3>" if named else ""
    keys = _legend(audited.report) if chart in (batches_chart, times_chart) else ""
    return f"<div>{name}{chart(audited.report)}{keys}</div>"


def _legend(report: CompositionReport) -> str:
    keys = "".join(
        f'<span><i style="background:{fill}"></i>{html_text(name)}</span>'
        for fill, name in legend(report.groups, report.strata)
    )
    return f'<div class="legend">{keys}<span>{html_text(shades(report.strata))}</span></div>'


def _plans(audits: Sequence[Audited]) -> str:
    several = len(audits) > 1
    plans = "".join(
        f"<div>{f'<h3>{html_text(shown(one.name))}</h3>' if several else ''}"
        f"<code>{html_text(yaml.safe_dump(plain(one.plan), sort_keys=False))}</code></div>"
        for one in audits
    )
    return section("The plans" if several else "The plan", f'<div class="pair">{plans}</div>')
