import base64
import re
from pathlib import Path

import pytest
from html_outline import Outline

from viscy_data.pages.markup import Markup
from viscy_data.pages.page import (
    Beside,
    Code,
    Drawing,
    Gallery,
    Page,
    Paragraph,
    Picture,
    Section,
    Tile,
    Tone,
    Verdict,
    render,
    write_page,
)
from viscy_data.pages.svg import picture, text
from viscy_data.pages.table import Cell, Table

PNG = b"\x89PNG not really"
NASTY = "<script>alert('x')</script> \" & $title \x1b[31m"


def page(said: str, tone: Tone = "good") -> Page:
    """Return a page that says the same in every place of every block."""
    table = Table(said, (said, said), ((said, Cell(said, said, strong=True)),))
    drawing = Drawing(picture(10, 10, [text(0, 0, said)], said), said, (("#ffffff", said),), said)
    gallery = Gallery([Tile(PNG, said), Tile(PNG)], said, said)
    pictures = (Picture(PNG, said, said), gallery, Beside([drawing, drawing]))
    blocks = (Paragraph(said), Code(said, said), table, *pictures)
    verdict = Verdict(said, tone, said, (said, Cell(said, said)), (said,))
    return Page(said, said, (verdict,), ((said, said),), (Section(said, said, blocks),), said)


def test_the_page_is_well_formed_and_fetches_nothing() -> None:
    drawn = render(page("T"))
    assert Outline(drawn).is_self_contained
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", drawn)
    assert base64.b64encode(PNG).decode() in drawn


def test_text_is_never_taken_for_markup_or_template_anywhere() -> None:
    plain, nasty = render(page("T")), render(page(NASTY))
    assert Outline(nasty).tags == Outline(plain).tags
    assert "\x1b" not in nasty
    places = len(re.findall(r"\bT\b", plain))
    assert nasty.count("&lt;script&gt;") == nasty.count("$title") == places > 20


@pytest.mark.parametrize("tone", ["good", "bad", "plain"])
def test_a_verdict_has_its_tone(tone: Tone) -> None:
    assert f'class="verdict {tone}"' in render(page("T", tone))


def test_what_is_not_given_leaves_no_empty_element() -> None:
    drawn = render(Page("T", "", (), (), (Section("S", "", (Drawing(Markup("<svg/>")),)),)))
    assert not re.search(r"<(\w+)[^>]*></\1>", drawn)


def test_bars_of_characters_are_for_the_terminal() -> None:
    bars = Table("", ("name", "bars"), (("a", "▁█"),), bars=True)
    assert "▁█" not in render(Page("T", "", (), (), (Section("S", "", (bars,)),)))


def test_a_page_is_written_whole(tmp_path: Path) -> None:
    write_page(page("T"), tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == render(page("T"))
