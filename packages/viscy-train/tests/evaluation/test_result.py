import json
from dataclasses import replace

import pytest

from viscy_train.evaluation import Definition, Evaluation, Metric, NotAvailable, Outcome, Resampling
from viscy_train.evaluation.result import question_of

SCORES = ("balanced_accuracy", "auroc", "f1")


def metric(name: str, value: float, better: str = "higher", p: float | None = None) -> Metric:
    what = Definition(name, name, better, "how", (0.0, 1.0))  # type: ignore[arg-type]  # one of them
    return Metric(what, value, value - 0.1, value + 0.1, shuffled=0.5, n=90, units=6, unit="wells", p=p)


def lacking(name: str, reason: str = "so it is") -> NotAvailable:
    return NotAvailable(Definition(name, name, "higher", "how"), reason)


def evaluation(left_out: float | None, by_unit: float | None, controls: str = "") -> Evaluation:
    outcomes: list[Outcome] = []
    for name, value in (("condition_left_out", left_out), ("condition_by_unit", by_unit)):
        keys = [f"{name}/{score}" for score in SCORES]
        outcomes += [lacking(key) if value is None else metric(key, value) for key in keys]
    values = {"condition": ("infected", "mock", "uninfected")[::2]}
    return Evaluation(tuple(outcomes), 90, 90, Resampling(), values=values, controls=controls)


def test_the_headline_asks_for_experiments_left_out_before_wells_left_out() -> None:
    (headline,) = evaluation(0.7, 0.9).headlines
    assert headline.outcome.name == "condition_left_out/auroc"
    assert headline.text == ("Can infected be told from uninfected? 0.70 [0.60, 0.80] (guess 0.50).")
    (headline,) = evaluation(None, 0.9).headlines
    assert headline.outcome.name == "condition_by_unit/auroc"


def test_what_guessing_gives_is_not_shown() -> None:
    assert evaluation(0.55, 0.5).headlines[0].answer.startswith("Not shown: 0.55 [0.45, 0.65]")


def test_without_a_number_nothing_can_be_concluded() -> None:
    assert evaluation(None, None).headlines[0].answer == "Nothing can be concluded: so it is."


def test_floor_ceiling_and_correction_stand_beside_the_number() -> None:
    both = replace(evaluation(0.7, 0.8), corrected=evaluation(0.65, 0.7))
    limited = both.with_limits(floor=evaluation(0.6, None), ceiling=replace(both, corrected=None))
    found = limited["condition_left_out/f1"]
    assert isinstance(found, Metric)
    assert (found.floor, found.ceiling) == (0.6, 0.7)
    assert limited.headlines[0].answer == (
        "0.70 [0.60, 0.80] (guess 0.50, to beat 0.60, best possible 0.70); 0.65 once corrected by control "
        "cells (guess 0.50)."
    )
    there = json.loads(json.dumps(limited.to_dict()))
    assert there["corrected"]["metrics"][0]["value"] == 0.65
    assert there["headlines"][0]["question"] == "Can infected be told from uninfected?"


def test_a_question_names_controls_last() -> None:
    (headline,) = evaluation(0.7, 0.7, controls="condition=infected").headlines
    assert headline.question == "Can uninfected be told from infected?"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((), "Can drug be told?"),
        (("a", "b"), "Can a be told from b?"),
        (tuple("abcdef"), "Can the 6 values of drug be told apart (a, b, c, d and 2 more)?"),
    ],
)
def test_a_question_names_its_values(values: tuple[str, ...], text: str) -> None:
    assert question_of("drug", values) == text


@pytest.mark.parametrize(
    ("better", "value", "p", "tells"),
    [
        ("higher", 0.7, None, True),
        ("higher", 0.7, 1 / 21, True),
        ("higher", 0.7, 0.05, True),
        ("higher", 0.7, 0.06, False),
        ("down to guess", 0.3, 0.01, None),
        ("higher", 0.55, 1 / 21, False),
        ("lower", 0.3, None, True),
        ("lower", 0.3, 0.2, False),
        ("near 1", 0.9, None, None),
    ],
)
def test_a_metric_tells_where_interval_and_shuffles_are_beyond_chance(
    better: str, value: float, p: float | None, tells: bool | None
) -> None:
    assert metric("one", value, better, p).tells is tells


def test_a_headline_says_how_often_shuffled_labels_give_as_much() -> None:
    found = evaluation(0.7, None)
    few = [replace(one, p=5 / 21) if isinstance(one, Metric) else one for one in found.outcomes]
    answer = replace(found, outcomes=tuple(few)).headlines[0].answer
    assert answer == "Not shown: 0.70 [0.60, 0.80] (guess 0.50), and 24 % of shuffled labels give as much."
