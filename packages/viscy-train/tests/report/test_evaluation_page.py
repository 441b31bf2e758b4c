import re
from dataclasses import replace
from html import unescape

import pytest

from viscy_data.pages.page import render
from viscy_train.evaluation import (
    Bin,
    Definition,
    Difference,
    Evaluation,
    Metric,
    NotAvailable,
    Outcome,
    Resampling,
    Series,
)
from viscy_train.evaluation.metric import Better
from viscy_train.report.curves import colours_of, dots_chart
from viscy_train.report.evaluation_page import NO_PAIRS, evaluation_page
from viscy_train.report.headlines import verdicts
from viscy_train.report.sentences import difference_sentence, sentence

AUROC = Definition("condition_left_out/auroc", "condition, experiment left out: AUROC", "higher", "how")
ALONE = (
    "each value of condition is held by one experiment only, so that it and experiment cannot be told apart"
)


def metric(value: float, half: float = 0.1, what: Definition = AUROC, unit: str = "wells") -> Metric:
    return Metric(what, value, value - half, value + half, 0.5, 900, 12, unit)


def evaluation(outcome: Outcome, hours: tuple[float, ...] = (), *others: Outcome) -> Evaluation:
    """Return an evaluation; `hours` are values of bins of two hours."""
    bins = tuple(Bin(2 * at, 2 * at + 2, metric(one)) for at, one in enumerate(hours))
    return Evaluation(
        (outcome, *others),
        900,
        900,
        Resampling(),
        values={"condition": ("control", "treated")},
        series=(Series("condition", AUROC, bins),) if bins else (),
    )


QUESTION = "Can control be told from treated?"


@pytest.mark.parametrize(
    ("found", "tone", "parts"),
    [
        (evaluation(replace(metric(0.68), ceiling=0.9), (0.5, 0.55, 0.7, 0.8)), "good",
         ["0.68 [0.58, 0.78] (guess 0.50, best possible 0.90)", "not before 4 h", "0.80 after 6 h"]),
        (evaluation(metric(0.68)), "good", ["0.68 [0.58, 0.78] (guess 0.50)."]),
        (evaluation(metric(0.55), (0.5, 0.5)), "bad", ["Not shown: 0.55", "at no hour told from guessing"]),
        (evaluation(NotAvailable(AUROC, ALONE)), "plain", [f"Nothing can be concluded: {ALONE}."]),
        (evaluation(NotAvailable(AUROC, "a value of condition is held by one well only")), "plain",
         ["Nothing can be concluded: a value of condition is held by one well only."]),
        (evaluation(NotAvailable(AUROC, "the experiments file names no condition")), "plain",
         ["Nothing can be concluded: the experiments file names no condition."]),
    ],
    ids=["clear", "no hours", "never above chance", "condition is experiment", "one well", "no condition"],
)  # fmt: skip
def test_the_answer_comes_first_in_words(found: Evaluation, tone: str, parts: list[str]) -> None:
    (told,) = verdicts({"mine": found})
    assert (told.heading, told.tone) == (QUESTION, tone)
    for part in parts:
        assert part in told.text
    page = unescape(render(evaluation_page({"mine": found})))
    assert page.index(QUESTION) < page.index("<section")
    assert told.text in page


def test_of_several_embeddings_each_answers_and_better_is_said_by_the_paired_interval() -> None:
    both = {"a": evaluation(metric(0.8)), "b": evaluation(metric(0.7))}
    shown = Difference(AUROC, "a", "b", 0.1, 0.02, 0.18, 12, "wells")
    (told,) = verdicts(both, (shown,))
    assert told.text == "a is better than b by 0.10 [0.02, 0.18]."
    assert [str(one)[:7] for one in told.points] == ["a: 0.80", "b: 0.70"]
    (told,) = verdicts(both, (replace(shown, low=-0.02),))
    assert told.text == "No difference between a and b is shown: 0.10 [-0.02, 0.18]."


def test_a_reason_that_all_share_is_said_once() -> None:
    gone = evaluation(NotAvailable(AUROC, ALONE))
    told = verdicts({"a": gone, "b": gone})
    assert len(told) == 1
    assert not told[0].points
    page = unescape(render(evaluation_page({"a": gone, "b": gone})))
    assert page.count(ALONE) == 2  # in the headline, and in place of the numbers


def test_cells_of_no_file_in_common_are_said() -> None:
    both = {"a": evaluation(metric(0.8)), "b": evaluation(metric(0.7))}
    assert NO_PAIRS in unescape(render(evaluation_page(both, same_cells=False)))


