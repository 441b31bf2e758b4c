"""The command ``viscy-data convert``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from viscy_data.cli.options import Folder, Overwrite
from viscy_data.cli.plain_errors import plain_errors
from viscy_data.errors import InvalidInputError
from viscy_data.rich_text import verbatim


@plain_errors
def convert(
    movies: Annotated[list[Path], typer.Argument(help="Movie folders, see above.", show_default=False)],
    out: Folder,
    channels: Annotated[
        str | None,
        typer.Option(
            help="Positions of the channels to list for every movie, from 0, such as 0 or 1,0. "
            "Needed where movies differ in their number of channels.",
            show_default="all",
        ),
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(
            help="Axes of every TIFF file, one letter for each dimension, such as ZCYX; T where one file "
            "holds all frames. Needed where the files do not state them.",
            show_default="as the files state",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Convert movies to OME-Zarr plates with tracks and an experiments file.

    A movie is a folder with

    [bold]frames/*.tif[/] one file per frame, with the axes that it states; else C, Y, X

    [bold]tracks.csv[/] columns track_id, t, y, x (pixels), parent_track_id

    [bold]meta.json[/] channel_names, interval_min, pixel_size_um; null = not known

    or a Cell Tracking Challenge sequence, such as [bold]01[/] with [bold]01_GT[/] or
    [bold]01_RES[/] beside it, or the data set that holds it. What a movie does not
    state is left null in experiments.yaml, and listed.

    Example:
    [green]viscy-data convert movies/a movies/b Fluo-N2DL-HeLa -o plates[/]
    """
    from viscy_data.cli.tables import movies_table
    from viscy_data.convert.run import convert_movies as run

    summary = run(movies, out, channels=_positions(channels), axes=axes, overwrite=overwrite)
    console = Console()
    console.print(movies_table(summary.movies))
    for movie in summary.movies:
        for remark in movie.remarks:
            console.print(verbatim(f"{movie.name}: {remark}", "yellow"))
    console.print(verbatim(f"Wrote {summary.experiments_path}", "green"), soft_wrap=True)


def _positions(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise InvalidInputError(
            f"channels={text!r} must be positions with commas between, such as 0,1."
        ) from None
