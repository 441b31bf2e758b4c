"""Errors of viscy_data: a small hierarchy over the builtin ones.

Every message names what was given (``name=value``), what is allowed and what to do. Code that
catches the builtin class (``ValueError``, ``OSError``) keeps working.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class ViscyDataError(Exception):
    """Base of every error that viscy_data raises on purpose."""


class InvalidInputError(ViscyDataError, ValueError):
    """An argument, a table or a file holds a value that is not allowed."""


class ExperimentsFileError(InvalidInputError):
    """The experiments file is malformed or disagrees with the stores that it names."""


class TracksError(InvalidInputError):
    """A tracking table is malformed; the message names file, row and column."""


class StoreError(ViscyDataError, OSError):
    """An image store cannot be opened or read; the message names store, fov, time and channel."""


class OutputError(ViscyDataError, OSError):
    """A file cannot be written; the message names it and why."""


class WorkerError(ViscyDataError, RuntimeError):
    """A worker process died or does not answer; the message says how and what to do."""


class CompositionWarning(UserWarning):
    """A plan can be followed on this table, but not in the way its author may expect."""


def suggest(name: str, allowed: Iterable[str]) -> str:
    """Return a hint naming the nearest allowed value, or an empty string where none is near.

    Examples
    --------
    >>> suggest("infcted", ["infected", "uninfected"])
    " Did you mean 'infected'?"
    >>> suggest("zzz", ["infected"])
    ''
    """
    near = get_close_matches(name, list(allowed), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
