"""One self-contained HTML page from plain values.

A *page* has a title, a verdict, facts (name and value) and sections; a section has a heading, a lead and
blocks: paragraphs, pictures, tables. Pictures are inlined and there is no script, font or link to
fetch: the file can be mailed. All text is escaped; the page never contains markup that came from data.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

from viscy_data import html_text, write_text

type Block = Paragraph | Picture | Table
type Tone = Literal["good", "bad", "plain"]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; a note is set smaller."""

    text: str
    note: bool = False


@dataclass(frozen=True)
class Picture:
    """A PNG, what it shows (for readers who cannot see it), and a caption."""

    png: bytes = field(repr=False)
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Cell:
    """A table cell: a text, a smaller second line, and whether it stands out."""

    text: str
    under: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """A table of texts; the first column names the rows."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell | str, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, what the reader should see there, and the evidence."""

    heading: str
    lead: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes
    ----------
    title, subtitle : str
    verdict : str
        The finding in one or two sentences.
    tone : {"good", "bad", "plain"}
        Whether the finding is what was hoped for.
    facts : sequence of (str, str)
        Short facts below the verdict.
    sections : sequence of Section

    Examples
    --------
    >>> page = Page("Report", "", "It works.", "good", (("cells", "12"),), ())
    >>> "It works." in render(page)
    True
    """

    title: str
    subtitle: str
    verdict: str
    tone: Tone
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]


def render(page: Page) -> str:
    """Return the page as one HTML document."""
    folder = files("viscy_train.report")
    return Template((folder / "page.html").read_text(encoding="utf-8")).substitute(
        style=(folder / "style.css").read_text(encoding="utf-8"),
        title=html_text(page.title),
        subtitle=html_text(page.subtitle),
        verdict=html_text(page.verdict),
        tone=page.tone,
        facts="".join(_fact(name, value) for name, value in page.facts),
        contents="".join(_entry(number, one) for number, one in enumerate(page.sections, 1)),
        sections="".join(_section(number, one) for number, one in enumerate(page.sections, 1)),
    )


def write_page(page: Page, path: str | Path) -> None:
    """Write the page, whole or not at all."""
    write_text(path, render(page))


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{html_text(name)}</dt><dd>{html_text(value)}</dd></div>"


def _entry(number: int, section: Section) -> str:
    return f'<li><a href="#section-{number}">{html_text(section.heading)}</a></li>'


def _section(number: int, section: Section) -> str:
    blocks = "".join(_block(block) for block in section.blocks)
    return (
        f'<section id="section-{number}"><h2>{html_text(section.heading)}</h2>'
        f'<p class="lead">{html_text(section.lead)}</p>{blocks}</section>'
    )


def _block(block: Block) -> str:
    match block:
        case Paragraph(text, note):
            return f'<p class="{"note" if note else "text"}">{html_text(text)}</p>'
        case Picture(png, alt, caption):
            source = base64.b64encode(png).decode("ascii")
            image = f'<img alt="{html_text(alt)}" src="data:image/png;base64,{source}">'
            return f"<figure>{image}{_caption('figcaption', caption)}</figure>"
        case Table(header, rows, caption):
            head = "".join(f"<th>{html_text(name)}</th>" for name in header)
            body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
            inside = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
            return f'<div class="wide"><table>{_caption("caption", caption)}{inside}</table></div>'


def _caption(tag: str, text: str) -> str:
    return f"<{tag}>{html_text(text)}</{tag}>" if text else ""


def _cell(cell: Cell | str) -> str:
    one = cell if isinstance(cell, Cell) else Cell(cell)
    under = f"<small>{html_text(one.under)}</small>" if one.under else ""
    return f"<td{' class="strong"' if one.strong else ''}>{html_text(one.text)}{under}</td>"
