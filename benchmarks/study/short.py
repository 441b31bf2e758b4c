"""What a reader came for: answers in sentences, each said only where the intervals carry it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from study import questions as ask
from study.arms import TITLES
from study.findings import STAR, Difference, Record, shown
from study.questions import Question, difference, levels
from study.where import TITLES as TITLES_WHERE
from study.where import tried_of

NAMES: Final = {
    "state": "state",
    "phenotype": "phenotype",
    "microscope": "microscope's share",
    "leakage": "experiment by a linear probe",
    "leakage_near": "experiment by neighbours",
}
"""How sentences call what is compared."""

BIOLOGY: Final = ("state", "phenotype")

_AXES: Final = (ask.ONE_ALONE, ask.BALANCE_ALONE, ask.BALANCE_TOO, ask.ONE_TOO, ask.LEAK, ask.FOCUS)
_ELSE: Final = (
    *(ask.CORRECTING, ask.CORRECTING_COMPOSED, ask.NOT_CORRECTING),
    *(ask.STRONG, ask.NOT_STRONG, ask.STRONG_TOO, ask.TOGETHER, ask.BATCH_NORM),
)


@dataclass
class Answer:
    """What a question's differences show: figures that are better, and worse, each from how much to how much.

    Attributes
    ----------
    sure
        Figures whose difference is more than chance where all are counted together.
    """

    better: dict[str, str] = field(default_factory=dict)
    worse: dict[str, str] = field(default_factory=dict)
    sure: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Runs:
    """Runs that answer questions, and the largest p that is more than chance."""

    records: list[Record]
    discovered: float

    def answer(self, question: Question) -> Answer | None:
        """Return what is better and worse; None where too few seeds have both ways."""
        answer = Answer()
        for name in question.figures:
            found = difference(self.records, question, name)
            if found is None:
                return None
            if found.seen:
                good = ask.WANTED[name] * found.value > 0
                (answer.better if good else answer.worse)[name] = self._from_to(question, name, found)
            if found.p <= self.discovered:
                answer.sure.add(name)
        return answer

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """Return the answers to all questions; none where one of them has none."""
        found = [answer for question in questions if (answer := self.answer(question)) is not None]
        return found if len(found) == len(questions) else []

    def _from_to(self, question: Question, name: str, found: Difference) -> str:
        before, after = levels(self.records, question, name)
        return f"{before:.3f} to {after:.3f}{STAR if found.p <= self.discovered else ''}"

    def of(self, question: Question, *names: str) -> str:
        """Return figures from how much to how much, or the difference and interval of what is not seen."""
        said = []
        for name in names:
            found = difference(self.records, question, name)
            if found is not None:
                change = self._from_to(question, name, found) if found.seen else shown(found)
                said.append(f"{NAMES[name]} {change}")
        return "; ".join(said)


def short(records: list[Record], real: list[Record], where: list[Record], discovered: float) -> Iterator[str]:
    """Answer whether to compose, which axes to take, what else there is, and what real cells say."""
    runs = Runs(records, discovered)
    elsewhere = {TITLES_WHERE[name]: Runs(found, discovered) for name, found in tried_of(where).items()}
    cases = _cases(runs, elsewhere)
    answers = [_compose(cases), _axes(runs), _correcting(runs, elsewhere), _strong(runs), _real(real)]
    yield "## In short"
    yield _HOW_TO_READ
    yield "\n".join(f"- {answer}" for answer in answers if answer)
    if cases:
        yield "Composed against random batches, both treated alike:"
        yield _table("beside", [(case, *_lists(answer)) for case, answer in cases.items()])
    for title, asked in (("The axes:", _AXES), ("What else there is:", _ELSE)):
        rows = [
            (f"{question.ours.title}, against {question.theirs.title}", *_lists(answer))
            for question in asked
            if (answer := runs.answer(question)) is not None
        ]
        if rows:
            yield title
            yield _table("what", rows)


_HOW_TO_READ: Final = (
    "*Composed* batches hold one experiment each, with its conditions balanced; *random* ones are drawn from "
    "all cells. More is better of the biology, *state* and *phenotype*; less is better of what gives the "
    "experiment away ([what the words mean](#what-the-words-mean)). Changes are given from how much to how "
    "much; where none is seen, as a difference and its interval, which holds 0. A star marks what is more "
    "than chance where all intervals of this page are counted together; what has none is a hint."
)


def _cases(runs: Runs, elsewhere: dict[str, Runs]) -> dict[str, Answer]:
    """Return what composing is worth, by what is done beside it and by other data."""
    on = [(question.beside, runs, question) for question in (*ask.PLAIN, *ask.CORRECTED) if question.beside]
    for title, others in elsewhere.items():
        on += [(title, others, ask.HELPS), (f"correction, {title}", others, ask.BESIDE_CORRECTING)]
    return {case: answer for case, of, question in on if (answer := of.answer(question)) is not None}


def _compose(cases: dict[str, Answer]) -> str:
    """Say what holds in all cases, and in which the biology is read better."""
    if not cases:
        return ""
    answers = cases.values()
    always = [name for name in ask.WANTED if all(name in one.better for one in answers)]
    if not always or any(one.worse for one in answers):
        return "**Should I compose?** It depends on what else you do: see the first table."
    said = (
        f"**Should I compose?** Yes, for one thing: in all of {len(cases)} cases tried, composed batches "
        f"give away less of the {' and the '.join(NAMES[name] for name in always)}, and nothing is seen to "
        "be lost."
    )
    for name in BIOLOGY:
        where = [
            f"*{case}*{'' if name in one.sure else ' (a hint)'}"
            for case, one in cases.items()
            if name in one.better
        ]
        said += f" The {NAMES[name]} is read better with {'; '.join(where)}." if where else ""
    return said


def _axes(runs: Runs) -> str:
    """Say what each axis does, where each does its own part."""
    found = runs.answers((ask.ONE_ALONE, ask.BALANCE_ALONE, ask.BALANCE_TOO, ask.ONE_TOO))
    if not found:
        return ""
    one, balance, balance_too, _ = found
    hides, reads = "leakage_near" in one.better, any(name in balance_too.better for name in BIOLOGY)
    said = "**Which axes?**"
    if hides and reads and "leakage_near" not in balance.better:
        said += " Both: one experiment a batch hides the experiment, balanced conditions keep the biology."
    said += f" One experiment a batch alone: {runs.of(ask.ONE_ALONE, 'leakage_near', *BIOLOGY)}."
    said += f" Conditions balanced on top of it: {runs.of(ask.BALANCE_TOO, 'leakage_near', *BIOLOGY)}."
    costs = [
        f"{title} ({runs.of(question, *answer.worse)})"
        for question, title in ((ask.LEAK, "a leak of 0.2"), (ask.FOCUS, "a focal time"))
        if (answer := runs.answer(question)) is not None and answer.worse and not answer.better
    ]
    return said + (f" Leave out {' and '.join(costs)}." if costs else "")


def _correcting(runs: Runs, elsewhere: dict[str, Runs]) -> str:
    """Say what correcting does, what composing adds to it, and on which data composing does more."""
    found = runs.answers((ask.CORRECTING, ask.NOT_CORRECTING, ask.BESIDE_CORRECTING))
    if not found:
        return ""
    correcting, instead, _ = found
    hidden = ("leakage_near", "microscope")
    said = "**What do I gain over correcting afterwards?**"
    if not correcting.worse and "leakage_near" in correcting.better:
        said += " Correct in any case: nothing is seen to be lost by it."
    said += f" Correcting random batches: {runs.of(ask.CORRECTING, *hidden)}."
    if "leakage_near" in instead.worse:
        said += " That hides more than composing alone does."
    said += (
        " Composing and correcting, against correcting alone: "
        f"{runs.of(ask.BESIDE_CORRECTING, *hidden, *BIOLOGY)}."
    )
    for title, others in elsewhere.items():
        answer = others.answer(ask.NOT_CORRECTING)
        names = [name for name in BIOLOGY if answer is not None and name in answer.better]
        if names:
            said += (
                f" But with {title}, composing without correcting reads more than correcting does: "
                f"{others.of(ask.NOT_CORRECTING, *names)}."
            )
    return said


def _strong(runs: Runs) -> str:
    """Say what strong augmentation does, and whether composing replaces it."""
    found = runs.answers((ask.STRONG, ask.NOT_STRONG, ask.STRONG_TOO, ask.TOGETHER))
    if not found:
        return ""
    strong, instead, _, together = found
    said = "**And strong augmentation?**"
    if "microscope" in strong.better and "microscope" in instead.worse:
        said += " It hides the microscope itself, for which composing is no substitute."
    said += f" Random batches with it: {runs.of(ask.STRONG, 'microscope', *BIOLOGY)}."
    said += f" Composed ones: {runs.of(ask.STRONG_TOO, 'microscope', *BIOLOGY)}."
    if "leakage_near" in together.better and not together.worse:
        said += (
            f" Both together, against neither: {runs.of(ask.TOGETHER, 'leakage_near', 'microscope')}, and "
            "nothing is seen to be lost."
        )
    return said


def _real(real: list[Record]) -> str:
    """Say how one experiment a batch and strong augmentation did on real crops, where they were tried."""
    said = []
    for arm in ("one_experiment", "random_strong"):
        changes = [
            f"{NAMES['microscope']} {before['microscope']:.3f} to {after['microscope']:.3f}, label "
            f"{before['label']:.2f} to {after['label']:.2f} ({movies})"
            for movies in dict.fromkeys(one["set"] for one in real)
            if (before := means_of(real, movies, "random")) and (after := means_of(real, movies, arm))
        ]
        if changes:
            said.append(f" {TITLES[arm].capitalize()}, against random batches: {'; '.join(changes)}.")
    if not said:
        return ""
    return (
        "**And on real cells?** Crops of real movies under imposed microscopes, without conditions, one set "
        f"of cells each, hence no intervals ([below](#real-crops-under-imposed-microscopes)).{''.join(said)}"
    )


def means_of(real: list[Record], movies: str, arm: str) -> dict[str, float]:
    """Return the mean of each figure over an arm's runs on one set of movies; empty without any."""
    runs = [one["figures"] for one in real if (one["set"], one["arm"]) == (movies, arm)]
    return {name: sum(one[name] for one in runs) / len(runs) for name in runs[0]} if runs else {}


def _lists(answer: Answer) -> tuple[str, str]:
    better, worse = (
        "; ".join(f"{NAMES[name]} {change}" for name, change in found.items()) or "nothing seen"
        for found in (answer.better, answer.worse)
    )
    return better, worse


def _table(heading: str, rows: list[tuple[str, str, str]]) -> str:
    lines = [f"| {heading} | better | worse |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
