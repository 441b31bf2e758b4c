"""How commands end on our own errors: one message, no traceback."""

import functools
from collections.abc import Callable

import typer
from rich.console import Console
from rich.text import Text

from viscy_data.errors import ViscyDataError
from viscy_data.rich_text import verbatim


def plain_errors[**P](command: Callable[P, None]) -> Callable[P, None]:
    """Print our own errors as one red message and leave with code 2; let others through."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ViscyDataError as error:
            Console(stderr=True, soft_wrap=True).print(
                Text.assemble(("Error: ", "bold red"), verbatim(error, "red"))
            )
            raise typer.Exit(2) from error

    return guarded
