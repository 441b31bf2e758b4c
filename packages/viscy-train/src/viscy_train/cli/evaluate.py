"""The command ``viscy-train evaluate``."""

import argparse
import csv
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viscy_train.cli.options import warnings_as_sentences, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_EXAMPLE = """\
example:
  viscy-train evaluate embeddings.zarr --labels condition,drug --controls condition=uninfected
  viscy-train evaluate mine.zarr other.zarr --html page.html
  viscy-train evaluate mine.zarr --floor pixels.zarr --ceiling supervised.zarr

Probes leave out what a label was given to (experiments, wells, lineages: told from the table) and one
experiment at a time; intervals are over these units, and "guess" is what shuffled labels give. Of several
embeddings of the same cells, one is said to be better only where the interval of their paired difference
excludes 0."""


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Measure what an embedding knows of the condition, and how little of the experiment. Every number\n"
        "comes with its n, an interval over units of treatment and what shuffled labels give."
    )
    parser.epilog = _EXAMPLE
    parser.add_argument(
        "embeddings", type=Path, nargs="+", help="what embed wrote; several of one table are compared"
    )
    parser.add_argument("-o", "--out", type=Path, help="write all of it as JSON")
    parser.add_argument("--html", type=Path, help="write a page: the answer in words, then the evidence")
    parser.add_argument(
        "--patches",
        action="store_true",
        help="with --html: cells of the first label that the probe is surest of, and those most alike",
    )
    parser.add_argument(
        "--anchors",
        type=Path,
        metavar="TABLE",
        help="with --patches: the table that was embedded, if it was moved",
    )
    parser.add_argument(
        "--labels",
        action="append",
        metavar="COLUMN[,COLUMN]",
        help="columns of obs that the embedding is asked for (condition); a drug, a cell type; repeatable; "
        "a name with commas in double quotes",
    )
    parser.add_argument(
        "--leave-out",
        default="experiment",
        metavar="COLUMN",
        help="column of which one value at a time is left out of learning (experiment)",
    )
    parser.add_argument(
        "--controls",
        metavar="COLUMN=VALUE",
        help="control cells: measure once more relative to those of each experiment",
    )
    parser.add_argument(
        "--floor",
        type=Path,
        metavar="EMBEDDINGS",
        help="what is to be beaten, such as raw pixels of the same cells: its numbers beside each number",
    )
    parser.add_argument(
        "--ceiling",
        type=Path,
        metavar="EMBEDDINGS",
        help="the best to be expected, such as an encoder trained with labels, of the same cells",
    )
    parser.add_argument(
        "--layer", default="", metavar="NAME", help="measure a layer, such as what correct wrote: corrected"
    )
    parser.add_argument(
        "--annotations",
        type=Path,
        metavar="CSV",
        help="a table whose columns become labels, joined by source_id, or by fov, track_id and t",
    )
    parser.add_argument(
        "--save-probe",
        type=Path,
        metavar="JSON",
        help="keep the probe of the label, fitted on all cells evaluated; viscy-train label uses it",
    )
    parser.add_argument(
        "--max-cells",
        type=whole,
        default=20_000,
        metavar="N",
        help="thin by whole lineages above this (20000)",
    )
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    from viscy_data import check_output, shown
    from viscy_train.cli.metrics_table import show_evaluation
    from viscy_train.evaluation import Controls, evaluate_together
    from viscy_train.evaluation.labelling import check_probe
    from viscy_train.evaluation.tasks import MEASURES

    limits = [one for one in (options.floor, options.ceiling) if one is not None]
    given = (*options.embeddings, *limits, options.annotations, options.anchors)
    inputs = [one for one in given if one is not None]
    outs = (("out", options.out), ("save_probe", options.save_probe), ("html", options.html))
    for argument, out in outs:
        if out is not None:
            check_output(out, argument=argument, inputs=inputs)
    controls = None if options.controls is None else Controls.parse(options.controls)
    labels = _names(options.labels or ["condition"])
    _check_one_label(options.save_probe, labels, options.embeddings)
    patched = _patched(options, labels)
    said: list[str] = []
    steps = len({*options.embeddings, *limits}) * len(MEASURES)
    with warnings_as_sentences():
        if options.save_probe is not None:
            check_probe(
                options.embeddings[0],
                labels[0],
                layer=options.layer,
                annotations=options.annotations,
                max_cells=options.max_cells,
            )
        with _bar(steps) as advance:
            found = evaluate_together(
                options.embeddings,
                labels=labels,
                leave_out=options.leave_out,
                controls=controls,
                floor=options.floor,
                ceiling=options.ceiling,
                layer=options.layer,
                annotations=options.annotations,
                max_cells=options.max_cells,
                say=said.append,
                progress=advance,
            )
    sys.stdout.writelines(f"{line}\n" for line in said)
    for name, evaluation in found.evaluations.items():
        if len(found.evaluations) > 1:
            sys.stdout.write(f"\n{shown(name, 200)}\n")
        show_evaluation(evaluation)
    _show_differences(found)
    if options.out is not None:
        found.write(options.out)
        sys.stdout.write(f"wrote {shown(options.out, 4096)}\n")
    if options.html is not None:
        _write_page(found, options.html, patched)
        sys.stdout.write(f"wrote {shown(options.html, 4096)}\n")
    if options.save_probe is not None:
        _save_probe(options, labels[0], next(iter(found.evaluations.values())))


