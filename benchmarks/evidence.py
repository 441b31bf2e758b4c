"""What composing batches is worth: train every arm on fresh data, measure, and write docs/evidence.md.

    uv run python benchmarks/evidence.py train --folder evidence         # hours; go on with the same command
    uv run python benchmarks/evidence.py measure --folder evidence       # minutes; figures beside this file
    uv run python benchmarks/evidence.py page                            # the page from the figures
    uv run python benchmarks/evidence.py noise --folder evidence         # how much trainings differ

A *run* is one training of one arm on the data of one seed: a file. ``train`` makes the runs that are
missing, most telling first, and can be stopped at any time; several of them may work on different
``--seeds``. Runs whose figures are committed are not made again, and ``measure`` adds to them: to make all of
it yourself, give both ``--afresh``. ``noise`` needs the runs' files. The verdict's rule
(``study/findings.py``) was fixed before the first run.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from study import known
from study.arms import ARMS, REAL_ARMS, SEEDS, STEPS, SYNTHETIC_ARMS, TRAININGS
from study.data import make
from study.findings import Record, real_records_of, records_of, summary, write_figures
from study.noise import noise_of
from study.page import write as write_page
from study.real import SETS, make_real
from study.training import train
from study.where import SETTINGS, USUAL, WHERE_ARMS, folder_of, where_records_of

from viscy_data import whole_file
from viscy_train.demo.verdict import CONDITION, LEAKAGE

FIGURES = Path(__file__).parent / "evidence.json"
DOCS = Path(__file__).parents[1] / "docs"
CAMERA_SEED = 21


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="make the runs that are missing")
    training.add_argument("--folder", type=Path, required=True, help="for data and runs: some gigabytes")
    training.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="of the data; all fresh")
    training.add_argument("--trainings", type=int, default=TRAININGS, help="per arm and seed")
    training.add_argument("--arms", nargs="+", choices=ARMS, help="all; of other settings: random, both")
    training.add_argument("--steps", type=int, nargs="+", default=[STEPS], help="several: a curve")
    training.add_argument("--threads", type=int, default=1)
    training.add_argument(
        "--settings", nargs="+", choices=SETTINGS, default=[USUAL], help="of the data; others: random, both"
    )
    training.add_argument("--movies", type=Path, help="folder of real movies: train on their crops instead")
    measuring = commands.add_parser("measure", help="measure what there is, and write the figures")
    measuring.add_argument("--folder", type=Path, required=True, help="of the runs that train made")
    measuring.add_argument("--curve", type=Path, help="folder of the runs that the steps were chosen by")
    for command, what in ((training, "make known runs again"), (measuring, "leave known runs out")):
        command.add_argument("--afresh", action="store_true", help=f"{what}: begin anew")
    commands.add_parser("page", help="write the page and its picture from the figures")
    noisy = commands.add_parser("noise", help="print how much trainings of one setting on one seed differ")
    noisy.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    if options.command == "train" and options.movies:
        if options.arms or options.settings != [USUAL]:
            parser.error("--movies has arms of its own, and no settings: leave out --arms and --settings")
        make_real_runs(options)
    elif options.command == "train":
        make_runs(options)
    elif options.command == "measure":
        measure_runs(options)
    elif options.command == "noise":
        for found in noise_of(options.folder, (CONDITION, LEAKAGE)):
            print(
                f"{found.metric}: standard deviation {found.deviation:.4f}, at most {found.limit:.4f} "
                f"(95 %, {found.freedom} degrees of freedom)"
            )
    else:
        write_page(json.loads(FIGURES.read_text()), DOCS / "evidence.md", DOCS / "images" / "evidence.svg")


def known_runs(options: argparse.Namespace) -> known.Figures:
    """Return the committed figures; none of them where all is asked for anew."""
    return known.nothing() if options.afresh else known.read(FIGURES)


def measure_runs(options: argparse.Namespace) -> None:
    """Measure what is not known yet, and write all figures."""
    for folder in filter(None, (options.folder, options.curve)):
        if not folder.is_dir():
            raise SystemExit(
                f"there is no folder {folder}: give the one that train made, or run train first."
            )
    before = known_runs(options)
    measured = {
        "runs": list(records_of(options.folder)),
        "where": list(where_records_of(options.folder)),
        "curve": list(records_of(options.curve)) if options.curve else [],
        "real": list(real_records_of(options.folder)),
    }
    figures = known.joined(measured, before)
    write_figures(FIGURES, summary(figures))
    count, total = len(known.names_in(measured)), len(known.names_in(figures))
    print(f"{count} runs measured, raw pixels counted; {total} now in {FIGURES}")


def make_runs(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    made = known.names_in(known_runs(options))
    asked = list(runs_of(options))
    runs = [one for one in asked if known.name_of(record_of(*one)) not in made]
    say_known(len(asked) - len(runs), len(asked))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("", total=len(runs))
        for setting, seed, arm, number, steps in runs:
            progress.update(task, description=f"{setting}, seed {seed}, {arm}, training {number}")
            folder = folder_of(options.folder, setting, seed)
            make(folder, seed, SETTINGS[setting])
            run(folder, arm, number, seed, steps)
            progress.advance(task)


def make_real_runs(options: argparse.Namespace) -> None:
    """Train on crops of real movies under imposed cameras: arms that need no conditions."""
    torch.set_num_threads(options.threads)
    made = known.names_in(known_runs(options))
    asked = list(product(range(options.trainings), SETS, REAL_ARMS))
    runs = [
        one
        for one in asked
        if known.name_of(dict(zip(("number", "set", "arm"), one, strict=True)) | {"steps": options.steps[0]})
        not in made
    ]
    say_known(len(asked) - len(runs), len(asked))
    for number, name, arm in runs:
        folder = options.folder / f"real_{name}"
        make_real(folder, name, options.movies, CAMERA_SEED)
        run(folder, arm, number, CAMERA_SEED, options.steps[0])


def say_known(count: int, asked: int) -> None:
    if count:
        print(f"{count} of {asked} runs are known from {FIGURES}; --afresh makes them again")


def run(folder: Path, arm: str, number: int, seed: int, steps: int) -> None:
    """Make one run where it is missing."""
    path = folder / "runs" / f"{arm}_{steps}_{number}.npz"
    if path.exists():
        return
    path.parent.mkdir(exist_ok=True)
    found = train(folder, arm, number, seed, steps)
    with whole_file(path) as beside, Path(beside).open("wb") as file:
        np.savez_compressed(file, **found)


def record_of(setting: str, seed: int, arm: str, number: int, steps: int) -> Record:
    """Return what names a run in its record."""
    about = {"seed": seed, "arm": arm, "number": number, "steps": steps}
    return about if setting == USUAL else about | {"setting": setting}


def runs_of(options: argparse.Namespace) -> Iterator[tuple[str, int, str, int, int]]:
    """Go through all settings, arms and seeds once before anything is trained again."""
    for number in range(options.trainings):
        for setting in options.settings:
            for arm in options.arms or (SYNTHETIC_ARMS if setting == USUAL else WHERE_ARMS):
                for seed in options.seeds:
                    for steps in options.steps:
                        yield setting, seed, arm, number, steps


if __name__ == "__main__":
    main()
