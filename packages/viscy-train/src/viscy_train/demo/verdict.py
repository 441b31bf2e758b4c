"""The finding, in words computed from numbers.

With conditions the claim is: the embedding trained on composed batches tells conditions apart in an
experiment that its probe has not seen better than both controls, and its experiment is less readable than
that of the embedding trained on random batches. Both by balanced accuracy. Without conditions nothing is
claimed; the experiment's readability and mixing are stated. After a handful of steps nothing is claimed
either.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from viscy_data.pages.page import Tone
from viscy_train.demo.comparison import COMPOSED, RANDOM, RAW
from viscy_train.evaluation import Evaluation, Metric

CONDITION = "condition_left_out/balanced_accuracy"
LEAKAGE = "experiment_leakage/balanced_accuracy"
MIXING = "experiment_mixing"
ENOUGH_STEPS = 100
"""Below them the encoders have hardly left where they began, which says nothing of the claim."""


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes
    ----------
    holds : bool or None
        Whether the claim holds; None where none is made.
    text : str
    """

    holds: bool | None
    text: str

    @property
    def tone(self) -> Tone:
        """How the report shows it."""
        return "plain" if self.holds is None else "good" if self.holds else "bad"


def judge(evaluations: Mapping[str, Evaluation], *, steps: int) -> Verdict:
    """Return the finding of the evaluations of the three embeddings, trained for so many steps."""
    condition = {name: one[CONDITION] for name, one in evaluations.items()}
    leaks = {name: one[LEAKAGE] for name, one in evaluations.items()}
    known = {name: one for name, one in condition.items() if isinstance(one, Metric)}
    leaking = {name: one for name, one in leaks.items() if isinstance(one, Metric)}
    if len(known) < len(evaluations) or len(leaking) < len(evaluations):
        return Verdict(None, _without_condition(evaluations, leaking))
    if steps < ENOUGH_STEPS:
        return Verdict(
            None,
            f"Trained for {steps} steps only, which shows that everything runs and nothing else; from "
            f"{ENOUGH_STEPS} steps on it is judged. Here {_condition(known)}.",
        )
    better = all(known[COMPOSED].value > known[name].value for name in (RANDOM, RAW))
    less = leaking[COMPOSED].value < leaking[RANDOM].value
    start = "The claim holds" if better and less else "The claim does not hold"
    return Verdict(better and less, f"{start} on these data: {_condition(known)}; {_leakage(leaking)}.")


def _condition(known: Mapping[str, Metric]) -> str:
    values = ", ".join(f"{_shown(known[name])} with {name}" for name in (COMPOSED, RANDOM, RAW))
    return f"condition in an experiment left out is read with a balanced accuracy of {values}"


def _leakage(leaking: Mapping[str, Metric]) -> str:
    values = ", ".join(f"{_shown(leaking[name])} with {name}" for name in (COMPOSED, RANDOM, RAW))
    return f"the experiment with {values} (lower is better)"


def _without_condition(evaluations: Mapping[str, Evaluation], leaking: Mapping[str, Metric]) -> str:
    if len(leaking) < len(evaluations):
        return (
            "These data state no condition and one experiment: the embeddings can be looked at, not judged."
        )
    mixing = [evaluations[name][MIXING] for name in (COMPOSED, RANDOM, RAW)]
    shown = ", ".join(f"{one.value:.2f}" for one in mixing if isinstance(one, Metric))
    return (
        f"No condition is known, so nothing is claimed. A linear probe reads {_leakage(leaking)}. Mixing of "
        f"experiments among neighbours is {shown}, in the same order (1 is perfectly mixed)."
    )


def _shown(metric: Metric) -> str:
    return f"{metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]"
