"""One self-contained HTML page: no script, font or link to fetch, so that the file can be mailed.

Arguments that are markup say so; everything else is text, and is escaped here.
"""

from collections.abc import Sequence
from importlib.resources import files
from string import Template

from viscy_data.text import html_text


def page(title: str, subtitle: str, *, verdicts: str, facts: Sequence[tuple[str, str]], sections: str) -> str:
    """Return a page as one HTML document.

    Parameters
    ----------
    title, subtitle : str
    verdicts : str
        Markup: what was found, above everything else.
    facts : sequence of (str, str)
        Names and values, side by side below the verdicts.
    sections : str
        Markup, see `section`.
    """
    folder = files("viscy_data.pages")
    return Template((folder / "page.html").read_text(encoding="utf-8")).substitute(
        title=html_text(title),
        style=(folder / "style.css").read_text(encoding="utf-8"),
        subtitle=html_text(subtitle),
        verdicts=verdicts,
        facts="".join(
            f"<div><span>{html_text(name)}</span>{html_text(value)}</div>" for name, value in facts
        ),
        sections=sections,
    )


def section(heading: str, content: str, *, lead: str = "") -> str:
    """Return a section: a heading, what the reader should see there, and markup."""
    told = f'<p class="lead">{html_text(lead)}</p>' if lead else ""
    return f"<section><h2>{html_text(heading)}</h2>{told}{content}</section>"


def _fact(name: str, value: str) -> str:
    return f"<div><span>{html_text(name)}</span>{html_text(value)}</div>"
