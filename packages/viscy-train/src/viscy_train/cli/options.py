"""What several commands share: numbers on the command line, and warnings as sentences."""

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


def whole(text: str) -> int:
    """Read a whole number of at least 1."""
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def positive(text: str) -> float:
    """Read a positive number."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


@contextmanager
def warnings_as_sentences() -> Iterator[None]:
    """Write warnings to stderr without the line of code that they come from."""
    shown = warnings.showwarning
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)  # noqa: T201
    try:
        yield
    finally:
        warnings.showwarning = shown
