"""Elements of HTML and SVG: whatever is text is escaped here, and nowhere else."""

from html import escape

from viscy_data.text import shown_lines


class Markup(str):
    """Text that is markup already; any other string is a text, and is escaped before it is written."""

    __slots__ = ()


def escaped(content: str) -> Markup:
    """Return what a page holds for a content: markup as it is, text escaped.

    Examples
    --------
    >>> escaped("a < b"), escaped(Markup("<br/>"))
    ('a &lt; b', '<br/>')
    """
    return content if isinstance(content, Markup) else Markup(escape(shown_lines(content)))


def tag(name: str, *content: str, **attributes: str) -> Markup:
    """Return an element; without content it closes itself, and empty attributes are left out.

    An underscore in the name of an attribute is a hyphen, a last one is dropped.

    Examples
    --------
    >>> tag("p", "a < b", tag("br"), class_="note")
    '<p class="note">a &lt; b<br/></p>'
    >>> tag("rect", fill_opacity="0.5", id="")
    '<rect fill-opacity="0.5"/>'
    """
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for key, value in attributes.items()
        if value
    )
    return Markup(
        f"<{name}{said}>{''.join(map(escaped, content))}</{name}>" if content else f"<{name}{said}/>"
    )


def told(name: str, content: str, **attributes: str) -> Markup:
    """Return an element as `tag` does, and nothing where there is no content."""
    return tag(name, content, **attributes) if content else Markup()
