"""Where composing helps: other strengths of the microscopes' effect, other shares of infected wells.

Each setting changes one thing of the usual data, with the same seeds: the cell lines, and the microscopes as
far as they are left, are those of the usual data. What is compared is what anybody does against both axes.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from study.findings import Record, compare, counted, mean_of, records_of, shown

USUAL: Final = "usual"
SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    USUAL: {},
    "half_microscopes": {"microscope_effect": 0.5},
    "one_microscope": {"microscope_effect": 0.0},
    "few_infected": {"infected": 1 / 8},
    "half_infected": {"infected": 1 / 2},
}
"""What differs from the usual data: arguments of `viscy_data.synthesize`."""

TITLES: Final = {
    USUAL: "as above",
    "half_microscopes": "microscopes half as far apart",
    "one_microscope": "one microscope for all",
    "few_infected": "an eighth of the wells infected",
    "half_infected": "half of the wells infected",
}
WHERE_ARMS: Final = ("random", "both")

_FIGURES: Final = {
    "state": "state, AUC",
    "phenotype": "phenotype, r",
    "microscope": "microscope's share",
    "leakage": "experiment read",
    "leakage_near": "by neighbours",
}


def folder_of(folder: Path, setting: str, seed: int) -> Path:
    """Return where data and runs of a seed lie."""
    return (folder if setting == USUAL else folder / "where" / setting) / f"seed_{seed}"


def where_records_of(folder: Path) -> Iterator[Record]:
    """Measure every run of the settings but the usual one."""
    for setting in SETTINGS:
        for record in records_of(folder / "where" / setting):
            yield record | {"setting": setting}


def section(usual: list[Record], where: list[Record]) -> list[str]:
    """Return the section of the page; nothing where no other setting was tried."""
    rows = [
        "| data | | " + " | ".join(_FIGURES.values()) + " | seeds x trainings |",
        "|---" * (len(_FIGURES) + 3) + "|",
    ]
    tried = list(dict.fromkeys(one["setting"] for one in where))
    for setting in [USUAL, *tried]:
        records = usual if setting == USUAL else [one for one in where if one["setting"] == setting]
        found = {name: compare(records, "both", "random", name) for name in _FIGURES}
        known = [one for one in found.values() if one is not None]
        if not known:
            continue
        levels = " | ".join(f"{mean_of(records, 'random', name):.3f}" for name in _FIGURES)
        rows.append(f"| {TITLES[setting]} | random batches | {levels} | |")
        differences = " | ".join(map(shown, known))
        rows.append(f"| | both - random | {differences} | {counted(known[0])} |")
    return ["## Where", _WHERE, "\n".join(rows)] if tried else []


_WHERE: Final = (
    "The same cell lines under microscopes that differ less, and plates of which another share is infected. "
    "What composing is worth can be looked up at what comes nearest to one's own plates."
)
