"""Where composing helps: microscopes that differ less, and other shares of infected wells.

Each setting changes one thing of the usual data, with the same seeds and the same cell lines. In the usual
data one to three wells in eight are infected, not as many on every plate; the settings of shares infect the
same number on every plate, so that they are compared with each other. The twins are seen through the
setting's microscopes, and as many of them are infected as usual. What is compared is what anybody does
against both axes.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from study.findings import FEWEST_SEEDS, Difference, Record, counted, mean_of, records_of, shown
from study.measures import HEADINGS
from study.questions import ELSEWHERE, differences

USUAL: Final = "usual"
SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    USUAL: {},
    "half_microscopes": {"microscope_effect": 0.5},
    "one_microscope": {"microscope_effect": 0.0},
    "few_infected": {"infected": 1 / 8},
    "quarter_infected": {"infected": 1 / 4},
    "half_infected": {"infected": 1 / 2},
}
"""What differs from the usual data: arguments of `viscy_data.synthesize`."""

TITLES: Final = {
    USUAL: "as above",
    "half_microscopes": "microscopes half as far from a middle one",
    "one_microscope": "one microscope for all",
    "few_infected": "an eighth of the wells infected",
    "quarter_infected": "a quarter of the wells infected",
    "half_infected": "half of the wells infected",
}
WHERE_ARMS: Final = ("random", "both")


def folder_of(folder: Path, setting: str, seed: int) -> Path:
    """Return where data and runs of a seed lie."""
    return (folder if setting == USUAL else folder / "where" / setting) / f"seed_{seed}"


def where_records_of(folder: Path) -> Iterator[Record]:
    """Measure every run of the settings but the usual one."""
    for setting in SETTINGS:
        for record in records_of(folder / "where" / setting):
            yield record | {"setting": setting}


def differences_elsewhere(where: list[Record]) -> list[Difference]:
    """Return all differences of other settings that the page shows."""
    return [one for runs in tried_of(where).values() for one in differences(runs, ELSEWHERE).values()]


def section(usual: list[Record], where: list[Record], discovered: float) -> list[str]:
    """Return the section of the page, of settings with both arms on enough seeds; nothing without any."""
    tried = tried_of(where)
    if not tried:
        return []
    seeds = {one["seed"] for records in tried.values() for one in records}
    same = paired([one for one in usual if one["seed"] in seeds])
    rows = [
        "| data | | " + " | ".join(HEADINGS.values()) + " | seeds x trainings |",
        "|---" * (len(HEADINGS) + 3) + "|",
    ]
    for setting, records in (({USUAL: same} if same else {}) | tried).items():
        levels = " | ".join(f"{mean_of(records, 'random', name):.3f}" for name in HEADINGS)
        rows.append(f"| {TITLES[setting]} | random batches | {levels} | |")
        found = differences(records, ELSEWHERE)
        for question in ELSEWHERE:
            of = {name: found[question, name] for name in HEADINGS if (question, name) in found}
            cells = " | ".join(shown(of[name], discovered) if name in of else "" for name in HEADINGS)
            rows.append(f"| | {question.compared} | {cells} | {counted(of['state'])} |")
    return ["## Where", _WHERE, "\n".join(rows)]


def tried_of(where: list[Record]) -> dict[str, list[Record]]:
    """Return the runs of each setting that has both arms on enough seeds."""
    by_setting = {setting: [one for one in where if one["setting"] == setting] for setting in SETTINGS}
    return {setting: found for setting, records in by_setting.items() if (found := paired(records))}


def paired(records: list[Record]) -> list[Record]:
    """Return the runs of both arms on the seeds that have both; none where those are too few."""
    seeds = set.intersection(*({one["seed"] for one in records if one["arm"] == arm} for arm in WHERE_ARMS))
    if len(seeds) < FEWEST_SEEDS:
        return []
    return [one for one in records if one["seed"] in seeds and one["arm"] in WHERE_ARMS]


_WHERE: Final = (
    "The same cell lines under microscopes that differ less, and plates of which another share is infected, "
    "the same on every plate. The phenotype is part of the variance that the microscope's share is a share "
    "of: read that column down the microscopes, not down the shares of wells."
)
