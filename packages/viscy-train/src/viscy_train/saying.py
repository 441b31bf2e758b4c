"""Lines for the user, on the error stream: whatever that is, what is said never ends a run."""

import sys
from contextlib import suppress

from viscy_data import shown_lines


def say(text: str) -> None:
    """Write a line, where there is an open stream to write to."""
    # None where the program was started with the stream closed; the reader of a pipe may be gone
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{shown_lines(text)}\n")
