"""Draw the pictures of the documentation from the real sampler: ``uv run docs/figures.py``.

Each picture sets batches drawn at random beside composed ones, on one table of three experiments of
different sizes in which one cell of four is infected. Seeds are fixed: the same code draws the same pictures.
"""

import argparse
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from viscy_data import IndexBatch
from viscy_data.audit.charts import batches_chart
from viscy_data.sampling.sampler import FlexibleBatchSampler

type IntArray = NDArray[np.int64]

IMAGES = Path(__file__).resolve().parent / "images"
SIZES = {"A": 2400, "B": 1200, "C": 600}
EXPERIMENTS = ListedColormap(["#3b6fb6", "#e0902f", "#4f9d69"])
INFECTED, REST = "#b8336a", "#8a8f98"
BATCH, SHOWN = 40, 30


def make_cells() -> pd.DataFrame:
    """Return the table of cells that all pictures use."""
    rng = np.random.default_rng(1)
    n = sum(SIZES.values())
    return pd.DataFrame(
        {
            "experiment": np.repeat(list(SIZES), list(SIZES.values())),
            "condition": np.where(rng.random(n) < 0.25, "infected", "uninfected"),
            "hours_post_infection": rng.integers(0, 49, n) / 2,
        }
    )


def composed(cells: pd.DataFrame, count: int, **axes: object) -> IntArray:
    """Return rows (count, BATCH) of the first batches; axes are off unless named."""
    off: dict[str, object] = {"experiment_aware": False, "condition_balanced": False}
    sampler = FlexibleBatchSampler(cells, BATCH, **(off | axes))  # type: ignore[arg-type] # any axis by its name
    return np.array(list(islice(sampler, count)))


def at_random(cells: pd.DataFrame, count: int) -> IntArray:
    """Return rows (count, BATCH) drawn with replacement, as weighted samplers draw them."""
    return np.random.default_rng(2).integers(0, len(cells), (count, BATCH))


def draw_group(cells: pd.DataFrame) -> Figure:
    """One colour a column: the batch is of one experiment."""
    return _side_by_side(
        cells,
        ("at random", at_random(cells, SHOWN)),
        ("experiment_aware=True", composed(cells, SHOWN, experiment_aware=True)),
        _fill_with_experiments,
    )


def draw_leak(cells: pd.DataFrame) -> Figure:
    """The same columns without and with strangers."""
    return _side_by_side(
        cells,
        ("leaky=0", composed(cells, SHOWN, experiment_aware=True)),
        ("leaky=0.2", composed(cells, SHOWN, experiment_aware=True, leaky=0.2)),
        _fill_with_experiments,
    )


def draw_balance(cells: pd.DataFrame) -> Figure:
    """How many cells of each batch are infected."""
    return _side_by_side(
        cells,
        ("at random", at_random(cells, SHOWN)),
        ("condition_balanced=True", composed(cells, SHOWN, experiment_aware=True, condition_balanced=True)),
        _bars_of_conditions,
    )


def draw_focus(cells: pd.DataFrame) -> Figure:
    """When the cells of each batch were seen."""
    focus = {"temporal_enrichment": True, "temporal_window_hours": 2.0, "temporal_global_fraction": 0.3}
    return _side_by_side(
        cells,
        ("at random", at_random(cells, SHOWN)),
        ("temporal_enrichment=True", composed(cells, SHOWN, experiment_aware=True, **focus)),
        _dots_of_hours,
    )


def draw_coverage(cells: pd.DataFrame) -> Figure:
    """How often cells are visited, and which rank builds which batch."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 2.6), layout="constrained")
    sampler = FlexibleBatchSampler(cells, BATCH, condition_balanced=False)
    epochs = [np.array(list(sampler)) for _ in range(3)]
    visits = np.bincount(np.concatenate(epochs).ravel(), minlength=len(cells))
    by_chance = np.bincount(at_random(cells, 3 * len(sampler)).ravel(), minlength=len(cells))
    places = np.arange(max(by_chance.max(), visits.max()) + 1)
    left.bar(
        places - 0.2, np.bincount(by_chance, minlength=len(places)), 0.4, color=REST, label="with replacement"
    )
    left.bar(places + 0.2, np.bincount(visits, minlength=len(places)), 0.4, color=INFECTED, label="composed")
    left.set(xlabel="visits after three epochs", ylabel="cells", xticks=places, title="coverage")
    left.legend(frameon=False)
    _grid_of_ranks(right, cells, ranks=4, shown=20)
    return figure


DRAWINGS: dict[str, Callable[[pd.DataFrame], Figure]] = {
    "group": draw_group,
    "balance": draw_balance,
    "focus": draw_focus,
    "leak": draw_leak,
    "coverage": draw_coverage,
}


def draw_audit(cells: pd.DataFrame) -> str:
    """Return the first picture of an audit's page, as SVG."""
    arguments = {"leaky": 0.15, "temporal_enrichment": True, "temporal_window_hours": 1.0}
    return batches_chart(FlexibleBatchSampler(cells, BATCH, **arguments).report(40))  # type: ignore[arg-type]


