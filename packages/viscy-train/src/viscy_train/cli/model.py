"""The commands ``viscy-train pack``, ``show`` and ``export``."""

import argparse
import json
import sys
from pathlib import Path

_LONGEST = 10_000  # of a line that a card of unknown origin makes
OWN_CLASS = "the backbone is this class of yours, whose code may run: my_package.nets.Encoder"


def add_pack(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Write a model's file: weights, and all that one must know to use them, as tensors and JSON.\n"
        "fit writes one itself; this makes one of any checkpoint, or adds an evaluation to one."
    )
    parser.add_argument("checkpoint", type=Path, help="what fit wrote: .../checkpoints/last.ckpt, or a model")
    parser.add_argument("-o", "--out", type=Path, required=True, help="model.viscy")
    parser.add_argument(
        "--evaluation", type=Path, metavar="JSON", help="what evaluate -o wrote of this model"
    )
    parser.add_argument("--own-class", metavar="PATH", help=OWN_CLASS)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing model")
    parser.set_defaults(run=_pack)


def _pack(options: argparse.Namespace) -> None:
    from viscy_train.models.packing import pack

    pack(
        options.checkpoint,
        options.out,
        evaluation=options.evaluation,
        own_class=options.own_class,
        overwrite=options.overwrite,
    )
    sys.stdout.write(f"wrote {options.out}; viscy-train show {options.out} says what it is\n")


def add_show(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = "Print the card of a model: what it was trained on, and what came of it."
    parser.add_argument("model", type=Path, help="model.viscy")
    parser.add_argument("--json", action="store_true", help="all of it, as JSON")
    parser.set_defaults(run=_show)


def _show(options: argparse.Namespace) -> None:
    from viscy_data import shown
    from viscy_train.models.card_text import card_lines
    from viscy_train.packed.card import parse_card
    from viscy_train.packed.file import read_card

    card = parse_card(read_card(options.model), f"model={str(options.model)!r}")
    if options.json:
        sys.stdout.write(json.dumps(card.model_dump(mode="json"), indent=1) + "\n")
        return
    for name, text in card_lines(card):
        sys.stdout.write(shown(f"{name + ':' if name else '':18} {text}", _LONGEST) + "\n")


def add_export(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Write a model as ONNX: patches as stored and the centre and spread of their channels in,\n"
        "embeddings out. It needs the extra onnx: pip install 'viscy-train[onnx]'."
    )
    parser.add_argument("model", type=Path, help="model.viscy, or a checkpoint")
    parser.add_argument("-o", "--out", type=Path, required=True, help="model.onnx")
    parser.add_argument("--own-class", metavar="PATH", help=OWN_CLASS)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing model")
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> None:
    from viscy_train.models.export import export

    export(options.model, options.out, own_class=options.own_class, overwrite=options.overwrite)
    sys.stdout.write(f"wrote {options.out}\n")
