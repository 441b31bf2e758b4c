"""A table of texts, as the terminal and as a page show it."""

from dataclasses import dataclass

from rich.table import Table

from viscy_data.rich_text import verbatim
from viscy_data.text import html_text

BARS = " hours"
"""End of the heading of a column of bars made of characters, which pages draw as pictures."""


@dataclass(frozen=True)
class Grid:
    """A table of texts: a title, headings, and rows whose first cell names them."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def rich_table(grid: Grid) -> Table:
    """Return a table as the terminal shows it."""
    table = Table(title=verbatim(grid.title))
    for place, heading in enumerate(grid.headings):
        drawn = heading.endswith(BARS)
        table.add_column(verbatim(heading), justify="right" if place and not drawn else "left", no_wrap=drawn)
    for row in grid.rows:
        table.add_row(*(verbatim(cell) for cell in row))
    return table


def html_table(grid: Grid) -> str:
    """Return a table as a page shows it."""
    count = len(grid.headings) - grid.headings[-1].endswith(BARS)
    head = "".join(f"<th>{html_text(one)}</th>" for one in grid.headings[:count])
    rows = ("".join(f"<td>{html_text(text)}</td>" for text in row[:count]) for row in grid.rows)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f'<div class="wide"><table><caption>{html_text(grid.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