@contextmanager
def _bar(steps: int) -> "Iterator[Callable[[str], None]]":
    """Show a bar once what is asked for was checked: before that an error stands alone."""
    from viscy_data import progress_bar

    with ExitStack() as until_done:
        bars: list[Callable[[int], None]] = []

        def advance(group: str) -> None:
            if not bars:
                bar = progress_bar("evaluate", steps, unit="groups of metrics", shown=True)
                bars.append(until_done.enter_context(bar))
            bars[0](1 if group else 0)

        yield advance


def _names(given: list[str]) -> list[str]:
    """Return names of columns, between commas or in double quotes."""
    names = [name.strip() for row in csv.reader(given, skipinitialspace=True) for name in row]
    return [name for name in names if name]


def _patched(options: argparse.Namespace, labels: list[str]) -> Any:
    """Open what cells are shown of before anything is measured; return how their section is made."""
    from viscy_data import InvalidInputError

    if not options.patches:
        if options.anchors is not None:
            raise InvalidInputError("anchors: a table is needed for patches only; add --patches.")
        return None
    if options.html is None:
        raise InvalidInputError("patches=True: a page is needed to show them on; add --html page.html.")
    from viscy_train.evaluation.together import names_of
    from viscy_train.view.galleries import galleries, open_patched

    patched = open_patched(
        options.embeddings[0],
        anchors=options.anchors,
        layer=options.layer,
        annotations=options.annotations,
        max_cells=options.max_cells,
        name=names_of(options.embeddings)[0] if len(options.embeddings) > 1 else "",
    )
    return lambda: galleries(patched, labels[0], options.leave_out)


def _write_page(found: Any, path: Path, patched: Any) -> None:
    from viscy_data.pages.page import write_page
    from viscy_train.report.evaluation_page import evaluation_page

    cells = [] if patched is None else [patched()]
    page = evaluation_page(found.evaluations, same_cells=found.same_cells, cells=cells)
    write_page(page, path, argument="html")


def _show_differences(found: Any) -> None:
    """Print for each headline which embedding is better, where that is shown."""
    from rich.console import Console

    from viscy_data import shown, verbatim
    from viscy_train.report.evaluation_page import NO_PAIRS
    from viscy_train.report.sentences import difference_sentence

    console = Console()
    if not found.same_cells:
        console.print(verbatim(NO_PAIRS, "bold"))
    asked = {one.outcome.name for each in found.evaluations.values() for one in each.headlines}
    for one in found.differences:
        if one.definition.name in asked:
            text = f"{one.definition.title}: {difference_sentence(one)}"
            console.print(verbatim(shown(text, 1000), "bold"))


def _check_one_label(save_probe: Path | None, labels: list[str], embeddings: list[Path]) -> None:
    from viscy_data import InvalidInputError

    if save_probe is not None and len(embeddings) != 1:
        raise InvalidInputError(
            f"embeddings: {len(embeddings)} files, but a probe is of one; name one beside --save-probe."
        )

    if save_probe is not None and len(labels) != 1:
        raise InvalidInputError(
            f"labels={','.join(labels)!r}: a probe is of one label; name one beside --save-probe."
        )


def _save_probe(options: argparse.Namespace, label: str, evaluation: Any) -> None:
    from viscy_data import shown
    from viscy_train.evaluation.labelling import fit_and_save

    probe = fit_and_save(
        options.embeddings[0],
        options.save_probe,
        label,
        layer=options.layer,
        annotations=options.annotations,
        max_cells=options.max_cells,
        evaluation=evaluation,
    )
    classes = ", ".join(f"{shown(name)} {n:,}" for name, n in zip(probe.classes, probe.cells, strict=True))
    sys.stdout.write(
        f"wrote {shown(options.save_probe, 4096)}: a probe of {shown(label)}, fitted on {classes}\n"
    )
