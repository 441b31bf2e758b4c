"""How commands end: our own errors and the system's as one sentence, everything else as a traceback.

A traceback is for whoever wrote the program. What the system refuses (a full disk, a file that may not be
read, too little memory, an interrupt, a reader of the output that went away) is for whoever runs it, and so
is every error that we raise on purpose. Programming errors keep their traceback: without it they could not be
mended.

A process may also be started with its standard streams closed. The next file that it opened would then be
the one that messages go to, so they are opened on nothing first.
"""

import errno
import functools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import typer
from rich.console import Console
from rich.text import Text

from viscy_data.errors import ViscyDataError
from viscy_data.rich_text import verbatim
from viscy_data.text import shown, shown_lines

FAILED: Final = 2
"""Exit code of a command that ended with an error."""
TRACEBACK: Final = "VISCY_TRACEBACK"
"""Environment variable that keeps tracebacks: for who looks for a fault in the program."""
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141

_ADVICE: Final = {
    errno.ENOSPC: "make room, or choose another place",
    errno.EDQUOT: "make room, or choose another place",
    errno.EFBIG: "make room, or choose another place",
    errno.EACCES: "ask who may read and write it, or choose another place",
    errno.EPERM: "ask who may read and write it, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "check the name",
    errno.ENOTDIR: "check the name: a file is where a folder is due",
    errno.EISDIR: "check the name: a folder is where a file is due",
    errno.EMFILE: "allow more open files (ulimit -n), or use fewer processes",
    errno.ENOMEM: "use fewer processes, or a machine with more memory",
}


def plain_errors[**P](command: Callable[P, None]) -> Callable[P, None]:
    """Print an error that is not a programming error as one red message and leave with code 2."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        status = run_plainly(lambda: command(*args, **kwargs), failed=FAILED, say=_say)
        if status:
            raise typer.Exit(status)

    return guarded


def run_plainly(run: Callable[[], None], *, failed: int, say: Callable[[str], None]) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    run
        The command.
    failed
        Status after an error.
    say
        Told the sentence.

    Examples
    --------
    >>> def run() -> None:
    ...     raise PermissionError(13, "Permission denied", "a.txt")
    >>> run_plainly(run, failed=2, say=print)
    'a.txt': Permission denied; ask who may read and write it, or choose another place.
    2
    """
    open_streams()
    try:
        run()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has enough of it
        _drop_output()
        return PIPE_CLOSED
    except (ViscyDataError, OSError, MemoryError, UnicodeError, KeyboardInterrupt) as error:
        if os.environ.get(TRACEBACK):
            raise
        _drop_output()
        say(sentence(error))
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else failed
    return 0


def sentence(error: BaseException) -> str:
    """Return what an error says to whoever ran the command."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; what was there before still is. Give the same command to begin again."
    if isinstance(error, ViscyDataError):
        return shown_lines(error)
    if isinstance(error, MemoryError):
        said = f" ({shown(error, 200)})" if str(error) else ""
        return f"the memory does not suffice{said}; use fewer processes, or a machine with more of it."
    if isinstance(error, UnicodeError):
        return f"a name or a text cannot be read or written as UTF-8: {shown(error, 300)}; rename it."
    if isinstance(error, OSError) and error.errno is not None:
        where = "the output" if error.filename is None else f"'{shown(error.filename, 300)}'"
        advice = _ADVICE.get(error.errno, "check it")
        return f"{where}: {shown(error.strerror, 300)}; {advice}."
    return shown_lines(error)


def open_streams() -> None:
    """Open on nothing those standard streams that were closed, and let no character end the others."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for good
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Forget what cannot be written, lest the interpreter tries again at its end and complains."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, sys.stdout.fileno())
            os.close(nothing)


def _say(message: str) -> None:
    with suppress(OSError):
        Console(stderr=True, soft_wrap=True).print(
            Text.assemble(("Error: ", "bold red"), verbatim(message, "red"))
        )
