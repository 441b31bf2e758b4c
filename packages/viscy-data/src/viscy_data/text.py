r"""Names are text: what users name is shown, and never obeyed.

A name of an experiment, a condition or a channel comes from a file that somebody else may have written. It
may hold control characters that move a terminal's cursor, marks that turn the direction of writing round,
markup of the terminal, of HTML or of a formula, or a million letters. So whatever is printed or drawn goes
through here first: characters that have no shape of their own are written as Python writes them (``\x1b``,
``\u202e``), and what is longer than a line has room for is shortened in the middle, where names differ
least. Files that programs read (Parquet, CSV, JSON) keep the name as it is.

Markup is the other half, and each writer has its own: `viscy_data.pages.markup` for HTML and SVG,
`viscy_data.rich_text.verbatim` for the terminal.
"""

from typing import Final
from unicodedata import bidirectional, category

NAME: Final = 80
"""Characters of a name shown at most."""
MESSAGE: Final = 20_000
"""Characters of a message of several lines shown at most."""

_CONTROLS: Final = {"Cc", "Cs", "Zl", "Zp"}
_TURNS: Final = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_MARKS: Final = "\u200e\u200f"


def shown(name: object, most: int = NAME) -> str:
    r"""Return a name on one line, with nothing in it that a terminal or a browser would obey.

    Examples
    --------
    >>> shown("\x1b[31mred\u202e\n")
    '\\x1b[31mred\\u202e\\n'
    >>> shown("[/red] $\\frac$ <b> 😀")
    '[/red] $\\frac$ <b> 😀'
    >>> shown("a" * 1000, most=12)
    'aaaaaa…aaaaa'
    """
    return _readable(_shortened(str(name), most))


def shown_lines(message: object, most: int = MESSAGE) -> str:
    r"""Return a message as `shown` returns a name, except that its line breaks stay.

    Examples
    --------
    >>> shown_lines("first\n  - second\x07")
    'first\n  - second\\x07'
    """
    return "\n".join(_readable(line) for line in _shortened(str(message), most).split("\n"))


def unreadable(name: str) -> str:
    r"""Return what a name holds that no name can: control characters and marks of direction, escaped.

    Examples
    --------
    >>> unreadable("a\x00b\x1b[31m\u202e"), unreadable("DENV [/red] 👩\u200d🔬")
    ('\\x00 \\x1b \\u202e', '')
    """
    return " ".join(dict.fromkeys(_escaped(one) for one in name if _is_control(one)))


def _is_control(character: str) -> bool:
    if character.isprintable():
        return False
    return category(character) in _CONTROLS or bidirectional(character) in _TURNS or character in _MARKS


def _shortened(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def _readable(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(one if one.isprintable() else _escaped(one) for one in line)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
