import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from viscy_train.report.page import Cell, Page, Paragraph, Picture, Section, Table, render, write_page

PNG = b"\x89PNG not really"
NASTY = "<script>alert('x')</script> & $title"


def page(**changes: str) -> Page:
    given = {"title": "T", "subtitle": "S", "verdict": "V"} | changes
    blocks = (
        Paragraph(given["verdict"]),
        Picture(PNG, given["title"], given["subtitle"]),
        Table(
            (given["title"],), ((given["subtitle"],), (Cell(given["verdict"], "under", strong=True),)), "c"
        ),
    )
    section = Section(given["title"], given["subtitle"], blocks)
    return Page(
        given["title"], given["subtitle"], given["verdict"], "good", (("fact", given["title"]),), (section,)
    )


class Outline(HTMLParser):
    """Tags that are open, and the addresses of what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(text: str) -> Outline:
    outline = Outline()
    outline.feed(text)
    outline.close()
    assert not outline.open
    return outline


def test_the_page_is_well_formed_and_fetches_nothing() -> None:
    text = render(page())
    outline = parsed(text)
    assert all(address.startswith(("data:image/png;base64,", "#section-")) for address in outline.fetched)
    assert not re.search(r"url\(|@import|https?://", text)
    assert base64.b64encode(PNG).decode() in text


@pytest.mark.parametrize("place", ["title", "subtitle", "verdict"])
def test_text_is_never_taken_for_markup_or_template(place: str) -> None:
    text = render(page(**{place: NASTY}))
    assert "script" not in parsed(text).tags
    assert "&lt;script&gt;" in text
    assert "$title" in text


def test_a_page_is_written_whole(tmp_path: Path) -> None:
    write_page(page(), tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == render(page())
