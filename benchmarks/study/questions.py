"""What is asked of the arms, each question one comparison, and which differences are more than chance."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from study.arms import TITLES
from study.findings import FEWEST_SEEDS, Difference, Record, compare, mean_of

FALSE_DISCOVERIES: Final = 0.05
"""Of the differences that are marked, which share may be chance (Benjamini and Hochberg 1995)."""

WANTED: Final = {"state": 1, "phenotype": 1, "microscope": -1, "leakage": -1, "leakage_near": -1}
"""Figures that are compared: 1 where more is wanted, -1 where less is."""


@dataclass(frozen=True)
class Way:
    """An arm, and whether its embedding is corrected by control cells."""

    arm: str
    corrected: bool = False

    @property
    def title(self) -> str:
        """Return what the page calls it."""
        return TITLES[self.arm] + (", corrected" if self.corrected else "")

    def figure(self, name: str) -> str:
        """Return how records call a figure of this way."""
        return f"corrected/{name}" if self.corrected else name


@dataclass(frozen=True)
class Question:
    """One comparison.

    Attributes
    ----------
    beside
        Where both ways differ in composing alone: what else is done in both.
    """

    asked: str
    ours: Way
    theirs: Way
    beside: str = ""

    @property
    def compared(self) -> str:
        """Return what the tables of differences call it."""
        return f"{self.ours.title} - {self.theirs.title}"

    @property
    def figures(self) -> tuple[str, ...]:
        """What is compared. A linear probe reads nothing of a corrected embedding, by the way it is made."""
        corrected = self.ours.corrected or self.theirs.corrected
        return tuple(name for name in WANTED if not (corrected and name == "leakage"))


def _plain(asked: str, ours: str, theirs: str, beside: str = "") -> Question:
    return Question(asked, Way(ours), Way(theirs), beside)


def _corrected(asked: str, ours: str, theirs: str, beside: str = "") -> Question:
    return Question(asked, Way(ours, corrected=True), Way(theirs, corrected=True), beside)


HELPS = _plain("Does composing help at all?", "both", "random", "nothing else")
ONE_ALONE = _plain("One experiment a batch, alone?", "one_experiment", "random")
BALANCE_ALONE = _plain("Balanced conditions, alone?", "balance", "random")
BALANCE_TOO = _plain("Balanced conditions on top of one experiment?", "both", "one_experiment")
ONE_TOO = _plain("One experiment a batch on top of balanced conditions?", "both", "balance")
LEAK = _plain("A leak of 0.2 on top?", "both_leak", "both")
FOCUS = _plain("A focal time on top?", "both_focus", "both")
STRONG = _plain("Strong augmentation instead?", "random_strong", "random")
NOT_STRONG = _plain("Composing in place of strong augmentation?", "both", "random_strong")
BESIDE_STRONG = _plain(
    "Composing on top of strong augmentation?", "both_strong", "random_strong", "strong augmentation"
)
STRONG_TOO = _plain("Strong augmentation on top of composing?", "both_strong", "both")
TOGETHER = _plain("Composing and strong augmentation, against neither?", "both_strong", "random")
BATCH_NORM = _plain("Batch norm per experiment on top?", "both_ben", "both")
NEVER_SEEN = _plain(
    "With the experiment never seen?", "both_held_out", "random_held_out", "an experiment never seen"
)
PLAIN: Final = (
    *(HELPS, ONE_ALONE, BALANCE_ALONE, BALANCE_TOO, ONE_TOO, LEAK, FOCUS),
    *(STRONG, NOT_STRONG, BESIDE_STRONG, STRONG_TOO, TOGETHER, BATCH_NORM, NEVER_SEEN),
)

CORRECTING = Question("What does correcting do?", Way("random", corrected=True), Way("random"))
CORRECTING_COMPOSED = Question("And to composed batches?", Way("both", corrected=True), Way("both"))
NOT_CORRECTING = Question("Composing in place of correcting?", Way("both"), Way("random", corrected=True))
BESIDE_CORRECTING = _corrected("Composing and correcting?", "both", "random", "correction")
CORRECTED: Final = (
    CORRECTING,
    CORRECTING_COMPOSED,
    NOT_CORRECTING,
    BESIDE_CORRECTING,
    _corrected(
        "Composing and correcting, where augmentation is strong?",
        *("both_strong", "random_strong"),
        "strong augmentation and correction",
    ),
    _corrected("Strong augmentation in place of composing?", "random_strong", "both"),
    _corrected("Batch norm per experiment on top?", "both_ben", "both"),
    _corrected(
        "With the experiment never seen?",
        *("both_held_out", "random_held_out"),
        "correction, an experiment never seen",
    ),
)

ELSEWHERE: Final = (HELPS, NOT_CORRECTING, BESIDE_CORRECTING)
"""What is asked of other settings of the data, too, which have random batches and composed ones."""


def difference(records: list[Record], question: Question, name: str) -> Difference | None:
    """Return how far a figure differs; None where too few seeds have both ways."""
    ours, theirs = question.ours, question.theirs
    found = compare(records, ours.arm, theirs.arm, ours.figure(name), theirs.figure(name))
    return found if found is not None and found.seeds >= FEWEST_SEEDS else None


def levels(records: list[Record], question: Question, name: str) -> tuple[float, float]:
    """Return the figure's means, of theirs and of ours."""
    return (
        mean_of(records, question.theirs.arm, question.theirs.figure(name)),
        mean_of(records, question.ours.arm, question.ours.figure(name)),
    )


def differences(
    records: list[Record], questions: Iterable[Question]
) -> dict[tuple[Question, str], Difference]:
    """Return every difference that can be told, by question and figure."""
    return {
        (question, name): found
        for question in questions
        for name in question.figures
        if (found := difference(records, question, name)) is not None
    }


def largest_discovery(found: Iterable[Difference]) -> float:
    """Return the largest p of those differences that are more than chance, all counted together; else 0.

    Examples
    --------
    >>> about = {"value": 1.0, "low": 0.5, "high": 1.5, "seeds": 5, "trainings": 3}
    >>> largest_discovery(Difference(**about, p=p) for p in (0.001, 0.02, 0.04, 0.9))
    0.02
    """
    values = np.array([one.p for one in found])
    if not values.size:
        return 0.0
    kept = values[stats.false_discovery_control(values) <= FALSE_DISCOVERIES]
    return float(kept.max()) if kept.size else 0.0
