"""The answer first: whether a label can be told, and by which embedding, in sentences.

The finding of each label is a verdict of the page. One embedding: its question and its answer. Several: the
question once, an answer each, and which is better, which is said only where the interval of the paired
difference excludes 0. Where nothing can be concluded, as where the condition equals the experiment, the
verdict says this with its reason, once.
"""

from collections.abc import Mapping

from viscy_data import shown
from viscy_data.pages.page import Tone, Verdict
from viscy_train.evaluation import Difference, Evaluation, Headline, Metric
from viscy_train.report.sentences import difference_sentence, sentence


def verdicts(evaluations: Mapping[str, Evaluation], found: tuple[Difference, ...] = ()) -> list[Verdict]:
    """Return the finding of each label.

    Parameters
    ----------
    evaluations : mapping of str to Evaluation
        By name of the embedding.
    found : tuple of Difference
        Between embeddings of the same cells.
    """
    every = [one.headlines for one in evaluations.values()]
    labels = list(dict.fromkeys(one.label for each in every for one in each))
    names = list(evaluations)
    told = []
    for label in labels:
        of = {
            name: one for name, each in zip(names, every, strict=True) for one in each if one.label == label
        }
        told.append(_verdict(of, found))
    return told


def _verdict(of: Mapping[str, Headline], found: tuple[Difference, ...]) -> Verdict:
    first = next(iter(of.values()))
    outcomes = [one.outcome for one in of.values()]
    metrics = [one for one in outcomes if isinstance(one, Metric)]
    if not metrics and len({one.answer for one in of.values()}) == 1:
        return Verdict(first.answer, "plain", first.question)
    notes = []
    if metrics:
        # of the metrics that embeddings have in common with the first one
        alike = {name: one.outcome for name, one in of.items() if isinstance(one.outcome, Metric)}
        alike = {name: one for name, one in alike.items() if one.name == metrics[0].name}
        notes.append(f"{sentence(alike, first.label)} In brackets: {_level(of)}.")
    if len(of) == 1:
        return Verdict(first.answer, _tone(metrics), first.question, notes=notes)
    points = [f"{shown(name, 60)}: {one.answer}" for name, one in of.items()]
    keys = {one.name for one in metrics}
    paired = [one for one in found if one.definition.name in keys]
    return Verdict(
        " ".join(difference_sentence(one) for one in paired), _tone(metrics), first.question, points, notes
    )


def _level(of: Mapping[str, Headline]) -> str:
    units = next(one.outcome.unit for one in of.values() if isinstance(one.outcome, Metric))
    return f"where the number may lie, given how it varies from one of the {units} to the next"


def _tone(metrics: list[Metric]) -> Tone:
    if not metrics:
        return "plain"
    return "good" if any(one.tells for one in metrics) else "bad"
