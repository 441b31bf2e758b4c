from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.errors import InvalidInputError
from viscy_train.view.patches import find_table, made_from, rows_of_cells


def anchors(count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "global_track_id": pd.Categorical([f"e/A/1/0/{row // 3}" for row in range(count)]),
            "t": np.arange(count, dtype=np.int32) % 3,
            "y": np.arange(count, dtype=np.float32) * 1.5,
            "x": np.arange(count, dtype=np.float32),
        }
    )


@settings(max_examples=30)
@given(st.lists(st.integers(0, 29), min_size=1, unique=True))
def test_cells_are_found_in_any_order(rows: list[int]) -> None:
    table = anchors(30)
    assert rows_of_cells(table.iloc[rows], table, "anchors='a'").tolist() == rows


def test_another_table_is_refused_by_the_first_cell_that_differs() -> None:
    table = anchors(30)
    with pytest.raises(InvalidInputError, match=r"3 of 30 cells are not in it, the first.*e/A/1/0/9' at t=0"):
        rows_of_cells(table, table.iloc[:27], "anchors='a'")
    moved = table.assign(y=table["y"].where(table["x"] != 4, 8))
    with pytest.raises(InvalidInputError, match=r"1 of 30 .*e/A/1/0/1' at t=1: y=6 when .*, 8 in the table"):
        rows_of_cells(table, moved, "anchors='a'")


def test_channels_of_a_cell_are_told_apart() -> None:
    table = pd.concat([anchors(6).assign(channel=name) for name in ("a", "b")], ignore_index=True)
    assert rows_of_cells(table.iloc[[9, 3]], table, "anchors='a'").tolist() == [9, 3]


def test_a_table_is_looked_for_where_it_was_and_beside_the_embeddings(tmp_path: Path) -> None:
    there = tmp_path / "anchors.parquet"
    provenance = {"viscy_train": {"anchors": "/elsewhere/a/anchors.parquet", "folder": "/elsewhere/a/b"}}
    embeddings = tmp_path / "there" / "embeddings.zarr"
    table, why = find_table(provenance, embeddings, None)
    assert table is None
    assert "is not there any more: give --anchors" in why
    there.touch()
    embeddings.mkdir(parents=True)
    found, _ = find_table(provenance, embeddings, None)
    assert found is not None
    assert found.resolve() == there.resolve()
    assert find_table({}, embeddings, there) == (there, "")
    assert find_table({}, embeddings, None)[0] is None
    with pytest.raises(InvalidInputError, match="there is no such file"):
        find_table({}, embeddings, tmp_path / "no.parquet")


@pytest.mark.parametrize("config", ["", "[]", "{", None])
def test_settings_that_are_none_say_nothing(config: str | None) -> None:
    assert made_from({"viscy_train": {"config": config}}) == {}
