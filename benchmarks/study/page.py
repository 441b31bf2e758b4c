"""The page a reviewer reads: docs/evidence.md, and its picture, from the committed figures."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np

from study.arms import SEEDS, SYNTHETIC_ARMS, TITLES, TRAININGS
from study.findings import Difference, Record, by_seed, counted, mean_of, shown
from study.measures import HEADINGS, HOURS_BINS, LATE
from study.picture import draw
from study.questions import CORRECTED, FALSE_DISCOVERIES, PLAIN, Question, differences, largest_discovery
from study.short import short
from study.where import differences_elsewhere, section

PLANNED: Final = set(product(SYNTHETIC_ARMS, SEEDS, range(TRAININGS)))
"""Arm, seed and number of every training."""

_COLUMNS: Final = (
    ("state", HEADINGS["state"]),
    ("corrected/state", "corrected"),
    ("phenotype", HEADINGS["phenotype"]),
    ("microscope", HEADINGS["microscope"]),
    ("corrected/microscope", "corrected"),
    ("twin", "twin found"),
    ("corrected/twin", "corrected"),
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
    records, where = figures["runs"], figures["where"]
    asked = differences(records, (*PLAIN, *CORRECTED))
    counted_together = [*asked.values(), *differences_elsewhere(where)]
    discovered = largest_discovery(counted_together)
    parts = [
        "# Evidence: what composing batches is worth",
        "<!-- Made by benchmarks/evidence.py page from benchmarks/evidence.json: edit those. -->",
        *short(records, figures["real"], where, discovered),
        _WORDS,
        "## How it was measured",
        _design(figures),
        _chance(counted_together, discovered),
        "## The verdict",
        _CLAIM,
        _verdict(figures["verdict"]),
        f"![Each dot is one run: how much an embedding knows of the microscope, and of the cells]({picture})",
        "## Which axis, and compared with what",
        _differences(asked, PLAIN, discovered),
        "## Corrected by control cells",
        _CORRECTING,
        _differences(asked, CORRECTED, discovered),
        "## All figures",
        _table(records, figures["ceiling"]),
        _notes(records),
        "## By hours after infection",
        _BY_HOURS,
        _hours(records),
        *section(records, where, discovered),
        *_curve(figures["curve"]),
        *_real(figures["real"]),
        _MADE,
    ]
    return "\n\n".join(parts) + "\n"


def _design(figures: Mapping[str, Any]) -> str:
    trained = [one for one in figures["runs"] if one["arm"] != "raw"]
    others = [one for part in ("where", "curve", "real") for one in figures[part] if one["arm"] != "raw"]
    seeds = sorted({one["seed"] for one in trained})
    hours = sum(one["seconds"] for one in (*trained, *others)) / 3600
    each = ", ".join(f"{step:,}" for step in sorted({one["steps"] for one in trained}))
    made = {(one["arm"], one["seed"], one["number"]) for one in trained}
    missing = "" if made >= PLANNED else " What has not been trained yet is in no table."
    more = f", and {len(others)} more for the last sections" if others else ""
    return (
        "A seed of data is five synthetic plates, each with a microscope and a cell line of its own. A plate "
        "has eight wells that differ, one to three of them infected; a well starts with 24 cells, which "
        f"divide. There are {len(seeds)} seeds ({', '.join(map(str, seeds))}), on which nothing was chosen, "
        f"and {len(made & PLANNED)} trainings of {len(PLANNED)} planned, {each} steps of 64 pairs each"
        f"{more}: {hours:.1f} hours of one core.{missing}\n\n"
        "The unit is the seed: its trainings are averaged, ways of training are compared seed by seed, and "
        "behind a mean difference stands its interval in brackets, Student's t over seeds (95 %). *Seeds x "
        "trainings* gives the smaller number of trainings where two ways have not as many. Where an "
        "experiment was never seen, each training of a seed leaves out another one, and state and phenotype "
        "are those of that experiment; what gives the experiment away is read among all five."
    )


def _chance(found: list[Difference], discovered: float) -> str:
    """Say how many intervals there are, and how many of them are more than chance."""
    apart = sum(one.seen for one in found)
    sure = sum(one.p <= discovered for one in found)
    return (
        f"The tables hold {len(found)} such intervals; where nothing differs, one in twenty excludes 0 by "
        f"chance. {apart} exclude it. {sure} bear a star: among these no more than {FALSE_DISCOVERIES:.0%} "
        "should be chance (Benjamini and Hochberg 1995). And where nothing is seen, there may be a "
        "difference still, of any size that the interval holds."
    )


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


def _differences(
    asked: Mapping[tuple[Question, str], Difference], questions: tuple[Question, ...], discovered: float
) -> str:
    """Return a table of what was asked, as far as it can be told: a row to a question."""
    names = [name for name in HEADINGS if any((one, name) in asked for one in questions)]
    titles = " | ".join(HEADINGS[name] for name in names)
    rows = [f"| question | compared | {titles} | seeds x trainings |", "|---" * (3 + len(names)) + "|"]
    for question in questions:
        found = {name: asked[question, name] for name in names if (question, name) in asked}
        if found:
            cells = " | ".join(shown(found[name], discovered) if name in found else "" for name in names)
            seeds = counted(next(iter(found.values())))
            rows.append(f"| {question.asked} | {question.compared} | {cells} | {seeds} |")
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


_CORRECTING: Final = (
    "Centred and scaled by the uninfected cells of each experiment. How well a linear probe then reads the "
    "experiment is not compared: correcting takes that away by the way it is made, to guessing and below."
)

_CLAIM: Final = (
    "The claim, and the rule that judges it, were written down before the first run: composed batches give "
    "an embedding that tells the cells' state better than batches drawn at random, also than those "
    "corrected afterwards or strongly augmented; that knows at least 30 % less of the microscope; and that "
    "tells the state better for an experiment that the encoder has never seen, too. How well neighbours give "
    "the experiment away was no part of it. The report of `viscy-train demo` asks for "
    "less, as one run of minutes can show no more: that nearest neighbours give the experiment away less, "
    "and that the condition is told no worse."
)


def _notes(records: list[Record]) -> str:
    """Explain what surprises in the table, as far as it is so."""
    said = []
    if mean_of(records, "raw", "microscope") < mean_of(records, "both", "microscope"):
        said.append(
            "Raw pixels tell the microscope less than composed and random encoders do: an encoder keeps "
            "whatever tells cells apart, and the microscope is among that."
        )
    if mean_of(records, "raw", "corrected/twin") > 0.95:
        said.append(
            "Corrected raw pixels find nearly every twin: what these microscopes do to an image is largely "
            "undone by shifting and scaling it. That favours correction and augmentation here, and real "
            "microscopes need not be as kind."
        )
    if by_seed(records, "labels", "state"):
        said.append(
            "*Trained with the labels* never saw the experiment that is asked about: compare it with the "
            "ways that did not either. In all others the encoder saw all experiments, without labels."
        )
    said.append(
        "*Corrected* numbers of the experiment may lie below guessing, for reasons that [What an embedding "
        "knows](guides/evaluation.md) gives."
    )
    return " ".join(said)


_BY_HOURS: Final = (
    "Whether a cell is infected, told from cells of the hours named, AUC; guessing is 0.5. It begins "
    "between 3 and 6 hours whatever the encoder; the first signs appear at one to five hours, cell by cell. "
    "In the first hours all ways alike, raw pixels included, lie a little below guessing: there is nothing "
    "to tell, and how the few infected wells of these plates happen to differ does not average out."
)
_IN_HOURS: Final = ("raw", "random", "random_strong", "both", "both_strong", "labels")


def _hours(records: list[Record]) -> str:
    names = [f"{low:g}" for low, _ in HOURS_BINS]
    rows = [
        "| arm | " + " | ".join(f"{low:g} to {high:g} h" for low, high in HOURS_BINS) + " |",
        "|---|" + "---|" * len(names),
    ]
    for arm in _IN_HOURS:
        found = [one["figures"]["state_by_hours"] for one in records if one["arm"] == arm]
        if found:
            means = [[one[name] for one in found if name in one] for name in names]
            rows.append(
                f"| {TITLES[arm]} | "
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
    "On data that the number of steps was chosen on, and nothing else on this page (seed {seeds}). State "
    "and phenotype rise with training, and so does what random batches let the encoder know of the "
    "experiment. Neither had stopped rising at the last number, by which all arms are "
    "compared: longer trainings may differ otherwise."
)


def _real(records: list[Record]) -> list[str]:
    """Return a section about real crops under imposed cameras, where there are such runs."""
    if not records:
        return []
    rows = [
        "| movies | arm | runs | " + " | ".join(title for _, title in _REAL_COLUMNS) + " |",
        "|---|---|---" + "|---" * len(_REAL_COLUMNS) + "|",
    ]
    for name in dict.fromkeys(one["set"] for one in records):
        for arm, title in TITLES.items():
            runs = [one["figures"] for one in records if (one["set"], one["arm"]) == (name, arm)]
            if runs:
                figures = " | ".join(spread([one[key] for one in runs]) for key, _ in _REAL_COLUMNS)
                rows.append(f"| {name} | {title} | {len(runs)} | {figures} |")
    several = any(one["number"] for one in records)
    return ["## Real crops under imposed microscopes", _REAL + (_SPREAD if several else ""), "\n".join(rows)]


def spread(values: list[float]) -> str:
    """Return the mean, and of several values the lowest and the highest.

    Examples
    --------
    >>> spread([0.5, 0.6, 0.76])
    '0.620 (0.500 to 0.760)'
    >>> spread([0.5])
    '0.500'
    """
    mean = f"{sum(values) / len(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"


_REAL_COLUMNS: Final = (
    ("label", "label, r"),
    ("corrected/label", "corrected"),
    ("area", "area, r"),
    ("microscope", "microscope's share"),
    ("corrected/microscope", "corrected"),
    ("twin", "twin found"),
)
_SPREAD: Final = (
    " Runs of one arm differ by the chance of training alone, on the same cells; in brackets stand the "
    "lowest and the highest."
)
_REAL: Final = (
    "Crops of real movies, shown through five cameras. The label is what the model does not see: the ratio "
    "of a reporter in nucleus and ring (ktr), the level of the other colour (fucci). This shows invariance "
    "to a microscope whose effect is known; with one field of view per movie and no treatment it says "
    "nothing of biology. *Corrected* is by all cells of a camera."
)

_WORDS: Final = f"""## What the words mean

- *composed*: one experiment a batch, its conditions balanced. *random*: drawn from all cells.
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
- *never saw the experiment*: the encoder trained on the other experiments only."""

_MADE: Final = (
    "Made by `benchmarks/evidence.py`, which can be stopped and goes on; figures in "
    "`benchmarks/evidence.json`. Synthetic cells are not cells: what is shown is what batches do to an "
    "encoder where the truth is known."
)
