"""What a plan warns of on a table, collected rather than warned of."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from viscy_data.errors import CompositionWarning


@contextmanager
def collect_notes() -> Iterator[list[str]]:
    """Collect what a plan warns of on a table, rather than warn; the list is filled at the end."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CompositionWarning)
        yield notes
    notes += [str(one.message) for one in caught]
