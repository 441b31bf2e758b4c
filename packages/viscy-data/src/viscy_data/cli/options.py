"""What several commands share: options, and the line that says what is wrong with a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from viscy_data.errors import InvalidInputError

if TYPE_CHECKING:
    from viscy_data.check.finding import CheckReport


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier call wrote.")]


def _folder(given: str | Path) -> Path:
    from viscy_data.files.outputs import folder_named

    try:
        return folder_named(given)
    except InvalidInputError as error:
        raise typer.BadParameter(str(error)) from error


Folder = Annotated[
    Path,
    typer.Option(
        "-o",
        "--out",
        parser=_folder,
        metavar="PATH",
        help="Folder to write in; made when it does not exist.",
    ),
]


Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Change a field of the plan, such as balance.by=drug; may be given again.",
        show_default=False,
    ),
]


def say_check(anchors: Path, *, later: bool = True) -> "CheckReport":
    """Print the shortest check of a table, one line, to the standard error stream.

    ``later``: whether positives are later relatives, so that what a range of times loses is lost.
    """
    from viscy_data.check.run import check_anchors

    report = check_anchors(anchors, thorough=False, later=later)
    Console(stderr=True, soft_wrap=True, highlight=False).print(report)
    return report