def test_corrected_and_limits_are_beside_the_number() -> None:
    corrected = evaluation(metric(0.61))
    found = replace(
        evaluation(replace(metric(0.68), floor=0.55, ceiling=0.9)),
        corrected=corrected,
        controls="condition=control",
    )
    page = render(evaluation_page({"mine": found}))
    for part in ("0.680", "0.610", "to beat 0.55", "best possible 0.90", "900", "12 wells", "0.58 to 0.78"):
        assert part in page


def test_a_sentence_of_several_embeddings_has_the_number_of_each() -> None:
    both = {"a": evaluation(metric(0.8)), "b": evaluation(metric(0.7))}
    page = unescape(render(evaluation_page(both)))
    assert page.count("is picked 80 (a) or 70 (b) times in 100") == 2  # in the verdict and beside the number
    same = unescape(render(evaluation_page({"a": both["a"], "b": both["a"]})))
    assert "is picked 80 times in 100" in same


def test_shares_have_one_axis_from_0_to_1_whatever_they_are() -> None:
    share = replace(AUROC, bounds=(0.0, 1.0))
    found = {
        title: {"a": metric(value, what=share), "b": metric(value - 0.1, what=share)}
        for title, value in (("first", 0.8), ("second", 0.5))
    }
    drawn = dots_chart(found, colours_of("ab"))
    ticks = re.findall(r">([\d.]+)</text>", drawn)
    assert ticks == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    # alone, or among others, a value is at one place
    (lone,) = re.findall(
        r'<circle cx="([\d.]+)"', dots_chart({"x": {"a": metric(0.8, what=share)}}, {"a": "c"})
    )
    assert re.findall(r'<circle cx="([\d.]+)"', drawn)[0] == lone


@pytest.mark.parametrize("name", ["</script><b>", "a\"b'c", "M\u00fcller \u00df", "<svg/onload=x>"])
def test_names_are_text_on_the_page(name: str) -> None:
    column = f"{name}_left_out/auroc"
    what = replace(AUROC, name=column, title=f"{name}: AUROC")
    found = replace(
        evaluation(metric(0.7, what=what)),
        labels=(name,),
        values={name: (name, "b")},
        series=(Series(name, what, (Bin(0, 1, metric(0.6)), Bin(1, 2, metric(0.8)))),),
    )
    page = render(evaluation_page({name: found, "other": found}))
    assert name in unescape(page)
    for markup in ("</script>", "<b>", "<svg/onload"):
        assert markup not in page
    assert 'a"b' not in page


KEYS: list[tuple[str, Better]] = [
    ("condition_left_out/balanced_accuracy", "higher"),
    ("condition_by_unit/f1", "higher"),
    ("retrieval/same_condition", "higher"),
    ("retrieval/same_condition_elsewhere", "higher"),
    ("experiment_leakage/auroc", "down to guess"),
    ("experiment_leakage/neighbours", "down to guess"),
    ("experiment_mixing", "near 1"),
    ("retrieval/next_frame", "higher"),
    ("smoothness", "lower"),
    ("effective_rank", "neither"),
]


@pytest.mark.parametrize(("key", "better"), KEYS)
def test_every_metric_has_a_sentence_and_others_say_how_they_are_computed(key: str, better: Better) -> None:
    what = Definition(key, key, better, "how it is computed")
    assert sentence(metric(0.7, what=what), "condition") != what.text
    other = replace(what, name="somebody/else")
    assert sentence(metric(0.7, what=other), "condition") == "how it is computed"


def test_a_difference_of_which_neither_side_is_better_is_said_so() -> None:
    rank = Definition("effective_rank", "rank", "neither", "how")
    told = difference_sentence(Difference(rank, "a", "b", -2, -3, -1, 9, "lineages"))
    assert told == "b has more than a by 2.00 [1.00, 3.00]; neither side is better as such."


def test_every_label_has_its_section() -> None:
    drug = replace(AUROC, name="drug_left_out/auroc", title="drug")
    found = replace(evaluation(metric(0.7), (), metric(0.6, what=drug)), labels=("condition", "drug"))
    page = evaluation_page({"mine": found})
    assert [one.heading for one in page.sections[:2]] == ["Telling condition", "Telling drug"]
    assert len(page.verdicts) == 2


def test_an_embedding_keeps_its_colour_where_another_has_no_number() -> None:
    gone = evaluation(NotAvailable(AUROC, ALONE))
    found = evaluation(metric(0.8), (0.5, 0.7))
    page = render(evaluation_page({"first": gone, "second": found}))
    fills = colours_of(["first", "second"])
    assert fills["second"] in page
    assert f'fill="{fills["first"]}"' not in page
