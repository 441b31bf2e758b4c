"""What a number of an evaluation says, in a sentence that a biologist understands.

"AUROC 0.68" is a number for those who know it. "Of two cells, one of a kind and one of another, the right
one is picked 68 times in 100; guessing picks it 50 times" is the same number, and says what it would be to
know nothing. Every sentence is a function of one metric, of one embedding or of several; one
that has none says how it is computed.
"""

from collections.abc import Mapping

from viscy_data import shown
from viscy_train.evaluation import Difference, Metric


def sentence(metric: Metric | Mapping[str, Metric], label: str = "") -> str:
    """Return what a metric says; `label` is the column that it is asked for, where there is one.

    Of several embeddings, by name, it is one sentence with the number of each.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from viscy_train.evaluation import Definition
    >>> what = Definition("condition_by_unit/auroc", "condition", "higher", "how")
    >>> one = Metric(what, 0.68, 0.6, 0.7, shuffled=0.5, n=90, units=6, unit="wells")
    >>> sentence(one, "condition")[-40:]
    'the right one is picked 68 times in 100.'
    >>> sentence({"a": one, "b": replace(one, value=0.61)}, "condition")[-44:]
    'one is picked 68 (a) or 61 (b) times in 100.'
    """
    found = metric if isinstance(metric, Mapping) else {"": metric}
    one = next(iter(found.values()))
    family, _, score = one.name.partition("/")
    if label and family in (f"{label}_left_out", f"{label}_by_unit"):
        where = "of what was left out" if family.endswith("left_out") else f"of {one.unit} never learned from"
        return _probe(found, score, where)
    if family == "retrieval" and label and score in (f"same_{label}", f"same_{label}_elsewhere"):
        where = " in another experiment" if score.endswith("elsewhere") else ""
        return (
            f"The most similar cell{where or ' outside its own unit'} has the same {shown(label)} "
            f"for {_hundred(found)} cells of 100."
        )
    return _others(found)


def _probe(found: Mapping[str, Metric], score: str, where: str) -> str:
    if score == "auroc":
        return (
            f"Of two cells {where}, one of a kind and one of another, the right one is picked "
            f"{_hundred(found)} times in 100."
        )
    if score == "balanced_accuracy":
        return f"Of 100 cells {where}, as many of each kind, {_hundred(found)} are named rightly."
    if score == "f1":
        return f"{_value(found)} of 1 with false alarms counted; 1 where each cell is named rightly."
    return next(iter(found.values())).definition.text


def _others(found: Mapping[str, Metric]) -> str:
    one, value, hundred = next(iter(found.values())), _value(found), _hundred(found)
    sentences = {
        "experiment_leakage/balanced_accuracy": f"Of 100 cells that should look alike, {hundred} give away "
        "which experiment they are of: its microscope, unless its cells truly differ.",
        "experiment_leakage/auroc": f"Of two such cells of two experiments, the right one is picked "
        f"{hundred} times in 100.",
        "experiment_leakage/f1": f"{value} of 1 with false alarms counted.",
        "experiment_leakage/neighbours": f"The cells most similar to it give away the experiment of "
        f"{hundred} cells of 100, which a correction of means and scales does not see.",
        "experiment_mixing": f"Cells of other experiments are {value} times as frequent among the most "
        "similar cells as if experiments made no difference.",
        "retrieval/next_frame": f"One frame on, the most similar cell is the cell itself for {hundred} of "
        "100.",
        "smoothness": f"From one frame to the next a cell moves {value} of the way to a random other cell.",
        "dynamic_range": f"Random cells lie {value} further apart than a cell and itself one frame on.",
        "effective_rank": f"Cells differ in about {_value(found, 0)} directions; 1 would be a collapsed "
        "embedding, and more is not better.",
    }
    return sentences.get(one.name, one.definition.text)


def difference_sentence(one: Difference) -> str:
    """Return whether one of two embeddings is better, only where the interval of the difference excludes 0.

    Examples
    --------
    >>> from viscy_train.evaluation import Definition
    >>> what = Definition("smoothness", "smoothness", "lower", "how")
    >>> difference_sentence(Difference(what, "a", "b", -0.2, -0.3, -0.1, 9, "wells"))
    'a is better than b by 0.20 [0.10, 0.30].'
    >>> difference_sentence(Difference(what, "a", "b", -0.2, -0.5, 0.1, 9, "wells"))
    'No difference between a and b is shown: -0.20 [-0.50, 0.10].'
    """
    first, second = shown(one.first, 60), shown(one.second, 60)
    if not one.shown:
        return (
            f"No difference between {first} and {second} is shown: {one.value:+.2f} "
            f"[{one.low:+.2f}, {one.high:+.2f}].".replace("+", "")
        )
    ends = sorted((abs(one.low), abs(one.high)))
    by = f"by {abs(one.value):.2f} [{ends[0]:.2f}, {ends[1]:.2f}]"
    if one.better:
        other = second if one.better == one.first else first
        return f"{shown(one.better, 60)} is better than {other} {by}."
    more, less = (first, second) if one.value > 0 else (second, first)
    return f"{more} has more than {less} {by}; neither side is better as such."


def _hundred(found: Mapping[str, Metric]) -> str:
    return _numbers({name: f"{100 * one.value:.0f}" for name, one in found.items()})


def _value(found: Mapping[str, Metric], digits: int = 2) -> str:
    return _numbers({name: f"{one.value:.{digits}f}" for name, one in found.items()})


def _numbers(of: Mapping[str, str]) -> str:
    """Return the number of each embedding, or the one that all of them have."""
    if len(set(of.values())) == 1:
        return next(iter(of.values()))
    told = [f"{number} ({shown(name, 40)})" for name, number in of.items()]
    return f"{', '.join(told[:-1])} or {told[-1]}"
