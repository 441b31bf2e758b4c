"""The page a reviewer reads: docs/evidence.md, and its picture, from the committed figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from study.arms import SYNTHETIC_ARMS, TITLES
from study.findings import Record, by_seed, compare, counted, mean_of, shown
from study.measures import HEADINGS, HOURS_BINS, LATE
from study.picture import draw
from study.short import ASKED, CORRECTED, QUESTIONS, beside, short, spread
from study.where import section

PLANNED: Final = len(SYNTHETIC_ARMS) * 5 * 3
"""Trainings: arms, seeds, trainings of one setting."""

_COLUMNS: Final = (
    ("state", HEADINGS["state"]),
    ("corrected/state", "corrected"),
    ("phenotype", HEADINGS["phenotype"]),
    ("microscope", HEADINGS["microscope"]),
    ("corrected/microscope", "corrected"),
    ("twin", "twin found"),
    ("leakage", HEADINGS["leakage"]),
    ("corrected/leakage", "corrected"),
    ("leakage_near", HEADINGS["leakage_near"]),
    ("corrected/leakage_near", "corrected"),
)


def write(figures: Mapping[str, Any], page: Path, picture: Path) -> None:
    """Write the page and the picture that it shows."""
    draw(figures, picture)
    page.write_text(text_of(figures, f"{picture.parent.name}/{picture.name}"))


def text_of(figures: Mapping[str, Any], picture: str) -> str:
    """Return the page in Markdown."""
    records = figures["runs"]
    parts = [
        "# Evidence: what composing batches is worth",
        "<!-- Made by benchmarks/evidence.py page from benchmarks/evidence.json: edit those. -->",
        short(records, figures["real"], figures["where"]),
        _design(records),
        "## The verdict",
        _CLAIM,
        _verdict(figures["verdict"]),
        f"![Each dot is one run: how much an embedding knows of the microscope, and of the cells]({picture})",
        "## Which axis, and compared with what",
        _differences(records),
        "## Each corrected by control cells",
        _corrected(records),
        "## All figures",
        _table(records, figures["ceiling"]),
        _notes(records),
        "## By hours after infection",
        _BY_HOURS,
        _hours(records),
        *section(records, figures["where"]),
        *_curve(figures["curve"]),
        *_real(figures["real"]),
        _WORDS,
    ]
    return "\n\n".join(parts) + "\n"


def _design(records: list[Record]) -> str:
    trained = [one for one in records if one["arm"] != "raw"]
    seeds = sorted({one["seed"] for one in trained})
    hours = sum(one["seconds"] for one in trained) / 3600
    steps = sorted({one["steps"] for one in trained})
    each = ", ".join(f"{step:,}" for step in steps)
    missing = "" if len(trained) >= PLANNED else " What has not been trained yet is in no table."
    return (
        "Five synthetic plates to a seed, each with a microscope and a cell line of its own; eight wells to "
        "a plate that differ, one to three of them infected, with 24 cells each at first, which divide; "
        f"{len(seeds)} seeds of data ({', '.join(map(str, seeds))}) that nothing was chosen on; "
        f"{len(trained)} trainings of {PLANNED} planned, {each} steps of 64 pairs each, {hours:.1f} hours of "
        f"one core.{missing} The rule of "
        "the verdict was fixed before the first of them. The unit is the data seed: trainings of one seed "
        "are averaged, arms are compared seed by seed, and behind a mean difference stands its interval in "
        "brackets, Student's t over seeds (95 %). *Seeds x trainings* gives the smaller number of trainings "
        "where two arms have not as many.\n\n"
        "Of twenty such intervals one excludes 0 by chance, and the tables hold some "
        f"{_count(records)}: a single small difference among many is weak evidence. And where nothing is "
        "shown, there may be a difference still, of any size that the interval holds."
    )


def _count(records: list[Record]) -> int:
    """Return how many intervals the two tables of differences hold."""
    plain = sum(compare(records, arm, other, "state") is not None for _, arm, other in QUESTIONS)
    corrected = sum(beside(records, ours, theirs, "state") is not None for _, ours, theirs in CORRECTED)
    return (plain + corrected) * len(ASKED)


def _verdict(findings: list[Mapping[str, Any]]) -> str:
    words = {True: "holds", False: "**does not hold**", None: "not known"}
    rows = ["| asked | found | | seeds x trainings |", "|---|---|---|---|"]
    rows += [
        f"| {one['asked']} | {one['found']} | {words[one['holds']]} | {one['runs']} |" for one in findings
    ]
    held = [one["holds"] for one in findings]
    if all(held):
        said = "**The claim holds** on these data, in all of its parts."
    elif False in held:
        said = "**The claim does not hold as a whole**; what holds and what does not:"
    else:
        said = "**Not all of it has been measured yet**; so far:"
    return said + "\n\n" + "\n".join(rows)


def _differences(records: list[Record]) -> str:
    names = ("state", "phenotype", "microscope", "leakage", "leakage_near")
    titles = [HEADINGS[name] for name in names]
    rows = ["| question | arms | " + " | ".join(titles) + " | seeds x trainings |"]
    rows.append("|---" * (3 + len(names)) + "|")
    for question, arm, other in QUESTIONS:
        found = [one for name in names if (one := compare(records, arm, other, name)) is not None]
        if found:
            cells = " | ".join(map(shown, found))
            rows.append(f"| {question} | {TITLES[arm]} - {TITLES[other]} | {cells} | {counted(found[0])} |")
    return "\n".join(rows)


def _corrected(records: list[Record]) -> str:
    """Compare arms one of which, or both, are corrected: names that begin with *corrected*."""
    titles = [HEADINGS[name] for name, *_ in ASKED]
    rows = ["| question | arms | " + " | ".join(titles) + " | seeds x trainings |"]
    rows.append("|---" * (3 + len(ASKED)) + "|")
    for question, ours, theirs in CORRECTED:
        found = [one for name, *_ in ASKED if (one := beside(records, ours, theirs, name)) is not None]
        if found:
            cells = " | ".join(map(shown, found))
            arms = " - ".join(
                TITLES[arm] + (", corrected" if corrected else "") for arm, corrected in (ours, theirs)
            )
            rows.append(f"| {question} | {arms} | {cells} | {counted(found[0])} |")
    return "\n".join(rows)


def _table(records: list[Record], ceiling: float | None) -> str:
    rows = [
        "| arm | runs | " + " | ".join(title for _, title in _COLUMNS) + " |",
        "|---|---|" + "---|" * len(_COLUMNS),
    ]
    for arm, title in TITLES.items():
        count = sum(len(values) for values in by_seed(records, arm, "state").values())
        if count:
            cells = " | ".join(f"{mean_of(records, arm, name):.3f}" for name, _ in _COLUMNS)
            rows.append(f"| {title} | {count} | {cells} |")
    said = (
        ""
        if ceiling is None
        else (
            f"\n\nBest possible: {ceiling:.3f} for the state, which is what the true phenotype of each cell "
            "tells of its condition; 0 for the microscope's share; 1 for twins. By chance: 0.5 for the "
            "state, 0.2 for the experiment."
        )
    )
    return "\n".join(rows) + said


_CLAIM: Final = (
    "The claim, written down before the first run: batches of one experiment with conditions balanced give "
    "an embedding that tells the cells' state better than batches drawn at random, also than those "
    "corrected afterwards or strongly augmented; that knows at least 30 % less of the microscope; and all "
    "of this for an experiment that the encoder has never seen. The report of `viscy-train demo` asks for "
    "less, as one run of minutes can show no more: that nearest neighbours give the experiment away less, "
    "and that the condition is told no worse."
)


def _notes(records: list[Record]) -> str:
    """Explain what surprises in the table, as far as it is so."""
    said = []
    if mean_of(records, "raw", "microscope") < mean_of(records, "random", "microscope"):
        said.append(
            "Raw pixels tell the microscope less than most encoders do: an encoder keeps whatever tells "
            "cells apart, and the microscope is among that."
        )
    if by_seed(records, "labels", "state"):
        said.append(
            "*Trained with the labels* never saw the experiment that is asked about: compare it with the "
            "arms that did not either. In all other arms the encoder saw all experiments, without labels."
        )
    if mean_of(records, "labels", "state") <= mean_of(records, "both", "state"):
        said.append(
            "It reads the state no better than most arms: there is little room left in which to differ."
        )
    said.append(
        "*Corrected* numbers may lie below guessing, for reasons that [What an embedding "
        "knows](guides/evaluation.md) gives."
    )
    return " ".join(said)


_BY_HOURS: Final = (
    "Whether a cell is infected, told from cells of the hours named, AUC; guessing is 0.5. In the first "
    "hours there is nothing to be told yet. No intervals: what the table shows is when that begins."
)


def _hours(records: list[Record]) -> str:
    names = [f"{low:g}" for low, _ in HOURS_BINS]
    rows = [
        "| arm | " + " | ".join(f"{low:g} to {high:g} h" for low, high in HOURS_BINS) + " |",
        "|---|" + "---|" * len(names),
    ]
    for arm, title in TITLES.items():
        found = [one["figures"]["state_by_hours"] for one in records if one["arm"] == arm]
        if found:
            means = [[one[name] for one in found if name in one] for name in names]
            rows.append(
                f"| {title} | "
                + " | ".join(f"{sum(values) / len(values):.2f}" if values else "" for values in means)
                + " |"
            )
    return "\n".join(rows)


def _curve(records: list[Record]) -> list[str]:
    """Return a section about the number of steps, where it was tried."""
    trained = [one for one in records if one["arm"] != "raw"]
    if not trained:
        return []
    names = ("state", "phenotype", "leakage", "microscope")
    rows = ["| steps | arm | runs | " + " | ".join(HEADINGS[name] for name in names) + " |"]
    rows.append("|---" * (3 + len(names)) + "|")
    for steps in sorted({one["steps"] for one in trained}):
        for arm, title in TITLES.items():
            runs = [one["figures"] for one in trained if (one["arm"], one["steps"]) == (arm, steps)]
            if runs:
                figures = " | ".join(f"{np.mean([one[name] for one in runs]):.3f}" for name in names)
                rows.append(f"| {steps:,} | {title} | {len(runs)} | {figures} |")
    seeds = ", ".join(str(seed) for seed in sorted({one["seed"] for one in trained}))
    return ["## How many steps", _STEPS.format(seeds=seeds), "\n".join(rows)]


_STEPS: Final = (
    "On data that nothing else was measured on (seed {seeds}). State and phenotype rise with training, and "
    "so does what random batches let the encoder know of the experiment. Neither had stopped rising at the "
    "last number, by which all arms are compared: longer trainings may differ otherwise."
)


def _real(records: list[Record]) -> list[str]:
    """Return a section about real crops under imposed cameras, where there are such runs."""
    if not records:
        return []
    rows = [
        "| movies | arm | runs | label, r | area, r | microscope's share | twin found |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(one["set"] for one in records):
        for arm, title in TITLES.items():
            runs = [one["figures"] for one in records if (one["set"], one["arm"]) == (name, arm)]
            if runs:
                figures = " | ".join(
                    spread([one[key] for one in runs]) for key in ("label", "area", "microscope", "twin")
                )
                rows.append(f"| {name} | {title} | {len(runs)} | {figures} |")
    return ["## Real crops under imposed microscopes", _REAL, "\n".join(rows)]


_REAL: Final = (
    "Crops of real movies, shown through five cameras. The label is what the model does not see: the ratio "
    "of a reporter in nucleus and ring (ktr), the level of the other colour (fucci). Runs of one arm "
    "differ by the chance of training alone, on the same cells; in brackets stand lowest and highest. "
    "This shows invariance to a microscope whose effect is known; with one field of view per movie and no "
    "treatment it says nothing of biology."
)

_WORDS: Final = f"""## What the words mean

