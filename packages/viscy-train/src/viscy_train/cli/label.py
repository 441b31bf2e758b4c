"""The command ``viscy-train label``."""

import argparse
import sys
from pathlib import Path

_EXAMPLE = """\
example:
  viscy-train evaluate embeddings.zarr --annotations lasso.csv --labels shape --save-probe shape.json
  viscy-train label more_embeddings.zarr shape.json -o labels.csv
"""


def add_label(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Give each cell the class that a saved probe reads from its embedding, with its probability. The\n"
        "embedding has to be of the model that the probe was fitted on, and of the same layer. The table\n"
        "is one that cell_columns of an experiments file, and evaluate --annotations, read as it is."
    )
    parser.epilog = _EXAMPLE
    parser.add_argument("embeddings", type=Path, help="what embed wrote")
    parser.add_argument("probe", type=Path, help="what evaluate --save-probe wrote")
    parser.add_argument("-o", "--out", type=Path, required=True, help="labels.csv; a new file")
    parser.set_defaults(run=_label)


def _label(options: argparse.Namespace) -> None:
    from viscy_data import shown
    from viscy_train.evaluation.labelling import label_cells

    found = label_cells(options.embeddings, options.probe, options.out)
    counts = ", ".join(f"{shown(name)} {count:,}" for name, count in found.counts.items())
    left = f" {found.not_finite:,} rows are not finite and have none." if found.not_finite else ""
    sys.stdout.write(
        f"wrote {shown(options.out, 4096)}: {sum(found.counts.values()):,} cells: {counts}.{left}\n"
    )
    worth = found.answer or "not known, as no evaluation is kept with it."
    sys.stdout.write(f"How good the probe was where it was fitted: {shown(worth, 1000)}\n")
