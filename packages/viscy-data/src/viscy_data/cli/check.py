"""The command ``viscy-data check``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from viscy_data.cli.plain_errors import plain_errors

_TABLES = (".parquet", ".pq")


@plain_errors
def check(
    path: Annotated[
        Path,
        typer.Argument(help="An experiments file (YAML) or an anchors table (Parquet).", show_default=False),
    ],
    tau_hours: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LEAST MOST",
            help="Hours from a cell to its positive, as index would take them; a table has its own.",
            show_default="0.5 1.5",
        ),
    ] = None,
    tau_frames: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="LEAST MOST", help="The same in frames.", show_default=False),
    ] = None,
    patch_size: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="ROWS COLUMNS", help="Of a patch, as index would take it.", show_default="64 64"
        ),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write all of it; - prints it.", show_default=False)
    ] = None,
) -> None:
    """Check an experiments file, or an anchors table: what is lost, and to what.

    [red]problems[/] would spoil training: a movie without a positive (with the tau that would work), a
    condition with nothing left, or one that is the same as the experiment throughout, cells listed twice,
    blank frames.

    [yellow]remarks[/] are for you to judge: one well to a condition, sizes that differ, intervals and pixel
    sizes that are not known (with the key to set), many patches at borders.

    No pixel is read: an experiments file is checked by its stores' metadata and its tracks, and what is
    known of images comes from the statistics that index made. Leaves with code 1 where there are problems.
    index, audit and fit print the shortest form of it, one line.

    Examples
    --------
    [green]viscy-data check experiments.yaml --tau-hours 0.5 1.5[/]
    [green]viscy-data check anchors.parquet --json check.json[/]
    """
    from rich.console import Console

    from viscy_data.check.run import check_anchors, check_experiments
    from viscy_data.check.tables import report_view
    from viscy_data.errors import InvalidInputError
    from viscy_data.files.outputs import check_reports, marked, write_text
    from viscy_data.tables.tau import TauRange

    printed = json_path == Path("-")
    check_reports(None, json_path, inputs=[path])
    if path.suffix.lower() in _TABLES:
        given = {"--tau-hours": tau_hours, "--tau-frames": tau_frames, "--patch-size": patch_size}
        if asked := [name for name, value in given.items() if value is not None]:
            raise InvalidInputError(
                f"{', '.join(asked)}: a table has its own, as it was indexed; leave it out, or check the "
                "experiments "
                "file."
            )
        report = check_anchors(path, progress=not printed)
    else:
        tau = (
            None if tau_hours is None and tau_frames is None else TauRange(hours=tau_hours, frames=tau_frames)
        )
        report = check_experiments(path, tau=tau, patch_size=patch_size or (64, 64), progress=not printed)
    if json_path is not None:
        content = json.dumps(marked(report.to_dict()))
        typer.echo(content) if printed else write_text(json_path, content, argument="json")
    if not printed:
        Console(soft_wrap=True, highlight=False).print(report_view(report))
    if report.problems:
        raise typer.Exit(1)
