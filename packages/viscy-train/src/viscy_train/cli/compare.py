"""The command ``viscy-train compare``."""

import argparse
import sys
from pathlib import Path
from typing import Any

_EXAMPLE = """\
example:
  viscy-train compare embeddings.zarr --labels drug -o groups.json
"""


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Say how far apart groups of wells lie (squared MMD, with a p-value that permutes wells inside\n"
        "experiments), and whether wells of one group find each other across experiments (mean average\n"
        "precision of their profiles; needs the extra profiles: pip install 'viscy-train[profiles]')."
    )
    parser.epilog = _EXAMPLE
    parser.add_argument("embeddings", type=Path, help="what embed wrote")
    parser.add_argument("-o", "--out", type=Path, help="write all of it as JSON")
    parser.add_argument(
        "--labels", default="condition", metavar="COLUMN", help="column of what was done to wells (condition)"
    )
    parser.add_argument("--layer", default="", metavar="NAME", help="a layer, such as corrected")
    parser.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> None:
    from viscy_data import check_output, shown
    from viscy_train.evaluation.comparing import compare_groups

    if options.out is not None:
        check_output(options.out, inputs=[options.embeddings])
    found = compare_groups(options.embeddings, options.labels, layer=options.layer)
    _show(found)
    if options.out is not None:
        found.write(options.out)
        sys.stdout.write(f"wrote {shown(options.out, 4096)}\n")


def _show(found: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from viscy_data import shown, verbatim

    console = Console()
    table = Table("groups", "experiment", "squared MMD", "p", "least p", "wells", "cells", title="groups")
    reasons: dict[str, list[str]] = {}
    for one in found.discrepancies:
        pair = verbatim(shown(f"{one.first} - {one.second}"))
        where = verbatim(shown(one.experiment or "all"))
        if one.value is None:
            reasons.setdefault(one.reason, []).append(f"{pair} ({where})")
            continue
        numbers = (f"{one.value:.4f}", f"{one.p:.3f}", f"{one.least_p:.3f}")
        counts = (f"{one.units[0]} - {one.units[1]}", f"{one.cells[0]:,} - {one.cells[1]:,}")
        table.add_row(pair, where, *numbers, *counts)
    console.print(table)
    for reason, pairs in reasons.items():
        console.print(verbatim(shown(f"No number for {', '.join(pairs)}: {reason}.", 1000), "dim"))
    if found.no_profiles:
        console.print(verbatim(shown(f"No profiles: {found.no_profiles}", 500), "dim"))
        return
    table = Table("wells of", "mAP", "above chance", "p", "corrected p", "wells", title="profiles of wells")
    for one in found.precisions:
        name = verbatim(shown(one.label))
        if one.value is None:
            table.add_row(name, verbatim(one.reason, "dim"))
            continue
        found_of = (one.value, one.above_chance, one.p, one.corrected_p)
        table.add_row(name, *(f"{number:.3f}" for number in found_of), str(one.wells))
    console.print(table)
