"""A table of texts, which a page and the terminal show."""

from dataclasses import dataclass

import rich.table

from viscy_data.rich_text import verbatim


@dataclass(frozen=True)
class Cell:
    """A text, a smaller second line, and whether it stands out."""

    text: str
    under: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """A title, headings, and rows whose first cell names them.

    Attributes
    ----------
    title : str
    headings : tuple of str
    rows : tuple of tuple of Cell or str
    words : bool
        Whether columns after the first hold words, aligned left, and not numbers.
    bars : bool
        Whether the last column is bars made of characters, for the terminal; pages draw pictures instead.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell | str, ...], ...]
    words: bool = False
    bars: bool = False


def rich_table(table: Table) -> rich.table.Table:
    """Return a table as the terminal shows it."""
    shown = rich.table.Table(title=verbatim(table.title))
    for place, heading in enumerate(table.headings):
        drawn = table.bars and place == len(table.headings) - 1
        left = place == 0 or drawn or table.words
        # a name that is cut cannot be told from another
        shown.add_column(
            verbatim(heading), justify="left" if left else "right", no_wrap=drawn, overflow="fold"
        )
    for row in table.rows:
        shown.add_row(*(verbatim(cell.text if isinstance(cell, Cell) else cell) for cell in row))
    return shown
