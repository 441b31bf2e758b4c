"""The command ``viscy-data synthesize``."""

from typing import Annotated, Literal

import typer
from rich.console import Console

from viscy_data.cli.options import Folder, Overwrite
from viscy_data.cli.plain_errors import plain_errors
from viscy_data.rich_text import verbatim


@plain_errors
def synthesize(  # noqa: PLR0913 - the flat face of the library's
    out: Folder,
    *,
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
    samples: Annotated[
        Literal["cells", "channels"],
        typer.Option(help="channels: plates of unlike channels, and a row of the table for each."),
    ] = "cells",
    cell_lines: Annotated[
        Literal["own", "same"],
        typer.Option(help="same: one cell line everywhere; experiments differ by their microscopes alone."),
    ] = "own",
    well_effect: Annotated[
        float, typer.Option(help="How much wells differ, whatever was done to them; 0: not at all.")
    ] = 1.0,
    microscope_effect: Annotated[
        float, typer.Option(help="How far microscopes differ, from 0, one for all, to 1.")
    ] = 1.0,
    infected: Annotated[
        float | None,
        typer.Option(help="Share of each plate's wells that is infected, in place of one to three in eight."),
    ] = None,
    same_cells: Annotated[
        bool,
        typer.Option("--same-cells", help="The very same cells through the microscope of each experiment."),
    ] = False,
    columns: Annotated[
        bool, typer.Option("--columns", help="Also a plate map of drugs and annotations of cells.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Synthesize experiments with known truth, as plates with tracks.

    Cells move, divide and differ. Each experiment has illumination, gain, blur
    and noise of its own: a strong batch effect. Wells differ a little. In infected wells only, a
    phenotype grows with hours post infection: cells round up, granules stand
    out, the reporter leaves the nucleus for spots. The truth of every cell is
    in truth.parquet.

    Example:
    [green]viscy-data synthesize -o synthetic --experiments 3 --seed 7[/]
    """
    from viscy_data.synthetic.writing import synthesize as run

    path = run(
        out,
        experiments=experiments,
        wells=wells,
        fovs=fovs,
        frames=frames,
        cells=cells,
        size=size,
        seed=seed,
        samples=samples,
        cell_lines=cell_lines,
        well_effect=well_effect,
        microscope_effect=microscope_effect,
        infected=infected,
        same_cells=same_cells,
        columns=columns,
        overwrite=overwrite,
    )
    Console().print(verbatim(f"Wrote {path}", "green"), soft_wrap=True)
