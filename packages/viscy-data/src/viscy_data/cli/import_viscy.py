"""The command ``viscy-data import``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from viscy_data.cli.options import Folder, Overwrite
from viscy_data.cli.plain_errors import plain_errors
from viscy_data.rich_text import verbatim


@plain_errors
def import_viscy(
    file: Annotated[
        Path,
        typer.Argument(
            help="A collection or an experiments file of VisCy (.yaml), or its cell index (.parquet).",
            show_default=False,
        ),
    ],
    out: Folder,
    samples: Annotated[
        str | None,
        typer.Option(
            help="What a row of the table will be: cells, with all their channels, or channels.",
            show_default="cells for the earlier experiments file, else channels",
        ),
    ] = None,
    datasets_root: Annotated[
        str | None,
        typer.Option(
            help="Folder in place of ${datasets_root} in a collection's paths.",
            show_default="as the collection says",
        ),
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            help="A key or a column that may be lost; may be given several times.", show_default=False
        ),
    ] = None,
    store_attributes: Annotated[
        list[str] | None,
        typer.Option(
            help="normalization or focus_slice, or both, one by one: taken from the stores' attributes "
            "and not from pixels; with focus_slice, patches show the slice in focus.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Import what VisCy knows of experiments.

    Writes experiments.yaml, which the other commands take, and for a cell
    index the tracks of its cells beside it. What has no place in these files
    is named and refused, unless --leave-out says that it may be lost.

    Example:
    [green]viscy-data import collection.yaml -o imported --datasets-root /data[/]
    """
    from viscy_data.importing.run import import_viscy as run

    summary = run(
        file,
        out,
        samples=samples,  # type: ignore[arg-type]  # checked there
        datasets_root=datasets_root,
        leave_out=leave_out or (),
        store_attributes=store_attributes or (),
        overwrite=overwrite,
    )
    console = Console()
    for note in summary.notes:
        console.print(verbatim(note, "yellow"), soft_wrap=True)
    count = len(summary.experiments)
    said = f"Wrote {summary.experiments_path}, with {count} experiment{'s' if count != 1 else ''}"
    console.print(verbatim(said, "green"), soft_wrap=True)
