"""The command line ``viscy-train``: one subcommand for each thing that one does with a model.

Only what a command needs is imported, inside the command: ``--help`` answers at once.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from viscy_train.cli.compare import add_compare
from viscy_train.cli.correct import add_correct
from viscy_train.cli.demo import add_demo
from viscy_train.cli.embed import add_embed
from viscy_train.cli.evaluate import add_evaluate
from viscy_train.cli.fit import fit
from viscy_train.cli.label import add_label
from viscy_train.cli.model import add_export, add_pack, add_show
from viscy_train.cli.pixels import add_pixels
from viscy_train.cli.view import add_view

_ABOUT = "Train and evaluate embeddings of single cells on batches that are composed, not drawn at random."
_WAY = """\
the way from movies to an embedding:
  viscy-data convert MOVIES... -o data          OME-Zarr, tracks and experiments.yaml
  viscy-data index data/experiments.yaml -o anchors.parquet
  viscy-train fit --config small --data.anchors anchors.parquet
  viscy-train embed runs/small/version_0/model.viscy anchors.parquet -o embeddings.zarr
  viscy-train evaluate embeddings.zarr -o metrics.json
  viscy-train view embeddings.zarr -o view.html
or all of it at once, on synthetic data or your own:
  viscy-train demo
  viscy-train demo --data experiments.yaml
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0, or 1 with the reason on stderr.

    Parameters
    ----------
    arguments : sequence of str, optional
        None takes those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["fit"]:
        return fit(given[1:])
    options = _parser().parse_args(given)
    return _reported(options.run, options)


def _reported(command: Any, options: Any) -> int:
    """Run a command; an error that says what to do needs no traceback."""
    from viscy_data import run_plainly

    return run_plainly(lambda: command(options), failed=1, say=_say)


def _say(said: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"error: {said}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _described(argparse.ArgumentParser, prog="viscy-train", description=_ABOUT, epilog=_WAY)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_demo(_described(commands.add_parser, "demo", help="the whole path, with a report, in minutes"))
    _described(commands.add_parser, "fit", help="train an encoder")  # `fit` reads the rest
    add_pack(_described(commands.add_parser, "pack", help="make a model's file of a checkpoint"))
    add_show(_described(commands.add_parser, "show", help="say what a model was trained on"))
    add_export(_described(commands.add_parser, "export", help="write a model as ONNX"))
    add_embed(_described(commands.add_parser, "embed", help="embed all cells with a trained encoder"))
    add_pixels(_described(commands.add_parser, "pixels", help="embed all cells by their raw pixels: a floor"))
    add_correct(
        _described(commands.add_parser, "correct", help="move experiments together by their control cells")
    )
    add_evaluate(_described(commands.add_parser, "evaluate", help="measure an embedding"))
    add_compare(_described(commands.add_parser, "compare", help="say how far apart groups of wells lie"))
    add_label(_described(commands.add_parser, "label", help="give cells the classes of a saved probe"))
    add_view(_described(commands.add_parser, "view", help="a page to look at an embedding"))
    return parser


def _described(make: Any, *names: str, **texts: str) -> argparse.ArgumentParser:
    texts.setdefault("description", texts.get("help", ""))
    if make is argparse.ArgumentParser:
        texts.pop("help", None)
    parser: argparse.ArgumentParser = make(
        *names, formatter_class=argparse.RawDescriptionHelpFormatter, **texts
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
