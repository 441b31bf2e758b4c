"""One self-contained HTML page from plain values.

A *page* has a title, verdicts, facts (name and value) and sections; a section has a heading, a lead and
blocks: paragraphs, code, pictures, drawings, tables, and blocks beside each other. Pictures are inlined, and
every text is escaped by `viscy_data.pages.markup`: a page never contains markup that came from data.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

from viscy_data.files.outputs import write_text
from viscy_data.pages.colours import STYLE
from viscy_data.pages.markup import Markup, escaped, tag, told
from viscy_data.pages.table import Cell, Table

type Block = Paragraph | Code | Picture | Drawing | Gallery | Table | Beside
type Tone = Literal["good", "bad", "plain"]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; a note is set smaller."""

    text: str
    note: bool = False


@dataclass(frozen=True)
class Code:
    """Lines of a file, as they are."""

    text: str
    heading: str = ""


@dataclass(frozen=True)
class Picture:
    """A PNG, what it shows (for readers who cannot see it), and a caption."""

    png: bytes = field(repr=False)
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Drawing:
    """An SVG, see `viscy_data.pages.svg`; a heading above it, (colour, name) keys and a caption below."""

    svg: Markup = field(repr=False)
    heading: str = ""
    keys: Sequence[tuple[str, str]] = ()
    caption: str = ""


@dataclass(frozen=True)
class Tile:
    """A small picture, as PNG, and what stands below it; an empty caption leaves nothing there."""

    png: bytes = field(repr=False)
    caption: str = ""


@dataclass(frozen=True)
class Gallery:
    """Small pictures in rows, such as patches of cells; a heading above them, a caption below."""

    tiles: Sequence[Tile]
    heading: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Beside:
    """Blocks beside each other, as far as the page is wide enough."""

    blocks: Sequence[Block]


@dataclass(frozen=True)
class Section:
    """A heading, what the reader should see there, and the evidence."""

    heading: str
    lead: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Verdict:
    """A finding in one or two sentences.

    Attributes
    ----------
    text : str
    tone : {"good", "bad", "plain"}
        Whether the finding is what was hoped for.
    heading : str
        Of what it is the finding, in bold before it.
    points : sequence of Cell or str
        Listed below it.
    notes : sequence of str
        Set smaller below it.
    """

    text: str
    tone: Tone = "good"
    heading: str = ""
    points: Sequence[Cell | str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes
    ----------
    title, subtitle : str
    verdicts : sequence of Verdict
        What was found, above everything else.
    facts : sequence of (str, str)
        Names and values, side by side below the verdicts.
    sections : sequence of Section
    made_by : str
        The program, by whose name a later call knows that it may replace the file.

    Examples
    --------
    >>> page = Page("Report", "", [Verdict("It works.")], [("cells", "12")], [])
    >>> "It works." in render(page)
    True
    """

    title: str
    subtitle: str
    verdicts: Sequence[Verdict]
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    made_by: str = "viscy-data"


def render(page: Page) -> str:
    """Return the page as one HTML document."""
    folder = files("viscy_data.pages")
    facts = Markup("".join(tag("div", tag("dt", name), tag("dd", value)) for name, value in page.facts))
    contents = [
        tag("li", tag("a", one.heading, href=f"#section-{number}"))
        for number, one in enumerate(page.sections, 1)
    ]
    head = [
        told("p", page.subtitle, class_="subtitle"),
        *map(_verdict, page.verdicts),
        told("dl", facts, class_="facts"),
        tag("nav", tag("ol", *contents)),
    ]
    return Template((folder / "page.html").read_text(encoding="utf-8")).substitute(
        made_by=escaped(page.made_by),
        title=escaped(page.title),
        colours=" ".join(f"--{name}: {value};" for name, value in STYLE.items()),
        style=(folder / "style.css").read_text(encoding="utf-8"),
        head="\n".join(head),
        sections="\n".join(_section(number, one) for number, one in enumerate(page.sections, 1)),
    )


def write_page(page: Page, path: str | Path, *, argument: str = "path") -> None:
    """Write the page, whole or not at all; errors call the path by the name of the caller's argument."""
    write_text(path, render(page), argument=argument)


def _verdict(verdict: Verdict) -> Markup:
    points = Markup("".join(_cell("li", one) for one in verdict.points))
    return tag(
        "div",
        tag("p", told("strong", verdict.heading), f" {verdict.text}"),
        told("ul", points),
        *(tag("p", note, class_="note") for note in verdict.notes),
        class_=f"verdict {verdict.tone}",
    )


def _section(number: int, section: Section) -> Markup:
    lead = told("p", section.lead, class_="lead")
    return tag(
        "section", tag("h2", section.heading), lead, *map(_block, section.blocks), id=f"section-{number}"
    )


def _block(block: Block) -> Markup:
    match block:
        case Paragraph(text, note):
            return tag("p", text, class_="note" if note else "text")
        case Code(text, heading):
            return tag("div", told("h3", heading), tag("pre", text))
        case Picture(png, alt, caption):
            return tag("figure", tag("img", alt=alt, src=_source(png)), told("figcaption", caption))
        case Drawing(svg, heading, keys, caption):
            known = [tag("span", tag("i", "", style=f"background:{fill}"), name) for fill, name in keys]
            legend = told("div", Markup("".join(known)), class_="legend")
            return tag("figure", told("h3", heading), svg, legend, told("figcaption", caption))
        case Gallery(tiles, heading, caption):
            grid = tag("div", "", *map(_tile, tiles), class_="gallery")
            return tag("div", told("h3", heading), grid, told("p", caption, class_="note"))
        case Table():
            return tag("div", _table(block), class_="wide")
        case Beside(blocks):
            return tag("div", *map(_block, blocks), class_="beside")


def _source(png: bytes) -> Markup:
    # as text, it would be shortened
    return Markup(f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}")


def _tile(tile: Tile) -> Markup:
    image = tag("img", alt=tile.caption or "a cell", src=_source(tile.png), title=tile.caption)
    return tag("figure", image, told("figcaption", tile.caption))


def _table(table: Table) -> Markup:
    count = len(table.headings) - table.bars
    head = tag("tr", *(tag("th", name) for name in table.headings[:count]))
    rows = [tag("tr", *(_cell("td", cell) for cell in row[:count])) for row in table.rows]
    parts = (told("caption", table.title), tag("thead", head), tag("tbody", "", *rows))
    return tag("table", *parts, class_="words" if table.words else "")


def _cell(name: str, cell: Cell | str) -> Markup:
    one = cell if isinstance(cell, Cell) else Cell(cell)
    return tag(name, one.text, told("small", one.under), class_="strong" if one.strong else "")
