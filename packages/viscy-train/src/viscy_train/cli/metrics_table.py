"""What `viscy-train evaluate` prints: the answers, a table of metrics, one of hours, and reasons, each once.

Each row of a table has two lines, so that it is read at 80 columns: below a number is its interval, below n
the units that it rests on. What to beat and the best possible have a column only where they are known.
"""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from viscy_data import shown, verbatim


def show_evaluation(evaluation: Any) -> None:
    """Print the headlines, a table of what has a number, numbers by hours, and reasons, each once."""
    console = Console()
    for headline in evaluation.headlines:
        console.print(verbatim(shown(headline.text, 1000), "bold"))
    numbers = [one for one in map(_number, evaluation.outcomes) if one is not None]
    limited = _limited(numbers)
    both = evaluation.corrected is not None
    cells = f"{evaluation.cells:,} of {evaluation.of_cells:,} cells x frames"
    table = _table("metric\n[dim]better", limited, both, title=cells)
    notes: dict[str, list[str]] = {}
    for outcome in evaluation.outcomes:
        title, found = shown(outcome.definition.title), _number(outcome)
        if found is None:
            notes.setdefault(f"Not available, since {outcome.to_dict()['reason']}", []).append(title)
            continue
        if found["note"]:
            notes.setdefault(found["note"].capitalize(), []).append(title)
        more = [_corrected(evaluation, outcome.name)] if both else []
        table.add_row(_two(title, outcome.definition.better), *_cells(found, limited), *more)
    if table.row_count:
        console.print(table)
    for series in evaluation.series:
        console.print(_hours_table(series))
    for text, titles in notes.items():
        console.print(verbatim(shown(f"{text}: {', '.join(titles)}.", 2000), "dim"))
    if evaluation.uncorrected:
        text = f"Not corrected by {evaluation.controls}: {evaluation.uncorrected}."
        console.print(verbatim(shown(text, 500), "dim"))


def _number(outcome: Any) -> dict[str, Any] | None:
    found: dict[str, Any] = outcome.to_dict()
    return found if found["available"] else None


def _limited(numbers: list[dict[str, Any]]) -> tuple[bool, bool]:
    """Return whether any number has something to beat, and a best possible."""
    return (
        any(one["floor"] is not None for one in numbers),
        any(one["ceiling"] is not None for one in numbers),
    )


def _table(first: str, limited: tuple[bool, bool], corrected: bool = False, **given: Any) -> Table:
    table = Table(first, "value\n[dim]95 % interval", "guess", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), **given)
    for heading, wanted in zip(("to\nbeat", "best"), limited, strict=True):
        if wanted:
            table.add_column(heading, no_wrap=True)
    table.add_column("n\n[dim]units")
    if corrected:
        table.add_column("corrected\n[dim]guess", no_wrap=True)
    for column in table.columns[1:3]:
        column.no_wrap = True
    return table


def _cells(found: dict[str, Any], limited: tuple[bool, bool]) -> list[Text | str]:
    limits = zip(("floor", "ceiling"), limited, strict=True)
    return [
        _two(f"{found['value']:.3f}", f"{found['low']:.3f} to {found['high']:.3f}"),
        f"{found['shuffled']:.3f}",
        *("" if found[key] is None else f"{found[key]:.3f}" for key, wanted in limits if wanted),
        _two(f"{found['n']:,}", f"{found['units']:,} {found['unit']}"),
    ]


def _two(above: str, below: str) -> Text:
    return Text.assemble(above, "\n", (below, "dim"))


def _corrected(evaluation: Any, name: str) -> Text | str:
    found = _number(evaluation.corrected[name])
    return "" if found is None else _two(f"{found['value']:.3f}", f"{found['shuffled']:.3f}")


def _hours_table(series: Any) -> Table:
    every = [(one, _number(one.outcome)) for one in series.bins]
    limited = _limited([found for _, found in every if found is not None])
    title = verbatim(shown(series.definition.title))
    table = _table("hours", limited, title=title)
    for one, found in every:
        hours = f"{one.start:g} to {one.end:g}"
        if found is not None:
            table.add_row(hours, *_cells(found, limited))
    reasons: dict[str, list[str]] = {}
    for one, found in every:
        if found is None:
            reasons.setdefault(shown(one.outcome.reason, 200), []).append(f"{one.start:g} to {one.end:g}")
    if reasons:
        told = [f"{', '.join(hours)}: {reason}" for reason, hours in reasons.items()]
        table.caption = verbatim("; ".join(told), "dim")
    return table
