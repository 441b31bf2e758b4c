"""The command ``viscy-train evaluate``."""

import argparse
import sys
from pathlib import Path
from typing import Any

from viscy_train.cli.options import warnings_as_sentences, whole


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Measure what an embedding knows of the condition, and how little of the experiment. Every number\n"
        "comes with its n, a bootstrap interval over lineages and what shuffled labels give."
    )
    parser.add_argument("embeddings", type=Path, help="what embed wrote")
    parser.add_argument("-o", "--out", type=Path, help="write all of it as JSON")
    parser.add_argument(
        "--labels",
        default="condition",
        metavar="COLUMN",
        help="column of obs whose values the embedding is asked for (condition); a drug, a cell type",
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
    from viscy_train.evaluation import evaluate

    if options.out is not None:
        check_output(options.out, inputs=[options.embeddings])
    with warnings_as_sentences():
        evaluation = evaluate(options.embeddings, labels=options.labels, max_cells=options.max_cells)
    _show(evaluation)
    if options.out is not None:
        evaluation.write(options.out)
        sys.stdout.write(f"wrote {shown(options.out, 4096)}\n")


def _show(evaluation: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from viscy_data import shown, verbatim

    cells = f"{evaluation.cells:,} of {evaluation.of_cells:,} cells"
    table = Table("metric", "value", "95 % interval", "shuffled", "n", "better", title=cells)
    for outcome in evaluation.outcomes:
        found = outcome.to_dict()
        if not found["available"]:
            table.add_row(verbatim(shown(outcome.definition.title)), verbatim(found["reason"], "dim"))
            continue
        numbers = (f"{found['value']:.3f}", f"{found['low']:.3f} to {found['high']:.3f}")
        table.add_row(
            verbatim(shown(outcome.definition.title)),
            *numbers,
            f"{found['shuffled']:.3f}",
            f"{found['n']:,}",
            outcome.definition.better,
        )
    Console().print(table)
