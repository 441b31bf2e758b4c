"""The command ``viscy-data``: convert, synthesize, index, audit.

Each command parses, calls one function of the library and prints a table. What is slow to import is
imported inside the command that needs it, so that ``--help`` answers at once.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from viscy_data.errors import InvalidInputError, ViscyDataError

if TYPE_CHECKING:
    from viscy_data.convert import MovieSummary
    from viscy_data.index import ConditionCounts

app = typer.Typer(
    help="Compose training batches from time-lapse microscopy of single cells.\n\n"
    "The usual way: [bold]convert[/] movies (or [bold]synthesize[/] some), [bold]index[/] them into an "
    "anchors table, [bold]audit[/] the batches that a plan would compose.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)

_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier call wrote.")]
_Folder = Annotated[
    Path, typer.Option("-o", "--out", help="Folder to write in; made when it does not exist.")
]


def _plain_errors[**P](command: Callable[P, None]) -> Callable[P, None]:
    """Print our own errors as one red message and leave with code 2; let others through."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ViscyDataError as error:
            Console(stderr=True, soft_wrap=True).print(f"[bold red]Error:[/] [red]{escape(str(error))}[/]")
            raise typer.Exit(2) from error

    return guarded


@app.command()
@_plain_errors
def convert(
    movies: Annotated[list[Path], typer.Argument(help="Movie folders, see above.", show_default=False)],
    out: _Folder,
    channels: Annotated[
        str | None,
        typer.Option(
            help="Positions of the channels to list for every movie, from 0, such as 0 or 1,0. "
            "Needed where movies differ in their number of channels.",
            show_default="all",
        ),
    ] = None,
    overwrite: _Overwrite = False,
) -> None:
    """Convert movies to OME-Zarr plates with tracks and an experiments file.

    A movie is a folder with

    [bold]frames/*.tif[/] one file per frame: C, Y, X

    [bold]tracks.csv[/] columns track_id, t, y, x (pixels), parent_track_id

    [bold]meta.json[/] channel_names, interval_min, pixel_size_um; null = not known

    or a Cell Tracking Challenge sequence, such as [bold]01[/] with [bold]01_GT[/] or
    [bold]01_RES[/] beside it, or the data set that holds it. What a movie does not
    state is left null in experiments.yaml, and listed.

    Example:
    [green]viscy-data convert movies/a movies/b Fluo-N2DL-HeLa -o plates[/]
    """
    from viscy_data.convert import convert as run

    summary = run(movies, out, channels=_positions(channels), overwrite=overwrite)
    console = Console()
    console.print(_movies_table(summary.movies))
    console.print(f"Wrote {summary.experiments_path}", style="green", soft_wrap=True, highlight=False)


@app.command()
@_plain_errors
def synthesize(
    out: _Folder,
    experiments: Annotated[int, typer.Option(help="Plates, each with its own microscope and clock.")] = 5,
    wells: Annotated[int, typer.Option(help="Wells per plate, half of them infected.")] = 4,
    fovs: Annotated[int, typer.Option(help="Fields of view per well.")] = 2,
    frames: Annotated[int, typer.Option(help="Time points, 30 to 60 minutes apart.")] = 18,
    cells: Annotated[
        int, typer.Option(help="Cells in the first frame of a field of view; they divide.")
    ] = 14,
    size: Annotated[
        int, typer.Option(help="Height and width of a frame, in pixels of 0.65 micrometres.")
    ] = 256,
    seed: Annotated[int, typer.Option(help="Everything is a function of it.")] = 0,
    overwrite: _Overwrite = False,
) -> None:
    """Synthesize experiments with known truth, as plates with tracks.

    Cells move, divide and differ. Each experiment has illumination, gain, blur
    and noise of its own: a strong batch effect. In infected wells only, a
    phenotype grows with hours post infection: cells round up, granules stand
    out, the reporter leaves the nucleus for spots. The truth of every cell is
    in truth.parquet.

    Example:
    [green]viscy-data synthesize -o synthetic --experiments 3 --seed 7[/]
    """
    from viscy_data.synthetic import synthesize as run

    path = run(
        out,
        experiments=experiments,
        wells=wells,
        fovs=fovs,
        frames=frames,
        cells=cells,
        size=size,
        seed=seed,
        overwrite=overwrite,
    )
    Console().print(f"Wrote {path}", style="green", soft_wrap=True, highlight=False)


@app.command()
@_plain_errors
def index(
    experiments: Annotated[Path, typer.Argument(help="The experiments file (YAML).", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="The anchors table to write (Parquet).")],
    patch_size: Annotated[tuple[int, int], typer.Option(help="Rows and columns of a patch, in pixels.")] = (
        64,
        64,
    ),
    tau_hours: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Least and most hours from a cell to its positive.", show_default="0.5 1.5"),
    ] = None,
    tau_frames: Annotated[
        tuple[int, int] | None,
        typer.Option(help="The same in frames, for movies whose interval is not known.", show_default=False),
    ] = None,
    overwrite: _Overwrite = False,
) -> None:
    """Build the anchors table of an experiments file.

    One row per cell and frame; beside it go the intensity statistics that
    patches are normalised with.

    Example:
    [green]viscy-data index synthetic/experiments.yaml -o anchors.parquet[/]
    """
    from viscy_data.index import build_index
    from viscy_data.tau import TauRange

    hours = (0.5, 1.5) if tau_hours is None and tau_frames is None else tau_hours
    tau = TauRange(hours=hours, frames=tau_frames)
    summary = build_index(experiments, out, patch_size=patch_size, tau=tau, overwrite=overwrite)
    console = Console()
    console.print(_counts_table(summary.counts))
    for name, fovs in summary.without_tracks.items():
        console.print(
            f"{name}: no tracks in {', '.join(fovs)}", style="yellow", soft_wrap=True, highlight=False
        )
    console.print(f"Wrote {summary.anchors_path}", style="green", soft_wrap=True, highlight=False)


def _positions(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise InvalidInputError(
            f"channels={text!r} must be positions with commas between, such as 0,1."
        ) from None


def _movies_table(movies: Sequence["MovieSummary"]) -> Table:
    table = Table(title="Movies")
    for heading in (
        "movie",
        "frames",
        "Y x X",
        "channels",
        "cells x frames",
        "tracks",
        "divisions",
        "not stated",
    ):
        table.add_column(heading)
    for movie in movies:
        frames, _, _, rows, columns = movie.shape
        counts = (movie.detections, movie.tracks, movie.divisions)
        table.add_row(
            movie.name,
            str(frames),
            f"{rows} x {columns}",
            ", ".join(movie.channels),
            *(f"{count:,}" for count in counts),
            ", ".join(movie.not_stated),
        )
    return table


def _counts_table(counts: Sequence["ConditionCounts"]) -> Table:
    table = Table(title="Anchors", show_footer=True)
    totals = [
        sum(values) for values in zip(*((c.cells, c.anchors, c.valid_anchors) for c in counts), strict=True)
    ]
    table.add_column("experiment", "all")
    table.add_column("condition")
    for heading, total in zip(("cells", "anchors", "with a positive"), totals, strict=True):
        table.add_column(heading, f"{total:,}", justify="right")
    table.add_column("dropped")
    for one in counts:
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in one.dropped.items() if count)
        numbers = (f"{count:,}" for count in (one.cells, one.anchors, one.valid_anchors))
        table.add_row(one.experiment, one.condition or "not known", *numbers, dropped or "none")
    return table
