"""The command ``viscy-train embed``."""

import argparse
import sys
from pathlib import Path

from viscy_train.cli.model import OWN_CLASS
from viscy_train.cli.options import warnings_as_sentences, whole


def add_embed(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Embed every cell of an anchors table. Channels are taken by name; patches are cut, resampled and\n"
        "normalised as in training; a table that does not fit the model is refused, with what to do.\n"
        "The result is AnnData in Zarr: X the embedding, obsm['X_projection'] the projection, obs the\n"
        "columns of the table. Memory does not grow with the number of cells."
    )
    parser.add_argument("model", type=Path, help="what fit or pack wrote: model.viscy, or a checkpoint")
    parser.add_argument("anchors", type=Path, help="what viscy-data index wrote; not only cells trained on")
    parser.add_argument("-o", "--out", type=Path, required=True, help="embeddings.zarr")
    parser.add_argument(
        "--channels",
        nargs="+",
        action="extend",
        type=_pair,
        default=[],
        metavar="MODEL=TABLE",
        help="the table's channel for one of the model's, where names differ: RFP=mCherry",
    )
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="NAME",
        help="what need not be as in training: pixel_size, slice_um, z, border; may be repeated",
    )
    parser.add_argument("--own-class", metavar="PATH", help=OWN_CLASS)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (auto)")
    parser.add_argument("--batch-size", type=whole, default=256, metavar="B", help="cells at a time (256)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument(
        "--on-error",
        choices=("raise", "skip"),
        default="raise",
        help="a cell that cannot be read, or has no finite embedding: an error, or a row of NaN (raise)",
    )
    for name, what in (
        ("missing-chunks", "a chunk that a store lacks"),
        ("non-finite", "NaN and inf in pixels"),
    ):
        parser.add_argument(f"--{name}", choices=("error", "fill"), help=f"{what} (as the table was indexed)")
    parser.add_argument("--memory-mb", type=whole, metavar="MB", help="what reading may take (no limit)")
    parser.add_argument("--cache-mb", type=whole, metavar="MB", help="decoded chunks to keep (0)")
    parser.set_defaults(run=_embed)


def _pair(text: str) -> tuple[str, str]:
    """Read a model's and a table's name of a channel."""
    ours, equals, theirs = text.partition("=")
    if not (ours and equals and theirs):
        raise argparse.ArgumentTypeError(f"{text!r} is not MODEL=TABLE, such as RFP=mCherry")
    return ours, theirs


def _channels(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Return the table's names by the model's."""
    from viscy_data import InvalidInputError

    found = dict(pairs)
    for ours, theirs in pairs:
        if found[ours] != theirs:
            raise InvalidInputError(
                f"--channels {ours}={theirs} and {ours}={found[ours]}: one channel of the table is needed "
                "for each of the model's; give one of them."
            )
    return found


def _embed(options: argparse.Namespace) -> None:
    from viscy_data import Reading
    from viscy_train.models.embedding import embed_table

    reading = Reading(
        on_error=options.on_error,
        missing_chunks=options.missing_chunks,
        non_finite=options.non_finite,
        memory_bytes=None if options.memory_mb is None else options.memory_mb << 20,
        cache_bytes=None if options.cache_mb is None else options.cache_mb << 20,
    )
    with warnings_as_sentences():
        embed_table(
            options.model,
            options.anchors,
            options.out,
            channels=_channels(options.channels),
            accept=options.accept,
            own_class=options.own_class,
            device=options.device,
            batch_size=options.batch_size,
            overwrite=options.overwrite,
            reading=reading,
        )
    sys.stdout.write(f"wrote {options.out}\n")
