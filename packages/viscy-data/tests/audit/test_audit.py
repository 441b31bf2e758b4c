"""The audit for people: plan files, tables, pictures and the page."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from html_outline import Outline
from hypothesis import given, settings
from sampling_cases import Case, cases, make_table

from viscy_data.audit.audited import Audited
from viscy_data.audit.command import audit_plans
from viscy_data.audit.page import tell
from viscy_data.audit.tables import amount_text, audit_tables, bars, overall_rows
from viscy_data.composition import Balance, BatchPlan, Curriculum, Focus, Grouping
from viscy_data.errors import InvalidInputError
from viscy_data.pages.page import render, write_page
from viscy_data.sampling.flat import flat_plan
from viscy_data.sampling.plan_file import change_plan, read_plan

PLAN = BatchPlan(12, grouping=Grouping("experiment"), balance=Balance("condition"))
FOCUSED = change_plan(PLAN, {"grouping": {"leak": 0.25}, "focus": {"window_hours": 1.0}})
STAGED = change_plan(PLAN, {"stages": {0: {}, 20: {"grouping": {"leak": 0.25}}}})


def make_anchors() -> pd.DataFrame:
    table = make_table({(g, s): 90 for g in ("a", "<b>") for s in ("x", "y & z")})
    rng = np.random.default_rng(0)
    return table.assign(
        lineage_id=rng.integers(0, 40, len(table)),
        fov=rng.integers(0, 6, len(table)).astype(str),
        t=(table["hours_post_infection"] * 2).astype(int),
    )


@pytest.fixture(scope="module")
def audits() -> list[Audited]:
    plans = [("plain", PLAN), ("focused", FOCUSED)]
    return audit_plans(make_anchors(), plans, epochs=3, progress=False)


def test_a_plan_file_says_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("batch_size: 6\ngrouping: {leak: 0.5}\nbalance: null\nfocus: {global_fraction: 0.1}\n")
    expected = BatchPlan(
        6,
        grouping=Grouping("experiment", leak=0.5),
        focus=Focus("hours_post_infection", global_fraction=0.1),
    )
    assert read_plan(path, PLAN) == expected
    assert change_plan(PLAN, {}) == PLAN


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grouping": {"leek": 0.5}}, r"'grouping' has no 'leek'.*Did you mean 'leak'"),
        ({"fokus": None}, r"The plan has no 'fokus'.*Did you mean 'focus'"),
        (["batch_size"], "A plan is a mapping"),
        ({"grouping": 3}, "neither None nor a Grouping"),
        ({"grouping": {"leak": 3}}, r"Grouping\.leak=3 is outside"),
    ],
)
def test_a_wrong_plan_file_says_what_is_allowed(changes: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        change_plan(PLAN, changes)


def test_a_missing_plan_file_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="the plan file cannot be read"):
        read_plan(tmp_path / "absent.yaml", PLAN)


def test_options_are_a_plan() -> None:
    options = {"leaky": 0.4, "temporal_window_hours": 1.0, "temporal_global_fraction": 0.2}
    plan = flat_plan(5, **options, condition_balanced=False, temporal_enrichment=True)
    assert plan.grouping == Grouping("experiment", leak=0.4)
    assert plan.balance is None
    assert plan.focus == Focus("hours_post_infection", window_hours=1.0, global_fraction=0.2)


def test_tables_show_both_plans(audits: list[Audited]) -> None:
    overall, first, second = audit_tables(audits)
    assert overall.headings == ("per batch", "plain: asked", "held", "focused: asked", "held")
    rows = {row[0]: row[1:] for row in overall.rows}
    assert rows["anchors from other groups"] == ("0.00", "0.00", "3.00", "3.00")
    assert rows["fraction inside the window"][:2] == ("", "")
    report = audits[0].report
    assert report.lineages is not None
    assert rows["effective negatives of an anchor"][1] == f"{report.lineages.negatives:.2f}"
    assert [row[0] for row in first.rows] == ["<b>", "a"] == [row[0] for row in second.rows]
    for table in (overall, first, second):
        assert {len(row) for row in table.rows} == {len(table.headings)}


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ({"batches": 30}, "30 batches (1 epoch)"),
        ({"batches": 1}, "1 batch (0.033 epochs)"),
        ({"batches": 75}, "75 batches (2.5 epochs)"),
        ({"batches": 7, "epochs": 3}, "90 batches (3 epochs)"),
    ],
)
def test_titles_say_how_many_batches_were_composed(amount: dict[str, Any], text: str) -> None:
    audits = audit_plans(make_anchors(), [("plain", PLAN)], progress=False, **amount)
    assert amount_text(audits) == text
    assert next(iter(audit_tables(audits))).title == f"{text} from 360 anchors"
    assert f"What the first {text} hold" in render(tell(audits))


def test_what_is_not_checked_is_said(audits: list[Audited]) -> None:
    plain, focused = audits
    assert overall_rows(plain.report)["visits of an anchor"][0] == "apart by 2 in a cell"
    assert overall_rows(focused.report)["visits of an anchor"][0] == "not checked"
    assert "Every axis holds what was asked." in render(tell([plain]))
    page = render(tell([focused]))
    assert "Everything that was checked holds what was asked." in page
    assert "not checked: coverage: the focal window decides who comes; leaks come" in page


def test_a_curriculum_is_audited_stage_by_stage() -> None:
    (audited,) = audit_plans(make_anchors(), [("staged", STAGED)], epochs=1, progress=False)
    assert isinstance(audited.plan, Curriculum)
    assert audited.deviations == ()
    assert overall_rows(audited.report)["anchors from other groups"] == ("1.00", "1.00")
    assert list(audited.to_dict()["plan"]["plans"]) == ["0", "20"]
    assert "every stage of a curriculum has passes of its own" in render(tell([audited]))


def test_clock_and_groups_go_by_the_names_of_their_columns() -> None:
    anchors = make_anchors()
    anchors = anchors.assign(dose_um=anchors["hours_post_infection"] * 10, drug=anchors["experiment"])
    plan = BatchPlan(12, grouping=Grouping(["drug", "condition"]), focus=Focus("dose_um", window_hours=20.0))
    ours, usual = audit_plans(anchors, [("drugs", plan), ("usual", PLAN)], batches=20, progress=False)
    _overall, by_drug, by_experiment = audit_tables([ours, usual])
    assert by_drug.headings[0] == "drug, condition"
    assert by_drug.headings[-1].endswith(" dose_um")
    assert by_experiment.headings[0] == "experiment"
    assert by_experiment.headings[-1].endswith(" hours")
    page = render(tell([ours]))
    assert "dose_um" in page
    assert " h<" not in page


def test_bars_are_as_high_as_their_counts() -> None:
    assert bars(np.array([0, 1, 4, 8, 2])) == " ▁▄█▂"
    assert bars(np.zeros(3, dtype=np.int64)) == "   "


@pytest.mark.parametrize("count", [1, 2])
def test_the_page_is_whole_and_fetches_nothing(audits: list[Audited], count: int, tmp_path: Path) -> None:
    path = tmp_path / "audit.html"
    write_page(tell(audits[:count]), path)
    page = path.read_text(encoding="utf-8")
    outline = Outline(page)
    assert outline.is_self_contained
    assert outline.tags.count("svg") == 5 * count
    assert "y &amp; z" in page
    assert "<b>" not in page
    assert list(tmp_path.iterdir()) == [path]


def test_a_plan_that_is_left_is_said_on_the_page() -> None:
    (audited,) = audit_plans(make_table({("a", "x"): 3, ("a", "y"): 40}), [("p", PLAN)], progress=False)
    assert [one.axis for one in audited.deviations] == ["repeats"]
    page = render(tell([audited]))
    assert "Batches leave what was asked" in page
    assert "hold fewer than a" in page


@settings(max_examples=20)
@given(case=cases())
def test_any_report_becomes_a_page_of_finite_numbers(case: Case) -> None:
    sampler = case.sampler()
    report = sampler.report(2 * sampler.batches_per_epoch, table=case.table)
    audited = Audited("case", sampler.plan, report, (), ())
    drawn = "".join(re.findall(r"<svg.*?</svg>", render(tell([audited, audited]))))
    assert not re.search(r"nan|inf[ ,\"]", drawn)
    assert json.loads(json.dumps(audited.to_dict()))["name"] == "case"
