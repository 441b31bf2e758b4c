"""The command ``viscy-data audit``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from viscy_data.cli.options import Settings, say_check
from viscy_data.cli.plain_errors import plain_errors
from viscy_data.errors import InvalidInputError
from viscy_data.rich_text import verbatim
from viscy_data.text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from viscy_data.audit.audited import Audited


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
    settings: Settings = None,
    compare: Annotated[
        Path | None,
        typer.Option(help="A second plan file: what differs from the first plan.", show_default=False),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Count the values of a column, too; may be given again.",
            show_default=False,
        ),
    ] = None,
    positive: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="What makes pairs, and so which anchors count: lineage, self, by=COLUMN,COLUMN (another "
            "cell of the same values) or across=marker.",
        ),
    ] = "lineage",
    across_experiments: Annotated[
        bool,
        typer.Option("--across-experiments", help="With --positive by=...: pair cells of any experiment."),
    ] = False,
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
    patches: Annotated[
        bool,
        typer.Option("--patches", help="With --html: show cells of the first batch, whose pixels are read."),
    ] = False,
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

    Shares asked for are shown beside what was held, per experiment and condition.
    Movies without conditions need --no-condition-balanced. A count that is the
    whole number below or above its share is not a deviation. What cannot be
    checked is named. One line says what is wrong with the table itself: movies
    that tau loses, and the like.

    A plan file holds fields of the plan, as short as what differs:
    [cyan]grouping: {leak: 0.2}[/] or [cyan]focus: null[/] or [cyan]batch_size: 64[/].
    [cyan]--set[/] changes one field without a file. Any column of the table will do,
    those of your own among them.

    Example:
    [green]viscy-data audit anchors.parquet --set balance.by=drug --set weighting.by=weight --by label[/]

    [green]viscy-data audit anchors.parquet --temporal-enrichment --compare leak.yaml --html audit.html[/]
    """
    from viscy_data.audit.command import audit_plans, read_counted_anchors, rule_of, say_left_out, taus_of
    from viscy_data.audit.page import tell
    from viscy_data.audit.patches import batch_galleries
    from viscy_data.audit.tables import audit_tables
    from viscy_data.files.outputs import check_reports, marked, write_text
    from viscy_data.pages.page import write_page
    from viscy_data.pages.table import rich_table
    from viscy_data.sampling.flat import flat_plan
    from viscy_data.sampling.plan_file import read_plan
    from viscy_data.sampling.plan_options import set_fields

    first = flat_plan(
        batch_size,
        experiment_aware=experiment_aware,
        leaky=leaky,
        condition_balanced=condition_balanced,
        temporal_enrichment=temporal_enrichment,
        temporal_window_hours=window_hours,
        temporal_global_fraction=global_fraction,
    )
    if batches is not None and epochs is not None:
        raise InvalidInputError(
            f"batches={batches}, epochs={epochs}: one of the two is allowed; leave one out."
        )
    base = first if plan is None else read_plan(plan, first)
    plans = [("plan" if plan is None else plan.stem, set_fields(base, settings or ()))]
    if compare is not None:
        plans.append((compare.stem, read_plan(compare, plans[0][1])))
    printed = json_path == Path("-")
    check_reports(html, json_path, inputs=[anchors, plan, compare])
    _check_patches(html, asked=patches)
    kind, pairing = rule_of(positive, anywhere=across_experiments)
    checked = say_check(anchors, later=kind == "lineage")
    counted = read_counted_anchors(
        anchors, [one for _, one in plans], by or (), positive=kind, pairing=pairing
    )
    left_out = say_left_out(anchors, len(counted), positive=kind, pairing=pairing)
    if left_out:
        Console(stderr=True, soft_wrap=True, highlight=False).print(verbatim(left_out))
    audits = audit_plans(
        counted,
        plans,
        seed=seed,
        batches=batches or 2000,
        epochs=epochs,
        by=by or (),
        progress=not printed,
    )
    if html is not None:
        shown_plans = plans if patches else []
        galleries = batch_galleries(anchors, counted, shown_plans, seed=seed, positive=kind, pairing=pairing)
        write_page(tell(audits, check=checked, galleries=galleries), html, argument="html")
    if json_path is not None:
        content = json.dumps([marked(one.to_dict() | {"check": checked.to_dict()}) for one in audits])
        typer.echo(content) if printed else write_text(json_path, content, argument="json")
    if not printed:
        for table in audit_tables(audits):
            Console().print(rich_table(table))
        if "locality" in plans[0][1]._columns_of and kind == "lineage":
            Console().print(rich_table(taus_of(anchors, plans[0][1], seed=seed).table()))
    _say_what_leaves(audits, strict=strict)
    if strict and checked.problems:
        raise typer.Exit(1)


def _check_patches(html: Path | None, *, asked: bool) -> None:
    if asked and html is None:
        raise InvalidInputError("patches=True: a page is needed to show them on; add --html audit.html.")


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
