"""Names and numbers in sentences: few of them, and names as text."""

from collections.abc import Iterable
from typing import Final

from viscy_data.text import shown

_MOST: Final = 6


def quoted(name: str) -> str:
    """Return a name in quotes."""
    return f"'{shown(name)}'"


def listed(names: Iterable[str]) -> str:
    """Return names with commas between, the first few of many.

    Examples
    --------
    >>> listed("abcdefgh")
    'a, b, c, d, e, f and 2 more'
    """
    texts = [shown(one) for one in names]
    more = f" and {len(texts) - _MOST} more" if len(texts) > _MOST else ""
    return ", ".join(texts[:_MOST]) + more


def number(count: int, noun: str) -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> number(1, "row"), number(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
