"""The command ``viscy-data index``."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from viscy_data.cli.options import Overwrite, say_check
from viscy_data.cli.plain_errors import plain_errors
from viscy_data.rich_text import verbatim
from viscy_data.text import shown


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
    overwrite: Overwrite = False,
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
    from viscy_data.cli.tables import columns_table, counts_table, joins_table
    from viscy_data.indexing.run import build_index
    from viscy_data.tables.tau import TauRange

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
    if summary.joins:
        console.print(joins_table(summary.joins))
    if summary.columns:
        console.print(columns_table(summary.columns))
    for name, fovs in summary.without_tracks.items():
        said = f"{shown(name)}: no tracks in {', '.join(map(shown, fovs))}"
        console.print(verbatim(said, "yellow"), soft_wrap=True)
    for note in summary.notes:
        console.print(verbatim(note, "yellow"), soft_wrap=True)
    if summary.focus_path is not None:
        console.print(verbatim(f"Focus curves: {summary.focus_path}", "green"), soft_wrap=True)
    console.print(verbatim(f"Wrote {summary.anchors_path}", "green"), soft_wrap=True)
    say_check(summary.anchors_path)
