import numpy as np
import pandas as pd
import pytest

from viscy_train.evaluation.cells import Cells
from viscy_train.evaluation.questions import Question

WELL = np.repeat(np.arange(12), 4)


def cells(leave_out: str = "experiment", **labels: np.ndarray) -> Cells:
    """Return cells of three experiments of four wells, two lineages in each, with columns of their own."""
    names = [f"{well // 4}/{well}/{row // 2}" for row, well in enumerate(WELL)]
    obs = pd.DataFrame(
        {
            "experiment": np.array(["a", "b", "c"])[WELL // 4],
            "well": [f"A/{well % 4}" for well in WELL],
            "fov": [f"A/{well % 4}/0" for well in WELL],
            "t": np.arange(48) % 2,
            "global_track_id": names,
            "lineage_id": names,
            **labels,
        }
    )
    return Cells.of(np.zeros((48, 2)), obs, ("drug",), leave_out)


def ask(of: Cells, *, leaving_out: bool = False) -> Question:
    return Question.of(of, of.labels[0], leaving_out=leaving_out)


@pytest.mark.parametrize(
    ("drug", "unit", "count"),
    [(WELL % 2, "wells", 12), (np.arange(48) // 2 % 2, "lineages", 24), (np.arange(48) % 2, "lineages", 24)],
)
def test_the_unit_of_a_label_is_told_from_the_table(drug: np.ndarray, unit: str, count: int) -> None:
    question = ask(cells(drug=drug))
    assert (question.units.name, question.units.count, question.reason) == (unit, count, "")


@pytest.mark.parametrize("leaving_out", [True, False])
def test_a_label_that_is_the_experiment_concludes_nothing(leaving_out: bool) -> None:
    question = ask(cells(drug=np.array(["x", "y", "z"])[WELL // 4]), leaving_out=leaving_out)
    assert question.reason == (
        "each value of drug is held by one experiment only, so that drug and experiment cannot be told apart"
    )


def test_a_label_that_experiments_share_is_asked_of_experiments() -> None:
    question = ask(cells(drug=np.where(WELL // 4 < 2, "x", "y")))
    assert question.reason.startswith("a value of drug is held by one experiment only")


def test_one_well_of_each_value_is_said() -> None:
    one = np.where(WELL == 0, "x", np.where(WELL == 1, "y", None))  # type: ignore[call-overload]  # of text and None
    assert "held by one well only" in ask(cells(drug=one)).reason


def test_a_value_of_one_well_is_left_out_where_two_others_remain() -> None:
    question = ask(cells(drug=np.where(WELL == 0, "lone", np.where(WELL % 2, "x", "y"))))
    assert question.reason == ""
    assert (WELL[question.rows] != 0).all()
    assert np.unique(question.codes).size == 2
    assert question.note == "without lone: held by one well only, so that drug and well cannot be told apart"


def test_a_value_of_one_experiment_is_left_out_where_that_is() -> None:
    drug = np.where(WELL < 2, "once", np.where(WELL % 2, "x", "y"))
    assert ask(cells(drug=drug)).rows.size == 48
    question = ask(cells(drug=drug), leaving_out=True)
    assert question.rows.size == 40
    assert question.note == "without once: held in one experiment only, and gone when that is left out"


def test_any_column_is_left_out() -> None:
    camera = np.array(["left", "right"])[WELL // 2 % 2]
    question = ask(cells("camera", drug=WELL % 2, camera=camera), leaving_out=True)
    assert np.unique(question.groups).size == 2
    same = ask(cells("camera", drug=WELL % 2, camera=np.full(48, "left")), leaving_out=True)
    assert same.reason == "all cells are of one camera, so that none can be left out"


@pytest.mark.parametrize(
    ("drug", "reason"), [(None, "no cell has a value of drug"), ("x", "all cells have one drug")]
)
def test_no_values_and_one_value_are_said(drug: str | None, reason: str) -> None:
    assert ask(cells(drug=np.full(48, drug, dtype=object))).reason == reason
