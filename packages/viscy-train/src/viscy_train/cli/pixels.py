"""The command ``viscy-train pixels``."""

import argparse
import sys
from pathlib import Path

from viscy_train.cli.options import whole

_EXAMPLE = """\
example:
  viscy-train pixels anchors.parquet -o pixels.zarr --crop 32
  viscy-train evaluate embeddings.zarr --floor pixels.zarr
"""


def add_pixels(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Embed every cell of an anchors table by its raw pixels: their principal components, without any\n"
        "training. What these tell already is the floor that a trained encoder has to beat. Patches are cut\n"
        "and normalised as the table says; components are fitted to at most 20,000 cells."
    )
    parser.epilog = _EXAMPLE
    parser.add_argument("anchors", type=Path, help="what viscy-data index wrote")
    parser.add_argument("-o", "--out", type=Path, required=True, help="pixels.zarr")
    parser.add_argument(
        "--crop",
        type=whole,
        metavar="PIXELS",
        help="height and width that the encoder sees (all of the patch)",
    )
    parser.add_argument("--width", type=whole, default=128, metavar="K", help="components (128)")
    parser.add_argument("--seed", type=int, default=0, help="of the cells that components are fitted to (0)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.set_defaults(run=_pixels)


def _pixels(options: argparse.Namespace) -> None:
    from viscy_data import shown
    from viscy_train.models.pixels import embed_pixels

    embed_pixels(
        options.anchors,
        options.out,
        crop=options.crop,
        width=options.width,
        seed=options.seed,
        overwrite=options.overwrite,
    )
    out = shown(options.out, 4096)
    sys.stdout.write(
        f"wrote {out}. viscy-train evaluate embeddings.zarr --floor {out} puts it beside yours.\n"
    )
