"""A check for the terminal: what each condition lost, and the findings; names are text, never markup."""

from collections.abc import Iterator
from typing import Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from viscy_data.check.finding import COLOURS, CheckReport, Loss, Severity
from viscy_data.check.words import number
from viscy_data.text import shown, shown_lines

_SHOWN: Final = 40


def report_view(report: CheckReport) -> Group:
    """Return everything of a check as the terminal shows it."""
    return Group(*([losses_table(report)] if report.losses else []), *_findings(report))


def losses_table(report: CheckReport) -> Table:
    """Return what each condition of each experiment has and lost; those that lost all are red."""
    table = Table(title="Cells lost")
    for heading in ("experiment", "condition"):
        table.add_column(heading)
    for heading in ("tracks", "lost", "rows", "lost"):
        table.add_column(heading, justify="right")
    table.add_column("to")
    worst = sorted(report.losses, key=_share, reverse=True)
    for one in worst[:_SHOWN]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in one.reasons.items())
        counts = (one.tracks, one.lost_tracks, one.rows, one.lost_rows)
        names = (one.experiment, _condition(one.condition))
        cells = [
            *map(shown, names),
            *("-" if count is None else f"{count:,}" for count in counts),
            shown_lines(reasons) or "none",
        ]
        style = "red" if one.rows and one.lost_rows == one.rows else ""
        table.add_row(*(Text(cell) for cell in cells), style=style)
    if len(worst) > _SHOWN:
        table.caption = f"and {number(len(worst) - _SHOWN, 'row')} more; --json holds all"
    return table


def _findings(report: CheckReport) -> Iterator[Text]:
    for one in report.findings:
        yield Text.assemble(
            (f"{one.severity}  ", COLOURS[one.severity]), (f"{one.topic}: ", "bold"), shown_lines(one.text)
        )
    counts = ", ".join(
        number(len(report.of(severity)), severity)
        for severity in ("problem", "remark")
        if report.of(severity)
    )
    worst: Severity = "problem" if report.problems else "remark" if report.remarks else "fine"
    yield Text(counts or "no problem, nothing to remark", style=COLOURS[worst])


def _condition(condition: str | None) -> str:
    return "not known" if condition is None else condition or "(all)"


def _share(one: Loss) -> float:
    return one.lost_rows / one.rows if one.rows else 0.0
