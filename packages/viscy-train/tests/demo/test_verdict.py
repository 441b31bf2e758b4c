from itertools import product

import pytest

from viscy_train.demo.comparison import COMPOSED, RANDOM, RAW
from viscy_train.demo.verdict import CONDITION, LEAKAGE, MIXING, judge
from viscy_train.evaluation import Definition, Evaluation, Metric, NotAvailable, Outcome, Resampling


def outcome(name: str, value: float | None) -> Outcome:
    definition = Definition(name, name, "higher", "how")
    if value is None:
        return NotAvailable(definition, "not there")
    return Metric(definition, value, value - 0.1, value + 0.1, 0.5, 10, 5)


def evaluations(
    condition: tuple[float | None, ...], leakage: tuple[float | None, ...]
) -> dict[str, Evaluation]:
    return {
        name: Evaluation(
            (outcome(CONDITION, one), outcome(LEAKAGE, other), outcome(MIXING, other)), 10, 10, Resampling()
        )
        for name, one, other in zip((COMPOSED, RANDOM, RAW), condition, leakage, strict=True)
    }


@pytest.mark.parametrize("ranks", list(product((1, 2), repeat=5)))
def test_the_claim_holds_if_and_only_if_all_three_comparisons_do(ranks: tuple[int, ...]) -> None:
    composed, random, raw, leak_composed, leak_random = (rank / 4 for rank in ranks)
    verdict = judge(evaluations((composed, random, raw), (leak_composed, leak_random, 0.9)), steps=450)
    assert verdict.holds == (composed > random and composed > raw and leak_composed < leak_random)
    assert verdict.text.startswith("The claim holds" if verdict.holds else "The claim does not hold")
    assert verdict.tone == ("good" if verdict.holds else "bad")


def test_without_conditions_nothing_is_claimed_and_leakage_is_told() -> None:
    verdict = judge(evaluations((None, None, None), (0.61, 0.72, 0.83)), steps=450)
    assert verdict.holds is None
    assert verdict.tone == "plain"
    assert "nothing is claimed" in verdict.text
    assert "0.610 [0.510, 0.710] with composed batches" in verdict.text


def test_with_one_experiment_nothing_is_judged() -> None:
    verdict = judge(evaluations((None, None, None), (None, None, None)), steps=450)
    assert verdict.holds is None
    assert "cannot" in verdict.text or "not judged" in verdict.text


def test_a_handful_of_steps_is_not_judged() -> None:
    verdict = judge(evaluations((0.9, 0.5, 0.5), (0.2, 0.9, 0.9)), steps=6)
    assert verdict.holds is None
    assert verdict.text.startswith("Trained for 6 steps only")
    assert "0.900 [0.800, 1.000] with composed batches" in verdict.text
