"""The command ``viscy-train demo``."""

import argparse
from pathlib import Path

from viscy_train.cli.options import positive


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
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
        "--minutes", type=positive, default=4.5, help="time for all of it on two cores (4.5)", metavar="M"
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
