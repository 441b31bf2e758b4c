"""The command ``viscy-train view``."""

import argparse
import sys
from pathlib import Path

from viscy_train.cli.options import warnings_as_sentences, whole


def add_view(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Write one page to look at an embedding: a map of its cells, coloured by any column; the patch and\n"
        "the track of a cell that is pointed at, and the cells most like it in other experiments; a lasso\n"
        "that writes a table of labels, which the experiments file reads again (cell_columns). The page\n"
        "needs no network and no other file. Needs the extra view: pip install 'viscy-train[view]'."
    )
    parser.epilog = "example:\n  viscy-train view embeddings.zarr -o view.html"
    parser.add_argument("embeddings", type=Path, help="what embed wrote")
    parser.add_argument("-o", "--out", type=Path, required=True, help="view.html")
    parser.add_argument(
        "--anchors",
        type=Path,
        metavar="TABLE",
        help="the table that was embedded, if it was moved; the embeddings file knows where it was",
    )
    parser.add_argument(
        "--layer", default="", metavar="NAME", help="show a layer, such as corrected, which correct writes"
    )
    parser.add_argument("--no-patches", action="store_true", help="a map alone, where pixels are not at hand")
    parser.add_argument(
        "--map",
        choices=("pca", "tsne", "umap"),
        default="tsne",
        help="the map shown first, principal components being the other (tsne); umap needs the extra umap",
    )
    parser.add_argument(
        "--max-cells",
        type=whole,
        default=10_000,
        metavar="N",
        help="of more cells, whole lineages are drawn evenly; at most 50000 (10000)",
    )
    parser.add_argument(
        "--side", type=whole, default=48, metavar="PIXELS", help="of a patch on the page, 16 to 128 (48)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draw and of the map (0)")
    parser.set_defaults(run=_view)


def _view(options: argparse.Namespace) -> None:
    from viscy_data import shown
    from viscy_train.view.write import view_embeddings

    with warnings_as_sentences():
        written = view_embeddings(
            options.embeddings,
            options.out,
            anchors=options.anchors,
            layer=options.layer,
            kind=options.map,
            max_cells=options.max_cells,
            side=options.side,
            patches=not options.no_patches,
            seed=options.seed,
        )
    drawn = "" if written.cells == written.of_cells else f" of {written.of_cells:,}"
    without = f", without patches: {shown(written.no_patches, 600)}" if written.no_patches else ""
    sys.stdout.write(
        f"wrote {shown(written.path, 4096)} ({written.cells:,}{drawn} cells, {written.bytes / 1e6:.1f} MB"
        f"{without}); open it in a browser\n"
    )
