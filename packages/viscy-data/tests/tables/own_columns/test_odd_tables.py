"""Tables as people and programs write them: empty, with decimal commas, blanks, row numbers and large ids."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.errors import InvalidInputError
from viscy_data.tables.own_columns.column import OwnColumn, common_type, filled, tidied, trimmed
from viscy_data.tables.own_columns.fields import ColumnsFile, Level, _constant
from viscy_data.tables.own_columns.joins import join_cells, join_wells
from viscy_data.tables.own_columns.table import UserTable, read_user_table


def _read(path: Path, text: str, level: Level = "well") -> UserTable:
    path.write_text(text, encoding="utf-8")
    return read_user_table(ColumnsFile(path=path), level, "a")


def _anchors(*wells: str) -> pd.DataFrame:
    names = pd.Categorical(wells, categories=sorted(set(wells)))
    fovs = pd.Categorical([f"{well}/0" for well in wells])
    tracks = range(1, len(wells) + 1)
    frame = pd.DataFrame({"well": names, "fov": fovs, "track_id": tracks, "t": 0})
    return frame.assign(global_track_id=pd.Categorical(frame["fov"].astype(str)))


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), max_size=6))
def test_whole_numbers_stay_apart_whatever_reads_them(values: list[int | None]) -> None:
    found = tidied(pa.array(values, pa.int64()), "t.csv")
    plain = [None if pd.isna(one) else int(one) for one in found.to_pandas().astype(object)]
    assert plain == values


def test_unsigned_and_decimal_ids_are_text() -> None:
    for column in (pa.array([1, 2**64 - 1], pa.uint64()), pa.array([2**60]).cast(pa.decimal128(30, 0))):
        assert OwnColumn.of("v", "cell", "t.csv", tidied(column, "t.csv")).type == "text"
    whole = tidied(pa.array([1, 2]).cast(pa.decimal128(20, 0)), "t.csv")
    assert whole.type == pa.int64()
    assert common_type("uint64", "int64") == "int64"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (pa.array([1, None], pa.int8()), 1000),
        (pa.array([1, None], pa.uint8()), -1),
        (pa.array([1, None], pa.uint64()), -(2**53)),
        (pa.array([1, None], pa.int64()), 0.5),
        (pa.array([1.0, None], pa.float32()), 1e300),
    ],
)
def test_numbers_that_fill_are_held_as_given(column: Any, value: float) -> None:
    assert filled(column, value, "t.csv").to_pylist() == [1, value]


@pytest.mark.parametrize("value", [2**53 + 1, -(10**30)])
def test_constants_that_a_float_would_round_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match="write an id in quotes"):
        _constant(value)


def test_blanks_around_text_are_left_out(tmp_path: Path) -> None:
    table = _read(tmp_path / "p.csv", "well, drug\nA1, DMSO\nB2,DMSO \nC3,\t\n")
    assert table.own["drug"].to_pylist() == ["DMSO", "DMSO", None]
    plain = tidied(pa.array(["a", None, "b"]), "t.csv")
    assert trimmed(plain) is plain


def test_decimal_commas_are_numbers(tmp_path: Path) -> None:
    table = _read(tmp_path / "p.csv", "well;dose;pair\nA1;0;1\nB2;0,5;2\n")
    assert table.own["dose"].to_pylist() == [0, 0.5]
    assert table.own["pair"].to_pylist() == [1, 2]
    table = _read(tmp_path / "q.csv", "well;dose;pair\nA1;0.5;1,2\nB2;1.5;2,3\n")  # points, and two numbers
    assert table.own["dose"].to_pylist() == [0.5, 1.5]
    assert table.own["pair"].to_pylist() == ["1,2", "2,3"]


def test_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    pd.DataFrame({"well": ["A1"], "drug": ["DMSO"]}).to_csv(tmp_path / "pandas.csv")
    assert list(_read(tmp_path / "p.csv", (tmp_path / "pandas.csv").read_text()).own) == ["drug"]
    assert list(_read(tmp_path / "p.csv", "well,drug,,\nA1,DMSO,,\n").own) == ["drug"]


@pytest.mark.parametrize("text", [None, pa.string(), pa.int64()])
def test_tables_without_rows_join_nothing(text: Any, tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    columns = {name: pa.array([], text or pa.null()) for name in ("fov", "track_id", "t", "v")}
    pa_parquet.write_table(pa.table(columns), path)
    table = read_user_table(ColumnsFile(path=path), "cell", "a")
    joined = join_cells(table, _anchors("A/1", "B/2"), "a", ["A/1/0", "B/2/0"])
    assert joined.columns["v"].null_count == joined.report.cells_without_row == 2


def test_keys_that_are_lists_or_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    for key, what in (([["A1"]], "list"), ([b"A1"], "binary")):
        pa_parquet.write_table(pa.table({"well": pa.array(key), "v": [1]}), path)
        with pytest.raises(InvalidInputError, match=rf"column 'well' holds {what}.*; convert it"):
            read_user_table(ColumnsFile(path=path), "well", "a")
    (tmp_path / "l.csv").write_bytes("well,drug\nA1,caf\xe9\n".encode("latin-1"))
    with pytest.raises(InvalidInputError, match="'drug' is not UTF-8; save the table as UTF-8"):
        read_user_table(ColumnsFile(path=tmp_path / "l.csv"), "well", "a")


def test_track_ids_that_are_text_are_named(tmp_path: Path) -> None:
    table = _read(tmp_path / "c.csv", "fov,track_id,v\nA/1/0,x,1\n", "cell")
    with pytest.raises(InvalidInputError, match="line 2, column 'track_id': 'x' is string"):
        join_cells(table, _anchors("A/1"), "a", ["A/1/0"])


def test_a_well_that_could_be_two_is_of_neither(tmp_path: Path) -> None:
    table = _read(tmp_path / "p.csv", "well,v\nA/1,1\nA/01,2\nA1,3\n")
    joined = join_wells(table, _anchors("A/1", "A/01"), "a")
    assert joined.columns["v"].to_pylist() == [1, 2]
    assert np.array_equal([joined.report.matched, joined.report.without_cell], [2, 1])
