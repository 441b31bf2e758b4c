"""The command ``viscy-data``: convert, synthesize, index, check, audit, bench, optimize.

Each command parses, calls one function of the library and prints a table. What is slow to import is
imported inside the command that needs it, so that ``--help`` answers at once.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from viscy_data.bench.cli import bench
from viscy_data.check.cli import check
from viscy_data.errors import InvalidInputError
from viscy_data.optimize.cli import optimize
from viscy_data.plain_errors import open_streams, plain_errors
from viscy_data.rich_text import verbatim
from viscy_data.text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from viscy_data.audit.audited import Audited
    from viscy_data.check.finding import CheckReport

app = typer.Typer(
    help="Compose training batches from time-lapse microscopy of single cells.\n\n"
    "The usual way: [bold]convert[/] movies (or [bold]synthesize[/] some), [bold]check[/] what is known of "
    "them, [bold]index[/] them into an anchors table, [bold]audit[/] the batches that a plan would compose; "
    "[bold]bench[/] how fast they are read, and [bold]optimize[/] slow stores.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)

_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier call wrote.")]


def _folder(given: str | Path) -> Path:
    from viscy_data.outputs import folder_named

    try:
        return folder_named(given)
    except InvalidInputError as error:
        raise typer.BadParameter(str(error)) from error


_Folder = Annotated[
    Path,
    typer.Option(
        "-o",
        "--out",
        parser=_folder,
        metavar="PATH",
        help="Folder to write in; made when it does not exist.",
    ),
]


@app.command()
@plain_errors
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
    axes: Annotated[
        str | None,
        typer.Option(
            help="Axes of every TIFF file, one letter for each dimension, such as ZCYX; T where one file "
            "holds all frames. Needed where the files do not state them.",
            show_default="as the files state",
        ),
    ] = None,
    overwrite: _Overwrite = False,
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
    from viscy_data.console import movies_table
    from viscy_data.convert import convert_movies as run

    summary = run(movies, out, channels=_positions(channels), axes=axes, overwrite=overwrite)
    console = Console()
    console.print(movies_table(summary.movies))
    for movie in summary.movies:
        for remark in movie.remarks:
            console.print(verbatim(f"{movie.name}: {remark}", "yellow"))
    console.print(verbatim(f"Wrote {summary.experiments_path}", "green"), soft_wrap=True)


@app.command()
@plain_errors
def synthesize(
    out: _Folder,
    experiments: Annotated[int, typer.Option(help="Plates, each with its own microscope and clock.")] = 5,
    wells: Annotated[int, typer.Option(help="Wells per plate, one to three in eight infected.")] = 8,
    fovs: Annotated[int, typer.Option(help="Fields of view per well.")] = 1,
    frames: Annotated[int, typer.Option(help="Time points, 30 to 60 minutes apart.")] = 18,
    cells: Annotated[
        int, typer.Option(help="Cells in the first frame of a field of view; they divide.")
    ] = 24,
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
    Console().print(verbatim(f"Wrote {path}", "green"), soft_wrap=True)


@app.command()
@plain_errors
def index(  # noqa: PLR0913 - the flat face of build_index
    experiments: Annotated[Path, typer.Argument(help="The experiments file (YAML).", show_default=False)],
    *,
    out: Annotated[Path, typer.Option("-o", "--out", help="The anchors table to write (Parquet).")],
    patch_size: Annotated[
        tuple[int, int], typer.Option(metavar="ROWS COLUMNS", help="Of a patch, in pixels.")
    ] = (
        64,
        64,
    ),
    tau_hours: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LEAST MOST", help="Hours from a cell to its positive.", show_default="0.5 1.5"),
    ] = None,
    tau_frames: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="LEAST MOST",
            help="The same in frames, for movies whose interval is not known.",
            show_default=False,
        ),
    ] = None,
    border: Annotated[
        Literal["reflect", "shift", "drop"],
        typer.Option(
            help="A patch that reaches over the border of its image is filled up by reflection, moved "
            "inside (a model can tell), or left out."
        ),
    ] = "reflect",
    missing_chunks: Annotated[
        Literal["error", "fill"],
        typer.Option(
            help="A chunk that a store lacks is damage, or was left out because it is empty. Kept with the "
            "table, for all that read it."
        ),
    ] = "error",
    non_finite: Annotated[
        Literal["error", "fill"],
        typer.Option(
            help="Pixels that are NaN or infinite are refused, or filled by the centre of the normalisation. "
            "Kept with the table."
        ),
    ] = "error",
    blank_frames: Annotated[
        Literal["drop", "keep"],
        typer.Option(help="Cells of frames in which a channel has one value throughout."),
    ] = "drop",
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Processes to build in.", show_default="one per core for large tables"),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(help="Build on this Dask cluster, such as tcp://host:8786.", show_default=False),
    ] = None,
    statistics: Annotated[
        bool, typer.Option(help="Compute the images' statistics, which takes reading all of them.")
    ] = True,
    overwrite: _Overwrite = False,
) -> None:
    """Build the anchors table of an experiments file.

    One row per cell and frame; beside it go the intensity statistics that
    patches are normalised with.

    Each experiment is built on its own. Killed, the same command goes on with
    those that are not finished; they wait in the folder .NAME.parts beside the
    table. Each process takes at most 400 MB, and 400 bytes for each row of the
    largest experiment. The table is the same, to the bit, whoever builds it.

    Example:
    [green]viscy-data index synthetic/experiments.yaml -o anchors.parquet[/]
    """
    from viscy_data.console import counts_table
    from viscy_data.index import build_index
    from viscy_data.tau import TauRange

    hours = (0.5, 1.5) if tau_hours is None and tau_frames is None else tau_hours
    tau = TauRange(hours=hours, frames=tau_frames)
    summary = build_index(
        experiments,
        out,
        patch_size=patch_size,
        tau=tau,
        border=border,
        overwrite=overwrite,
        processes=processes,
        dask=dask,
        missing_chunks=missing_chunks,
        non_finite=non_finite,
        blank_frames=blank_frames,
        statistics=statistics,
    )
    console = Console()
    console.print(counts_table(summary.counts))
    for name, fovs in summary.without_tracks.items():
        said = f"{shown(name)}: no tracks in {', '.join(map(shown, fovs))}"
        console.print(verbatim(said, "yellow"), soft_wrap=True)
    for note in summary.notes:
        console.print(verbatim(note, "yellow"), soft_wrap=True)
    console.print(verbatim(f"Wrote {summary.anchors_path}", "green"), soft_wrap=True)
    _say_check(summary.anchors_path)


@app.command()
@plain_errors
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
    plan: Annotated[
        Path | None,
        typer.Option(help="A plan file (YAML); what it names replaces the options.", show_default=False),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(help="A second plan file: what differs from the first plan.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the sampler.")] = 0,
    batches: Annotated[
        int | None, typer.Option(min=1, help="Batches to compose and count.", show_default="2000")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Whole epochs to compose instead.", show_default=False)
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write all counts; - prints them.", show_default=False)
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write one page with pictures.", show_default=False)
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Leave with code 1 where a check finds batches that leave what was asked, or a problem of "
            "the table.",
        ),
    ] = False,
) -> None:
    """Compose batches without reading a pixel; show what they hold.

    Shares asked for stand beside what was held, per experiment and condition.
    Movies without conditions need --no-condition-balanced. A count that is the
    whole number below or above its share is no deviation. What cannot be
    checked is named. One line says what is wrong with the table itself: movies
    that tau loses, and the like.

    A plan file holds fields of the plan, as short as what differs:
    [cyan]grouping: {leak: 0.2}[/] or [cyan]focus: null[/] or [cyan]batch_size: 64[/].

    Example:
    [green]viscy-data audit anchors.parquet --temporal-enrichment --compare leak.yaml --html audit.html[/]
    """
    from viscy_data.audit.command import (
        asked_plan,
        audit_plans,
        read_valid_anchors,
        reads_few_frames,
        taus_of,
    )
    from viscy_data.audit.page import write_page
    from viscy_data.audit.plan_file import read_plan
    from viscy_data.audit.tables import audit_grids, rich_table
    from viscy_data.outputs import check_reports, marked, write_text

    first = asked_plan(
        batch_size=batch_size,
        experiment_aware=experiment_aware,
        leaky=leaky,
        condition_balanced=condition_balanced,
        temporal_enrichment=temporal_enrichment,
        window_hours=window_hours,
        global_fraction=global_fraction,
    )
    if batches is not None and epochs is not None:
        raise InvalidInputError(
            f"batches={batches}, epochs={epochs}: one of the two is allowed; leave one out."
        )
    plans = [("plan" if plan is None else plan.stem, first if plan is None else read_plan(plan, first))]
    if compare is not None:
        plans.append((compare.stem, read_plan(compare, plans[0][1])))
    printed = json_path == Path("-")
    check_reports(html, json_path, inputs=[anchors, plan, compare])
    checked = _say_check(anchors)
    audits = audit_plans(
        read_valid_anchors(anchors),
        plans,
        seed=seed,
        batches=batches or 2000,
        epochs=epochs,
        progress=not printed,
    )
    if html is not None:
        write_page(audits, html, check=checked)
    if json_path is not None:
        content = json.dumps([marked(one.to_dict() | {"check": checked.to_dict()}) for one in audits])
        typer.echo(content) if printed else write_text(json_path, content, argument="json")
    if not printed:
        for grid in audit_grids(audits):
            Console().print(rich_table(grid))
        if reads_few_frames(plans[0][1]):
            Console().print(rich_table(taus_of(anchors, plans[0][1], seed=seed).grid()))
    _say_what_leaves(audits, strict=strict)
    if strict and checked.problems:
        raise typer.Exit(1)


def _say_check(anchors: Path) -> "CheckReport":
    """Print the shortest check of a table, one line, to the standard error stream."""
    from viscy_data.check.run import check_anchors

    report = check_anchors(anchors, thorough=False)
    Console(stderr=True, soft_wrap=True, highlight=False).print(report)
    return report


def _say_what_leaves(audits: "Sequence[Audited]", *, strict: bool) -> None:
    """Print notes, deviations and what is not checked to the standard error stream.

    With ``strict`` deviations are failures.
    """
    from viscy_data.audit.tables import unchecked_text

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for audited in audits:
        for note in audited.notes:
            console.print(verbatim(f"{shown(audited.name)}: {note}", "yellow"))
        for one in audited.deviations:
            console.print(verbatim(f"{shown(audited.name)}: {one}", "red" if strict else "yellow"))
        for unchecked in audited.report.not_checked:
            console.print(verbatim(f"{shown(audited.name)}: {unchecked_text(unchecked)}", "yellow"))
    if strict and any(audited.deviations for audited in audits):
        raise typer.Exit(1)


app.command()(check)


def main() -> None:
    """Run the command line, whatever of its streams is closed."""
    open_streams()
    app()


app.command()(bench)
app.command()(optimize)


def _positions(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise InvalidInputError(
            f"channels={text!r} must be positions with commas between, such as 0,1."
        ) from None
