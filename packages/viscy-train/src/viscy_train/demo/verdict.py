"""The finding, in words computed from numbers.

With conditions the claim is: in the embedding trained on composed batches the nearest cells give the
experiment away less than in the one trained on random batches, and a probe does not tell the condition worse,
in an experiment that it has not seen. Both by balanced accuracy. docs/evidence.md asks for more, of many
trainings; this is what a single run of a few minutes can show.

Two numbers of two embeddings nearly always differ, so comparing them would find something in noise. Two
kinds of it are known. Wells and lineages vary: the paired difference, unit by unit, has an interval. And
trainings vary: the same setting trained again gives another number. How much was measured once
(`TRAINING_NOISE`), and widens the interval, since a demo trains each encoder only once. A difference counts
only where the widened interval excludes 0.

Without conditions nothing is claimed; the experiment's readability and mixing are stated. After a handful of
steps nothing is claimed either.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import hypot
from typing import Final

from scipy import stats

from viscy_data.pages.page import Tone
from viscy_train.demo.comparison import COMPOSED, RANDOM, RAW
from viscy_train.evaluation import Difference, Evaluation, Metric, difference

CONDITION = "condition_left_out/balanced_accuracy"
LEAKAGE = "experiment_leakage/neighbours"
MIXING = "experiment_mixing"
ENOUGH_STEPS = 100
"""Below them the encoders have hardly left where they began, which says nothing of the claim."""

TRAINING_NOISE: Final = {CONDITION: 0.009, LEAKAGE: 0.019}
"""Standard deviation of a number over trainings of one setting on the same data: the upper limit (95 %) of
what three trainings of both encoders on five data sets gave, which differed by 0.0065 and 0.0138.
``benchmarks/evidence.py noise`` measures it."""

ONE_TRAINING = (
    "Each encoder was trained once. The intervals of both differences are widened by how much "
    f"trainings of one setting differ: a standard deviation of at most {TRAINING_NOISE[CONDITION]:g} for the "
    f"condition and {TRAINING_NOISE[LEAKAGE]:g} for the experiment, measured on other data."
)


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes
    ----------
    holds : bool or None
        Whether the claim is shown (True) or contradicted (False) by these data; None where it is neither,
        or none is made.
    text : str
    notes : tuple of str
        What a reader must know about it.
    """

    holds: bool | None
    text: str
    notes: tuple[str, ...] = ()

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
    less = _compared(leaking)
    told = _compared(known)
    if less is None or told is None:  # units that have no pairs
        holds = None
    elif less.low > 0 or told.high < 0:
        holds = False
    else:
        holds = True if less.high < 0 else None
    start = {
        True: "The claim is shown on these data",
        False: "The claim does not hold on these data",
        None: "The claim is not shown on these data, nor is the contrary",
    }[holds]
    text = (
        f"{start}. With {COMPOSED}, compared with {RANDOM}, the experiment is "
        f"{_words(less, 'given away', 'more', 'less')} by the nearest cells, and the condition is "
        f"{_words(told, 'told', 'better', 'worse')}."
    )
    numbers = f"In numbers: {_leakage(leaking)}; {_condition(known)}."
    return Verdict(holds, text, (numbers, ONE_TRAINING))


def _compared(metrics: Mapping[str, Metric]) -> Difference | None:
    """Return composed less random, its interval widened by the noise of training."""
    found = difference(metrics[COMPOSED], metrics[RANDOM], (COMPOSED, RANDOM))
    return None if found is None else allowing_for_trainings(found)


def allowing_for_trainings(found: Difference) -> Difference:
    """Return a difference of both encoders, where the noise of its metric is known, with a wider interval."""
    noise = TRAINING_NOISE.get(found.definition.name)
    return found if noise is None or found.second != RANDOM else widened(found, noise)


def widened(found: Difference, deviation: float, level: float = 0.95) -> Difference:
    """Return a difference with the interval that it has when both numbers also vary by a deviation.

    Parameters
    ----------
    deviation
        Standard deviation of either number over trainings.
    """
    half = float(stats.norm.ppf((1 + level) / 2)) * 2**0.5 * deviation
    low, high = hypot(found.value - found.low, half), hypot(found.high - found.value, half)
    return replace(found, low=found.value - low, high=found.value + high)


def _words(found: Difference | None, what: str, above: str, below: str) -> str:
    if found is None:
        return "not comparable"
    if found.shown:
        side = f"{what} {above if found.value > 0 else below}"
    else:
        side = f"not shown to be {what} {above} or {below}"
    return f"{side} ({found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}])"


def _condition(known: Mapping[str, Metric]) -> str:
    values = ", ".join(f"{_shown(known[name])} with {name}" for name in (COMPOSED, RANDOM, RAW))
    return f"condition in an experiment left out is read with a balanced accuracy of {values}"


def _leakage(leaking: Mapping[str, Metric]) -> str:
    values = ", ".join(f"{_shown(leaking[name])} with {name}" for name in (COMPOSED, RANDOM, RAW))
    return f"the experiment among nearest cells with {values} (lower is better)"


def _without_condition(evaluations: Mapping[str, Evaluation], leaking: Mapping[str, Metric]) -> str:
    if len(leaking) < len(evaluations):
        return (
            "These data state no condition and one experiment: the embeddings can be looked at, not judged."
        )
    mixing = [evaluations[name][MIXING] for name in (COMPOSED, RANDOM, RAW)]
    shown = ", ".join(f"{one.value:.2f}" for one in mixing if isinstance(one, Metric))
    return (
        f"No condition is known, so nothing is claimed. Balanced accuracy of "
        f"{_leakage(leaking)}. Mixing of "
        f"experiments among neighbours is {shown}, in the same order (1 is perfectly mixed)."
    )


def _shown(metric: Metric) -> str:
    return f"{metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]"
