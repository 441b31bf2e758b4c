"""From runs to findings: intervals over seeds, and a verdict by a rule that was fixed before the first run.

One data seed is one laboratory: its trainings vary by chance alone, so they are averaged, and the seed is
the unit. Arms are compared seed by seed. An interval is Student's t over the seeds' differences: with five
seeds it is wide, and it should be.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy import stats
from sklearn.decomposition import PCA

from study.arms import TITLES
from study.data import Cells, cells_of
from study.measures import ceiling_of, measure, measure_real
from viscy_data import whole_file

_LEVEL: Final = 0.95
_LEAST_FALL: Final = 0.3
"""By which share of its value the microscope's share has to fall."""

FEWEST_SEEDS: Final = 3
"""Fewer say nothing: an interval over two is what two numbers happen to be."""

STAR: Final = "★"
"""Behind a difference that is more than chance. An asterisk would set Markdown in italics."""

type Record = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """One arm less another, over seeds: mean, interval and the t test's p; NaN bounds and 1 for one seed."""

    value: float
    low: float
    high: float
    seeds: int
    trainings: int
    p: float = 1.0

    @property
    def seen(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Finding:
    """One condition of the claim: what must hold, what was found, whether it does (None: too few seeds),
    and on how many seeds and trainings that rests.
    """

    asked: str
    found: str
    holds: bool | None
    runs: str = ""


def records_of(folder: Path) -> Iterator[Record]:
    """Measure every run under a folder, and raw pixels; what is measured already is read."""
    for seed_folder in sorted(folder.glob("seed_*")):
        if not (seed_folder / "made.json").exists():
            continue
        cells, twins = cells_of(seed_folder, "data"), cells_of(seed_folder, "twins")
        seed = int(seed_folder.name.split("_")[1])
        yield _kept(seed_folder / "raw.json", lambda seed=seed, both=(cells, twins): _raw(seed, *both))
        for path in sorted((seed_folder / "runs").glob("*.npz")):
            yield _kept(
                path.with_suffix(".json"), lambda path=path, both=(cells, twins): _of_run(path, *both)
            )


def real_records_of(folder: Path) -> Iterator[Record]:
    """Measure every run on real crops, and raw pixels."""
    for set_folder in sorted(folder.glob("real_*")):
        cells, twins = cells_of(set_folder, "data"), cells_of(set_folder, "twins")
        name = set_folder.name.split("_", 1)[1]
        for path in sorted((set_folder / "runs").glob("*.npz")):
            with np.load(path) as run:
                about = {key: run[key].item() for key in ("arm", "number", "steps", "seconds")}
                figures = measure_real(run["data"], cells.obs, run["twins"], twins.obs)
            yield about | {"set": name, "figures": figures}


def _kept(path: Path, make: Any) -> Record:
    if not path.exists():
        measured = json.dumps(make())
        with whole_file(path) as beside:
            Path(beside).write_text(measured)
    record: Record = json.loads(path.read_text())
    return record


def _of_run(path: Path, cells: Cells, twins: Cells) -> Record:
    with np.load(path) as run:
        held_out = str(run["held_out"])
        record = {name: run[name].item() for name in ("arm", "number", "seed", "steps", "seconds")}
        figures = measure(run["data"], cells.obs, run["twins"], twins.obs, held_out)
    return record | {"held_out": held_out, "figures": figures}


def _raw(seed: int, cells: Cells, twins: Cells) -> Record:
    """Measure as many principal components of the pixels as embeddings have features."""
    pixels = [np.asarray(one.crops, np.float32).reshape(len(one.obs), -1) for one in (cells, twins)]
    components = PCA(128, svd_solver="randomized", random_state=0).fit(pixels[0])
    seen = [components.transform(one) for one in pixels]
    figures = measure(seen[0], cells.obs, seen[1], twins.obs)
    ceiling = ceiling_of(cells.obs)
    return {"arm": "raw", "number": 0, "seed": seed, "steps": 0, "figures": figures, "ceiling": ceiling}


def by_seed(records: list[Record], arm: str, figure: str) -> dict[int, list[float]]:
    """Return the figure of each training of an arm, by seed."""
    found: dict[int, list[float]] = {}
    for record in records:
        if record["arm"] == arm:
            found.setdefault(record["seed"], []).append(float(record["figures"][figure]))
    return found


def mean_of(records: list[Record], arm: str, figure: str) -> float:
    """Return the mean over seeds of the mean over trainings."""
    found = by_seed(records, arm, figure)
    return float(np.mean([np.mean(values) for values in found.values()])) if found else float("nan")


def compare(
    records: list[Record], arm: str, other: str, figure: str, other_figure: str | None = None
) -> Difference | None:
    """Return arm less other, paired by seed; None where no seed has both."""
    ours, theirs = by_seed(records, arm, figure), by_seed(records, other, other_figure or figure)
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    differences = [float(np.mean(ours[seed]) - np.mean(theirs[seed])) for seed in seeds]
    trainings = _fewest(ours, theirs, seeds)
    return Difference(*interval(differences), len(seeds), trainings, _chance(differences))


def _fewest(ours: dict[int, list[float]], theirs: dict[int, list[float]], seeds: list[int]) -> int:
    """Return how many trainings of each arm there are on each seed, at least."""
    return min(len(found[seed]) for found in (ours, theirs) for seed in seeds)


def interval(values: list[float]) -> tuple[float, float, float]:
    """Return mean, low and high by Student's t.

    Examples
    --------
    >>> [round(one, 2) for one in interval([1.0, 2.0, 3.0])]
    [2.0, -0.48, 4.48]
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf((1 + _LEVEL) / 2, len(values) - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def _chance(values: list[float]) -> float:
    """Return how probable a mean as far from 0 is by chance, by Student's t; 1 where it cannot be told."""
    if len(values) < 2:
        return 1.0
    mean, spread = float(np.mean(values)), float(stats.sem(values))
    if not spread:
        return float(mean == 0)
    return float(2 * stats.t.sf(abs(mean) / spread, len(values) - 1))


def judge(records: list[Record]) -> list[Finding]:
    """Return what the claim asks, and what was found: the rule, fixed before the first run.

    The claim: batches of one experiment with conditions balanced give an embedding that tells the cells'
    state better than batches drawn at random, also than those corrected afterwards or augmented strongly,
    that knows less of the microscope, and all of it for an experiment that the encoder has never seen, too.
    """
    above = "lower bound above 0"
    return [
        _above(records, "both", "random", f"composed - random, AUC of state: {above}"),
        _above(
            records, "both", "random", f"composed - random corrected by controls: {above}", "corrected/state"
        ),
        _above(records, "both", "random_strong", f"composed - random with strong augmentation: {above}"),
        _falls(records),
        _above(
            records, "both_held_out", "random_held_out", f"composed - random, experiment never seen: {above}"
        ),
    ]


def _above(records: list[Record], arm: str, other: str, asked: str, other_figure: str = "state") -> Finding:
    found = compare(records, arm, other, "state", other_figure)
    if found is None or found.seeds < FEWEST_SEEDS:
        return Finding(asked, "not measured", None)
    return Finding(asked, shown(found), found.low > 0, counted(found))


def _falls(records: list[Record]) -> Finding:
    asked = f"microscope's share of the variance, composed: lower by at least {_LEAST_FALL:.0%} on average"
    ours, theirs = by_seed(records, "both", "microscope"), by_seed(records, "random", "microscope")
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < FEWEST_SEEDS:
        return Finding(asked, "not measured", None)
    falls = [1 - float(np.mean(ours[seed]) / np.mean(theirs[seed])) for seed in seeds]
    mean, low, high = interval(falls)
    runs = f"{len(seeds)} x {_fewest(ours, theirs, seeds)}"
    return Finding(asked, f"{mean:.0%} [{low:.0%}, {high:.0%}]", mean >= _LEAST_FALL, runs)


def shown(found: Difference, discovered: float = 0.0) -> str:
    """Return a difference and its interval, with a star where its p is at most ``discovered``.

    Examples
    --------
    >>> shown(Difference(0.01, -0.006, 0.026, seeds=5, trainings=3))
    '+0.010 [-0.006, +0.026]'
    >>> shown(Difference(0.01, 0.006, 0.014, seeds=5, trainings=3, p=0.001), discovered=0.002)
    '+0.010★ [+0.006, +0.014]'
    """
    value, low, high = (_signed(one) for one in (found.value, found.low, found.high))
    return f"{value}{STAR if found.p <= discovered else ''} [{low}, {high}]"


def _signed(value: float) -> str:
    """Return three digits, or four where three would not say on which side of 0 it lies."""
    return f"{value:+.4f}" if abs(value) < 0.0005 else f"{value:+.3f}"


def counted(found: Difference) -> str:
    """Return what a difference rests on: seeds of data, and trainings of each arm on each, at least."""
    return f"{found.seeds} x {found.trainings}"


def summary(figures: Mapping[str, list[Record]]) -> Mapping[str, Any]:
    """Return what is committed: every run's figures, the verdict and the ceilings."""
    runs = figures["runs"]
    ceilings = [record["ceiling"] for record in runs if record["arm"] == "raw"]
    return {
        "verdict": [asdict(one) for one in judge(runs)],
        "ceiling": float(np.mean(ceilings)) if ceilings else None,
        **{part: figures[part] for part in ("real", "curve", "where")},
        "runs": sorted(runs, key=lambda one: (list(TITLES).index(one["arm"]), one["seed"], one["number"])),
    }


def write_figures(path: Path, content: Mapping[str, Any]) -> None:
    """Write a run to a line, with five digits: more say nothing, and changes are read in lines."""
    rounded = json.loads(json.dumps(content), parse_float=lambda text: round(float(text), 5))
    parts = []
    for name, value in rounded.items():
        rows = ",\n  ".join(map(json.dumps, value)) if isinstance(value, list) else ""
        parts.append(f" {json.dumps(name)}: " + (f"[\n  {rows}\n ]" if rows else json.dumps(value)))
    with whole_file(path) as beside:
        Path(beside).write_text("{\n" + ",\n".join(parts) + "\n}\n")
