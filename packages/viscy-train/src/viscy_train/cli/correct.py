"""The command ``viscy-train correct``."""

import argparse
import sys
from pathlib import Path

from viscy_train.cli.options import positive

_EXAMPLE = """\
example:
  viscy-train correct embeddings.zarr --controls condition=uninfected
  viscy-train evaluate embeddings.zarr --layer corrected
"""


def add_correct(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Centre and scale the embedding of each experiment by its control cells, feature by feature, and\n"
        "write the result into the same file as another layer: the first thing to try against differences\n"
        "of microscopes. X stays as it is. An experiment with fewer than ten control cells is refused."
    )
    parser.epilog = _EXAMPLE
    parser.add_argument("embeddings", type=Path, help="what embed wrote")
    parser.add_argument(
        "--controls", required=True, metavar="COLUMN=VALUE", help="which cells: condition=uninfected, dose=0"
    )
    parser.add_argument(
        "--by-hours",
        type=positive,
        metavar="H",
        help="correct bins of H hours post infection each on their own: controls change with time",
    )
    parser.add_argument(
        "--whiten", action="store_true", help="make features of control cells uncorrelated, too"
    )
    parser.add_argument("--layer", default="corrected", metavar="NAME", help="name of the layer (corrected)")
    parser.add_argument("--overwrite", action="store_true", help="replace a layer that this command wrote")
    parser.set_defaults(run=_correct)


def _correct(options: argparse.Namespace) -> None:
    from viscy_data import shown
    from viscy_train.evaluation.correction import Controls
    from viscy_train.evaluation.layers import write_corrected

    done = write_corrected(
        options.embeddings,
        Controls.parse(options.controls),
        method="whiten" if options.whiten else "scale",
        hours=options.by_hours,
        layer=options.layer,
        overwrite=options.overwrite,
    )
    left = f" {done.not_finite:,} rows are not finite and stay so." if done.not_finite else ""
    experiments = "1 experiment" if done.experiments == 1 else f"{done.experiments} experiments"
    sys.stdout.write(
        f"wrote the layer {options.layer!r} of {shown(options.embeddings, 4096)}: {done.cells:,} cells of "
        f"{experiments} relative to {done.controls:,} control cells.{left} viscy-train evaluate "
        f"{shown(options.embeddings, 4096)} --layer {options.layer} measures it.\n"
    )
