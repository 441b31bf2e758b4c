import pandas as pd

from viscy_data.tables.own_columns.fields import TAKEN as TAKEN_BY_INDEX
from viscy_train.view.labels import TAKEN, label_keys


def table(**more: object) -> pd.DataFrame:
    columns = {"experiment": ["a", "a", "b"], "fov": ["A/1/0"] * 3, "track_id": [1, 2, 1], "t": [0, 0, 0]}
    cells = {"global_track_id": ["a/1", "a/2", "b/1"]}
    return pd.DataFrame(columns | cells | more)


def test_ids_of_the_tracking_program_come_first_as_exact_numbers() -> None:
    keys = label_keys(table(source_id=pd.array([2**60 + 1, 5, 5], dtype="Int64")))
    assert list(keys) == ["experiment", "fov", "source_id", "t"]
    assert keys["source_id"] == ["1152921504606846977", "5", "5"]


def test_ids_that_some_cells_lack_or_share_are_not_keys() -> None:
    lacking = label_keys(table(source_id=pd.array([7, None, 5], dtype="Int64")))
    shared = label_keys(table(source_id=[7, 7, 5], source_name=["x", "y", "z"]))
    assert lacking["track_id"] == ["1", "2", "1"]
    assert shared["source_name"] == ["x", "y", "z"]


def test_names_that_an_index_refuses_are_refused_on_the_page() -> None:
    assert TAKEN == TAKEN_BY_INDEX
