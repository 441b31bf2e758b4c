"""The picture of docs/evidence.md: a dot for each run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np

from study.arms import TITLES
from study.findings import Record, mean_of
from study.measures import LATE

mpl.use("Agg")
from matplotlib import pyplot as plt

_IN_PICTURE: Final = (
    "raw",
    "random",
    "random_strong",
    "one_experiment",
    "balance",
    "both",
    "both_strong",
    "both_ben",
)


def draw(figures: Mapping[str, Any], path: Path) -> None:
    """Draw each run: the state upwards, against what it knows of the microscope and of the experiment.

    Best is the upper left of both panels.
    """
    records = figures["runs"]
    with plt.rc_context({"svg.hashsalt": "evidence", "svg.fonttype": "none", "font.size": 9}):
        figure, panels = plt.subplots(1, 2, figsize=(9.0, 5.4), sharey=True, layout="constrained")
        for axes, (name, title, floor, known) in zip(panels, _ACROSS, strict=True):
            for number, arm in enumerate(_IN_PICTURE):
                _draw_arm(axes, records, arm, name, f"C{number}")
            axes.axvline(floor, color="0.6", linewidth=0.8, linestyle=":")
            axes.annotate(
                known, (floor, 0.02), (3, 0), ("data", "axes fraction"), "offset points", color="0.4"
            )
            for height, _ in _lines(records, figures["ceiling"]):
                axes.axhline(height, color="0.4", linewidth=0.8, linestyle="--")
            axes.set_xlabel(title)
            axes.set_xlim(left=min(floor, axes.get_xlim()[0]))
        for height, what in _lines(records, figures["ceiling"]):  # beside the dots
            place = ("axes fraction", "data")
            panels[-1].annotate(what, (1, height), (4, 0), place, "offset points", va="center", color="0.4")
        panels[0].set_ylabel(f"state told at {LATE:g} h and later, AUC")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            fontsize=8,
            ncols=4,
            loc="outside lower center",
            title="small: a run; large: mean; arrow: corrected by control cells",
        )
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


_ACROSS: Final = (
    ("microscope", "microscope's share of the variance", 0.0, "knows nothing of it"),
    ("leakage_near", "experiment read among nearest neighbours", 0.2, "guessing"),
)


def _lines(records: list[Record], ceiling: float | None) -> list[tuple[float, str]]:
    """Return what can be reached at best: by the truth, and by an encoder trained with the labels."""
    labels = mean_of(records, "labels", "state")
    lines = [] if ceiling is None else [(ceiling, "the true\nphenotype")]
    return lines + (
        [(labels, "trained with\nthe labels, never\nsaw the experiment")] if np.isfinite(labels) else []
    )


def _draw_arm(axes: Any, records: list[Record], arm: str, name: str, colour: str) -> None:
    runs = [one["figures"] for one in records if one["arm"] == arm]
    if not runs:
        return
    across, up = [one[name] for one in runs], [one["state"] for one in runs]
    axes.scatter(across, up, s=14, color=colour, alpha=0.45, linewidths=0)
    mean = mean_of(records, arm, name), mean_of(records, arm, "state")
    axes.scatter(*mean, s=70, color=colour, label=TITLES[arm], edgecolor="white", zorder=3)
    corrected = mean_of(records, arm, f"corrected/{name}"), mean_of(records, arm, "corrected/state")
    arrow = {"arrowstyle": "->", "color": colour, "alpha": 0.7}
    axes.annotate("", corrected, mean, arrowprops=arrow)
