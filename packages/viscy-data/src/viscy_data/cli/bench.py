"""The command ``viscy-data bench``."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from viscy_data.cli.options import Settings
from viscy_data.cli.plain_errors import plain_errors
from viscy_data.errors import InvalidInputError
from viscy_data.rich_text import verbatim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from viscy_data.bench.measure import Case
    from viscy_data.composition.curriculum import Curriculum
    from viscy_data.composition.plan import BatchPlan


@plain_errors
def bench(  # noqa: PLR0913 - what is measured, how long, and where it goes
    experiments: Annotated[Path, typer.Argument(help="The experiments file (YAML).", show_default=False)],
    *,
    index: Annotated[
        Path | None, typer.Option(help="The anchors table.", show_default="anchors.parquet beside the file")
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            help="A plan file (YAML), as audit takes it.",
            show_default="one experiment a batch, conditions in equal shares",
        ),
    ] = None,
    settings: Settings = None,
    batch_size: Annotated[int, typer.Option(help="Anchors in a batch.")] = 128,
    z_window: Annotated[int, typer.Option(min=1, help="Slices of a patch.")] = 1,
    seconds: Annotated[float, typer.Option(min=0, help="To read for under each setting.")] = 5.0,
    step: Annotated[
        float, typer.Option(min=0, help="Seconds of a training step, put between batches.")
    ] = 0.0,
    frames: Annotated[int, typer.Option(min=1, help="Frames a batch, where few are tried.")] = 8,
    hold: Annotated[int, typer.Option(min=1, help="Batches that a frame stays for, where it does.")] = 4,
    cache_mb: Annotated[int, typer.Option(min=1, help="Cache of decoded chunks, where it is tried.")] = 1024,
    workers: Annotated[
        list[int] | None,
        typer.Option(
            min=0,
            help="Processes that read; may be given again. 0: none.",
            show_default="2 and 4, up to the cores",
        ),
    ] = None,
    optimize: Annotated[bool, typer.Option(help="Also rewrite a few frames in a temporary folder.")] = True,
    missing_chunks: Annotated[
        Literal["error", "fill"] | None,
        typer.Option(
            help="A chunk that a store lacks is damage, or was left out because it is empty.",
            show_default="as indexed",
        ),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write all figures; - prints them.", show_default=False)
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write one page with a picture.", show_default=False)
    ] = None,
) -> None:
    """Measure how fast your stores give your batches, and what would help most.

    The present way is measured first. Then one thing is changed at a time: fewer
    frames per batch, a cache, reading ahead, workers; and a few frames of the
    largest store are rewritten as [bold]optimize[/] would. The present way is
    measured again after each, so that the machine's mood is not taken for a gain.

    For example:
    [green]viscy-data bench experiments.yaml --plan plan.yaml --html bench.html[/]
    """
    from viscy_data.bench.page import tell
    from viscy_data.bench.run import bench as run
    from viscy_data.bench.settings import usual_settings
    from viscy_data.bench.tables import advice_lines, notes, settings_table
    from viscy_data.files.outputs import check_reports, marked, write_text
    from viscy_data.pages.page import write_page
    from viscy_data.pages.table import rich_table

    check_reports(html, json_path, inputs=[experiments, index, plan])
    case = _case(experiments, index, z_window, missing_chunks, (plan, batch_size, settings or ()))
    tried = usual_settings(
        frames=frames,
        hold=hold,
        cache_bytes=cache_mb << 20,
        look_ahead=2,
        workers=workers or [count for count in (2, 4) if count <= max(2, os.cpu_count() or 1)],
        pixels=case.pixel_bytes(),
    )
    printed = json_path == Path("-")
    result = run(case, tried, seconds=seconds, step=step, optimized=optimize, progress=not printed)
    if html is not None:
        write_page(tell(result, case.plan), html, argument="html")
    if json_path is not None:
        content = json.dumps(marked(result.to_dict()))
        typer.echo(content) if printed else write_text(json_path, content, argument="json")
    if not printed:
        console = Console(soft_wrap=True, highlight=False)
        console.print(rich_table(settings_table(result)))
        for line in (*advice_lines(result), *notes(result)):
            console.print(verbatim(line))


def _case(
    experiments: Path,
    index: Path | None,
    z_window: int,
    missing_chunks: Literal["error", "fill"] | None,
    plan: "tuple[Path | None, int, Sequence[str]]",
) -> "Case":
    from viscy_data.bench.measure import Case
    from viscy_data.tables.anchors.read import read_metadata
    from viscy_data.tables.experiments import Experiments

    index = experiments.with_name("anchors.parquet") if index is None else index
    if not index.is_file():
        raise InvalidInputError(
            f"index={str(index)!r} does not exist. Build it with "
            f"'viscy-data index {experiments} -o {index}', or name another with --index."
        )
    stores = Experiments.load(experiments)
    missing_chunks = missing_chunks or read_metadata(index).missing_chunks
    return Case(index, stores, _plan(index, *plan), z_window, missing_chunks)


def _plan(
    index: Path, path: Path | None, batch_size: int, settings: "Sequence[str]"
) -> "BatchPlan | Curriculum":
    from viscy_data.columns import CONDITION, EXPERIMENT
    from viscy_data.composition.axes import Balance, Grouping
    from viscy_data.composition.plan import BatchPlan
    from viscy_data.sampling.plan_file import read_plan
    from viscy_data.sampling.plan_options import set_fields
    from viscy_data.tables.anchors.read import read_anchors

    known = read_anchors(index, columns=[CONDITION])[CONDITION].notna().all()
    usual = BatchPlan(
        batch_size, grouping=Grouping(EXPERIMENT), balance=Balance(CONDITION) if known else None
    )
    return set_fields(usual if path is None else read_plan(path, usual), settings)
