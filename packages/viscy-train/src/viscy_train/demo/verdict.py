"""The finding, in words computed from numbers.

With conditions the claim is: the embedding trained on composed batches tells conditions apart in an
experiment that its probe has not seen better than both controls, and its experiment is less readable than
that of the embedding trained on random batches. Both by balanced accuracy.

Three numbers of three embeddings nearly always differ, so comparing them would find something in noise. Each
of the three comparisons is therefore made by the paired difference, well by well, and counts only where its
interval excludes 0: all three in the claimed direction, and the claim is shown on these data; any one in the
other direction, and it does not hold; else nothing is shown either way.

The interval covers chance of wells and lineages. It does not cover chance of training: each encoder is
trained once, and the verdict says so. Without conditions nothing is claimed; the experiment's readability
and mixing are stated. After a handful of steps nothing is claimed either.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from viscy_data.pages.page import Tone
from viscy_train.demo.comparison import COMPOSED, RANDOM, RAW
from viscy_train.evaluation import Difference, Evaluation, Metric, difference

CONDITION = "condition_left_out/balanced_accuracy"
LEAKAGE = "experiment_leakage/balanced_accuracy"
MIXING = "experiment_mixing"
ENOUGH_STEPS = 100
"""Below them the encoders have hardly left where they began, which says nothing of the claim."""

ONE_TRAINING = (
    "Each encoder was trained once, so that the noise of training is not known: trainings of one setting "
    "can differ by as much as the embeddings compared here."
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
    found = [
        *(_claim(known, name, "told better than", sign=1) for name in (RANDOM, RAW)),
        _claim(leaking, RANDOM, "given away less than", sign=-1),
    ]
    sides = [side for side, _ in found]
    holds = True if all(side > 0 for side in sides) else False if min(sides) < 0 else None
    start = {
        True: "The claim is shown on these data",
        False: "The claim does not hold on these data",
        None: "The claim is not shown on these data, nor is the contrary",
    }[holds]
    told = [f"condition {found[0][1]}", f"condition {found[1][1]}", f"experiment {found[2][1]}"]
    numbers = f"In numbers: {_condition(known)}; {_leakage(leaking)}."
    return Verdict(holds, f"{start}, with {COMPOSED}: {'; '.join(told)}.", (numbers, ONE_TRAINING))


def _claim(metrics: Mapping[str, Metric], other: str, claimed: str, *, sign: int) -> tuple[int, str]:
    """Return whether composed batches are shown to be better (1), worse (-1) or neither (0), in words."""
    found = difference(metrics[COMPOSED], metrics[other], (COMPOSED, other))
    if found is None:  # other units: no pairs
        return 0, f"not comparable with {other}"
    gap = f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
    side = _side(found, sign)
    if side == 0:
        return 0, f"not shown to be {claimed} with {other}: {gap}"
    opposite = {"told better than": "told worse than", "given away less than": "given away more than"}
    return side, f"{claimed if side > 0 else opposite[claimed]} with {other}: {gap}"


def _side(found: Difference, sign: int) -> int:
    if not found.shown:
        return 0
    return 1 if sign * found.value > 0 else -1


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
