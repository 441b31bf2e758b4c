"""The command line: ``viscy-train demo | fit | embed | evaluate``.

Only what a command needs is imported, inside the command: ``--help`` answers at once.
"""

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_ABOUT = "Train and evaluate embeddings of single cells on batches that are composed, not drawn at random."
_WAY = """\
the way from movies to an embedding:
  viscy-data convert MOVIES... -o data          OME-Zarr, tracks and experiments.yaml
  viscy-data index data/experiments.yaml -o anchors.parquet
  viscy-train fit --config small --data.anchors anchors.parquet
  viscy-train embed runs/small/version_0/checkpoints/last.ckpt anchors.parquet -o embeddings.zarr
  viscy-train evaluate embeddings.zarr -o metrics.json
or all of it at once, on synthetic data or your own:
  viscy-train demo
  viscy-train demo --data experiments.yaml
"""
_FIT = """\
configurations that come with the package go by their name:
  viscy-train fit --config small --data.anchors anchors.parquet     CPU, minutes
  viscy-train fit --config fit --data.anchors anchors.parquet       GPUs, ConvNeXt
then change what you like, in a file of your own or on the command line:
  ... --data.batches.batch_size 256 --model.loss.temperature 0.1 --trainer.max_steps 5000
  viscy-train fit --config small --data.anchors anchors.parquet --print_config > mine.yaml
all arguments: viscy-train fit --help
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0, or 1 with the reason on stderr.

    Parameters
    ----------
    arguments : sequence of str, optional
        None takes those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["fit"] and given[1:]:
        return _fit(given[1:])
    options = _parser().parse_args(given)
    return _reported(options.run, options)


def _reported(command: Any, options: Any) -> int:
    """Run a command; an error that says what to do needs no traceback."""
    from viscy_data.cli.plain_errors import run_plainly

    return run_plainly(lambda: command(options), failed=1, say=_say)


def _say(said: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"error: {said}\n")


def _fit(arguments: Sequence[str]) -> int:
    """Fit; a run ends in more ways than other commands, see `viscy_train.fit.endings`."""
    try:
        from viscy_train import fit
    except KeyboardInterrupt:
        return 130
    return fit.exit_code(lambda: fit.run_fit(arguments))


def _demo(options: argparse.Namespace) -> None:
    from viscy_train.demo import run_demo
    from viscy_train.fit import quiet_lightning

    quiet_lightning()
    run_demo(
        data=options.data,
        movies=options.movies,
        out=options.out,
        minutes=options.minutes,
        seed=options.seed,
        smallest=options.smallest,
        missing_chunks=options.missing_chunks,
        non_finite=options.non_finite,
    )


def _embed(options: argparse.Namespace) -> None:
    from viscy_data import Reading
    from viscy_train.models.checkpoint import embed_checkpoint

    reading = Reading(
        on_error=options.on_error,
        missing_chunks=options.missing_chunks,
        non_finite=options.non_finite,
        memory_bytes=None if options.memory_mb is None else options.memory_mb << 20,
        cache_bytes=None if options.cache_mb is None else options.cache_mb << 20,
    )
    with _warnings_as_sentences():
        embed_checkpoint(
            options.checkpoint,
            options.anchors,
            options.out,
            device=options.device,
            batch_size=options.batch_size,
            overwrite=options.overwrite,
            reading=reading,
        )
    sys.stdout.write(f"wrote {options.out}\n")


@contextmanager
def _warnings_as_sentences() -> Iterator[None]:
    """Write warnings to stderr without the line of code that they come from."""
    shown = warnings.showwarning
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)  # noqa: T201
    try:
        yield
    finally:
        warnings.showwarning = shown


def _evaluate(options: argparse.Namespace) -> None:
    from viscy_data import check_output, shown
    from viscy_train.evaluation import evaluate

    if options.out is not None:
        check_output(options.out, inputs=[options.embeddings])
    with _warnings_as_sentences():
        evaluation = evaluate(options.embeddings, max_cells=options.max_cells)
    _show(evaluation)
    if options.out is not None:
        evaluation.write(options.out)
        sys.stdout.write(f"wrote {shown(options.out, 4096)}\n")


def _show(evaluation: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from viscy_data import verbatim

    cells = f"{evaluation.cells:,} of {evaluation.of_cells:,} cells"
    table = Table("metric", "value", "95 % interval", "shuffled", "n", "better", title=cells)
    for outcome in evaluation.outcomes:
        found = outcome.to_dict()
        if not found["available"]:
            table.add_row(outcome.definition.title, verbatim(found["reason"], "dim"))
            continue
        numbers = (f"{found['value']:.3f}", f"{found['low']:.3f} to {found['high']:.3f}")
        table.add_row(
            outcome.definition.title,
            *numbers,
            f"{found['shuffled']:.3f}",
            f"{found['n']:,}",
            outcome.definition.better,
        )
    Console().print(table)


def _parser() -> argparse.ArgumentParser:
    parser = _described(argparse.ArgumentParser, prog="viscy-train", description=_ABOUT, epilog=_WAY)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_demo(_described(commands.add_parser, "demo", help="the whole path, with a report, in minutes"))
    fit = _described(commands.add_parser, "fit", help="train an encoder", epilog=_FIT)
    fit.usage = "viscy-train fit --config CONFIG [arguments]"
    fit.set_defaults(run=lambda _: fit.print_help())
    _add_embed(_described(commands.add_parser, "embed", help="embed all cells with a trained encoder"))
    _add_evaluate(_described(commands.add_parser, "evaluate", help="measure an embedding"))
    return parser


def _described(make: Any, *names: str, **texts: str) -> argparse.ArgumentParser:
    texts.setdefault("description", texts.get("help", ""))
    if make is argparse.ArgumentParser:
        texts.pop("help", None)
    parser: argparse.ArgumentParser = make(
        *names, formatter_class=argparse.RawDescriptionHelpFormatter, **texts
    )
    return parser


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Synthesise or take experiments, compose batches, train a small encoder on them and on random\n"
        "batches, evaluate both and raw pixels, and write report.html."
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--data", type=Path, metavar="YAML", help="an experiments file of your own")
    source.add_argument(
        "--movies",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="folders of movies: frames/*.tif with tracks.csv, or Cell Tracking Challenge",
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="where results go (demo)")
    parser.add_argument(
        "--minutes", type=_positive, default=4.0, help="time for all of it on two cores (4)", metavar="M"
    )
    parser.add_argument("--seed", type=int, default=0, help="of data, batches and weights (0)")
    kinds = ["error", "fill"]
    parser.add_argument(
        "--missing-chunks", choices=kinds, default="error", help="chunks that a store lacks (error)"
    )
    parser.add_argument(
        "--non-finite", choices=kinds, default="error", help="pixels that are NaN or infinite (error)"
    )
    parser.add_argument(
        "--smallest", "--quick", action="store_true", help="to see that it runs: too little to judge by"
    )
    parser.set_defaults(run=_demo)


def _add_embed(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Embed every cell of an anchors table. Patches are cut and normalised as they were in training.\n"
        "The result is AnnData in Zarr: X the embedding, obsm['X_projection'] the projection, obs the\n"
        "columns of the table. Memory does not grow with the number of cells."
    )
    parser.add_argument("checkpoint", type=Path, help="what fit wrote: .../checkpoints/last.ckpt")
    parser.add_argument("anchors", type=Path, help="what viscy-data index wrote; not only cells trained on")
    parser.add_argument("-o", "--out", type=Path, required=True, help="embeddings.zarr")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (auto)")
    parser.add_argument("--batch-size", type=_whole, default=256, metavar="B", help="cells at a time (256)")
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
        parser.add_argument(
            f"--{name}", choices=("error", "fill"), help=f"{what} (as trained, else as the table was indexed)"
        )
    parser.add_argument("--memory-mb", type=_whole, metavar="MB", help="what reading may take (no limit)")
    parser.add_argument("--cache-mb", type=_whole, metavar="MB", help="decoded chunks to keep (0)")
    parser.set_defaults(run=_embed)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Measure what an embedding knows of the condition, and how little of the experiment. Every number\n"
        "comes with its n, a bootstrap interval over lineages and what shuffled labels give."
    )
    parser.add_argument("embeddings", type=Path, help="what embed wrote")
    parser.add_argument("-o", "--out", type=Path, help="write all of it as JSON")
    parser.add_argument(
        "--max-cells",
        type=_whole,
        default=20_000,
        metavar="N",
        help="thin by whole lineages above this (20000)",
    )
    parser.set_defaults(run=_evaluate)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


if __name__ == "__main__":
    sys.exit(main())