def _side_by_side(
    cells: pd.DataFrame,
    left: tuple[str, IntArray],
    right: tuple[str, IntArray],
    draw: Callable[[Axes, pd.DataFrame, IntArray], None],
) -> Figure:
    figure, panels = plt.subplots(1, 2, figsize=(8.4, 2.6), sharey=True, layout="constrained")
    for panel, (title, rows) in zip(panels, (left, right), strict=True):
        draw(panel, cells, rows)
        panel.set(title=title, xlabel="batch")
        panel.spines[["top", "right"]].set_visible(False)
    return figure


def _fill_with_experiments(panel: Axes, cells: pd.DataFrame, rows: IntArray) -> None:
    codes = pd.Categorical(cells["experiment"]).codes[rows]
    columns = np.stack([_commonest_first(column) for column in codes], axis=1)
    panel.imshow(columns, cmap=EXPERIMENTS, aspect="auto", vmin=0, vmax=len(SIZES) - 1, origin="lower")
    panel.set_ylabel("place in the batch")
    keys = [Patch(color=EXPERIMENTS(i), label=name) for i, name in enumerate(SIZES)]
    _legend(panel, keys)


def _commonest_first(codes: NDArray[np.int8]) -> NDArray[np.int8]:
    count = np.bincount(codes, minlength=len(SIZES))
    return codes[np.lexsort((codes, -count[codes]))]


def _legend(panel: Axes, keys: list[Patch]) -> None:
    panel.legend(handles=keys, ncols=len(keys), frameon=False, loc="lower right", bbox_to_anchor=(1, 0.98))


def _bars_of_conditions(panel: Axes, cells: pd.DataFrame, rows: IntArray) -> None:
    infected = (cells["condition"].to_numpy()[rows] == "infected").sum(axis=1)
    batches = np.arange(len(rows))
    panel.bar(batches, infected, 0.9, color=INFECTED)
    panel.bar(batches, rows.shape[1] - infected, 0.9, bottom=infected, color=REST)
    panel.set_ylabel("place in the batch")
    _legend(panel, [Patch(color=INFECTED, label="infected"), Patch(color=REST, label="uninfected")])


def _dots_of_hours(panel: Axes, cells: pd.DataFrame, rows: IntArray) -> None:
    hours = cells["hours_post_infection"].to_numpy()[rows]
    batches = np.arange(len(rows))[:, None] + np.linspace(-0.3, 0.3, rows.shape[1])
    panel.scatter(batches, hours, s=3, color=INFECTED, linewidths=0)
    panel.set_ylabel("hours post infection")


def _grid_of_ranks(panel: Axes, cells: pd.DataFrame, *, ranks: int, shown: int) -> None:
    built = np.full((ranks, shown), np.nan)
    for rank in range(ranks):
        own = FlexibleBatchSampler(cells, BATCH, condition_balanced=False, num_replicas=ranks, rank=rank)
        numbers = [batch.number for batch in own if isinstance(batch, IndexBatch) and batch.number < shown]
        built[rank, numbers] = rank
    panel.imshow(built, cmap="Set2", aspect="auto", vmin=0, vmax=7)
    panel.set(xlabel="batch", ylabel="rank", title="which rank builds which batch")
    panel.set(xticks=range(0, shown, ranks), yticks=range(ranks))


def main() -> None:
    """Draw every picture into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=IMAGES)
    out: Path = parser.parse_args().out
    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 8, "axes.titlesize": 8, "axes.titlelocation": "left"})
    out.mkdir(parents=True, exist_ok=True)
    cells = make_cells()
    for name, draw in DRAWINGS.items():
        figure = draw(cells)
        figure.savefig(out / f"{name}.png", dpi=130, metadata={"Software": None})
        plt.close(figure)
        print(out / f"{name}.png")
    (out / "audit.svg").write_text(draw_audit(cells), encoding="utf-8")
    print(out / "audit.svg")


if __name__ == "__main__":
    main()
