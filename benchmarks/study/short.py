"""What a reader came for, each in words that follow from an interval: the first section of the page."""

from dataclasses import dataclass
from typing import Final

from study.arms import TITLES
from study.findings import FEWEST_SEEDS, Difference, Record, compare, shown
from study.where import TITLES as TITLES_WHERE
from study.where import tried_of

ASKED: Final = (
    ("state", "the cells' state", 1),
    ("phenotype", "the true phenotype", 1),
    ("microscope", "the microscope, by its share of a cell's variance", -1),
    ("leakage", "the experiment, by a linear probe", -1),
    ("leakage_near", "the experiment, by nearest neighbours", -1),
)
"""Figures, and 1 where more is wanted, -1 where less is."""

QUESTIONS: Final = (
    ("Does composing help at all?", "both", "random"),
    ("One experiment a batch, alone?", "one_experiment", "random"),
    ("Balanced conditions, alone?", "balance", "random"),
    ("Balanced conditions on top of one experiment?", "both", "one_experiment"),
    ("One experiment a batch on top of balanced conditions?", "both", "balance"),
    ("Strong augmentation instead?", "random_strong", "random"),
    ("Strong augmentation on top?", "both_strong", "both"),
    ("Composing on top of strong augmentation?", "both_strong", "random_strong"),
    ("Batch norm per experiment on top?", "both_ben", "both"),
    ("A leak of 0.2 on top?", "both_leak", "both"),
    ("A focal time on top?", "both_focus", "both"),
    ("With the experiment never seen?", "both_held_out", "random_held_out"),
)

type Corrected = tuple[str, bool]
"""An arm, and whether it is corrected."""

CORRECTED: Final[tuple[tuple[str, Corrected, Corrected], ...]] = (
    ("Composing in place of correcting?", ("both", False), ("random", True)),
    ("Composing, too?", ("both", True), ("random", True)),
    ("Composing, too, where augmentation is strong?", ("both_strong", True), ("random_strong", True)),
    ("Strong augmentation in place of composing?", ("random_strong", True), ("both", True)),
    ("With the experiment never seen?", ("both_held_out", True), ("random_held_out", True)),
)

_CASES: Final[tuple[tuple[str, Corrected, Corrected], ...]] = (
    ("nothing else", ("both", False), ("random", False)),
    ("strong augmentation", ("both_strong", False), ("random_strong", False)),
    ("correction by control cells", ("both", True), ("random", True)),
    ("strong augmentation and correction", ("both_strong", True), ("random_strong", True)),
    ("nothing else, for an experiment never seen", ("both_held_out", False), ("random_held_out", False)),
)


def short(records: list[Record], real: list[Record], where: list[Record]) -> str:
    """Answer whether to compose, which axes to take, and what else there is."""
    parts = ["## In short"]
    on = [(case, records, ours, theirs) for case, ours, theirs in _CASES]
    on += [
        (f"nothing else, {TITLES_WHERE[setting]}", runs, *_CASES[0][1:])
        for setting, runs in tried_of(where).items()
    ]
    cases = {case: worth for case, *pair in on if (worth := _worth(*pair)) is not None}
    if cases:
        parts.append(
            f"**Should I compose?** {_advice(cases)} One experiment a batch with conditions "
            "balanced, against batches drawn at random, where both are trained and treated alike:"
        )
        rows = [f"| {case} | {_listed(one.better)} | {_listed(one.worse)} |" for case, one in cases.items()]
        parts.append("\n".join(["| beside | better with composing | worse |", "|---|---|---|", *rows]))
    axes = [
        f"{TITLES[arm]}, against {TITLES[other]}: {said}"
        for _, arm, other in QUESTIONS[1:]
        if (said := _sentence(records, arm, other))
    ]
    if axes:
        parts.append("**Which axes, and what instead?**\n\n- " + ".\n- ".join(axes) + ".")
    after = [
        f"- {title}: {_word(found, better)} ({shown(found)})"
        for name, title, better in ASKED
        if (found := beside(records, *CORRECTED[0][1:], name)) is not None
    ]
    if after:
        parts.append(
            "**What do I gain over correcting afterwards?** Both, not corrected, against random batches "
            "whose embedding is centred and scaled by control cells:\n\n" + ";\n".join(after) + "."
        )
    return "\n\n".join([*parts, *_on_real_crops(real)])


