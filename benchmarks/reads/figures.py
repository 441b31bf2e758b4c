"""The figures of a run: one table with what the bars ask, and one plot."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from rich.console import Console
from rich.table import Table

from reads.measure import CACHED, FEW, FLOOR, HELD, NORMALISED, OURS, RANDOM, SOURCE, TENSORSTORE, ZARR

type Records = list[dict[str, Any]]
type Rates = dict[tuple[str, str], float]


def rates_of(found: Records, layout: str, figure: str = "patches_per_s") -> Rates:
    """Return a figure by contender and plan."""
    return {(one["contender"], one["plan"]): one[figure] for one in found if one["layout"] == layout}


def show(found: Records, console: Console) -> None:
    """Print patches/s, a column for each layout, and below them the ratios, of time and of processor time."""
    names = list(dict.fromkeys(one["layout"] for one in found))
    by_time = [rates_of(found, name) for name in names]
    by_processor = [rates_of(found, name, "patches_per_cpu_s") for name in names]
    table = Table("contender", "plan", *names, title="patches/s, best round; ratios (of processor time)")
    for contender, plan in by_time[0]:
        table.add_row(contender, plan, *(f"{rates[contender, plan]:.0f}" for rates in by_time))
    table.add_section()
    for title, one, other in RATIOS:
        ratios = [
            f"{time[one] / time[other]:.2f} ({processor[one] / processor[other]:.2f})"
            for time, processor in zip(by_time, by_processor, strict=True)
        ]
        table.add_row(title, "", *ratios)
    console.print(table)
    for one in found:
        if "difference" in one and one["plan"] == FEW:
            console.print(
                f"{one['layout']}, {one['contender']}: {one['bytes_per_patch']:,} bytes a patch; "
                f"values differ by {one['difference']:.1g} at most"
            )


RATIOS = (
    ("ours, source / normalised to float32, few frames", (SOURCE, FEW), (NORMALISED, FEW)),
    ("ours, source / normalised to float32, random", (SOURCE, RANDOM), (NORMALISED, RANDOM)),
    ("ours, few frames / zarr-python, random", (OURS, FEW), (ZARR, RANDOM)),
    ("ours, few frames / zarr-python, few frames", (OURS, FEW), (ZARR, FEW)),
    ("ours, few frames / TensorStore, random", (OURS, FEW), (TENSORSTORE, RANDOM)),
    ("ours, few frames / TensorStore, few frames", (OURS, FEW), (TENSORSTORE, FEW)),
    ("ours, random / TensorStore, random", (OURS, RANDOM), (TENSORSTORE, RANDOM)),
    ("ours, held / TensorStore, random", (CACHED, HELD), (TENSORSTORE, RANDOM)),
    ("ours, held / zarr-python, random", (CACHED, HELD), (ZARR, RANDOM)),
    ("ours, random / memory map, random", (OURS, RANDOM), (FLOOR, RANDOM)),
    ("ours, few frames / memory map, few frames", (OURS, FEW), (FLOOR, FEW)),
)


def draw(found: Records, out: Path) -> None:
    """Draw patches/s of every contender, a panel for each layout, beside ``out``."""
    names = list(dict.fromkeys(one["layout"] for one in found))
    figure, axes = plt.subplots(2, -(-len(names) // 2), figsize=(15, 9), sharey=True, layout="constrained")
    for axis, name in zip(axes.T.flat, names, strict=False):
        rates = rates_of(found, name)
        labels = [f"{contender}: {plan}" for contender, plan in rates]
        colours = ["tab:blue" if label.startswith(OURS) else "tab:gray" for label in labels]
        bars = axis.barh(labels, list(rates.values()), color=colours)
        axis.bar_label(bars, fmt="%.0f", padding=2, fontsize=8)
        axis.set(title=name, xscale="log", xlabel="patches/s")
        axis.margins(x=0.15)
    axes.flat[0].invert_yaxis()
    figure.savefig(out.with_suffix(".png"), dpi=120)
    plt.close(figure)