- *state*: whether a cell is infected, told from cells of {LATE:g} hours and more, by a probe that has seen
  the other experiments only; area under the ROC curve, mean over the experiments left out.
- *phenotype*: correlation of the true phenotype with what a ridge regression reads, in experiments that it
  has not seen.
- *microscope's share*: the same cells are seen through five microscopes; of the variance of their embeddings,
  the share that lies between microscopes, inside a cell. *twin found*: the nearest cell under another
  microscope is the cell itself.
- *experiment read*: balanced accuracy of a probe for the experiment, among uninfected cells of wells that it
  has not seen. Cell lines differ between experiments, so not all of it is the microscope.
- *by neighbours*: the same, told by the nearest cells of the embedding in place of a linear probe.
- *strong augmentation*: `--config strong`, brightness, contrast, blur and noise changed far more than usual.
  *leak 0.2*: a fifth of each batch comes from other experiments. *focal time*: most cells of a batch lie
  around one hour. *batch norm per experiment*: the encoder normalises over batches, hence over one
  experiment; after training its statistics are taken again from each experiment's cells.
- *corrected*: the embedding centred and scaled by the uninfected cells of each experiment
  (`viscy-train correct`).

Made by `benchmarks/evidence.py`, which can be stopped and goes on; figures in `benchmarks/evidence.json`.
Synthetic cells are not cells: what is shown is what batches do to an encoder where the truth is known.
"""