def beside(records: list[Record], ours: Corrected, theirs: Corrected, name: str) -> Difference | None:
    """Compare a figure of two arms, each corrected or not."""
    names = [f"corrected/{name}" if corrected else name for _, corrected in (ours, theirs)]
    return compare(records, ours[0], theirs[0], *names)


@dataclass(frozen=True)
class _Worth:
    """What is shown to be better, and what worse: differences by the name of the figure."""

    better: dict[str, Difference]
    worse: dict[str, Difference]


def _worth(records: list[Record], ours: Corrected, theirs: Corrected) -> _Worth | None:
    """Say what is shown to be better and what worse; None where too few seeds have both."""
    worth = _Worth({}, {})
    for name, _, sign in ASKED:
        found = beside(records, ours, theirs, name)
        if found is None or found.seeds < FEWEST_SEEDS:
            return None
        if found.low > 0 or found.high < 0:
            (worth.better if sign * found.value > 0 else worth.worse)[name] = found
    return worth


def _advice(cases: dict[str, _Worth]) -> str:
    """Say what holds in all cases, and in which the biology is read better."""
    worths = cases.values()
    always = [title for name, title, _ in ASKED if all(name in one.better for one in worths)]
    if not always or any(one.worse for one in worths):
        return "It depends on what else you do."
    biology = []
    for name, title, _ in ASKED[:2]:
        where = [f"*{case}*" for case, one in cases.items() if name in one.better]
        if len(where) < len(cases):
            biology.append(f"{title}: {', '.join(where) or 'nowhere'}")
    read = f" Where the biology is shown to be read better, too: {'; '.join(biology)}." if biology else ""
    return (
        f"Yes, for one thing: whatever else you do, it gives away less of {' and '.join(always)}. Nothing is "
        f"shown to be lost by it.{read}"
    )


def _listed(found: dict[str, Difference]) -> str:
    titles = {name: title for name, title, _ in ASKED}
    return (
        "; ".join(f"{titles[name]} ({one.value:+.3f})" for name, one in found.items()) or "nothing is shown"
    )


def _sentence(records: list[Record], arm: str, other: str) -> str:
    """Say what is shown to be better and worse with an arm; empty where too few seeds have both."""
    worth = _worth(records, (arm, False), (other, False))
    if worth is None:
        return ""
    gains, losses = (_said(found) for found in (worth.better, worth.worse))
    lost = f"**but** {losses}" if losses else "nothing is shown to be lost"
    return f"{gains or 'nothing is shown to gain'}; {lost}"


def _said(found: dict[str, Difference]) -> str:
    return " and ".join(
        f"{title.replace(',', '')} is {_word(found[name], sign)} ({found[name].value:+.3f})"
        for name, title, sign in ASKED
        if name in found
    )


def _word(found: Difference, better: int) -> str:
    """Say what a difference shows; ``better`` is 1 where more is wanted, -1 where less is."""
    if not (found.low > 0 or found.high < 0):
        return "no difference is shown"
    if better > 0:
        return "read better" if found.low > 0 else "read worse"
    return "given away less" if found.high < 0 else "given away more"


def _on_real_crops(real: list[Record]) -> list[str]:
    """Say how strong augmentation and one experiment a batch did on real crops, where they were tried."""
    rows = []
    for movies in dict.fromkeys(one["set"] for one in real):
        for arm in ("random", "one_experiment", "random_strong"):
            figures = [one["figures"] for one in real if (one["set"], one["arm"]) == (movies, arm)]
            if figures:
                cells = (spread([one[name] for one in figures]) for name in ("label", "microscope"))
                rows.append(f"| {movies} | {TITLES[arm]} | {' | '.join(cells)} |")
    if not rows:
        return []
    said = (
        "**And on real cells?** Crops of real movies under imposed microscopes; one set of cells each, hence "
        "no intervals, but in brackets the lowest and the highest of several trainings:"
    )
    return [
        said,
        "\n".join(["| movies | arm | label, r | microscope's share |", "|---|---|---|---|", *rows]),
    ]


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
