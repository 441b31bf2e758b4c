"""The command ``viscy-data``: convert, synthesize, index, audit.

Each command parses, calls one function of the library and prints a table. What is slow to import is
imported inside the command that needs it, so that ``--help`` answers at once.
"""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from viscy_data.errors import InvalidInputError, ViscyDataError

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
    from viscy_data.console import movies_table
    from viscy_data.convert import convert_movies as run

    summary = run(movies, out, channels=_positions(channels), overwrite=overwrite)
    console = Console()
    console.print(movies_table(summary.movies))
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
    missing_chunks: Annotated[
        Literal["error", "fill"],
        typer.Option(help="A chunk that a store lacks is damage, or was left out because it is empty."),
    ] = "error",
    overwrite: _Overwrite = False,
) -> None:
    """Build the anchors table of an experiments file.

    One row per cell and frame; beside it go the intensity statistics that
    patches are normalised with.

    Example:
    [green]viscy-data index synthetic/experiments.yaml -o anchors.parquet[/]
    """
    from viscy_data.console import counts_table
    from viscy_data.index import build_index
    from viscy_data.tau import TauRange

    hours = (0.5, 1.5) if tau_hours is None and tau_frames is None else tau_hours
    tau = TauRange(hours=hours, frames=tau_frames)
    summary = build_index(
        experiments, out, patch_size=patch_size, tau=tau, overwrite=overwrite, missing_chunks=missing_chunks
    )
    console = Console()
    console.print(counts_table(summary.counts))
    for name, fovs in summary.without_tracks.items():
        console.print(
            f"{name}: no tracks in {', '.join(fovs)}", style="yellow", soft_wrap=True, highlight=False
        )
    console.print(f"Wrote {summary.anchors_path}", style="green", soft_wrap=True, highlight=False)


@app.command()
@_plain_errors
def audit(  # noqa: PLR0913 - the flat face of a plan, as the sampler has it
    anchors: Annotated[Path, typer.Argument(help="An anchors table (Parquet).", show_default=False)],
    *,
    batch_size: Annotated[int, typer.Option(help="Anchors in a batch.")] = 128,
    experiment_aware: Annotated[bool, typer.Option(help="Every batch from one experiment.")] = True,
    leaky: Annotated[float, typer.Option(help="Fraction of a batch from other experiments.")] = 0.0,
    condition_balanced: Annotated[bool, typer.Option(help="Conditions in equal shares.")] = True,
    temporal_enrichment: Annotated[
        bool, typer.Option(help="Most of a batch near one focal time, drawn per batch.")
    ] = False,
    window_hours: Annotated[float, typer.Option(help="Half width of the focal window, in hours.")] = 2.0,
    global_fraction: Annotated[float, typer.Option(help="Fraction of a batch outside the window.")] = 0.3,
    seed: Annotated[int, typer.Option(help="Of the sampler.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs to compose and count.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON rather than tables.")] = False,
) -> None:
    """Compose epochs without reading a pixel; show what batches hold.

    Shares asked for stand beside what was held, per experiment and condition.
    Movies without conditions need --no-condition-balanced.

    Example:
    [green]viscy-data audit anchors.parquet --temporal-enrichment --leaky 0.1[/]
    """
    from viscy_data.anchors_file import read_anchors, read_metadata
    from viscy_data.console import report_tables
    from viscy_data.positives import Positives
    from viscy_data.progress import progress_bar
    from viscy_data.sampler import FlexibleBatchSampler

    metadata, table = read_metadata(anchors), read_anchors(anchors)
    frames = {one.name: metadata.tau.in_frames(one) for one in metadata.experiments.experiments}
    sampler = FlexibleBatchSampler(
        table[Positives(table, frames).has_positive],
        batch_size=batch_size,
        experiment_aware=experiment_aware,
        leaky=leaky,
        condition_balanced=condition_balanced,
        temporal_enrichment=temporal_enrichment,
        temporal_window_hours=window_hours,
        temporal_global_fraction=global_fraction,
        seed=seed,
    )
    batches = sampler.batches_per_epoch * epochs
    with progress_bar("audit", batches, unit="batches", shown=not as_json) as advance:
        report = sampler.report(epochs, advance=advance)
    if as_json:
        typer.echo(json.dumps(report.to_dict()))
        return
    for shown in report_tables(report):
        Console().print(shown)


def _positions(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise InvalidInputError(
            f"channels={text!r} must be positions with commas between, such as 0,1."
        ) from None
